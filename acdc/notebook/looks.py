"""Looks at a model, as notebooks show them: the plot first, the numbers folded below it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from acdc.errors import AcdcError
from acdc.notebook.markup import Markup, folded, heading, page, paragraph, picture, table

if TYPE_CHECKING:
    from acdc.analysis.result import Result, Table

_ROWS = 50  # of a table
_SHARP, _PIXELS = 160, 110  # dots to an inch of a plot, and pixels of the page that an inch takes


def table_form(found: Table) -> str:
    """The first rows of a table."""
    return page(*_rows(found))


def result_form(found: Result) -> str:
    """The plot of a look, and its table; the table alone where nothing can be drawn."""
    rows = found.table()
    try:
        plot = _plot(found.picture("png", _SHARP), found.title)
    except AcdcError:  # no matplotlib
        return page(heading(found.title), *_rows(rows))
    said = f"{len(rows.rows):,} rows of numbers"
    return page(heading(found.title), plot, folded(said, *(part for part in _rows(rows) if part is not None)))


def _plot(png: bytes, said: str) -> Markup:
    """A plot as large on the screen as it is in print."""
    pixels = int.from_bytes(png[16:20], "big")  # of its width, by the format's header
    return picture(png, said, kind="png", width=round(pixels / _SHARP * _PIXELS))


def _rows(found: Table) -> tuple[Markup, Markup | None]:
    left = len(found.rows) - _ROWS
    more = (f"{left:,} more rows.",) if left > 0 else ()
    return table(found.columns, found.rows[:_ROWS]), paragraph(*more)
