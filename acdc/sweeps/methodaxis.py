"""The axis ``method``: names, and methods with axes of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from acdc.asked import shown
from acdc.errors import AcdcError, SettingsError, UnknownNameError
from acdc.methods.base import Method
from acdc.methods.registry import METHODS, find_method, option_names
from acdc.sweeps.axes import AXES, check_axis
from acdc.sweeps.cells import SELECTING
from acdc.sweeps.values import each_once, values_of

#: Axes that only some methods have, since they are options of theirs; the seed is every run's.
OF_METHODS = {name for method in METHODS.values() for name in option_names(method)} - {"seed"}


def methods_of(given: Any, say: Callable[[str], None]) -> list[Any]:
    """The values of ``method``.

    Args:
        given: text, names with commas; a name, or an object of a ``name`` and axes of this method alone; a list.
        say: takes what is left out, in sentences.

    Raises:
        UnknownNameError: no such method, or axis; names the nearest.
        SettingsError: the method has no such option, or it is no value.
    """
    found: list[Any] = []
    listed = list(given) if isinstance(given, list | tuple) else [given]
    if not listed:
        raise SettingsError("the axis `method` is empty; give it a value, or leave it out.")
    for one in listed:
        if isinstance(one, Mapping):
            found.append(_with_axes(one, say))
        elif isinstance(one, Method):
            options = {"name": one.name, **{name: value for name, value in one.options.items() if name != "seed"}}
            raise SettingsError(f"a sweep takes a method by its name with its options as axes: {options}.")
        else:
            found += [find_method(name).name for name in values_of("method", one)]
    kept = [one for number, one in enumerate(found) if one not in found[:number]]
    if len(kept) < len(found):
        say("the axis `method` has a method more than once; each counts once.")
    return kept


def _with_axes(given: Mapping[str, Any], say: Callable[[str], None]) -> dict[str, Any]:
    if not isinstance(name := given.get("name"), str):
        raise SettingsError(
            f'a method with axes of its own has its name beside them, e.g. name = "eap-ig", not {shown(name)}.'
        )
    kind = METHODS[find_method(name).name]
    axes = {axis: values for axis, values in given.items() if axis != "name"}
    for axis in axes:
        _check(kind, axis)
    try:
        own = {axis: each_once(axis, values_of(axis, values), say) for axis, values in axes.items()}
    except AcdcError as error:
        raise SettingsError(f"the method {name}: {error}") from None
    return {"name": name, **own}


def _check(kind: type[Method], axis: Any) -> None:
    """Raise an error unless a method may have that axis of its own."""
    if axis == "method":
        raise SettingsError(f"the method {kind.name} can't have an axis `method`; name each beside the other.")
    if axis in option_names(kind):
        return
    if axis in SELECTING or (axis == "threshold" and not kind.decides):
        if kind.decides:
            raise SettingsError(decides(f"the method {kind.name} decides", axis))
        return
    if axis in OF_METHODS:
        find_method(kind.name, **{axis: None})  # says that it has no such option
    if axis not in AXES and isinstance(axis, str):
        selections = () if kind.decides else SELECTING
        common = AXES.keys() - OF_METHODS - set(SELECTING) - {"method"}
        raise UnknownNameError("axis", axis, [*option_names(kind), *selections, *common], f"the method {kind.name}: ")
    check_axis(axis)


def decides(who: str, axis: str) -> str:
    """What to say of a selection for methods that take none."""
    return (
        f"`{axis}` is of a selection, which chooses edges by their scores, and {who} without; leave it out, or take a "
        "method that scores edges, e.g. eap-ig."
    )
