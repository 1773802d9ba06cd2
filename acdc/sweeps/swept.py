"""A sweep as its user gets it: a row a cell, the runs, and plots."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from acdc.runs.run import Run
from acdc.sweeps.folder import SweepFolder
from acdc.sweeps.rows import row_of


class Sweep:
    """The cells of a sweep that have ended.

    Attributes:
        folder: where it is.
    """

    def __init__(self, folder: SweepFolder) -> None:
        self.folder = folder

    @classmethod
    def load(cls, path: str | Path) -> Sweep:
        """Read a sweep's folder, finished or not. Raises :class:`RunFolderError`."""
        return cls(SweepFolder.load(Path(path)))

    @property
    def rows(self) -> list[dict[str, Any]]:
        """A row a cell that has ended, in the grid's order, as in the table."""
        outcomes = self.folder.outcomes
        return [
            row_of(self.folder, cell, outcomes[cell.name]) for cell in self.folder.grid.cells if cell.name in outcomes
        ]

    def run(self, name: str) -> Run:
        """The run of a cell by its name. Raises :class:`AcdcError`."""
        return Run.load(self.folder.path / "runs" / name)
