"""What notebooks show of acdc's objects: HTML with diagrams, tables and tokens. Nothing here imports torch.

A class says which form is its own (:class:`acdc.displayed.Displayed`). All text that comes from names and prompts goes
through :mod:`acdc.notebook.markup`, which escapes it.
"""
