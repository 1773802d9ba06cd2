"""The engines by name, and what of a model can be frozen; known without torch, before a model is opened."""

from __future__ import annotations

from typing import Any

from acdc.asked import shown
from acdc.errors import SettingsError, UnknownNameError

ENGINES = ("fast", "reference")
#: What may stay as it is on the clean prompts, see :mod:`acdc.models.freezing`.
FREEZABLE = ("attention", "norms")
#: Names for all of them and for nothing.
_WHOLE: dict[str, tuple[str, ...]] = {"both": FREEZABLE, "none": ()}


def check_engine(name: str) -> None:
    """Raise :class:`UnknownNameError` unless there is such an engine."""
    if name not in ENGINES:
        raise UnknownNameError("engine", name, ENGINES)


def asked_freeze(value: Any) -> tuple[str, ...]:
    """What is to be frozen, in the order of :data:`FREEZABLE`.

    Args:
        value: a name, names with commas, or a list of names; ``both`` alone is all there are, ``none`` and ``None``
            nothing.

    Raises:
        UnknownNameError: it can't be frozen.
        SettingsError: it is no name and no list of them.
    """
    if value is None:
        return ()
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise SettingsError(f"`freeze` must be names like attention,norms or a list of them, not {shown(value)}.")
    names = [name.strip() for name in names]
    if len(names) == 1 and names[0] in _WHOLE:
        return _WHOLE[names[0]]
    for name in names:
        if name in _WHOLE:
            raise SettingsError(f"`freeze` takes {name} alone, with no other name beside it.")
        if name not in FREEZABLE:
            raise UnknownNameError("part to freeze", name, (*FREEZABLE, *_WHOLE))
    return tuple(name for name in FREEZABLE if name in names)
