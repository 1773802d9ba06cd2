"""A finished run's decisions gone through again without a model: what the trace must be, and what it leads to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from acdc.decision import Decision
from acdc.errors import AcdcError, RunFolderError
from acdc.graph import Graph
from acdc.jsondata import shown
from acdc.pruning.pruner import Acdc, AcdcSettings
from acdc.runs.folder import RECORD, TRACE


class _Paper:
    """An engine that can't run anything: the trace holds every number of a finished run."""

    name = "paper"

    def __init__(self, graph: Graph, *, drops_are_free: bool) -> None:
        self.graph = graph
        self.drops_are_free = drops_are_free

    def remove(self, edges: np.ndarray) -> None:
        """Nothing to do: the method keeps the circuit."""

    def metric(self) -> float:
        """Asked for only where the trace ends too early."""
        raise RunFolderError("it ends before the run does.")

    def removals(self, groups: Sequence[np.ndarray]) -> Iterator[float]:
        """Likewise; the first group is the first that is missing."""
        raise RunFolderError(f"it ends where {self.graph.edge(groups[0][-1]).name} should follow.")

    def metric_of(self, kept: np.ndarray) -> float:
        """Never asked for."""
        raise NotImplementedError

    def noise_floor(self) -> float:
        """Never asked for."""
        raise NotImplementedError


def replay(path: Path, record: Mapping[str, Any], decisions: Sequence[Decision], graph: Graph) -> Acdc:
    """Go through a finished run's decisions again, as its record asks for them; gives the pruner at its end.

    Raises:
        RunFolderError: a decision isn't the one that this run makes, or the numbers of the record aren't
            those of the trace; names the line.
    """
    request = record["request"]
    known = {name: request[name] for name in ("order", "gates", "seed") if name in request}
    try:
        settings = AcdcSettings(request["threshold"], **known)
        attribution = _places(decisions, graph) if settings.order == "attribution" else None
        engine = _Paper(graph, drops_are_free=record.get("drops_are_free", False))  # unknown: what allows more
        pruner = Acdc(engine, settings, attribution=attribution, past=decisions)
        for _ in pruner.decisions():
            raise AssertionError("a paper engine decides nothing")
    except AcdcError as error:
        raise RunFolderError(f"{path / TRACE} doesn't fit {path / RECORD}: {error}") from error
    _check_counts(path, record, decisions, pruner)
    return pruner


def _places(decisions: Sequence[Decision], graph: Graph) -> np.ndarray:
    """Scores that give the order in which edges were tried, ``[n_edges]``: those of attribution itself aren't kept."""
    place = np.full(graph.n_edges, len(decisions), dtype=np.float64)
    for number, decision in enumerate(decisions):
        if not decision.edge.startswith("gate:"):
            place[graph.edge(decision.edge).number] = number
    return place


def _check_counts(path: Path, record: Mapping[str, Any], decisions: Sequence[Decision], pruner: Acdc) -> None:
    counted = {
        "tried": pruner.n_tried,
        "kept": pruner.n_kept,
        "in_circuit": int(pruner.engine.graph.on_path(pruner.kept).sum()),
        "within_noise": within_noise(decisions, record["request"]["threshold"], record["noise_floor"]),
        "last_metric": last_metric(decisions),
    }
    for name, value in counted.items():
        if name in record and record[name] != value:
            raise RunFolderError(
                f"{path / RECORD} doesn't fit {path / TRACE}: {name} is {shown(record[name])} and should be "
                f"{value}; one of them was changed."
            )


def within_noise(decisions: Sequence[Decision], threshold: float, noise: float) -> int:
    """Decisions that rounding could have turned."""
    return sum(abs(decision.after - decision.before - threshold) < noise for decision in decisions)


def last_metric(decisions: Sequence[Decision]) -> float:
    """The metric that the last decision left."""
    last = decisions[-1]
    return last.before if last.kept else last.after
