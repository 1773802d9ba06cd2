"""The axes that a sweep may have, by the names of :func:`acdc.discover`'s arguments, and what their values are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, get_type_hints

from acdc.errors import SettingsError, UnknownNameError
from acdc.methods.registry import METHODS
from acdc.selection import RULES
from acdc.wording import some

#: What a cell is of, and how its circuit is judged, whatever the method.
_COMMON: Mapping[str, type] = {
    **{"task": str, "model": str, "method": str},
    **{"metric": str, "ablation": str, "corruption": str, "n": int, "seed": int, "bos": str},
    **{"split_input": bool, "freeze": str, "engine": str, "dtype": str, "device": str, "batch_size": int},
    **{"allow_misaligned": bool, "skip_bad_pairs": bool, "answers": str, "wrong_answers": str},
}
_SELECTING: Mapping[str, type] = {"top": int, "above": float, "greedy": int, "by": str, "level": str}


def _of_methods() -> dict[str, type]:
    """The options of all methods, with their types; the seed is the run's."""
    return {
        one.name: get_type_hints(method)[one.name]
        for method in METHODS.values()
        for one in fields(method)
        if one.name not in _COMMON
    }


#: Every axis with the type of its values, in the order in which a cell's name has them. ``batch_size`` may be ``auto``.
AXES: Mapping[str, type] = {**_COMMON, **_of_methods(), **_SELECTING}
#: Arguments that say how a whole sweep runs; no cell has one of its own.
_OF_THE_SWEEP = {"out", "jobs", "memory", "cluster", "cpus", "gpus", "curve", "reference", "resume", "progress"}


def check_axis(name: Any) -> str:
    """The name of an axis.

    Raises:
        UnknownNameError: there is no such axis; names the nearest.
        SettingsError: it is something else that a run or a sweep takes; says how that is given.
    """
    if not isinstance(name, str):
        raise SettingsError(f"an axis has a name, e.g. task, not {name!r}.")
    if name in AXES:
        return name
    if name == "select":
        rules = some([f"`{rule}`" for rule in RULES])
        raise SettingsError(f"`select` isn't an axis; a sweep's selections are its axes {rules}, e.g. top = [50, 100].")
    if name in _OF_THE_SWEEP:
        raise SettingsError(f"`{name}` isn't an axis, since it is the whole sweep's; give it beside the axes.")
    if name in ("threads", "announce"):
        raise SettingsError(f"`{name}` isn't an axis: a sweep sees to it itself; leave it out.")
    raise UnknownNameError("axis", name, AXES)
