"""Automated circuit discovery for transformer language models."""
