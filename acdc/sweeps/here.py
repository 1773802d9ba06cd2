"""Cells one after another in this process, as a debugger wants it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING

from acdc.sweeps.cells import Cell
from acdc.sweeps.folder import SweepFolder
from acdc.sweeps.outcome import Outcome
from acdc.sweeps.queue import in_turn

if TYPE_CHECKING:
    from acdc.sweeps.options import RunnerOptions


def run_here(
    cells: Sequence[Cell],
    folder: SweepFolder,
    options: RunnerOptions,
    *,
    began: Callable[[Cell], None] = lambda cell: None,
) -> Generator[tuple[Cell, Outcome], None, None]:
    """Run cells; gives each with how it ended, as soon as it has.

    Args:
        cells: the cells.
        folder: where their runs go.
        options: of the runner.
        began: is called with each cell that begins.

    Raises:
        RunFolderError: nothing more can be written: the disk is full.
    """
    from acdc.sweeps.runner import Runner

    runner = Runner(options)
    for cell in in_turn(cells):
        began(cell)
        yield cell, runner.run(cell, folder.run_folder(cell))
