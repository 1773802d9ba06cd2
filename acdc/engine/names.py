"""What can be asked of an engine, by name; known without torch, before a model is opened."""

from __future__ import annotations

from acdc.errors import UnknownNameError

#: What removed edges can carry.
ABLATIONS = ("corrupted", "zero", "mean")
ENGINES = ("fast", "reference")


def check_ablation(name: str) -> None:
    """Raise :class:`UnknownNameError` unless there is such an ablation."""
    if name not in ABLATIONS:
        raise UnknownNameError("ablation", name, ABLATIONS)


def check_engine(name: str) -> None:
    """Raise :class:`UnknownNameError` unless there is such an engine."""
    if name not in ENGINES:
        raise UnknownNameError("engine", name, ENGINES)
