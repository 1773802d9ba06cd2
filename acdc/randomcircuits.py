"""Circuits drawn by chance: a null to hold others against.

A few edges drawn at random are no circuit: hardly one is on a path from the input to the logits (of 32,491 edges of
GPT-2 small's graph, 649 drawn leave some 29). Walks are on paths by construction, so that what is drawn
is the size that counts. Nothing here imports torch.
"""

from __future__ import annotations

import numpy as np

from acdc.asked import whole
from acdc.errors import SettingsError
from acdc.graph import Graph

#: So many walks one after another that add nothing: the rest is sought among the edges that are left.
_IDLE = 100


def random_edges(graph: Graph, n: int, seed: int = 0) -> np.ndarray:
    """Edges drawn without regard to paths, each set of as many as likely as any other.

    Args:
        graph: of the edges.
        n: how many.
        seed: of the draw.

    Returns:
        ``[n_edges]`` bool, `n` of them; most are on no path, see :meth:`acdc.graph.Graph.on_path`.

    Raises:
        SettingsError: the graph hasn't as many.
    """
    kept = np.zeros(graph.n_edges, dtype=bool)
    kept[np.random.default_rng(seed).choice(graph.n_edges, _checked(graph, n), replace=False)] = True
    return kept


def random_walks(graph: Graph, n: int, seed: int = 0) -> np.ndarray:
    """Walks from the input to the logits, until they have `n` edges (Shi et al. 2024, arXiv 2410.13032).

    A walk goes on from a node by one of its edges out, each as likely as any other, so that the first edge is one of
    ``fan-out`` with equal chance. Of a split input, either half begins as many. Where a hundred walks have added
    nothing, they go through an edge that is left, drawn at random: to it by edges in, from it by edges out.

    Args:
        graph: of the walks.
        n: edges at least; the last walk may bring a few more.
        seed: of the draw.

    Returns:
        ``[n_edges]`` bool, each edge on a path.

    Raises:
        SettingsError: the graph hasn't as many.
    """
    n = _checked(graph, n)
    draws = np.random.default_rng(seed)
    slots_of = [[slot.index for slot in graph.slots_of(node)] for node in graph.nodes]
    n_parents = np.array([slot.n_parents for slot in graph.slots])
    readers = [np.flatnonzero(n_parents > source) for source in range(graph.n_sources)]
    kept = np.zeros(graph.n_edges, dtype=bool)

    def onward(node: int) -> list[int]:
        """Edges of a walk from a node to the logits."""
        walk = []
        while node < graph.n_sources:
            slot = graph.slots[int(draws.choice(readers[node]))]
            walk.append(slot.first_edge + node)
            node = slot.node.index
        return walk

    def back(node: int) -> list[int]:
        """Edges of a walk from the input to a node."""
        walk = []
        while node >= graph.n_inputs:
            slot = graph.slots[int(draws.choice(slots_of[node]))]
            node = int(draws.integers(slot.n_parents))
            walk.append(slot.first_edge + node)
        return walk

    idle = 0
    while (size := int(kept.sum())) < n:
        if idle < _IDLE:
            walk = onward(int(draws.integers(graph.n_inputs)))
        else:
            edge = graph.edge(int(draws.choice(np.flatnonzero(~kept))))
            walk = [*back(edge.source.index), edge.number, *onward(edge.slot.node.index)]
        kept[walk] = True
        if idle < _IDLE:  # once there, it stays so
            idle = 0 if int(kept.sum()) > size else idle + 1
    return kept


def _checked(graph: Graph, n: int) -> int:
    n = whole("n", n)
    if not 1 <= n <= graph.n_edges:
        raise SettingsError(f"a random circuit of this graph has 1 to {graph.n_edges:,} edges, not {n:,}.")
    return n
