"""What the cells of a sweep are expected to take, before any of them runs."""

from __future__ import annotations

from dataclasses import dataclass, replace

from acdc.errors import AcdcError
from acdc.sweeps.cells import Cell
from acdc.sweeps.grid import Grid
from acdc.sweeps.options import Needs, RunnerOptions
from acdc.sweeps.queue import in_turn
from acdc.sweeps.runner import Runner, sentence_of

#: Settings in which cells may differ and need the same.
_ALIKE = {"seed", "threshold", "top", "above", "greedy", "by", "level"}


@dataclass(frozen=True)
class Planned:
    """A cell, and what it is expected to take.

    Attributes:
        cell: the cell.
        needs: its memory, and its seconds in its turn: the first cell of a setting pays for all that it shares; or in
            a sentence, why it will fail.
    """

    cell: Cell
    needs: Needs | str


def plan(grid: Grid, options: RunnerOptions) -> list[Planned]:
    """Plan a sweep: models are opened and prompts drawn, once for all seeds; nothing is written.

    Args:
        grid: what is to run.
        options: how.

    Returns:
        A plan a cell, in the grid's order. What one process would take for all is the sum of their seconds.
    """
    runner, known, done = Runner(options), dict[str, Needs | str](), set[str]()
    planned: dict[str, Planned] = {}
    for cell in in_turn(grid.cells):
        alike = repr(sorted((name, repr(value)) for name, value in cell.settings.items() if name not in _ALIKE))
        if alike not in known:
            try:
                known[alike] = runner.needs(cell, timed=True)
            except AcdcError as error:
                known[alike] = str(error)
            except Exception as error:
                known[alike] = sentence_of(error)
        planned[cell.name] = Planned(cell, _in_turn(cell, known[alike], done))
    return [planned[cell.name] for cell in grid.cells]


def _in_turn(cell: Cell, needs: Needs | str, done: set[str]) -> Needs | str:
    """What a cell takes where others before it have done what it shares with them."""
    if isinstance(needs, str) or needs.seconds is None:
        return needs
    seconds = needs.seconds
    setting = repr(cell.set_up)
    method = repr((setting, sorted((n, repr(v)) for n, v in cell.settings.items() if n not in _ALIKE)))
    for part, shared in ((setting, needs.setting_seconds), (method, needs.method_seconds)):
        if part in done:
            seconds -= shared
        done.add(part)
    return replace(needs, seconds=seconds)
