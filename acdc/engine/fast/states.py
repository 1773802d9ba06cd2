"""What of many circuits has to be computed, as plain data.

Of each circuit only edges matter that lie between the input and the logits; of each node
only its distinct *states*: two circuits in which a node reads the same sources, each in the
same state, have the same value there. Nothing here runs the model.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from acdc.graph import Graph, Slot


@dataclass(frozen=True)
class Component:
    """The heads of a layer, or its MLP: nodes whose slots have the same parents.

    Attributes:
        layer: which layer.
        slots: ``[letter and head]``, or the one of an MLP.
        first: number of its first node. n_nodes: how many they are.
    """

    layer: int
    slots: tuple[Slot, ...]
    first: int
    n_nodes: int

    @property
    def is_attention(self) -> bool:
        """Whether these are heads."""
        return self.slots[0].letter is not None

    @property
    def name(self) -> str:
        """``a3`` or ``m3``."""
        return f"{'a' if self.is_attention else 'm'}{self.layer}"

    @property
    def n_letters(self) -> int:
        """Slots of a node."""
        return len(self.slots) // self.n_nodes

    @property
    def n_parents(self) -> int:
        """Sources that each slot may read."""
        return self.slots[0].n_parents

    @property
    def nodes(self) -> slice:
        """Its nodes' numbers."""
        return slice(self.first, self.first + self.n_nodes)

    def of(self, masks: np.ndarray) -> np.ndarray:
        """Its part of masks, ``[circuit, n_edges]`` to ``[circuit, letter, node, parent]``, as a view."""
        edges = slice(self.slots[0].first_edge, self.slots[-1].edges.stop)
        return masks[:, edges].reshape(len(masks), self.n_letters, self.n_nodes, self.n_parents)


def components(graph: Graph) -> list[Component]:
    """All but the input and the logits, in topological order."""
    found: list[Component] = []
    slots, heads = list(graph.slots[:-1]), 3 * graph.cfg.n_heads
    while slots:
        n = 1 if slots[0].letter is None else heads
        part, slots = tuple(slots[:n]), slots[n:]
        first = part[0].node
        found.append(Component(first.layer or 0, part, first.index, 1 if n == 1 else graph.cfg.n_heads))
    return found


class Relevant:
    """The edges of some circuits that can matter, and where.

    Attributes:
        components: of the graph.
        kept: ``[circuit, n_edges]`` bool, the circuits without edges from which nothing follows.
        computed: ``[circuit, n_sources]`` bool, the nodes that write something else than when they are
            removed, and are read.
    """

    def __init__(self, graph: Graph, masks: np.ndarray, *, tied_heads: bool, only_from_input: bool) -> None:
        """Look at circuits.

        Args:
            graph: their graph.
            masks: ``[circuit, n_edges]`` bool.
            tied_heads: heads of a layer share a norm behind their sum, so that each depends on all.
            only_from_input: a node that nothing reaches from the input writes what it does when it is removed.
        """
        self.components, self._n_inputs = components(graph), graph.n_inputs
        kept = masks.copy()
        changed = np.zeros((len(kept), graph.n_sources), dtype=bool)
        changed[:, : graph.n_inputs] = True
        for part in self.components:
            edges, nodes = part.of(kept), changed[:, part.nodes]
            if only_from_input:
                edges &= changed[:, None, None, : part.n_parents]
                nodes |= edges.any((1, 3))
                if tied_heads:
                    nodes |= nodes.any(1, keepdims=True)
            else:
                nodes[:] = True
        logits = kept[:, graph.slots[-1].edges]
        logits &= changed
        read = logits.copy()
        for part in reversed(self.components):
            edges, nodes = part.of(kept), read[:, part.nodes]
            nodes &= changed[:, part.nodes]
            if tied_heads:
                nodes |= nodes.any(1, keepdims=True)
            edges &= nodes[:, None, :, None]
            read[:, : part.n_parents] |= edges.any((1, 2))
        self.kept, self.computed = kept, read & changed

    def __getitem__(self, circuits: slice) -> Relevant:
        """Those of some of the circuits."""
        found = copy(self)
        found.kept, found.computed = self.kept[circuits], self.computed[circuits]
        return found

    @property
    def n_everywhere(self) -> int:
        """How many of the sources, the first, are needed at every position, and not only where answers are read.

        Those that a key or a value reads, and all up to the last of them.
        """
        last = -1
        for part in self.components:
            if part.is_attention:
                read = part.of(self.kept)[:, 1:].any((0, 1, 2))  # [parent], by keys or values
                last = max(last, int(np.flatnonzero(read)[-1]) if read.any() else -1)
        return next(
            (part.nodes.stop for part in self.components if part.first <= last < part.nodes.stop), self._n_inputs
        )


@dataclass(frozen=True)
class Distinct:
    """What has to be computed of one node, or of nodes that are computed together.

    Attributes:
        nodes: which of its component's, from 0.
        examples: a circuit of each distinct state, ascending.
        circuits: those in which it is computed at all. states: the state of each of these.
    """

    nodes: tuple[int, ...]
    examples: np.ndarray
    circuits: np.ndarray
    states: np.ndarray


class Work:
    """All that has to be computed of a component: its nodes in their distinct states, those of a circuit together.

    Attributes:
        circuits: ``[item]`` the example of each, ascending. nodes: ``[item]`` which of the component's, from 0.
    """

    def __init__(self, found: list[Distinct]) -> None:
        of = [(node, one) for one in found for node in one.nodes]
        circuits = np.concatenate([one.examples for _, one in of])
        nodes = np.concatenate([np.full(len(one.examples), node) for node, one in of])
        order = np.lexsort((nodes, circuits))
        self.circuits, self.nodes = circuits[order], nodes[order]
        place = np.argsort(order)  # of each before they were put in order
        starts = np.cumsum([0] + [len(one.examples) for _, one in of])
        uses = [place[start + one.states] for start, (_, one) in zip(starts, of, strict=False)]
        self._item, self._circuit = np.concatenate(uses), np.concatenate([one.circuits for _, one in of])
        by_item = np.argsort(self._item, kind="stable")
        self._item, self._circuit = self._item[by_item], self._circuit[by_item]

    def blocks(self, most: int) -> Iterator[list[slice]]:
        """Items of so many circuits at most: those of each."""
        ends = [*(np.flatnonzero(np.diff(self.circuits)) + 1).tolist(), len(self.circuits)]
        each = [slice(start, end) for start, end in pairwise([0, *ends])]
        for first in range(0, len(each), most):
            yield each[first : first + most]

    def uses(self, items: slice) -> tuple[np.ndarray, np.ndarray]:
        """The circuits in which some items stand, ``[use]``, and which item stands there."""
        start, stop = np.searchsorted(self._item, [items.start, items.stop])
        return self._circuit[start:stop], self._item[start:stop]


class Plan:
    """What is computed of some circuits, in which order, and where it is put.

    Attributes:
        kept: ``[circuit, n_edges]`` bool, the edges that matter.
        n_everywhere: as :attr:`Relevant.n_everywhere`.
        steps: components in topological order, with what has to be computed of each.
        sources: for each circuit the sources that are computed, ascending.
    """

    def __init__(self, graph: Graph, relevant: Relevant, *, tied_heads: bool) -> None:
        self.kept, self.n_everywhere = relevant.kept, relevant.n_everywhere
        self._states = np.zeros((len(relevant.kept), graph.n_sources), dtype=np.int32)
        self.steps = [
            (part, distinct)
            for part in relevant.components
            if (distinct := self._distinct(part, relevant.computed, tied_heads=tied_heads))
        ]
        self.sources = [np.flatnonzero(row) for row in relevant.computed]
        self._everywhere = _numbered(relevant.computed[:, : self.n_everywhere])
        self._computed = relevant.computed
        self._answers = _numbered(relevant.computed)

    def rows(self, *, everywhere: bool) -> tuple[np.ndarray, np.ndarray]:
        """Where values are put: those of a circuit together, behind a row for what slots read without edges.

        Returns:
            The number of that row, ``[circuit]``, and of each source's, ``[circuit, source]``.
        """
        return self._everywhere if everywhere else self._answers

    def circuits_with(self, source: int) -> np.ndarray:
        """The circuits in which a source is read."""
        return np.flatnonzero(self._computed[:, source])

    def n_rows(self, *, everywhere: bool) -> int:
        """How many rows that makes."""
        return len(self.sources) + int(self._computed[:, : self.n_everywhere if everywhere else None].sum())

    def _distinct(self, part: Component, computed: np.ndarray, *, tied_heads: bool) -> list[Distinct]:
        """The distinct states of a component's nodes; those of its parents are known."""
        reads = part.of(self.kept)  # [circuit, letter, node, parent]
        read = np.where(reads, self._states[:, None, None, : part.n_parents] + 1, 0)
        every = tuple(range(part.n_nodes))
        found = []
        for nodes in [every] if tied_heads else [(node,) for node in every]:
            circuits = np.flatnonzero(computed[:, part.nodes][:, nodes].any(1))
            if not len(circuits):
                continue
            seen: dict[bytes, int] = {}
            states, examples = np.zeros(len(circuits), dtype=np.int64), list[int]()
            for i, row in enumerate(np.ascontiguousarray(read[circuits][:, :, nodes])):
                states[i] = seen.setdefault(row.tobytes(), len(seen))
                if len(seen) > len(examples):
                    examples.append(int(circuits[i]))
            for node in nodes:
                self._states[circuits, part.first + node] = states
            found.append(Distinct(nodes, np.array(examples), circuits, states))
        return found


def _numbered(chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers row by row: of each row itself, and behind it of its chosen entries; for others they mean nothing."""
    behind = np.cumsum(chosen).reshape(chosen.shape) + np.arange(len(chosen))[:, None]
    return behind[:, -1] - chosen.sum(1), behind
