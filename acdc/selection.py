"""From scores to a circuit: the edges that a rule chooses, pruned to those on a path from the input to the logits.

Methods that score every edge (EAP-IG) leave the choice to a rule. Ties are broken by the edge's number, so that two
runs are the same; EAP-IG and AutoCircuit break them as sorting happens to, which moves results (all heads of a layer
tie in information-flow routes). A rule may also choose nodes, by the sums of their edges' scores. Nothing here imports
torch.
"""

from __future__ import annotations

import heapq
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from acdc.asked import real, shown, text, whole
from acdc.errors import SettingsError, UnknownNameError
from acdc.graph import Graph, Node
from acdc.graphconfig import GraphConfig
from acdc.wording import counted, either

__all__ = [
    "LEVELS",
    "RANKINGS",
    "RULES",
    "Above",
    "Greedy",
    "Selection",
    "Top",
    "check_rule",
    "node_totals",
    "select",
    "select_nodes",
    "words_of",
]

#: By what edges are ranked: the score as it is, or its size.
RANKINGS = ("magnitude", "value")
#: What a rule chooses: edges; or heads and MLPs, with all edges among them, the input and the logits.
LEVELS = ("edges", "nodes")


class Selection(ABC):
    """A rule that chooses edges, or nodes, by scores.

    Attributes:
        name: of the rule, and of its number in a file.
        by: one of :data:`RANKINGS`.
        level: one of :data:`LEVELS`.
    """

    name: ClassVar[str]
    by: str
    level: str

    def to_json(self) -> dict[str, Any]:
        """Its name with its number, ``by``, and the level where that isn't edges; :func:`words_of` reads it."""
        level = {} if self.level == "edges" else {"level": self.level}
        return {self.name: self._number, "by": self.by, **level}

    @property
    def words(self) -> str:
        """``top 100 by magnitude``, or ``top 20 nodes by value``."""
        return words_of(self.to_json())

    def check_size(self, cfg: GraphConfig) -> None:  # noqa: B027 - most have no size
        """Raise :class:`SettingsError` where it wants more than a graph of that shape has."""

    @property
    @abstractmethod
    def _number(self) -> float: ...

    @abstractmethod
    def _best(self, keys: np.ndarray) -> np.ndarray:
        """Which to choose, as `keys`; they are larger where one is preferred, and of ties the first goes first."""

    def _chosen(self, graph: Graph, keys: np.ndarray) -> np.ndarray:
        """The edges chosen, ``[n_edges]`` bool, before pruning."""
        return self._best(keys)


@dataclass(frozen=True)
class _OfSize(Selection):
    """One that takes so many."""

    n: int
    by: str = "magnitude"
    level: str = "edges"

    def __post_init__(self) -> None:
        _check_ranking(self.by, self.level)
        object.__setattr__(self, "n", _at_least_one(self.n, self.level))

    @property
    def _number(self) -> float:
        return self.n

    def check_size(self, cfg: GraphConfig) -> None:
        """As :class:`Selection` has it."""
        there = cfg.n_edges if self.level == "edges" else cfg.n_nodes - _n_fixed(cfg)
        if self.n > there:
            what = "" if self.level == "edges" else " heads and MLPs"
            raise SettingsError(
                f"a selection of {self.n:,} {self.level} is more than the {there:,}{what} of the graph; ask for fewer."
            )


@dataclass(frozen=True)
class Top(_OfSize):
    """The `n` edges, or nodes, of the largest scores.

    Attributes:
        n: edges, before pruning; or heads and MLPs.
        by: ``magnitude`` or ``value``.
        level: ``edges``, or ``nodes`` (:func:`node_totals`).

    Raises:
        SettingsError: `n` is no number of edges.
        UnknownNameError: no such way to rank, or level.
    """

    name: ClassVar[str] = "top"

    def _best(self, keys: np.ndarray) -> np.ndarray:
        chosen = np.zeros(len(keys), dtype=bool)
        chosen[np.argsort(-keys, kind="stable")[: self.n]] = True
        return chosen


@dataclass(frozen=True)
class Above(Selection):
    """The edges, or nodes, whose score is at least `threshold`, as ACDC keeps them.

    Attributes:
        threshold: in the unit of the scores.
        by: ``magnitude`` or ``value``.
        level: ``edges``, or ``nodes`` (:func:`node_totals`).

    Raises:
        SettingsError: `threshold` is no finite number, or is negative where sizes are compared with it.
        UnknownNameError: no such way to rank, or level.
    """

    name: ClassVar[str] = "above"
    threshold: float
    by: str = "magnitude"
    level: str = "edges"

    def __post_init__(self) -> None:
        object.__setattr__(self, "threshold", real("threshold", self.threshold))
        _check_ranking(self.by, self.level)
        if not np.isfinite(self.threshold):
            raise SettingsError(f"a selection's threshold must be a finite number, not {self.threshold}.")
        if self.by == "magnitude" and self.threshold < 0:
            raise SettingsError(
                f"no score's magnitude is below 0, so a threshold of {self.threshold:g} keeps every {self.level[:-1]}; "
                'raise it, or choose by value (`by="value"`).'
            )

    @property
    def _number(self) -> float:
        return self.threshold

    def _best(self, keys: np.ndarray) -> np.ndarray:
        return keys >= self.threshold


@dataclass(frozen=True)
class Greedy(_OfSize):
    """Grown from the logits: `n` times the best edge into a node that the circuit has already.

    Attributes:
        n: edges, before pruning.
        by: ``magnitude`` or ``value``.
        level: ``edges``; a set of nodes isn't grown along edges.

    Raises:
        SettingsError: `n` is no number of edges, or nodes are to be chosen.
        UnknownNameError: no such way to rank, or level.
    """

    name: ClassVar[str] = "greedy"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.level != "edges":
            raise SettingsError("`greedy` grows a circuit edge by edge; choose nodes by `top` or `above`.")

    def _best(self, keys: np.ndarray) -> np.ndarray:
        raise SettingsError("`greedy` grows along the edges of a graph; choose these by `top` or `above`.")

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

    Of edges with the same rank, the one of the lower number goes first. At the level of nodes, heads and MLPs are
    ranked by :func:`node_totals`, of equal ones the earlier first; the circuit is every edge among those chosen, the
    input and the logits, and all of these are on a path.

    Args:
        graph: of the scores.
        scores: ``[n_edges]``, one for each edge, at either level.
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
    selection.check_size(graph.cfg)
    if selection.level == "edges":
        return graph.on_path(selection._chosen(graph, _keys(selection, scores)))
    totals = node_totals(graph, scores)
    if (unknown := np.isnan(totals)).any():
        raise SettingsError(
            f"the scores of the edges out of {graph.nodes[int(unknown.argmax())].name} are infinite and of both signs, "
            "so they have no sum; choose edges, or compute them again."
        )
    return select_nodes(graph, totals, selection)


def select_nodes(graph: Graph, totals: np.ndarray, selection: Selection) -> np.ndarray:
    """The circuit of the nodes that a rule chooses by scores of their own, see :func:`select`.

    Args:
        graph: of the scores.
        totals: ``[n_nodes]``; those of the input and the logits don't matter, as they are always in.
        selection: :class:`Top` or :class:`Above`, at the level of nodes.

    Returns:
        ``[n_edges]`` bool.

    Raises:
        SettingsError: more nodes wanted than the graph has, or a score that is no number.
    """
    selection.check_size(graph.cfg)
    inner, inside = slice(graph.n_inputs, -1), np.ones(len(graph.nodes), dtype=bool)
    if (unknown := np.isnan(totals[inner])).any():
        name = graph.nodes[graph.n_inputs + int(unknown.argmax())].name
        raise SettingsError(f"the score of {name} is no number, so nodes can't be ranked by them; compute them again.")
    inside[inner] = ranked(totals[inner], selection)
    return graph.on_path(graph.among(inside))


def ranked(values: np.ndarray, selection: Selection) -> np.ndarray:
    """Which of any scored things a rule chooses, as bool of the same length; of ties the first goes first.

    Args:
        values: ``[n]``, finite.
        selection: :class:`Top` or :class:`Above`.

    Raises:
        SettingsError: :class:`Greedy`, which needs a graph.
    """
    return selection._best(_keys(selection, values))


def node_totals(graph: Graph, scores: np.ndarray) -> np.ndarray:
    """For each node, the sum of the scores of its edges out, with their signs.

    Only edges that the graph has count. Of scores by attribution it is the node's own attribution: its change times
    the gradient at what it writes. (:mod:`acdc.nodescores` has the sums of sizes over a circuit's kept edges.)

    Args:
        graph: of the scores.
        scores: ``[n_edges]``.

    Returns:
        ``[n_nodes]`` float64; 0 for ``logits``, which writes nothing.
    """
    _, sources = graph.ends(np.arange(graph.n_edges))
    with np.errstate(invalid="ignore"):  # infinities of both signs
        return np.bincount(sources, scores, minlength=len(graph.nodes))


def words_of(selection: Mapping[str, Any]) -> str:
    """A rule as a file has it, in words: ``top 20 nodes by value``."""
    level = f" {selection['level']}" if "level" in selection else ""
    rule = " ".join(f"{name} {value}" for name, value in selection.items() if name not in ("by", "level"))
    return f"{rule}{level} by {selection['by']}" if "by" in selection else f"{rule}{level}"


def _keys(selection: Selection, scores: np.ndarray) -> np.ndarray:
    return np.abs(scores) if selection.by == "magnitude" else scores


def _n_fixed(cfg: GraphConfig) -> int:
    """Nodes that no rule chooses: those of the input, and the logits."""
    return 3 if cfg.split_input else 2


def _at_least_one(n: Any, level: str) -> int:
    n = whole("n", n)
    if n < 1:
        raise SettingsError(f"a selection takes at least {counted(1, level[:-1])}, not {n}; ask for more.")
    return n


#: A new rule is named here.
_KINDS = (Top, Above, Greedy)
#: They by the names that options and files have for them.
RULES: Mapping[str, Callable[..., Selection]] = {rule.name: rule for rule in _KINDS}


def check_rule(name: str, value: Any) -> None:
    """Raise :class:`SettingsError` unless the value of an argument is a rule, or ``None`` for no rule."""
    if value is not None and not isinstance(value, Selection):
        kinds = either([rule.__name__ for rule in _KINDS])
        raise SettingsError(f"`{name}` must be {kinds} of acdc.selection, e.g. Top(100), not {shown(value)}.")


def _check_ranking(by: Any, level: Any) -> None:
    if text("by", by) not in RANKINGS:
        raise UnknownNameError("ranking", by, RANKINGS)
    if text("level", level) not in LEVELS:
        raise UnknownNameError("level", level, LEVELS)
