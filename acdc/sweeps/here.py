"""Cells one after another in this process, as a debugger wants it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from acdc.sweeps.cells import Cell
from acdc.sweeps.folder import SweepFolder
from acdc.sweeps.outcome import Outcome
from acdc.sweeps.queue import in_turn
from acdc.sweeps.runner import Runner, RunnerOptions


def run_here(cells: Sequence[Cell], folder: SweepFolder, options: RunnerOptions) -> Iterator[tuple[Cell, Outcome]]:
    """Run cells; gives each with how it ended, as soon as it has."""
    runner = Runner(options)
    for cell in in_turn(cells):
        yield cell, runner.run(cell, folder.run_folder(cell))
