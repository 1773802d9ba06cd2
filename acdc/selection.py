"""From scores to a circuit: the edges that a rule chooses, pruned to those on a path from the input to the logits.

Methods that score every edge (EAP-IG) leave the choice to a rule. Ties are broken by the edge's number, so that two
runs are the same; EAP-IG and AutoCircuit break them as sorting happens to, which moves results (all heads of a layer
tie in information-flow routes). Nothing here imports torch.
"""

from __future__ import annotations

import heapq
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from acdc.asked import real, text, whole
from acdc.errors import SettingsError, UnknownNameError
from acdc.graph import Graph, Node

__all__ = ["RANKINGS", "Above", "Greedy", "Selection", "Top", "select"]

#: By what edges are ranked: the score as it is, or its size.
RANKINGS = ("magnitude", "value")


class Selection(ABC):
    """A rule that chooses edges by their scores.

    Attributes:
        name: of the rule, and of its number in a file.
        by: one of :data:`RANKINGS`.
    """

    name: ClassVar[str]
    by: str

    def to_json(self) -> dict[str, Any]:
        """Its name with its number, and ``by``; reads as words (``top 100 by magnitude``)."""
        return {self.name: self._number, "by": self.by}

    @property
    def words(self) -> str:
        """``top 100 by magnitude``."""
        return f"{self.name} {self._number} by {self.by}"

    @property
    @abstractmethod
    def _number(self) -> float: ...

    @abstractmethod
    def _chosen(self, graph: Graph, keys: np.ndarray) -> np.ndarray:
        """The edges chosen, ``[n_edges]`` bool; `keys` are larger where an edge is preferred."""


@dataclass(frozen=True)
class _OfSize(Selection):
    """One that takes so many edges."""

    n: int
    by: str = "magnitude"

    def __post_init__(self) -> None:
        object.__setattr__(self, "n", _edges(self.n))
        _check_by(self.by)

    @property
    def _number(self) -> float:
        return self.n


@dataclass(frozen=True)
class Top(_OfSize):
    """The `n` edges of the largest scores.

    Attributes:
        n: edges, before pruning.
        by: ``magnitude`` or ``value``.

    Raises:
        SettingsError: `n` is no number of edges.
        UnknownNameError: no such way to rank.
    """

    name: ClassVar[str] = "top"

    def _chosen(self, graph: Graph, keys: np.ndarray) -> np.ndarray:
        chosen = np.zeros(graph.n_edges, dtype=bool)
        chosen[np.argsort(-keys, kind="stable")[: self.n]] = True
        return chosen


@dataclass(frozen=True)
class Above(Selection):
    """The edges whose score is at least `threshold`, as ACDC keeps them.

    Attributes:
        threshold: in the unit of the scores.
        by: ``magnitude`` or ``value``.

    Raises:
        SettingsError: `threshold` is no finite number, or is negative where sizes are compared with it.
        UnknownNameError: no such way to rank.
    """

    name: ClassVar[str] = "above"
    threshold: float
    by: str = "magnitude"

    def __post_init__(self) -> None:
        object.__setattr__(self, "threshold", real("threshold", self.threshold))
        _check_by(self.by)
        if not np.isfinite(self.threshold):
            raise SettingsError(f"a selection's threshold must be a finite number, not {self.threshold}.")
        if self.by == "magnitude" and self.threshold < 0:
            raise SettingsError(
                f"no score's magnitude is below 0, so a threshold of {self.threshold:g} keeps every edge; "
                'raise it, or choose by value (`by="value"`).'
            )

    @property
    def _number(self) -> float:
        return self.threshold

    def _chosen(self, graph: Graph, keys: np.ndarray) -> np.ndarray:
        return keys >= self.threshold


@dataclass(frozen=True)
class Greedy(_OfSize):
    """Grown from the logits: `n` times the best edge into a node that the circuit has already.

    Attributes:
        n: edges, before pruning.
        by: ``magnitude`` or ``value``.

    Raises:
        SettingsError: `n` is no number of edges.
        UnknownNameError: no such way to rank.
    """

    name: ClassVar[str] = "greedy"

    def _chosen(self, graph: Graph, keys: np.ndarray) -> np.ndarray:
        chosen = np.zeros(graph.n_edges, dtype=bool)
        reached = np.zeros(len(graph.nodes), dtype=bool)
        ranked: dict[int, np.ndarray] = {}  # of each slot of the circuit, its edges from the best on
        best: list[tuple[float, int, int, int]] = []  # of each slot, the best that is left

        def offer(slot: int, place: int) -> None:
            if place < len(ranked[slot]):
                number = int(ranked[slot][place])
                heapq.heappush(best, (-keys[number], number, slot, place))

        def reach(node: Node) -> None:
            reached[node.index] = True
            for slot in graph.slots_of(node):
                ranked[slot.index] = slot.first_edge + np.argsort(-keys[slot.edges], kind="stable")
                offer(slot.index, 0)

        reach(graph.nodes[-1])
        for _ in range(self.n):
            if not best:
                break
            _, number, slot, place = heapq.heappop(best)
            chosen[number] = True
            offer(slot, place + 1)
            source = graph.nodes[number - graph.slots[slot].first_edge]
            if not reached[source.index]:
                reach(source)
        return chosen


def select(graph: Graph, scores: np.ndarray, selection: Selection) -> np.ndarray:
    """The edges that a rule chooses, pruned to those on a path from the input to ``logits``.

    Of edges with the same rank, the one of the lower number goes first.

    Args:
        graph: of the scores.
        scores: ``[n_edges]``, one for each edge.
        selection: :class:`Top`, :class:`Above` or :class:`Greedy`.

    Returns:
        ``[n_edges]`` bool; all False where the chosen edges are on no path.

    Raises:
        SettingsError: no such rule, scores of another graph, one that is no number, or more edges wanted than
            the graph has.
    """
    if not isinstance(selection, Selection):
        raise SettingsError("`selection` must be Top, Above or Greedy of acdc.selection, e.g. Top(100).")
    scores = np.asarray(scores)
    if scores.shape != (graph.n_edges,) or scores.dtype.kind not in "fiu":
        raise SettingsError(
            f"scores of this graph are numbers of shape ({graph.n_edges},), got {scores.dtype} of shape {scores.shape}."
        )
    scores = scores.astype(np.float64)
    if (unknown := np.isnan(scores)).any():
        raise SettingsError(
            f"the score of {graph.edge(int(unknown.argmax())).name} is no number (as {int(unknown.sum())} of "
            f"{graph.n_edges} are), so edges can't be ranked by them; compute them again."
        )
    if isinstance(selection, Top | Greedy) and selection.n > graph.n_edges:
        raise SettingsError(
            f"a selection of {selection.n:,} edges is more than the {graph.n_edges:,} of the graph; ask for fewer."
        )
    return graph.on_path(selection._chosen(graph, np.abs(scores) if selection.by == "magnitude" else scores))


def _edges(n: Any) -> int:
    n = whole("n", n)
    if n < 1:
        raise SettingsError(f"a selection takes at least 1 edge, not {n}; ask for more.")
    return n


def _check_by(by: Any) -> None:
    if text("by", by) not in RANKINGS:
        raise UnknownNameError("ranking", by, RANKINGS)
