"""A sweep's axes and the cells that they cross to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from acdc.asked import shown
from acdc.errors import SettingsError
from acdc.sweeps.cells import Cell
from acdc.sweeps.checking import check_cells
from acdc.sweeps.crossing import crossed, read_axes
from acdc.sweeps.naming import named
from acdc.sweeps.tomlfile import in_file, read_file
from acdc.wording import counted, some

_MOST_TOLD = 3  # values of an axis


@dataclass(frozen=True)
class Grid:
    """What a sweep runs.

    Attributes:
        axes: the values of each axis by its name, in order; those of one value too. ``method`` holds names, or
            objects of a name and the axes of this method alone.
        cells: in the table's order; the first axis changes slowest.
        notes: what is left out of the crossing, in sentences.
    """

    axes: Mapping[str, Sequence[Any]]
    cells: tuple[Cell, ...]
    notes: tuple[str, ...] = ()

    @property
    def varied(self) -> list[str]:
        """The settings that differ between cells, in order."""
        return [name for name, values in _values(self.cells).items() if len(values) > 1]

    @classmethod
    def of(cls, axes: Mapping[str, Any] | Grid | str | Path, **changed: Any) -> Grid:
        """Cross axes, as a caller gives them or a TOML file does.

            >>> grid = Grid.of({"task": "ioi", "model": "tiny-tasks", "method": "acdc,eap-ig", "threshold": [0.1, 1]})
            >>> [cell.name for cell in grid.cells][:3:2]
            ['ioi-tiny-tasks-acdc-threshold0.1', 'ioi-tiny-tasks-eap-ig-above0.1']

        An option that only some methods have is crossed for those; likewise a selection, which is for methods that
        score edges, and a corruption, which is for the tasks that have it. Where a method scores edges and no selection
        is given for it, ``threshold`` is its selection ``above``.

        Args:
            axes: by name, the arguments of :func:`acdc.discover` that say what is found, the options of its methods,
                and ``top``, ``above``, ``greedy``, ``by`` and ``level`` for selections. Values as
                :func:`acdc.sweeps.values.values_of` reads them; of ``method`` also objects of a ``name`` and the
                axes of this method alone. Or a path: a TOML file of them.
            changed: axes that take the place of those in `axes`.

        Raises:
            AcdcError: an unknown axis or value, one that no method in it has, or nothing to run.
        """
        if isinstance(axes, Grid):
            if not changed:
                return axes
            axes = axes.axes
        file = None
        if isinstance(axes, str | Path):
            file = Path(axes)
            axes = read_file(file)
        elif not isinstance(axes, Mapping):
            raise SettingsError(
                f'axes are a mapping of names to values, e.g. {{"task": "ioi"}}, or a TOML file, not {shown(axes)}.'
            )
        notes: list[str] = []
        with in_file(file):
            given = read_axes({name: value for name, value in axes.items() if name not in changed}, notes.append)
        given = _in_place(axes, given, read_axes(changed, notes.append))
        with in_file(None if changed else file):
            cells = named(crossed(given, notes.append))
            check_cells(cells)
        return cls(given, cells, tuple(dict.fromkeys(notes)))

    def to_json(self) -> dict[str, Any]:
        """As in a sweep's folder."""
        cells = [{"name": cell.name, "settings": dict(cell.settings)} for cell in self.cells]
        return {"axes": {name: list(values) for name, values in self.axes.items()}, "cells": cells}

    @classmethod
    def from_json(cls, given: Any) -> Grid:
        """Read it; the cells are those in it, whatever a pattern would find today.

        Raises:
            ValueError: it is none; the message names the key.
        """
        if not isinstance(given, dict):
            raise ValueError("it holds no object")
        axes, cells = given.get("axes"), given.get("cells")
        if not isinstance(axes, dict) or not all(isinstance(values, list) for values in axes.values()):
            raise ValueError("axes must be an object of lists")
        if not isinstance(cells, list) or not cells:
            raise ValueError("cells must be a list of at least one")
        found = tuple(_cell(number, one) for number, one in enumerate(cells))
        if len({cell.name for cell in found}) < len(found):
            raise ValueError("cells must have different names")
        return cls(axes, found)

    def differences(self, other: Grid) -> list[str]:
        """How another sweep differs from this one, the earlier, in clauses; none where they run the same cells.

        >>> earlier = Grid.of({"task": "ioi", "model": "tiny-tasks", "threshold": [0.1, 1.0]})
        >>> earlier.differences(Grid.of({"task": "ioi", "model": "tiny-tasks", "threshold": [0.1, 1.0, 10.0]}))
        ['the axis threshold had 2 values and has 3 (new: 10)']
        """
        if {_key(cell) for cell in self.cells} == {_key(cell) for cell in other.cells}:
            return []
        had, has = _values(self.cells), _values(other.cells)
        told = [_difference(name, had.get(name, {}), has.get(name, {})) for name in {**had, **has}]
        differing = [clause for clause in told if clause]
        return differing or [f"the same values crossed to {len(self.cells)} cells and do to {len(other.cells)}"]


def _in_place(
    order: Mapping[str, Any], kept: Mapping[str, Sequence[Any]], changed: Mapping[str, Sequence[Any]]
) -> dict[str, Sequence[Any]]:
    """Axes in the order of the file, with others' values in the place of its own; new ones stand at the end."""
    both = {**kept, **changed}
    return {name: both[name] for name in (*order, *changed) if name in both}


def _cell(number: int, given: Any) -> Cell:
    where = f"cells[{number}]"
    if not isinstance(given, dict) or not isinstance(given.get("settings"), dict):
        raise ValueError(f"{where} must be an object with a name and settings")
    name, settings = given.get("name"), given["settings"]
    if not isinstance(name, str) or not name or Path(name).name != name or name in (".", ".."):
        raise ValueError(f"{where}.name must be the name of a folder")
    for key in ("task", "model", "method"):
        if not isinstance(settings.get(key), str):
            raise ValueError(f"{where}.settings.{key} must be text")
    for key, value in settings.items():
        if not isinstance(value, str | int | float | bool):
            raise ValueError(f"{where}.settings.{key} must be text, a number, true or false")
    return Cell(name, settings)


def _key(cell: Cell) -> frozenset[tuple[str, str]]:
    return frozenset((name, _spelt(value)) for name, value in cell.settings.items())


def _spelt(value: Any) -> str:
    """A value as it is told and compared; 1 and 1.0 are the same."""
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def _values(cells: Iterable[Cell]) -> dict[str, dict[str | None, None]]:
    """The values of every setting, in order; ``None`` where some cells lack it."""
    cells = tuple(cells)
    names = dict.fromkeys(name for cell in cells for name in cell.settings)
    return {
        name: dict.fromkeys(_spelt(cell.settings[name]) if name in cell.settings else None for cell in cells)
        for name in names
    }


def _difference(name: str, had: Mapping[str | None, None], has: Mapping[str | None, None]) -> str:
    """What became of an axis; empty where nothing did."""
    old, new = ([value for value in values if value is not None] for values in (had, has))
    if set(old) == set(new):
        return ""
    if not old or not new:
        values = some(old or new, _MOST_TOLD)
        return f"the axis {name} is new ({values})" if new else f"the axis {name} is gone (it had {values})"
    if len(old) == len(new) == 1:
        return f"{name} was {old[0]} and is {new[0]}"
    changes = [
        f"{word}: {some(values, _MOST_TOLD)}"
        for word, values in (
            ("new", [value for value in new if value not in had]),
            ("gone", [value for value in old if value not in has]),
        )
        if values
    ]
    return f"the axis {name} had {counted(len(old), 'value')} and has {len(new)} ({'; '.join(changes)})"
