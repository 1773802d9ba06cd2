"""What came out of a comparison with AutoCircuit: a row a side, as a table, as JSON, and what the table doesn't say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from peer_process import KEEP_MEMORY
from shapes import Seconds, TimedRun

from acdc.cli.printing import say

#: Where AutoCircuit's rule is acdc's and where it isn't, from its source.
RULES = (
    "both: an edge goes if its removal raises KL(model || circuit) at the last position, averaged over the prompts, "
    "by less than the threshold; slots from the output back; edges kept are counted before those on no path from the "
    "input to the logits are left out.",
    "AutoCircuit's own order: slots by layer from the top, a block's MLP before its attention; within these, edges "
    "come in the order of a Python set, which changes from run to run, and the circuit with it. acdc's is fixed.",
    "AutoCircuit also tries the edges into a node that nothing reads any more, which acdc takes out untried.",
    "AutoCircuit's KL is in float32, acdc's in float64 from float32 logits.",
    f"AutoCircuit runs with {' '.join(f'{name}={value}' for name, value in KEEP_MEMORY.items())}, which helps it; "
    "acdc runs as it is.",
)
OWN, OURS = "AutoCircuit, its order", "AutoCircuit, acdc's order"


@dataclass(frozen=True)
class Row:
    """One side of the comparison.

    Attributes:
        name: which it is.
        seconds: of a whole run with the model open: from the prompts' first run on.
        n_timed: edges whose removal was timed.
        n_tried: edges that a whole run tries.
        kept: names of the edges that stayed; ``None`` where only a sample was timed and the
            seconds are scaled up from it.
    """

    name: str
    seconds: Seconds
    n_timed: int
    n_tried: int
    kept: frozenset[str] | None


def notes_of(
    rows: Sequence[Row], fast: TimedRun, threshold: float, difference: float | None, failure: str | None
) -> list[str]:
    """What the table doesn't say."""
    notes = [
        f"{row.name}: {row.n_timed} edges timed, and the whole run scaled up from them"
        + ("" if row.name.startswith("acdc") else ", each block's median by its edges")
        + "."
        for row in rows
        if row.kept is None
    ]
    if failure is not None:
        return [*notes, f"AutoCircuit isn't measured: {failure}"]
    notes.append(f"AutoCircuit computes the same logits; the largest difference is {difference:.2g}.")
    for row in rows:
        if row.name == OURS and row.kept is not None:
            notes.append(f"{row.name}: {_first_difference(row.kept, fast, threshold)}")
    return [*notes, *RULES]


def _first_difference(kept: frozenset[str], fast: TimedRun, threshold: float) -> str:
    if kept == fast.kept:
        return "every edge decided alike."
    for decision in fast.decisions:
        if decision.kept != (decision.edge in kept):
            effect = decision.after - decision.before
            return (
                f"the first edge decided otherwise is {decision.edge}, whose removal costs {effect:.6g} by acdc's "
                f"count, where the threshold is {threshold:.6g}; what follows may follow from it."
            )
    return "it keeps edges that acdc takes out untried."


def _overlap(row: Row, first: Row) -> tuple[int, float] | None:
    """Edges that both keep, and their share of those that either keeps."""
    if row.kept is None or first.kept is None:
        return None
    either = len(row.kept | first.kept)
    return len(row.kept & first.kept), len(row.kept & first.kept) / either if either else 1.0


def as_json(row: Row, first: Row) -> dict[str, Any]:
    """A row for JSON; its ratio and its overlap are to the first."""
    overlap = _overlap(row, first)
    return {
        "name": row.name,
        "scaled_up": row.kept is None,
        "edges_timed": row.n_timed,
        "edges_tried": row.n_tried,
        "cpu_seconds": row.seconds.cpu,
        "wall_seconds": row.seconds.wall,
        "cpu_seconds_an_edge_tried": row.seconds.cpu / row.n_tried,
        "wall_seconds_an_edge_tried": row.seconds.wall / row.n_tried,
        "times_the_first": row.seconds.cpu / first.seconds.cpu,
        "edges_kept": None if row.kept is None else len(row.kept),
        "kept_by_both": None if overlap is None else overlap[0],
        "jaccard": None if overlap is None else overlap[1],
        "kept": None if row.kept is None else sorted(row.kept),
    }


def print_rows(rows: Sequence[Row], notes: Sequence[str]) -> None:
    """A table; what is scaled up from a sample has a tilde. Below it, the notes."""
    from rich.table import Table

    from acdc.cli.terminal import Terminal

    table = Table()
    table.add_column("", no_wrap=True)
    titles = ["tried", "CPU s", "wall s", "CPU ms/tried", "wall ms/tried", "CPU ratio", "kept", "by both", "Jaccard"]
    for title in titles:
        table.add_column(title, justify="right")
    for row in rows:
        cells = as_json(row, rows[0])
        about = "~" if cells["scaled_up"] else ""
        table.add_row(
            row.name,
            f"{row.n_tried:,}",
            *(about + _three_digits(seconds) for seconds in (row.seconds.cpu, row.seconds.wall)),
            *(about + _three_digits(1000 * seconds / row.n_tried) for seconds in (row.seconds.cpu, row.seconds.wall)),
            about + _three_digits(cells["times_the_first"]),
            *("" if cells[name] is None else f"{cells[name]:,}" for name in ("edges_kept", "kept_by_both")),
            "" if cells["jaccard"] is None else f"{cells['jaccard']:.3f}",
        )
    Terminal().print(table)
    for note in notes:
        say(f"- {note}")


def _three_digits(number: float) -> str:
    """A number with the digits that mean something, and never as a power of ten."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
