"""What a look at a model gives back: numbers, the same as a table, and as a plot. Nothing here imports torch."""

from __future__ import annotations

import csv
import html
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from acdc.equality import OfArrays
from acdc.errors import SettingsError
from acdc.export.plots import check_matplotlib, styled, write
from acdc.files import atomic_write
from acdc.wording import one_line

#: What a plot is drawn as.
PICTURES = (".svg", ".png")
_ROWS = 20  # of a table in a notebook

Cell = str | int | float | None


@dataclass(frozen=True)
class Table:
    """Rows under names.

    Attributes:
        columns: their names.
        rows: a cell for each column; ``None`` for what isn't there.
    """

    columns: tuple[str, ...]
    rows: Sequence[tuple[Cell, ...]]

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{html.escape(name)}</th>" for name in self.columns)
        body = "".join(
            f"<tr>{''.join(f'<td>{html.escape(_cell(cell))}</td>' for cell in row)}</tr>" for row in self.rows[:_ROWS]
        )
        more = f"<p>{len(self.rows) - _ROWS:,} more rows</p>" if len(self.rows) > _ROWS else ""
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


class Result(OfArrays, ABC):
    """What a look found; subclasses are frozen dataclasses of NumPy arrays, equal if all of these are.

    Attributes:
        title: what it is, in a few words.
    """

    title: ClassVar[str]

    @abstractmethod
    def table(self) -> Table:
        """All of it, a row a number or a few."""

    @abstractmethod
    def figure(self, plt: Any) -> Any:
        """The plot, made with ``matplotlib.pyplot`` in the style of :mod:`acdc.export.plots`."""

    def write_table(self, path: str | Path) -> Path:
        """Write the table as CSV. Raises :class:`RunFolderError` if the file can't be written."""
        path, table = Path(path), self.table()
        with atomic_write(path) as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(table.columns)
            rows.writerows(table.rows)
        return path

    def draw(self, path: str | Path) -> Path:
        """Draw the plot into a file that ends in one of :data:`PICTURES`.

        Raises:
            AcdcError: matplotlib isn't installed, the ending is another, or the file can't be written.
        """
        path = Path(path)
        if path.suffix.lower() not in PICTURES:
            raise SettingsError(f"{path} doesn't end in {' or '.join(PICTURES)}; give another file.")
        check_matplotlib()
        with styled() as plt:
            figure = self.figure(plt)
            try:
                write(figure, path)
            finally:
                plt.close(figure)  # pyplot keeps what nobody closes
        return path

    def __init_subclass__(cls, **options: Any) -> None:
        """Keep the short form: that of a dataclass would print all arrays."""
        super().__init_subclass__(**options)
        cls.__repr__ = Result.__repr__  # type: ignore[method-assign]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.table().rows)} rows)"

    def _repr_html_(self) -> str:
        return f"<p><b>{html.escape(self.title)}</b></p>{self.table()._repr_html_()}"


def _cell(cell: Cell) -> str:
    if cell is None:
        return ""
    return f"{cell:.4g}" if isinstance(cell, float) else one_line(str(cell))
