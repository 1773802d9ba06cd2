"""From axes to the settings of cells: every value with every other, as far as methods and tasks have them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from acdc.errors import SettingsError, UnknownNameError
from acdc.methods.base import Method
from acdc.methods.registry import METHODS, option_names
from acdc.selection import RULES
from acdc.sweeps.axes import check_axis
from acdc.sweeps.cells import SELECTING
from acdc.sweeps.checking import corruptions_of, is_prompt_file
from acdc.sweeps.methodaxis import OF_METHODS, decides, methods_of
from acdc.sweeps.values import MOST_CELLS, each_once, values_of
from acdc.wording import either, some

Say = Callable[[str], None]
_COLUMNS = ("answers", "wrong_answers")


@dataclass(frozen=True)
class _Choice:
    """A value of an axis in a cell.

    Attributes:
        axis: the place of its axis.
        place: its own on the axis.
        settings: what it settles.
    """

    axis: int
    place: int
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class _Member:
    """A method of the sweep with the axes that it has, by name."""

    kind: type[Method]
    axes: Mapping[str, Sequence[Any]]

    @property
    def rules(self) -> list[str]:
        """Its selections, in order; its threshold is one where the method itself has none."""
        given = [name for name in self.axes if name in RULES]
        return given or ["threshold"] * ("threshold" in self.axes and "threshold" not in option_names(self.kind))


def read_axes(given: Mapping[str, Any], say: Say) -> dict[str, Sequence[Any]]:
    """The values of axes by their names; those of ``method`` may be objects with axes of their own.

    Raises:
        UnknownNameError: no such axis or method; names the nearest.
        SettingsError: a value is none, or an axis is empty.
    """
    names = [check_axis(name) for name in given]
    return {
        name: methods_of(given[name], say) if name == "method" else each_once(name, values_of(name, given[name]), say)
        for name in names
    }


def crossed(axes: Mapping[str, Sequence[Any]], say: Say) -> list[dict[str, Any]]:
    """The settings of every cell; the first axis changes slowest.

    Args:
        axes: as :func:`read_axes` gives them.
        say: takes what is left out of the crossing, in sentences.

    Raises:
        UnknownNameError: no such task or corruption; names the nearest.
        SettingsError: an axis that no method has, a method that needs one more, or too many cells.
    """
    members = [_member(one, axes) for one in axes.get("method", ["acdc"])]
    _refuse_unused(axes, members, say)
    places = {name: place for place, name in enumerate(dict.fromkeys([*axes, "method", *_own(members)]))}
    corruptions = {task: corruptions_of(task) for one in members for task in one.axes["task"]}
    _refuse_corruptions(members, corruptions, say)
    dimensions = [
        list(_dimensions(member, number, task, corruptions[task[1]], places))
        for number, member in enumerate(members)
        for task in enumerate(member.axes["task"])
    ]
    count = sum(math.prod(map(len, one)) for one in dimensions)
    if count > MOST_CELLS:
        raise SettingsError(
            f"these axes cross to {count:,} cells, and a sweep has {MOST_CELLS:,} at most; give fewer values."
        )
    return _settings([list(one) for dimension in dimensions for one in product(*dimension)], say)


def _settings(chosen: list[list[_Choice]], say: Say) -> list[dict[str, Any]]:
    """What the choices of each cell settle, in the order of the axes, each cell once."""
    for choices in chosen:
        choices.sort(key=lambda choice: choice.axis)
    chosen.sort(key=_rank)
    found: dict[frozenset[tuple[str, Any]], dict[str, Any]] = {}
    for choices in chosen:
        settings = {name: value for choice in choices for name, value in choice.settings.items()}
        found.setdefault(frozenset(settings.items()), settings)
    if len(found) < len(chosen):
        say(f"{len(chosen) - len(found)} of the cells are the same as others; each runs once.")
    return list(found.values())


def _member(given: Any, axes: Mapping[str, Sequence[Any]]) -> _Member:
    """A method with the axes of all that it has, and its own in their place."""
    own = {name: values for name, values in given.items() if name != "name"} if isinstance(given, dict) else {}
    kind = METHODS[given["name"] if isinstance(given, dict) else given]
    choosing = {*RULES, "threshold"} - set(option_names(kind))
    replaced = choosing if own.keys() & choosing else set()  # whoever has a selection of its own needs no other
    mine = {name: own.get(name, values) for name, values in axes.items() if name in own or name not in replaced}
    mine = {name: values for name, values in {**mine, **own}.items() if name != "method"}
    ruled = any(name in RULES for name in mine)
    fits = {name: values for name, values in mine.items() if _fits(kind, name, ruled=ruled)}
    for needed in ("task", "model"):
        if needed not in fits:
            raise SettingsError(f"a sweep needs the axis `{needed}`; give it, e.g. {_EXAMPLES[needed]}.")
    member = _Member(kind, fits)
    if not kind.decides and not member.rules:
        raise SettingsError(
            f"the method {kind.name} gives every edge a score and leaves open which of them are the circuit; give "
            f"{either([f'`{rule}`' for rule in (*RULES, 'threshold')])}."
        )
    return member


#: What axes that every sweep has may be.
_EXAMPLES = {"task": "ioi", "model": "tiny-tasks"}


def _fits(kind: type[Method], axis: str, *, ruled: bool) -> bool:
    """Whether a method has an axis.

    Args:
        kind: the method.
        axis: the axis.
        ruled: whether there are selections other than by the threshold.
    """
    if axis in option_names(kind):
        return True
    if axis in SELECTING:
        return not kind.decides
    if axis == "threshold":
        return not kind.decides and not ruled
    return axis not in OF_METHODS


def _own(members: Sequence[_Member]) -> Iterator[str]:
    for member in members:
        yield from member.axes


def _refuse_unused(axes: Mapping[str, Sequence[Any]], members: Sequence[_Member], say: Say) -> None:
    """Refuse axes that no method has, and say which some lack."""
    methods = dict.fromkeys(one.kind.name for one in members)
    for axis in axes:
        having = {one.kind.name for one in members if axis in one.axes}
        lacking = [name for name in methods if name not in having]
        if axis == "method" or not lacking:
            continue
        if not having:
            raise SettingsError(_unused(axis, members, lacking))
        what = "no option of" if axis in OF_METHODS else "not for"
        them = "it" if len(lacking) == 1 else "them"
        say(f"`{axis}` is {what} {some(lacking, len(lacking))}, and isn't crossed with {them}.")
    if scoring := [one.kind.name for one in members if one.rules == ["threshold"]]:
        say(f"of {some(list(dict.fromkeys(scoring)), len(scoring))}, `threshold` is the selection `above`.")


def _unused(axis: str, members: Sequence[_Member], lacking: Sequence[str]) -> str:
    """What to say of an axis that no method of the sweep has."""
    names = some(lacking, len(lacking))
    having = [kind.name for kind in METHODS.values() if axis in option_names(kind)]
    ruled = next((rule for one in members for rule in one.rules), None)
    if ruled is not None and axis in (*RULES, "threshold"):
        return f"`{axis}` isn't looked at beside the selection `{ruled}` of every method that needs one; leave it out."
    if axis in SELECTING:
        return decides(f"{names} {'decides' if len(lacking) == 1 else 'decide'} which edges stay", axis)
    none = f"the method {names} has no" if len(lacking) == 1 else f"none of the methods {names} has"
    return (
        f"{none} `{axis}`, which is an option of {some(having, len(having))}; add one of these to `method`, or leave "
        "it out."
    )


def _refuse_corruptions(
    members: Sequence[_Member], corruptions: Mapping[str, tuple[str, ...] | None], say: Say
) -> None:
    """Refuse corruptions that no task has, and columns where no task is a file; say which tasks lack them."""
    known = [name for of in corruptions.values() for name in of or ()]
    for asked in dict.fromkeys(name for one in members for name in one.axes.get("corruption", ())):
        if asked not in known and None not in corruptions.values():
            raise UnknownNameError("corruption", asked, set(known))
        for task, of in corruptions.items():
            if of is not None and asked not in of:
                say(f"the corruption {asked} isn't one of the task {task}, and isn't crossed with it.")
    wanted = {name for one in members for name in one.axes.get("corruption", ())}
    for task, of in corruptions.items():
        if wanted and of is not None and not wanted & set(of):
            say(f"the task {task} has none of these corruptions, and is run with its own first, {of[0]}.")
    for column in _COLUMNS:
        if any(column in one.axes for one in members) and not any(map(is_prompt_file, corruptions)):
            raise SettingsError(
                f"`{column}` names columns of a prompt file, and no task of this sweep is one; leave it out."
            )


def _dimensions(
    member: _Member,
    number: int,
    task: tuple[int, str],
    corruptions: tuple[str, ...] | None,
    places: Mapping[str, int],
) -> Iterator[list[_Choice]]:
    """The choices along each axis that a method has on a task.

    Args:
        member: the method.
        number: its place among the methods.
        task: its place on the axis, and its name.
        corruptions: those that the task has; ``None`` where they aren't known.
        places: of the axes.
    """
    yield [_Choice(places["method"], number, {"method": member.kind.name})]
    yield [_Choice(places["task"], task[0], {"task": task[1]})]
    rules = member.rules
    for axis, values in member.axes.items():
        if axis == "task" or axis in rules or (axis in _COLUMNS and not is_prompt_file(task[1])):
            continue
        if axis == "corruption" and corruptions is not None:
            values = [value for value in values if value in corruptions]
        if values:
            yield [_Choice(places[axis], place, {axis: value}) for place, value in enumerate(values)]
    if rules:  # the one or the other, since a circuit has one
        settings = [{"above" if rule == "threshold" else rule: value} for rule in rules for value in member.axes[rule]]
        yield [_Choice(places[rules[0]], place, one) for place, one in enumerate(settings)]


def _rank(choices: Sequence[_Choice]) -> list[int]:
    """Puts cells in the order of the table; an axis that a cell lacks counts as its first value."""
    found = [0] * (choices[-1].axis + 1)
    for choice in choices:
        found[choice.axis] = choice.place
    return found
