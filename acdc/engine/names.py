"""The engines by name; known without torch, before a model is opened."""

from __future__ import annotations

from acdc.errors import UnknownNameError

ENGINES = ("fast", "reference")


def check_engine(name: str) -> None:
    """Raise :class:`UnknownNameError` unless there is such an engine."""
    if name not in ENGINES:
        raise UnknownNameError("engine", name, ENGINES)
