"""A run as JSON or CSV on standard output, for other programs: what is known of it and its edges, strongest first."""

from __future__ import annotations

import csv
import io
import json
import math
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from acdc.circuit import Circuit
from acdc.errors import RunFolderError
from acdc.provenance import FIGURES

#: What a record says of the circuit that was measured.
_MEASURED = ("results", "verdict", "last_metric", "kept", "in_circuit")
COLUMNS = ("edge", "source", "target", "slot", "score")


def print_json(circuit: Circuit, record: Mapping[str, Any] | None, top: int | None) -> None:
    """Print one JSON object in ASCII.

    ``n_edges`` and ``of_edges`` are the circuit's and the graph's, ``nodes`` those that its edges
    touch, ``found`` how it was found, ``doubt`` why its figures are left out (null where they aren't),
    ``record`` what ``run.json`` holds (null for a circuit file) and ``edges`` a list of objects with
    :data:`COLUMNS`. What isn't a finite number is null.

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
        "found": {name: value for name, value in circuit.found.to_json().items() if name not in hidden},
        "doubt": circuit.doubt,
        "record": _vouched(record, circuit),
        "edges": [dict(zip(COLUMNS, row, strict=True)) for row in _rows(circuit, top)],
    }
    try:
        text = json.dumps(_finite(whole), indent=1, allow_nan=False)
    except RecursionError:
        raise RunFolderError("the run's record is nested too deeply for JSON; leave out --json.") from None
    _print(text.replace("\x7f", "\\u007f") + "\n")  # the one control character that json leaves as it is


def _vouched(record: Mapping[str, Any] | None, circuit: Circuit) -> Mapping[str, Any] | None:
    """A run's record, without results where its circuit was edited since."""
    if record is None or circuit.doubt is None:
        return record
    return {name: value for name, value in record.items() if name not in _MEASURED}


def print_csv(circuit: Circuit, top: int | None) -> None:
    """Print a line of :data:`COLUMNS`, then a line an edge; slot and score may be empty."""
    out = io.StringIO()
    lines = csv.writer(out, lineterminator="\n")
    lines.writerow(COLUMNS)
    lines.writerows(_rows(circuit, top))
    _print(out.getvalue())


def _rows(circuit: Circuit, top: int | None) -> Iterator[tuple[str, str, str, str | None, float | None]]:
    """The strongest edges as :data:`COLUMNS`; the slot is q, k or v where the target is a head."""
    for edge in circuit.strongest(top):
        score = float(circuit.scores[edge.number])
        yield (
            *(edge.name, edge.source.name, edge.slot.node.name, edge.slot.letter),
            score if math.isfinite(score) else None,
        )


def _finite(value: Any) -> Any:
    """A value for JSON, which has no NaN and no infinity."""
    if isinstance(value, Mapping):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _print(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
