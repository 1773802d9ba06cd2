"""Whether the circuit in a run folder is the one that its trace and its record are of."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from acdc.circuit import Circuit, load_own
from acdc.decision import Decision
from acdc.errors import AcdcWarning, CircuitFileError, RunFolderError, SettingsError
from acdc.graph import Graph, GraphConfig
from acdc.jsondata import shown
from acdc.provenance import FIGURES
from acdc.runs.folder import CIRCUIT, RECORD, TRACE, check_record
from acdc.runs.record import provenance_of
from acdc.runs.replay import replay
from acdc.runs.seal import check_seal


def checked_circuit(path: Path, record: dict[str, Any], decisions: Sequence[Decision]) -> Circuit:
    """A finished run's circuit, once trace, record and circuit are known to belong together.

    Args:
        path: the folder.
        record: its record, of the shape of a finished run's.
        decisions: its trace.

    Returns:
        The circuit of the file: as it was measured, or edited since. Where the file is lost or can't be read, the
        one that the trace leads to, with a warning.

    Raises:
        RunFolderError: they don't belong together; names the file, and the line of the trace.
    """
    found: Circuit | CircuitFileError
    try:
        found = load_own(path / CIRCUIT)
    except CircuitFileError as error:
        found = error
    graph = _graph(path, record, found, len(decisions))
    replayed = replay(path, record, decisions, graph)
    rebuilt = Circuit(graph, graph.on_path(replayed.kept), replayed.scores, provenance_of(record)).measured()
    if isinstance(found, CircuitFileError):
        check_seal(path, record, decisions)
        warnings.warn(f"{found} The circuit is rebuilt from {path / TRACE}.", AcdcWarning, stacklevel=4)
        if not (path / CIRCUIT).exists():  # one that can't be read may be somebody's work, which stays
            with contextlib.suppress(RunFolderError):  # in a folder that can't be written
                rebuilt.save(path / CIRCUIT)
        return rebuilt
    if found.figures is not None:
        _check_same(path, decisions, found, rebuilt)
    check_seal(path, record, decisions)
    if found.figures is not None:
        return found
    if found.graph == graph and found.found.fingerprint is None:
        given = [name for name in FIGURES if getattr(found.found, name) is not None]
        if not _differing(found, rebuilt).any() and all(
            getattr(found.found, name) == getattr(rebuilt.found, name) for name in given
        ):
            return rebuilt  # of an older version: the trace and the record vouch for it
        known = replace(rebuilt.found, edited_from=found.found.edited_from)
        return Circuit(graph, found.in_graph, found.scores, known)  # edited: the figures are of other edges
    return found


def _graph(path: Path, record: dict[str, Any], found: Circuit | CircuitFileError, n_decisions: int) -> Graph:
    """The graph of the run: of the shape that its record keeps, or, of an older version's, its circuit."""
    if "cfg" not in record:
        if isinstance(found, Circuit):
            return found.graph
        raise RunFolderError(
            f"{path / CIRCUIT} is lost or damaged, and the run is of an older version, whose record doesn't keep the "
            "model's shape to rebuild it by; put the file back, or run it again."
        )
    check_record(path, record, {"cfg": {"n_layers": int, "n_heads": int}})
    known = {one.name for one in fields(GraphConfig)}
    if unknown := sorted(record["cfg"].keys() - known):
        raise RunFolderError(f"{path / RECORD} is not the record of a run: cfg.{shown(unknown[0])[1:-1]} is unknown.")
    try:
        cfg = GraphConfig(**record["cfg"])
    except SettingsError as error:
        raise RunFolderError(f"{path / RECORD} is not the record of a run: cfg is no graph's: {error}") from error
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
