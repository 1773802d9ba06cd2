"""A finished run's decisions gone through again without a model: what the trace must be, and what it leads to."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path

import numpy as np

from acdc.decision import TraceLine
from acdc.errors import AcdcError, RunFolderError
from acdc.graph import Graph, Slot
from acdc.jsondata import check, shown, typed_fields
from acdc.pruning.pruner import Acdc, AcdcSettings
from acdc.runs.folder import RECORD, TRACE
from acdc.runs.record import Record


class _Paper:
    """An engine that can't run anything: the trace holds every number of a finished run."""

    name = "paper"

    def __init__(self, graph: Graph, *, drops_are_free: bool) -> None:
        self.graph = graph
        self.drops_are_free = drops_are_free

    def remove(self, edges: np.ndarray) -> None:
        """Nothing to do: the method keeps the circuit."""

    def begin_again(self) -> None:
        """Likewise."""

    def metric(self) -> float:
        """Asked for only where the trace ends too early."""
        raise RunFolderError("it ends before the run does.")

    def removals(self, groups: Sequence[np.ndarray]) -> Generator[float, bool | None, None]:
        """Likewise; the first group is the first that is missing."""
        raise RunFolderError(f"it ends where {self.graph.edge(groups[0][-1]).name} should follow.")

    def metric_of(self, kept: np.ndarray) -> float:
        """Never asked for."""
        raise NotImplementedError

    def effects(self, slot: Slot) -> np.ndarray:
        """Never asked for."""
        raise NotImplementedError

    def noise_floor(self) -> float:
        """Never asked for."""
        raise NotImplementedError


def replay(path: Path, record: Record, lines: Sequence[TraceLine], graph: Graph) -> Acdc:
    """Go through a finished run's decisions again, as its record asks for them; gives the pruner at its end.

    Raises:
        RunFolderError: a decision isn't the one that this run makes, or the numbers of the record aren't
            those of the trace; names the line.
    """
    settings = _settings(path, record)
    try:
        attribution = _places(lines, graph) if settings.order == "attribution" else None
        engine = _Paper(graph, drops_are_free=bool(record.drops_are_free))  # unknown: what allows more
        pruner = Acdc(engine, settings, attribution=attribution, past=lines)
        for _ in pruner.decisions():
            raise AssertionError("a paper engine decides nothing")
    except AcdcError as error:
        raise RunFolderError(f"{path / TRACE} doesn't fit {path / RECORD}: {error}") from error
    _check_counts(path, record, pruner)
    return pruner


def _settings(path: Path, record: Record) -> AcdcSettings:
    """What a run of ACDC was asked for. Raises :class:`RunFolderError`."""
    try:
        check(record.request.options, {"threshold": float}, "request")
        given = typed_fields(AcdcSettings, dict(record.request.options), "request")
        if record.request.seed is not None:
            given["seed"] = record.request.seed
        if record.found_threshold is not None:
            given["threshold"] = record.found_threshold
        return AcdcSettings(**given)
    except ValueError as error:
        raise RunFolderError(f"{path / RECORD} is not the record of a run: {error}.") from error
    except AcdcError as error:
        raise RunFolderError(f"{path / TRACE} doesn't fit {path / RECORD}: {error}") from error


def _places(lines: Sequence[TraceLine], graph: Graph) -> np.ndarray:
    """Scores that give the order in which edges were tried, ``[n_edges]``: those of attribution itself aren't kept."""
    place = np.full(graph.n_edges, len(lines), dtype=np.float64)
    for number, line in reversed(list(enumerate(lines))):  # the first pass tries every edge that a later one does
        if not line.edge.startswith("gate:"):
            place[graph.edge(line.edge).number] = number
    return place


def _check_counts(path: Path, record: Record, pruner: Acdc) -> None:
    counted = {
        **pruner.counts(record.noise_floor or 0.0),
        "in_circuit": int(pruner.engine.graph.on_path(pruner.kept).sum()),
    }
    for name, value in counted.items():
        said = getattr(record, name)
        if said is not None and said != value:
            raise RunFolderError(
                f"{path / RECORD} doesn't fit {path / TRACE}: {name} is {shown(said)} and should be "
                f"{value}; one of them was changed."
            )
