"""Tables of a comparison, for the terminal; legible at 80 columns."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from rich.table import Table

from acdc.circuit import Circuit
from acdc.cli.terminal import Terminal
from acdc.comparison import Comparison, Overlap, Pair
from acdc.comparison.comparison import REFERENCE, share, spoken
from acdc.comparison.found import OF_METHOD, own_of_method
from acdc.export.summary import edits, known_title, score_words
from acdc.graph import Edge
from acdc.wording import counted, quoted, shortened, some

_STRONGEST = 10  # edges in only one of the two
_LONGEST = 50  # characters of a value
_BLOCK = 10  # columns of a matrix
_MOST_NAMED = 10  # circuits in one line
#: Hashes, which nobody reads: what they are of, and fields that explain why they differ.
_HASHES: Mapping[str, tuple[str, set[str]]] = {
    "data_sha256": ("prompts", {"task", "corruption", "n", "split", "seed", "bos", "model", "answers"}),
    "model_sha256": ("weights", {"model", "dtype"}),
}


def print_comparison(found: Comparison, *, names: bool) -> None:
    """The answer in a sentence, then what it rests on.

    Args:
        found: the comparison.
        names: name every edge.
    """
    out = Terminal()
    for sentence in found.sentences():
        out.print(sentence)
    out.print(_circuits(found))
    if (table := _differences(found)).row_count:
        out.print(table)
    if found.nothing_known_of:
        out.print(f"nothing known of {some(list(map(spoken, found.nothing_known_of)), _MOST_NAMED)}")
    if found.known_of_some:
        out.print(f"not known of all: {', '.join(found.known_of_some)}")
    if found.pair is not None:
        _print_pair(out, found.pair, found.pair_labels, names)
    else:
        for heading, matrix, words in (
            ("Jaccard of edges", found.edge_jaccard, share),
            ("Jaccard of nodes", found.node_jaccard, share),
            ("Spearman of scores", found.score_spearman, _rank),
        ):
            for table in _matrix(heading, found.labels, matrix, words):
                out.print(table)
        if names:
            out.print(_keepers(found))
    if found.reference is not None:
        _print_reference(out, found)


def _table(heading: str, *columns: str) -> Table:
    """A table whose first column is text and the others numbers."""
    table = Table(title=heading, title_justify="left")
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i else "left", overflow="fold")
    return table


def _circuits(found: Comparison) -> Table:
    graph = found.circuits[0].graph
    table = _table(f"of {graph.n_edges} edges and {len(graph.nodes)} nodes", "", "edges", "nodes")
    table.add_column("task and model", overflow="fold")
    table.add_column("from", overflow="fold")
    for name, one, n_nodes, source in zip(found.labels, found.circuits, found.n_nodes, found.sources, strict=True):
        table.add_row(name, str(one.n_edges), str(n_nodes), _on(one), source or "")
    if found.reference is not None:
        n_nodes = int(graph.live_nodes(found.reference.in_graph).sum())
        row = (str(found.reference.n_edges), str(n_nodes), _on(found.reference), found.reference_source or "")
        table.add_row(REFERENCE, *row)
    return table


def _on(circuit: Circuit) -> str:
    return known_title(circuit.found) or "unknown"


def _differences(found: Comparison) -> Table:
    """Each field that isn't alike, with the circuits of each value; then what was edited."""
    table = Table(title="found otherwise", title_justify="left", show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    names = found.all_labels
    for field, values in found.differences.items():
        if field in _HASHES:
            heading, reasons = _HASHES[field]
            if not found.differences.keys() & reasons:
                table.add_row(heading, f"other ones: {' against '.join(_by_value(names, values).values())}")
        elif field != "edited_from":
            words: list[str | None] = [
                None if name in found.nothing_known_of else _value(value)
                for name, value in zip(names, values, strict=True)
            ]
            if field == "method":
                options = own_of_method(found.everyone)
                words = [word and f"{word}{_own(own)}" for word, own in zip(words, options, strict=True)]
            table.add_row(field, "; ".join(f"{word} ({who})" for word, who in _by_value(names, words).items()))
    origins = (one.found.edited_from for one in found.everyone)
    done = {name: edits(origin) for name, origin in zip(names, origins, strict=True) if origin is not None}
    if done:
        table.add_row("edited", "; ".join(f"{words} ({name})" for name, words in done.items()))
    return table


def _by_value(names: Sequence[str], values: Sequence[Any]) -> dict[Any, str]:
    """The circuits of each known value, as ``A, C``."""
    of: dict[Any, list[str]] = {}
    for name, value in zip(names, values, strict=True):
        if value is not None:
            of.setdefault(value, []).append(name)
    return {value: ", ".join(who) for value, who in of.items()}


def _own(options: Mapping[str, Any]) -> str:
    """The options of a method that others don't have."""
    said = [
        " ".join(f"{key} {entry}" for key, entry in value.items())
        if isinstance(value, Mapping)
        else f"{name.removesuffix(OF_METHOD)} {value}"
        for name, value in options.items()
    ]
    return f" with {shortened(', '.join(said), 2 * _LONGEST)}" if options else ""


def _value(value: Any) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, Mapping):
        return shortened(", ".join(f"{name} {_value(entry)}" for name, entry in value.items()), _LONGEST)
    return f"{value:g}" if isinstance(value, float) else quoted(value, _LONGEST)


def _print_pair(out: Terminal, pair: Pair, labels: tuple[str, str], names: bool) -> None:
    a, b = labels
    table = _table("in both, and in one", "", a, b, "both", f"only {a}", f"only {b}", "Jaccard")
    _add_overlap(table, "nodes", pair.nodes)
    _add_overlap(table, "edges", pair.edges)
    for group in (pair.by_layer, pair.by_kind):
        table.add_section()
        for name, overlap in group.items():
            _add_overlap(table, f"into {name}" if group is pair.by_layer else name, overlap)
    table.caption = f"{_of(pair.edges.share_of_first)} of {a}'s edges are in {spoken(b)}, "
    table.caption += f"{_of(pair.edges.share_of_second)} of {spoken(b)}'s in {a}"
    out.print(table)
    scores = pair.scores
    if scores.spearman is None or scores.kendall is None:
        out.print(f"rank correlation of the scores: not defined ({scores.why})")
    else:
        found = f"Spearman {_rank(scores.spearman)}, Kendall {_rank(scores.kendall)}"
        out.print(f"rank correlation of the scores: {found} ({scores.n_edges} edges, without those that neither tried)")
    most = None if names else _STRONGEST
    for first, second, edges, n in (
        ((a, pair.first), (b, pair.second), pair.only_first(most), pair.edges.only_first),
        ((b, pair.second), (a, pair.first), pair.only_second(most), pair.edges.only_second),
    ):
        if edges:
            part = f"the strongest {len(edges)} of " if len(edges) < n else ""
            out.print(_edges(f"{part}{counted(n, 'edge')} only in {spoken(first[0])}", first, second, edges))
    if names and pair.edges.both:
        out.print(_edges(f"{counted(pair.edges.both, 'edge')} in both", (a, pair.first), (b, pair.second), pair.both()))


def _add_overlap(table: Table, name: str, found: Overlap) -> None:
    counts = (found.first, found.second, found.both, found.only_first, found.only_second)
    table.add_row(name, *map(str, counts), share(found.jaccard))


def _of(value: float | None) -> str:
    """A share in percent, which is none or all only where it is."""
    if value is None:
        return "none"
    return "<0.1%" if 0 < value < 0.0005 else ">99.9%" if 0.9995 <= value < 1 else f"{value:.1%}"


def _rank(value: float) -> str:
    """A correlation in two digits, which is 1 only where the ranks are the same."""
    if 0.995 <= abs(value) < 1 - 1e-9:
        return ">0.99" if value > 0 else "<-0.99"
    return f"{value:.2f}"


def _edges(heading: str, first: tuple[str, Circuit], second: tuple[str, Circuit], edges: Sequence[Edge]) -> Table:
    table = _table(heading, "edge", *(f"score in {spoken(name)}" for name, _ in (first, second)))
    for edge in edges:
        table.add_row(edge.name, *(score_words(one.scores[edge.number]) for _, one in (first, second)))
    return table


def _matrix(heading: str, labels: Sequence[str], matrix: np.ndarray, words: Callable[[float], str]) -> list[Table]:
    """A square of numbers, in blocks of columns that a terminal has room for."""
    tables = []
    for start in range(0, len(labels), _BLOCK):
        chosen = slice(start, start + _BLOCK)
        table = _table(heading, "", *labels[chosen])
        for name, row in zip(labels, matrix[:, chosen].tolist(), strict=True):
            table.add_row(name, *("-" if math.isnan(value) else words(value) for value in row))
        tables.append(table)
    return tables


def _keepers(found: Comparison) -> Table:
    table = Table(title=f"{counted(int(found.in_any.sum()), 'edge')} that any of them keeps", title_justify="left")
    table.add_column("edge")
    table.add_column("kept by", overflow="fold")
    for edge in found.circuits[0].graph.edges(found.in_any):
        kept = (name for name, one in zip(found.labels, found.circuits, strict=True) if one.in_graph[edge.number])
        table.add_row(edge.name, " ".join(kept))
    return table


def _print_reference(out: Terminal, found: Comparison) -> None:
    columns = ("precision", "recall", "F1", "false positives", "ROC of scores", "by MIB")
    table = _table(f"against the {REFERENCE}", "", *columns)
    areas = zip(found.score_areas or (), found.mib_areas or (), strict=True)
    for name, one, both in zip(found.labels, found.agreements or (), areas, strict=True):
        table.add_row(name, *map(share, (one.precision, one.recall, one.f1, one.false_positive_rate, *both)))
    table.caption = (
        "false positives: the share of the edges outside the reference that are kept; ROC of scores: by the ACDC "
        "paper's step rule, and as MIB counts it"
    )
    out.print(table)
    note = None if found.reference is None else found.reference.found.further.get("note")
    if isinstance(note, str):  # of a published circuit
        out.print(f"on the {REFERENCE}: {note}")
    if len(found.circuits) > 1:  # of one, it says no more than its row
        out.print(f"area under the ROC curve through all of them, by the ACDC paper's step rule: {share(found.area)}")
