"""``acdc sweep show``: what a sweep came to, so far."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from acdc.cli.printing import as_options, say

if TYPE_CHECKING:
    from acdc.sweeps.swept import Sweep

#: Rows of the table, values of an axis, and characters of these that a terminal shows.
_MOST_ROWS, _MOST_VALUES, _MOST_CHARACTERS = 60, 12, 100
#: Figures that are always shown, and how wide a column may be and its frame is.
_FEWEST, _WIDEST, _FRAME = 2, 30, 3


@click.command(short_help="What a sweep came to, so far.")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="All of it as one JSON object, with every row of the table.")
def show(folder: Path, as_json: bool) -> None:
    """Show the sweep in FOLDER: its axes, how many cells have finished, why others failed, means over seeds.

    It may be running. Every figure of every cell is in FOLDER/table.csv and table.parquet.
    """
    from acdc.sweeps.swept import Sweep

    swept = Sweep.load(folder)
    if as_json:
        _print_json(swept)
        return
    say(_counts(swept))
    _print_axes(swept)
    _print_means(swept)
    for sentence, names in swept.failures.items():
        say(f"failed: {_some(names)}: {as_options(sentence)}")
    if n := sum(row.get("warned") is not None for row in swept.rows):
        say(f"{n} of {len(swept.rows)} cells were warned of something; see the column warned of the table")
    say(folder / "table.csv")


def _counts(swept: Sweep) -> str:
    from acdc.wording import counted

    said = ", ".join(f"{n} {status}" for status, n in swept.counts.items() if n)
    return f"{counted(len(swept.folder.grid.cells), 'cell')} in {swept.folder.path}: {said}"


def _print_axes(swept: Sweep) -> None:
    """A row an axis, those of several values first."""
    from rich.table import Table

    from acdc.cli.terminal import Terminal
    from acdc.sweeps.means import values_of
    from acdc.wording import counted, shortened

    cells = swept.folder.grid.cells
    table = Table(show_header=False, title="axes", title_justify="left")
    table.add_column(no_wrap=True)
    table.add_column(justify="right")
    table.add_column(overflow="fold")
    for name, values in sorted(values_of(swept).items(), key=lambda one: len(one[1]) == 1):
        shown = [f"{value:g}" if isinstance(value, float) else str(value) for value in values]
        if len(shown) > _MOST_VALUES:
            shown = [*shown[: _MOST_VALUES - 2], "...", shown[-1]]
        having = sum(name in cell.settings for cell in cells)
        some = "" if having == len(cells) else f" ({counted(having, 'cell')})"
        words = shortened(", ".join(shown), _MOST_CHARACTERS) + some
        table.add_row(name, str(len(values)) if len(values) > 1 else "", words)
    Terminal().print(table)


def _print_means(swept: Sweep) -> None:
    """The columns that matter most."""
    from rich.table import Table

    from acdc.cli.terminal import Terminal

    means = swept.means
    if not means.rows:
        return
    heads, rows = means.words
    out = Terminal()
    n_axes = len(heads) - len(means.figures)
    widths = [max(map(len, [*head.split(), *(row[i] for row in rows)])) for i, head in enumerate(heads)]
    n = len(heads)
    while n > n_axes + _FEWEST and sum(min(width, _WIDEST) + _FRAME for width in widths[:n]) + 1 > out.width:
        n -= 1
    table = Table(title="means and standard deviations over seeds" if means.seeds else None, title_justify="left")
    for i, head in enumerate(heads[:n]):
        if i < n_axes:
            table.add_column(head, overflow="fold")
        else:  # headings may wrap, and numbers not
            table.add_column(head, justify="right", min_width=widths[i])
    for row in rows[:_MOST_ROWS]:
        table.add_row(*row[:n])
    out.print(table)
    left = [f"{len(rows) - _MOST_ROWS:,} more rows"] if len(rows) > _MOST_ROWS else []
    left += [", ".join(heads[n:])] if heads[n:] else []
    if left:
        say(f"not shown: {'; '.join(left)}; a wider terminal shows more, and --json all")


def _print_json(swept: Sweep) -> None:
    from acdc.cli.listing import print_object
    from acdc.sweeps.means import values_of

    means = swept.means
    whole: dict[str, Any] = {
        "folder": str(swept.folder.path),
        "cells": len(swept.folder.grid.cells),
        **swept.counts,
        "axes": values_of(swept),
        "failures": [{"sentence": sentence, "cells": names} for sentence, names in swept.failures.items()],
        "means": [
            dict(zip(means.axes, axes, strict=True))
            | {"cells": n}
            | {
                name: None if one is None else {"mean": one[0], "spread": one[1]}
                for name, one in zip(means.figures, found, strict=True)
            }
            for axes, n, found in means.rows
        ],
        "rows": swept.rows,
    }
    print_object(whole)


def _some(names: list[str]) -> str:
    from acdc.wording import counted, some

    return names[0] if len(names) == 1 else f"{counted(len(names), 'cell')} ({some(names)})"
