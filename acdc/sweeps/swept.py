"""A sweep as its user gets it: a row a cell, the runs, and plots. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from acdc import asked
from acdc.displayed import Displayed
from acdc.errors import SettingsError, UnknownNameError
from acdc.runs.run import Run
from acdc.sweeps.folder import SweepFolder
from acdc.sweeps.means import Means, means_of
from acdc.sweeps.outcome import FAILED, FINISHED
from acdc.sweeps.table import Table
from acdc.wording import counted

if TYPE_CHECKING:
    import pyarrow


class Sweep(Displayed):
    """The cells of a sweep that have ended.

    Attributes:
        folder: where it is.
    """

    _form: ClassVar = "sweeps:sweep_form"

    def __init__(self, folder: SweepFolder) -> None:
        self.folder = folder

    @classmethod
    def load(cls, path: str | Path) -> Sweep:
        """Read a sweep's folder, finished or not. Raises :class:`RunFolderError`."""
        return cls(SweepFolder.load(asked.path("path", path)))

    @property
    def rows(self) -> list[dict[str, Any]]:
        """A row a cell that has ended, in the grid's order; each has all columns, ``None`` for what isn't known."""
        return self._table.rows

    @property
    def table(self) -> pyarrow.Table:
        """The same for Arrow, pandas and polars."""
        return self._table.table

    @property
    def failed(self) -> list[dict[str, Any]]:
        """The rows of cells that failed; ``sentence`` says why."""
        return [row for row in self.rows if row["status"] == FAILED]

    @property
    def failures(self) -> dict[str, list[str]]:
        """Why cells failed: each sentence, with the names of the cells."""
        found: dict[str, list[str]] = {}
        for row in self.failed:
            found.setdefault(row["sentence"] or "nothing is known of why.", []).append(row["cell"])
        return found

    @property
    def means(self) -> Means:
        """The finished cells in the columns that matter most, together where they differ in their seed alone."""
        return means_of(self)

    @property
    def waiting(self) -> int:
        """How many cells haven't ended."""
        return len(self.folder.grid.cells) - len(self.folder.outcomes)

    def run(self, name: str) -> Run:
        """The run of a cell.

        Args:
            name: the cell's, as in the column ``cell``.

        Raises:
            UnknownNameError: there is no such cell; says the nearest.
            SettingsError: it hasn't finished; says why.
            RunFolderError: its folder is damaged.
        """
        cells = {cell.name: cell for cell in self.folder.grid.cells}
        if (cell := cells.get(asked.text("name", name))) is None:
            raise UnknownNameError("cell", name, cells)
        outcome = self.folder.outcomes.get(name)
        if outcome is None:
            raise SettingsError(f"the cell {name} hasn't been run yet; go on with the sweep in {self.folder.path}.")
        if outcome.status != FINISHED:
            raise SettingsError(f"the cell {name} failed: {outcome.sentence}")
        return Run.load(self.folder.run_folder(cell))

    def plot(
        self,
        x: str | None = None,
        y: str | None = None,
        hue: str | None = None,
        out: str | Path | None = None,
    ) -> list[Path]:
        """Draw the plots that fit the axes, or one of two columns; means over seeds, with how far these spread.

        Args:
            x: the column to the right; an axis or a figure.
            y: the column upwards; ``faithfulness`` or ``kl`` without more are those of held-out prompts where there
                are any. Where `x` and `y` are both axes, a heat map of `hue`.
            hue: the column that colours tell apart; by default that of the axes which says most.
            out: folder for the files, by default ``plots`` in the sweep's; of one plot also a file, ``.png`` or
                ``.svg``.

        Returns:
            The files that were written, PNG and SVG.

        Raises:
            UnknownNameError: there is no such column; says the nearest.
            SettingsError: there would be nothing to see.
            AcdcError: matplotlib isn't installed, or a file can't be written.
        """
        from acdc.sweeps.plots import plot

        return plot(self, x=x, y=y, hue=hue, out=None if out is None else asked.path("out", out))

    @property
    def counts(self) -> Mapping[str, int]:
        """Cells by how they ended, with those that haven't."""
        ended = [outcome.status for outcome in self.folder.outcomes.values()]
        return {status: ended.count(status) for status in (FINISHED, FAILED)} | {"waiting": self.waiting}

    def __repr__(self) -> str:
        counts = ", ".join(f"{n} {status}" for status, n in self.counts.items() if n)
        return f"Sweep({counted(len(self.folder.grid.cells), 'cell')} in {str(self.folder.path)!r}: {counts})"

    @cached_property
    def _table(self) -> Table:
        return Table(self.folder, writes=False)
