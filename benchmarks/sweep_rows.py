"""Rows of a sweep, as benchmarks take and show them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from acdc.errors import AcdcError
from acdc.sweeps.swept import Sweep


def finished(found: Sweep) -> list[dict[str, Any]]:
    """The rows of a sweep whose cells all finished, the largest threshold first.

    Raises:
        AcdcError: a cell failed; its sentence.
    """
    for row in found.rows:
        if row["status"] != "finished":
            raise AcdcError(f"{row['cell']}: {row['sentence']}")
    return sorted(found.rows, key=lambda row: -float(row.get("threshold") or 0))


def table(rows: Sequence[dict[str, Any]], columns: Iterable[str]) -> None:
    """Print columns of rows; one that no row has a value in is left out."""
    from rich.table import Table

    from acdc.cli.terminal import Terminal

    shown = [column for column in columns if any(row.get(column) is not None for row in rows)]
    found = Table()
    for column in shown:
        found.add_column(column.replace("_", " "), justify="right")
    for row in rows:
        values = [row.get(column) for column in shown]
        found.add_row(*("" if value is None else f"{value:.4g}" for value in values))
    Terminal().print(found)
