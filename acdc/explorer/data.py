"""What the explorer's graph shows, as plain JSON: the nodes and edges drawn with their places, scores and decisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from acdc.circuit import Circuit
from acdc.decision import Decision
from acdc.explorer.layout import place
from acdc.explorer.seen import rounded
from acdc.export.layout import BOX
from acdc.graph import Graph
from acdc.results import Evaluation

#: Edges that are drawn at most; and so many are drawn at least, so that the slider can go beyond the circuit.
MOST, USUAL = 3000, 2000


def graph_data(circuits: Sequence[Circuit]) -> dict[str, Any]:
    """The graph of one circuit, or of two of one model: the part ``graph`` of the page's data.

    All kept edges are drawn, as far as there is room, and the others of the largest scores.

    Returns:
        Besides shape and places: ``n_edges`` of the graph, ``left_out`` of them not drawn, ``by`` what each run ranks
        its edges by (``value`` or ``magnitude``), and ``ranked``, how many of each run's first edges are all drawn.

    Raises:
        SettingsError: the circuits are of different graphs.
    """
    graph = circuits[0].graph
    for other in circuits[1:]:
        graph.check_same(other.graph)
    keys = [ranking_keys(circuit) for circuit in circuits]
    numbers = _drawn(circuits, keys)
    edges = [graph.edge(number) for number in numbers]
    strongest = _order(circuits, keys, numbers)
    placed = place(graph, [edges[i] for i in strongest])
    nodes = [node for node in graph.nodes if node.name in placed.places]
    index = {node.name: i for i, node in enumerate(nodes)}
    return {
        "cfg": asdict(graph.cfg),
        "n_edges": graph.n_edges,
        "n_nodes": len(graph.nodes),
        "left_out": graph.n_edges - len(edges),
        "by": [_ranking(circuit) for circuit in circuits],
        "ranked": [_n_ranked(key, numbers) for key in keys],
        "size": placed.size,
        "box": BOX,
        "rows": [asdict(stripe) for stripe in placed.stripes],
        "nodes": [
            {
                "name": node.name,
                "kind": node.kind,
                "layer": node.layer,
                "head": node.head,
                "x": placed.places[node.name][0],
                "y": placed.places[node.name][1],
            }
            for node in nodes
        ],
        "edges": {
            "source": [index[edge.source.name] for edge in edges],
            "reader": [index[edge.slot.node.name] for edge in edges],
            "letter": [edge.slot.letter or "-" for edge in edges],
            "path": [placed.paths[edge.number] for edge in edges],
            "score": [[rounded(score) for score in circuit.scores[numbers]] for circuit in circuits],
            "kept": [_bits(circuit.in_graph[numbers]) for circuit in circuits],
        },
    }


def film_data(graph: Graph, drawn: Mapping[str, Any], decisions: Sequence[Decision], kept: np.ndarray) -> Any:
    """The decisions of a run of ACDC as a film: ``film`` of a run in the page's data, or ``None``.

    A frame is one decision; where edges aren't drawn, those that follow each other are one frame.

    Args:
        graph: the run's.
        drawn: what :func:`graph_data` made of it.
        decisions: in order.
        kept: ``[n_edges]`` bool, the edges left in the end.

    Returns:
        By frame: ``edge``, the drawn edge's number or -1; ``name`` of what isn't one drawn edge, by the frame's
        number; ``count`` of decisions; the metric ``before`` and ``after``; ``kept``, as ``"1"`` or ``"0"``. By drawn
        edge: ``gone``, after how many frames it isn't there any more, ``null`` for one that stays.
    """
    if not decisions:
        return None
    numbers = _numbers(graph, drawn)
    place_of = {int(number): i for i, number in enumerate(numbers)}
    frames = _Frames()
    gone: list[int | None] = [None] * len(numbers)
    for decision in decisions:
        slot = decision.slot
        touched = range(slot.first_edge, slot.first_edge + slot.n_parents)
        if decision.source is not None:
            touched = range(slot.first_edge + decision.source.index, slot.first_edge + decision.source.index + 1)
        there = [place_of[number] for number in touched if number in place_of]
        frames.add(decision, there)
        if not decision.kept:
            for i in there:
                if gone[i] is None:
                    gone[i] = frames.n
    for i, number in enumerate(numbers):  # nothing read its reader any more, so that nobody had to try it
        if gone[i] is None and not kept[number]:
            gone[i] = _unread(drawn, gone, i, frames.n)
    return frames.to_json() | {"gone": gone}


def found_figures(used: Evaluation | None) -> dict[str, float | None]:
    """Figures of a circuit as it was found, by the names of a curve's: ``found`` of a run in the page's data.

    Args:
        used: its evaluation on the prompts that it was found on.
    """
    if used is None:
        return {}
    means = {name: rounded(value) for name, value in used.circuit.metrics.items()}
    return means | {"faithfulness": None if used.faithfulness is None else rounded(used.faithfulness)}


class _Frames:
    """Decisions, those about edges that aren't drawn put together."""

    def __init__(self) -> None:
        self.edge: list[int] = []
        self.name: dict[str, str] = {}
        self.count: list[int] = []
        self.before: list[float | None] = []
        self.after: list[float | None] = []
        self.kept: list[str] = []
        self._unseen = False

    @property
    def n(self) -> int:
        return len(self.edge)

    def add(self, decision: Decision, drawn: Sequence[int]) -> None:
        """A decision; `drawn` are the drawn edges that it is about."""
        if not drawn and self._unseen:
            self.count[-1] += 1
            self.after[-1] = rounded(decision.left)
            self.name[str(self.n - 1)] = f"{self.count[-1]:,} edges that aren't drawn"
            return
        self._unseen = not drawn
        self.edge.append(drawn[0] if decision.source is not None and drawn else -1)
        if self.edge[-1] == -1:
            self.name[str(self.n - 1)] = decision.edge
        self.count.append(1)
        self.before.append(rounded(decision.before))
        self.after.append(rounded(decision.left if self._unseen else decision.after))
        self.kept.append("1" if decision.kept and not self._unseen else "0")

    def to_json(self) -> dict[str, Any]:
        return {
            "edge": self.edge,
            "name": self.name,
            "count": self.count,
            "before": self.before,
            "after": self.after,
            "kept": "".join(self.kept),
        }


def _unread(drawn: Mapping[str, Any], gone: Sequence[int | None], edge: int, end: int) -> int:
    """After how many frames the last edge out of the reader of an edge went; the end, where none is drawn."""
    sources, reader = drawn["edges"]["source"], drawn["edges"]["reader"][edge]
    out = [gone[i] for i, source in enumerate(sources) if source == reader]
    return max((frame for frame in out if frame is not None), default=end) if out else end


def _numbers(graph: Graph, drawn: Mapping[str, Any]) -> np.ndarray:
    """The graph's numbers of the edges drawn."""
    names = [node["name"] for node in drawn["nodes"]]
    edges = drawn["edges"]
    ends = zip(edges["source"], edges["reader"], edges["letter"], strict=True)
    slots = (
        (names[source], names[reader] + ("" if letter == "-" else f"<{letter}>")) for source, reader, letter in ends
    )
    return np.array([graph.edge(f"{source}->{slot}").number for source, slot in slots], dtype=np.int64)


def _ranking(circuit: Circuit) -> str:
    """By what a run ranks edges: as its selection did; ACDC, which decides, by value."""
    selection = circuit.found.selection
    if selection is None:
        return "value" if circuit.found.method == "acdc" else "magnitude"
    return str(selection.get("by", "magnitude"))


def ranking_keys(circuit: Circuit) -> np.ndarray:
    """What a run ranks its edges by, ``[n_edges]``; unknown scores are -inf."""
    scores = circuit.scores.astype(np.float64)
    keys = np.abs(scores) if _ranking(circuit) == "magnitude" else scores
    return np.where(np.isfinite(keys), keys, -np.inf)


def _drawn(circuits: Sequence[Circuit], keys: Sequence[np.ndarray]) -> np.ndarray:
    """The numbers of the edges to draw, ascending."""
    graph = circuits[0].graph
    if graph.n_edges <= USUAL:
        return np.arange(graph.n_edges)
    kept = np.logical_or.reduce([circuit.in_graph for circuit in circuits])
    n = min(max(USUAL, int(kept.sum())), MOST)
    worth = np.logical_or.reduce([key > 0 for key in keys]) | kept
    candidates = np.flatnonzero(worth)
    ranks = np.full(graph.n_edges, graph.n_edges)
    for key in keys:
        order = np.argsort(-key, kind="stable")
        ranks[order] = np.minimum(ranks[order], np.arange(graph.n_edges))
    order = np.lexsort((ranks[candidates], ~kept[candidates]))
    return np.sort(candidates[order[:n]])


def _order(circuits: Sequence[Circuit], keys: Sequence[np.ndarray], numbers: np.ndarray) -> np.ndarray:
    """Edges drawn by how straight a way they deserve: kept ones first, then those of large scores."""
    kept = np.logical_or.reduce([circuit.in_graph[numbers] for circuit in circuits])
    largest = np.max([key[numbers] for key in keys], axis=0)
    return np.lexsort((numbers, -largest, ~kept))


def _n_ranked(key: np.ndarray, numbers: np.ndarray) -> int:
    """How many of the first edges by rank are all drawn; unknown scores have no rank."""
    order = np.argsort(-key, kind="stable")[: int(np.isfinite(key).sum())]
    drawn = np.zeros(len(key), dtype=bool)
    drawn[numbers] = True
    missing = np.flatnonzero(~drawn[order])
    return int(missing[0]) if len(missing) else len(order)


def _bits(mask: np.ndarray) -> str:
    return "".join("1" if bit else "0" for bit in mask)
