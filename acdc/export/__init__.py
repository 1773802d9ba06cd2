"""Diagrams, tables and files of a circuit."""
