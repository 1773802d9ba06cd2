"""Whether the circuit in a run folder is the one that its trace and its record are of."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from acdc.circuit import Circuit, load_own
from acdc.decision import Decision, TraceLine
from acdc.errors import CircuitFileError, RunFolderError, warn
from acdc.graph import Graph
from acdc.provenance import FIGURES
from acdc.runs.folder import CIRCUIT, RECORD, TRACE
from acdc.runs.record import Record, provenance_of
from acdc.runs.replay import replay
from acdc.runs.seal import check_seal
from acdc.runs.selected import chosen_again, decisions_of


def checked_circuit(
    path: Path, raw: Any, record: Record, lines: Sequence[TraceLine]
) -> tuple[Circuit, Sequence[Decision]]:
    """A finished run's circuit, once trace, record and circuit are known to belong together.

    Args:
        path: the folder.
        raw: what its ``run.json`` holds, word for word.
        record: that, read; of a finished run.
        lines: its trace.

    Returns:
        The circuit of the file: as it was measured, or edited since. Where the file is lost or can't be read, the
        one that the trace leads to, with a warning. And the decisions, none where the method decides nothing.

    Raises:
        RunFolderError: they don't belong together; names the file, and the line of the trace.
    """
    found: Circuit | CircuitFileError
    try:
        found = load_own(path / CIRCUIT)
    except CircuitFileError as error:
        found = error
    if record.request.method not in (None, "acdc"):
        circuit = chosen_again(path, record, lines, found)
        check_seal(path, raw, lines)
        return circuit, decisions_of(path, lines, circuit.graph if record.cfg is None else Graph(record.cfg))
    graph = _graph(path, record, found, len(lines))
    replayed = replay(path, record, lines, graph)
    decisions = tuple(replayed.made)
    rebuilt = Circuit(graph, graph.on_path(replayed.kept), replayed.scores, provenance_of(record)).measured()
    if isinstance(found, CircuitFileError):
        check_seal(path, raw, lines)
        warn(f"{found} The circuit is rebuilt from {path / TRACE}.")
        if not (path / CIRCUIT).exists():  # one that can't be read may be somebody's work, which stays
            with contextlib.suppress(RunFolderError):  # in a folder that can't be written
                rebuilt.save(path / CIRCUIT)
        return rebuilt, decisions
    if found.figures is not None:
        _check_same(path, decisions, found, rebuilt)
    check_seal(path, raw, lines)
    return _vouched(found, rebuilt), decisions


def _vouched(found: Circuit, rebuilt: Circuit) -> Circuit:
    """The circuit of the file, with the figures that trace and record vouch for."""
    if found.figures is not None:
        return found
    if found.graph == rebuilt.graph and found.found.fingerprint is None:
        given = [name for name in FIGURES if getattr(found.found, name) is not None]
        if not _differing(found, rebuilt).any() and all(
            getattr(found.found, name) == getattr(rebuilt.found, name) for name in given
        ):
            return rebuilt  # of an older version: the trace and the record vouch for it
        known = replace(rebuilt.found, edited_from=found.found.edited_from)
        return Circuit(found.graph, found.in_graph, found.scores, known)  # edited: the figures are of other edges
    return found


def _graph(path: Path, record: Record, found: Circuit | CircuitFileError, n_decisions: int) -> Graph:
    """The graph of the run: of the shape that its record keeps, or, of an older version's, its circuit."""
    if record.cfg is None:
        if isinstance(found, Circuit):
            return found.graph
        raise RunFolderError(
            f"{path / CIRCUIT} is lost or damaged, and the run is of an older version, whose record doesn't keep the "
            "model's shape to rebuild it by; put the file back, or run it again."
        )
    cfg = record.cfg
    if (
        not isinstance(found, Circuit) and n_decisions < cfg.n_nodes - 1
    ):  # nothing else bounds it; every run tries all edges into the logits
        raise RunFolderError(f"{path / TRACE} is too short for a run on the {cfg.n_nodes:,} nodes of {path / RECORD}.")
    graph = Graph(cfg)
    if isinstance(found, Circuit) and found.graph != graph and not found.edited:
        raise RunFolderError(f"{path / CIRCUIT} is of another graph than the run in {path / RECORD}.")
    return graph


def _check_same(path: Path, decisions: Sequence[Decision], found: Circuit, rebuilt: Circuit) -> None:
    """Raise unless a circuit that is as it was measured is the one that trace and record lead to."""
    if found.found.fingerprint == rebuilt.found.fingerprint:
        return
    differing = _differing(found, rebuilt)
    if not differing.any():
        raise RunFolderError(
            f"{path / CIRCUIT} is not the circuit that {path / RECORD} has the results of: one of them is of another "
            "run, or was changed."
        )
    edge = found.graph.edge(int(differing.argmax())).name
    line = next((number for number, one in enumerate(decisions, 1) if one.edge == edge), None)
    where = path / TRACE if line is None else f"{path / TRACE}, line {line}"
    raise RunFolderError(
        f"{where}: {edge} isn't what {path / CIRCUIT} has, which is as it was measured; the trace was changed, or one "
        "of them is of another run."
    )


def _differing(some: Circuit, others: Circuit) -> np.ndarray:
    """Which edges of one graph differ, ``[n_edges]`` bool; scores that are no numbers are alike."""
    alike = (some.scores == others.scores) | ~(np.isfinite(some.scores) | np.isfinite(others.scores))
    return (some.in_graph != others.in_graph) | ~alike
