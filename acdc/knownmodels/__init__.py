"""Models by name: those that come with acdc, those in the user's cache folder, and those that a command fetches.

Importing this doesn't import torch.
"""
