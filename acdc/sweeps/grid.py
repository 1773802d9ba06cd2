"""A sweep's axes and the cells that they cross to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from acdc.methods.registry import METHODS, option_names
from acdc.runs.naming import run_name
from acdc.sweeps.cells import Cell


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
        names = dict.fromkeys(name for cell in self.cells for name in cell.settings)
        return [name for name in names if len({repr(cell.settings.get(name)) for cell in self.cells}) > 1]

    @classmethod
    def of(cls, axes: Mapping[str, Any]) -> Grid:
        """Cross axes, as a caller gives them or a TOML file does.

        Args:
            axes: by name, the arguments of :func:`acdc.discover` that say what is found, the options of its methods,
                and ``top``, ``above``, ``greedy``, ``by`` and ``level`` for selections. A value, a list of values, or
                text: ``a,b``, ``0:5`` (whole numbers, the end left out), ``0.01:1:5log``, ``0:1:5lin``; of ``model``
                also a pattern of folders, ``models/step-*``.

        Raises:
            AcdcError: an unknown axis or value, one that no method in it has, or nothing to run.
        """
        given = {name: list(values) if isinstance(values, list | tuple) else [values] for name, values in axes.items()}
        cells = tuple(Cell(_name(settings), settings) for settings in _crossed(given))
        return cls(given, cells)


def _crossed(axes: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    """Placeholder of the walking skeleton: the whole product."""
    own = {name for kind in METHODS.values() for name in option_names(kind)} - {"seed"}
    for values in product(*axes.values()):
        settings = dict(zip(axes, values, strict=True))
        kind = METHODS[settings.setdefault("method", "acdc")]
        yield {name: value for name, value in settings.items() if name not in own or name in option_names(kind)}


def _name(settings: Mapping[str, Any]) -> str:
    rest = {name: value for name, value in settings.items() if name not in ("task", "model", "method")}
    return run_name(settings["task"], settings["model"], settings["method"], rest)
