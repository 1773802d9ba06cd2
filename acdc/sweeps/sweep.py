"""``sweep``: run the cells of a grid, each once, and keep one table of what came out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from acdc.asked import flag, path
from acdc.sweeps.cells import Cell
from acdc.sweeps.folder import SweepFolder
from acdc.sweeps.grid import Grid
from acdc.sweeps.outcome import Outcome
from acdc.sweeps.runner import RunnerOptions
from acdc.sweeps.swept import Sweep

#: What runs cells: gives each with how it ended, as soon as it has.
Executor = Callable[[list[Cell], SweepFolder, RunnerOptions], Iterator[tuple[Cell, Outcome]]]


def sweep(
    axes: Mapping[str, Any] | Grid,
    *,
    out: str | Path,
    jobs: int | None = None,
    curve: bool = False,
    resume: bool = True,
    progress: bool = True,
) -> Sweep:
    """Find a circuit for every cell of a grid.

        >>> found = acdc.sweep({"task": "ioi", "model": "tiny-tasks", "threshold": "0.01:1:5log"}, out="s", jobs=2)
        >>> found.rows[0]["kl_held_out"]  # doctest: +SKIP

    Args:
        axes: see :meth:`acdc.sweeps.grid.Grid.of`.
        out: folder to write, or to go on in.
        jobs: processes; 0 runs the cells in this one.
        curve: also measure curves over sizes.
        resume: go on with the same sweep in that folder.
        progress: show a bar.

    Raises:
        AcdcError: bad axes, a folder that can't be had, a full disk.
    """
    from acdc.sweeps.here import run_here

    grid = axes if isinstance(axes, Grid) else Grid.of(axes)
    execute: Executor = run_here  # of the walking skeleton: jobs isn't looked at
    with SweepFolder.held(path("out", out), grid, resume=flag("resume", resume)) as folder:
        for cell, outcome in execute(folder.left, folder, RunnerOptions(curve=curve)):
            folder.ended(cell, outcome)
        return Sweep(folder)
