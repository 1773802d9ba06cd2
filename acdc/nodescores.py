"""How much a circuit's nodes matter, by the scores of their edges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from acdc.circuit import Circuit
from acdc.graph import Node


@dataclass(frozen=True, eq=False)
class NodeScores:
    """Sums of |score| over the kept edges of each node. Only edges that the graph has count.

    A node's score is that of its edges *out*, what it writes: every kept edge then counts once, and all nodes'
    scores add up to all edges'. Signs don't cancel, so that it is no less than the node's own attribution where
    that is the sum over its edges. ``logits`` writes nothing, and has none.

    Attributes:
        circuit: whose nodes they are.
        out: over the edges out of each node, ``[n_nodes]`` float64. Edges of unknown score (NaN) aren't in the
            sum; NaN where no kept edge out has a score, 0 where there is no kept edge out.
        into: over the edges into each node, likewise.
        n_out: kept edges out of each node, ``[n_nodes]``.
        n_into: kept edges into each node.
    """

    circuit: Circuit
    out: np.ndarray
    into: np.ndarray
    n_out: np.ndarray
    n_into: np.ndarray

    def strongest(self, n: int | None = None) -> list[Node]:
        """The nodes that write in the circuit, or `n` of them, by their score; unknown ones last, ties in order."""
        writing = np.flatnonzero(self.n_out)
        order = np.argsort(-self.out[writing], kind="stable")  # which puts NaN last
        return [self.circuit.graph.nodes[i] for i in writing[order[:n]]]


def node_scores(circuit: Circuit) -> NodeScores:
    """The scores of all nodes of a circuit's graph."""
    graph = circuit.graph
    kept = np.flatnonzero(circuit.in_graph)
    slots, sources = graph.ends(kept)
    readers = np.array([slot.node.index for slot in graph.slots])[slots]
    sizes = np.abs(circuit.scores[kept])
    sums = []
    for ends in (sources, readers):
        known = np.bincount(ends, ~np.isnan(sizes), minlength=len(graph.nodes))
        count = np.bincount(ends, minlength=len(graph.nodes))
        total = np.bincount(ends, np.nan_to_num(sizes, nan=0.0, posinf=np.inf), minlength=len(graph.nodes))
        sums.append((np.where((count > 0) & (known == 0), np.nan, total), count))
    (out, n_out), (into, n_into) = sums
    return NodeScores(circuit, out, into, n_out, n_into)
