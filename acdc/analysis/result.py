"""What a look at a model gives back: numbers, the same as a table, and as a plot. Nothing here imports torch."""

from __future__ import annotations

import csv
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from acdc.displayed import Displayed
from acdc.equality import OfArrays
from acdc.errors import SettingsError
from acdc.export.plots import check_matplotlib, drawn, styled
from acdc.files import atomic_write

#: What a plot is drawn as.
PICTURES = (".svg", ".png")

Cell = str | int | float | None


@dataclass(frozen=True)
class Table(Displayed):
    """Rows under names.

    Attributes:
        columns: their names.
        rows: a cell for each column; ``None`` for what isn't there.
    """

    columns: tuple[str, ...]
    rows: Sequence[tuple[Cell, ...]]

    _form: ClassVar = "looks:table_form"


class Result(Displayed, OfArrays, ABC):
    """What a look found; subclasses are frozen dataclasses of NumPy arrays, equal if all of these are.

    Attributes:
        title: what it is, in a few words.
    """

    title: ClassVar[str]
    _form: ClassVar = "looks:result_form"

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
        content = self.picture(path.suffix.lower().removeprefix("."))
        with atomic_write(path, "wb") as file:
            file.write(content)
        return path

    def picture(self, format: str, dots_per_inch: int | None = None) -> bytes:
        """The plot as ``svg`` or ``png``, by default as sharp as paper wants it.

        Raises:
            AcdcError: matplotlib isn't installed.
        """
        check_matplotlib()
        with styled() as plt:
            figure = self.figure(plt)
            try:
                return drawn(figure, format, dots_per_inch)
            finally:
                plt.close(figure)  # pyplot keeps what nobody closes

    def __init_subclass__(cls, **options: Any) -> None:
        """Keep the short form: that of a dataclass would print all arrays."""
        super().__init_subclass__(**options)
        cls.__repr__ = Result.__repr__  # type: ignore[method-assign]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.table().rows)} rows)"
