"""Circuits drawn by chance: what a circuit of that size does without being found.

Edges drawn uniformly are no such null: of GPT-2 small's 32,491, 649 drawn leave some 29 on a path, and fewer drawn
none, so that the circuit is empty in effect. Walks from the input to the logits are on paths by construction. Nothing
here imports torch.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from acdc.errors import SettingsError
from acdc.graph import Graph

__all__ = ["random_circuit", "random_edges", "random_walk"]

#: Walks in a row that add no edge, after which edges between nodes are drawn.
_IN_VAIN = 20


def random_edges(graph: Graph, n_edges: int, rng: np.random.Generator) -> np.ndarray:
    """Edges drawn without regard to paths, each set of as many as likely as any other.

    Args:
        graph: of the edges.
        n_edges: how many; most are on no path while they are few, see :meth:`acdc.graph.Graph.on_path`.
        rng: draws them.

    Returns:
        ``[n_edges]`` bool.

    Raises:
        SettingsError: the graph has no such number of edges.
    """
    _check(graph, n_edges)
    kept = np.zeros(graph.n_edges, dtype=bool)
    kept[rng.choice(graph.n_edges, n_edges, replace=False)] = True
    return kept


def random_walk(graph: Graph, rng: np.random.Generator) -> np.ndarray:
    """A walk from the input to the logits, each step a uniform out-edge of the node reached.

    Late layers are favoured: few out-edges are left there, and every one of them is as likely. Source: Shi et al.
    2024 (arXiv 2410.13032), whose walks begin at any node.

    Args:
        graph: to walk on.
        rng: draws the steps.

    Returns:
        ``[steps]`` int64, the numbers of its edges.
    """
    return _walk(graph, rng, np.zeros(graph.n_edges, dtype=bool), np.zeros(len(graph.nodes), dtype=bool), graph.n_edges)


def random_circuit(graph: Graph, n_edges: int, rng: np.random.Generator) -> np.ndarray:
    """Walks (:func:`random_walk`) put together until they have so many edges, each of which lies on a path.

    The last walks take only steps that don't lead beyond that number, so that the size is exact and can be set
    against a circuit's own on paths. Where walks add nothing any more, as in a circuit of nearly all edges, edges
    between nodes that it has are drawn for the rest.

    Args:
        graph: of the circuit.
        n_edges: its size.
        rng: draws the steps.

    Returns:
        ``[n_edges]`` bool.

    Raises:
        SettingsError: the graph has no such number of edges.
    """
    _check(graph, n_edges)
    while (found := _grown(graph, n_edges, rng)) is None:  # its nodes are joined in every way, and one edge is left
        pass
    return found


def _check(graph: Graph, n_edges: int) -> None:
    if not 1 <= n_edges <= graph.n_edges:
        raise SettingsError(
            f"a random circuit has from 1 edge to the {graph.n_edges:,} of its graph, not {n_edges:,}; ask for that."
        )


def _grown(graph: Graph, n_edges: int, rng: np.random.Generator) -> np.ndarray | None:
    """A random circuit; ``None`` where the walks led to one that can't be made larger by so few edges."""
    kept = np.zeros(graph.n_edges, dtype=bool)
    useful = np.zeros(len(graph.nodes), dtype=bool)  # lies on a walk
    left, in_vain = n_edges, 0
    while left:
        walk = _walk(graph, rng, kept, useful, left)
        if not kept[walk].all():
            in_vain = 0
        elif (in_vain := in_vain + 1) > _IN_VAIN:
            if len(single := _joining(graph, kept, useful)):
                walk = rng.choice(single, min(left, len(single)), replace=False)
            elif left == 1:
                return None
        left -= int((~kept[walk]).sum())
        kept[walk] = True
        useful[graph.ends(walk)[1]] = True
    return kept


def _walk(graph: Graph, rng: np.random.Generator, kept: np.ndarray, useful: np.ndarray, left: int) -> np.ndarray:
    """A walk of at most `left` edges that aren't kept; `useful` nodes reach the logits by kept ones."""
    n_parents, readers = _slots(graph)
    at, last, walk = int(rng.integers(graph.n_inputs)), len(graph.nodes) - 1, []
    while at != last:
        later = int(np.searchsorted(n_parents, at, side="right"))  # slots that read from here: the last ones
        edges, ends = graph.first_edges[later:] + at, readers[later:]
        if left < len(graph.nodes):  # else any walk has room
            needed = np.where(kept[edges], 0, 1) + np.where(useful[ends] | (ends == last), 0, 1)
            edges, ends = edges[needed <= left], ends[needed <= left]
        step = int(rng.integers(len(edges)))
        left -= int(not kept[edges[step]])
        walk.append(int(edges[step]))
        at = int(ends[step])
    return np.array(walk, dtype=np.int64)


@lru_cache(maxsize=8)
def _slots(graph: Graph) -> tuple[np.ndarray, np.ndarray]:
    """How many nodes each slot reads from, which never falls, and the node that reads."""
    return np.array([slot.n_parents for slot in graph.slots]), np.array([slot.node.index for slot in graph.slots])


def _joining(graph: Graph, kept: np.ndarray, useful: np.ndarray) -> np.ndarray:
    """Edges that aren't kept between nodes on walks, by number."""
    ends = useful.copy()
    ends[-1] = True
    found = np.zeros(graph.n_edges, dtype=bool)
    for slot in graph.slots:
        if ends[slot.node.index]:
            found[slot.edges] = useful[: slot.n_parents]
    return np.flatnonzero(found & ~kept)
