"""Runs and comparisons as JSON or CSV, for other programs: what is known of them, and edges."""

from __future__ import annotations

import csv
import io
import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from acdc.circuit import Circuit
from acdc.comparison import Comparison
from acdc.comparison.comparison import REFERENCE
from acdc.errors import RunFolderError
from acdc.files import atomic_write
from acdc.graph import Edge
from acdc.jsondata import finite
from acdc.nodescores import node_scores
from acdc.provenance import FIGURES

#: What a record says of the circuit that was measured.
_MEASURED = ("results", "verdict", "last_metric", "kept", "in_circuit")
COLUMNS = ("edge", "source", "target", "slot", "score")


def print_json(circuit: Circuit, record: Mapping[str, Any] | None, top: int | None) -> None:
    """Print one JSON object in ASCII.

    ``n_edges`` and ``of_edges`` are the circuit's and the graph's, ``nodes`` those that its edges touch,
    ``node_scores`` each one's sums of |score| over its kept edges, ``out`` and ``in``, ``found`` how it was
    found, ``doubt`` why its figures are left out (null where they aren't), ``record`` what ``run.json`` holds
    (null for a circuit file) and ``edges`` a list of objects with :data:`COLUMNS`. What isn't a finite number is
    null.

    Raises:
        RunFolderError: the record is nested too deeply.
    """
    graph = circuit.graph
    hidden = FIGURES if circuit.doubt else ()
    live = graph.live_nodes(circuit.in_graph)
    whole = {
        "n_edges": circuit.n_edges,
        "of_edges": graph.n_edges,
        "nodes": [node.name for node in graph.nodes if live[node.index]],
        "node_scores": _node_scores(circuit),
        "found": {name: value for name, value in circuit.found.to_json().items() if name not in hidden},
        "doubt": circuit.doubt,
        "record": _vouched(record, circuit),
        "edges": [dict(zip(COLUMNS, row, strict=True)) for row in _rows(circuit, top)],
    }
    print_object(whole)


def print_object(whole: Mapping[str, Any]) -> None:
    """Print one JSON object in ASCII, with null for what isn't a finite number.

    Raises:
        RunFolderError: it is nested too deeply.
    """
    try:
        text = json.dumps(finite(whole), indent=1, allow_nan=False)
    except RecursionError:
        raise RunFolderError("the run's record is nested too deeply for JSON; leave out --json.") from None
    _print(text.replace("\x7f", "\\u007f") + "\n")  # the one control character that json leaves as it is


def _node_scores(circuit: Circuit) -> dict[str, dict[str, float | None]]:
    """By node that an edge touches; see :class:`acdc.nodescores.NodeScores`."""
    scores = node_scores(circuit)
    live = np.flatnonzero(scores.n_out + scores.n_into)
    return {circuit.graph.nodes[i].name: {"out": float(scores.out[i]), "in": float(scores.into[i])} for i in live}


def _vouched(record: Mapping[str, Any] | None, circuit: Circuit) -> Mapping[str, Any] | None:
    """A run's record, without results where its circuit was edited since."""
    if record is None or circuit.doubt is None:
        return record
    return {name: value for name, value in record.items() if name not in _MEASURED}


def print_csv(circuit: Circuit, top: int | None) -> None:
    """Print a line of :data:`COLUMNS`, then a line an edge; slot and score may be empty."""
    _print(_csv(COLUMNS, _rows(circuit, top)))


def write_membership(found: Comparison, path: Path) -> None:
    """Write a line an edge that any circuit, or the reference, keeps: its ends, then who keeps it with which score.

    A score that is no finite number is left empty. Raises :class:`RunFolderError` if the file can't be written.
    """
    known = [] if found.reference is None else [(REFERENCE, found.reference)]
    circuits = [*zip(found.labels, found.circuits, strict=True), *known]
    columns = [f"{what}_{name}" for name, _ in circuits for what in ("kept", "score")]
    graph = found.circuits[0].graph
    rows = (
        (
            *(edge.name, edge.source.name, edge.slot.node.name, edge.slot.letter),
            *(value for _, one in circuits for value in (int(one.in_graph[edge.number]), _score(one, edge))),
        )
        for edge in graph.edges(np.logical_or.reduce([one.in_graph for _, one in circuits]))
    )
    with atomic_write(path) as file:
        file.write(_csv([*COLUMNS[:-1], *columns], rows))


def _csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    out = io.StringIO()
    lines = csv.writer(out, lineterminator="\n")
    lines.writerow(columns)
    lines.writerows(rows)
    return out.getvalue()


def _rows(circuit: Circuit, top: int | None) -> Iterator[tuple[str, str, str, str | None, float | None]]:
    """The strongest edges as :data:`COLUMNS`; the slot is q, k or v where the target is a head."""
    for edge in circuit.strongest(top):
        yield edge.name, edge.source.name, edge.slot.node.name, edge.slot.letter, _score(circuit, edge)


def _score(circuit: Circuit, edge: Edge) -> float | None:
    score = float(circuit.scores[edge.number])
    return score if math.isfinite(score) else None


def _print(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
