"""Sweeps, as notebooks show them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from acdc.notebook.markup import Markup, heading, page, paragraph, table
from acdc.wording import counted, some

if TYPE_CHECKING:
    from acdc.sweeps.swept import Sweep

_ROWS = 50


def sweep_form(swept: Sweep) -> str:
    """How many cells have ended, means over seeds, and why others failed."""
    n = len(swept.folder.grid.cells)
    counts = ", ".join(f"{count} {status}" for status, count in swept.counts.items() if count)
    means = swept.means
    heads, rows = means.words
    failures: list[Markup | None] = [
        paragraph(f"Failed: {some(names)}: {sentence}") for sentence, names in swept.failures.items()
    ]
    title = "means and standard deviations over seeds" if means.seeds else ""
    more = (f"{len(rows) - _ROWS:,} more rows.",) if len(rows) > _ROWS else ()
    return page(
        heading(f"Sweep of {counted(n, 'cell')} in {swept.folder.path}"),
        paragraph(f"{counts}.".capitalize()),
        table(heads, rows[:_ROWS], title) if rows else None,
        paragraph(*more),
        *failures,
    )
