"""The folder of a sweep.

``sweep.json`` holds the axes and the cells, ``runs/NAME/`` the run folder of each cell, ``ended/NAME.json`` how it
ended (:mod:`acdc.sweeps.outcome`), and ``table.csv`` and ``table.parquet`` a row a cell that has ended, made of these.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from acdc.files import atomic_write
from acdc.runs.folder import is_finished
from acdc.sweeps.cells import Cell
from acdc.sweeps.grid import Grid
from acdc.sweeps.outcome import FINISHED, Outcome

SWEEP, RUNS, ENDED, CSV, PARQUET = "sweep.json", "runs", "ended", "table.csv", "table.parquet"


class SweepFolder:
    """A sweep's folder.

    Attributes:
        path: it.
        grid: what the sweep runs.
        outcomes: how the cells ended that did, by name.
    """

    def __init__(self, path: Path, grid: Grid) -> None:
        self.path, self.grid = path, grid
        self.outcomes: dict[str, Outcome] = {}

    @classmethod
    @contextmanager
    def held(cls, path: Path, grid: Grid, *, resume: bool = True) -> Iterator[SweepFolder]:
        """Make the folder or go on in it; nobody else can write it meanwhile.

        Args:
            path: the folder.
            grid: what the sweep runs.
            resume: go on with the same sweep in it.

        Raises:
            RunFolderError: it holds something else, or another sweep (says which axes differ), another process writes
                it, or it can't be written.
        """
        path.mkdir(parents=True, exist_ok=True)
        for name in (RUNS, ENDED):
            (path / name).mkdir(exist_ok=True)
        folder = cls(path, grid)
        with atomic_write(path / SWEEP) as file:
            json.dump({"axes": grid.axes, "cells": [asdict(cell) for cell in grid.cells]}, file, indent=1)
            file.write("\n")
        folder.outcomes |= {cell.name: Outcome(FINISHED) for cell in grid.cells if is_finished(folder.run_folder(cell))}
        yield folder

    @classmethod
    def load(cls, path: Path) -> SweepFolder:
        """Read a folder. Raises :class:`RunFolderError`: it isn't a sweep's, or is damaged."""
        raise NotImplementedError

    def run_folder(self, cell: Cell) -> Path:
        """Where the run of a cell is."""
        return self.path / RUNS / cell.name

    @property
    def left(self) -> list[Cell]:
        """The cells that haven't finished, those that failed among them, in the grid's order."""
        found = self.outcomes
        return [cell for cell in self.grid.cells if cell.name not in found or found[cell.name].status != FINISHED]

    def ended(self, cell: Cell, outcome: Outcome) -> None:
        """Keep how a cell ended; the table is up to date afterwards. Raises :class:`RunFolderError`."""
        with atomic_write(self.path / ENDED / f"{cell.name}.json") as file:
            json.dump(outcome.to_json(), file, indent=1, allow_nan=False)
            file.write("\n")
        self.outcomes[cell.name] = outcome
