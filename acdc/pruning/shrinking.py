"""A circuit that only shrinks, and only from the output back.

Whatever stands in front of a slot has to write what it does in the whole model when the slot
is asked about or loses edges: engines compute what a slot reads from that. So a slot that
sees the node of another one comes before it. Slots that don't see each other, such as those
of one layer's heads, may come in any order, and again and again.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import accumulate
from typing import NoReturn

import numpy as np

from acdc.asked import shown
from acdc.errors import SettingsError
from acdc.graph import Graph, Slot


@dataclass(frozen=True)
class Groups:
    """Groups of edges into one slot, which are removed one after another.

    Attributes:
        slot: the slot.
        edges: the numbers of all of them, in order, ``[edge]`` int64.
        ends: ``[group]`` where each ends in `edges`, as a list.
    """

    slot: Slot
    edges: np.ndarray
    ends: list[int]

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, i: int) -> np.ndarray:
        """Edge numbers of a group."""
        return self.edges[self.ends[i - 1] if i else 0 : self.ends[i]]

    def sources(self) -> list[list[int]]:
        """Of each group, the numbers of the nodes that its edges come from."""
        numbers = (self.edges - self.slot.first_edge).tolist()
        return [numbers[start:end] for start, end in zip([0, *self.ends], self.ends, strict=False)]


class Shrinking:
    """The circuit that is left, at first the whole graph.

    Attributes:
        graph: the graph.
        kept: ``[n_edges]`` bool; to be read only.
    """

    def __init__(self, graph: Graph, kept: np.ndarray | None = None) -> None:
        """Begin.

        Args:
            graph: the graph.
            kept: ``[n_edges]`` bool, the edges to begin with; by default all.
        """
        self.graph = graph
        self.kept = np.ones(graph.n_edges, dtype=bool) if kept is None else kept.copy()
        self._first_edges: list[int] = graph.first_edges.tolist()  # of slots; bisecting a list is quicker
        self._first: Slot | None = None  # of those that lost an edge, the one nearest to the input
        self._n_changes = 0

    def groups(self, groups: Sequence[np.ndarray]) -> Groups | None:
        """Groups that may be removed now, one after another; ``None`` for none.

        Raises:
            SettingsError: see :meth:`acdc.pruning.protocol.Pruning.removals`.
        """
        groups = list(groups)
        if not groups:
            return None
        try:
            edges = self._numbers(np.concatenate(groups))
        except ValueError:
            raise SettingsError("each group of edges is an array of their numbers; give a list of such.") from None
        sizes = [len(group) for group in groups]
        if 0 in sizes:
            raise SettingsError(f"group {1 + sizes.index(0)} of {len(groups)} holds no edge; leave it out.")
        slot = self._slot(edges[0])
        if not self._may_go(slot, edges):
            self._refuse_others(slot, edges)
            self._refuse(slot, edges)
        return Groups(slot, edges, list(accumulate(sizes)))

    def unchanged(self, values: Generator[float, bool | None, None]) -> Generator[float, bool | None, None]:
        """The values, as long as the circuit stays what it is now; what is sent goes where they come from.

        Raises:
            SettingsError: it has changed since.
        """
        return self._unchanged(values, self._n_changes)

    def _unchanged(
        self, values: Generator[float, bool | None, None], n_changes: int
    ) -> Generator[float, bool | None, None]:
        stayed = None
        with closing(values):
            while self._n_changes == n_changes:
                try:
                    value = values.send(stayed)
                except StopIteration:
                    return
                stayed = yield value
        raise SettingsError("the circuit has changed since these removals were asked about; ask `removals` again.")

    def remove(self, edges: np.ndarray) -> list[tuple[Slot, np.ndarray]]:
        """Take edges out.

        Returns:
            Slots, from the output back, and the edges that each loses, in the order given.

        Raises:
            SettingsError: see :meth:`acdc.pruning.protocol.Pruning.remove`.
        """
        edges = np.asarray(edges)
        if edges.ndim == 1 and not len(edges):
            return []
        edges = self._numbers(edges)
        slot = self._slot(edges[0])
        parts = [(slot, edges)]
        if not self._may_go(slot, edges):
            parts = self._by_slot(edges)
            for slot, own in parts:
                if not self._may_go(slot, own):
                    self._refuse(slot, own)
        for slot, own in parts:
            self.kept[own] = False
            if self._first is None or slot.node.index < self._first.node.index:
                self._first = slot
        self._n_changes += 1
        return parts

    def _by_slot(self, edges: np.ndarray) -> list[tuple[Slot, np.ndarray]]:
        """Edges of several slots, slots from the output back."""
        for outermost in (edges.min(), edges.max()):
            self._slot(outermost)
        number = np.searchsorted(self.graph.first_edges, edges, side="right") - 1  # [edge] of its slot
        return [(self.graph.slots[i], edges[number == i]) for i in np.unique(number)[::-1].tolist()]

    def _numbers(self, edges: np.ndarray) -> np.ndarray:
        """Edge numbers as int64."""
        if edges.ndim != 1 or edges.dtype.kind not in "iu":
            hint = "; of a mask, `np.flatnonzero` gives them" if edges.dtype.kind == "b" else ""
            raise SettingsError(f"edges are given as an array of their numbers, not {shown(edges)}{hint}.")
        return edges.astype(np.int64, copy=False)

    def _slot(self, edge: int | np.integer) -> Slot:
        """The slot of an edge's number. Raises :class:`SettingsError`."""
        if not 0 <= edge < self.graph.n_edges:
            self.graph.edge(edge)  # says so
        return self.graph.slots[bisect_right(self._first_edges, edge) - 1]

    def _may_go(self, slot: Slot, edges: np.ndarray) -> bool:
        """Whether a slot may lose these edges now; they may be of other slots."""
        first = self._first
        if first is not None and first.node.index < slot.n_parents:
            return False
        sources = edges - slot.first_edge
        if sources.min() < 0 or sources.max() >= slot.n_parents:
            return False
        return np.bincount(sources).max() == 1 and bool(self.kept[edges].all())

    def _refuse_others(self, slot: Slot, edges: np.ndarray) -> None:
        """Raise :class:`SettingsError` if some edges are not of a slot."""
        for outermost in (edges.min(), edges.max()):
            other = self._slot(outermost)
            if other != slot:
                raise SettingsError(
                    f"edges into {slot.name} and into {other.name} are asked about together; ask about one slot at a "
                    "time."
                )

    def _refuse(self, slot: Slot, edges: np.ndarray) -> NoReturn:
        """Raise :class:`SettingsError`, saying why a slot may not lose these of its edges now."""
        first = self._first
        if first is not None and first.node.index < slot.n_parents:
            raise SettingsError(
                f"{slot.name} comes too late: {first.name} in front of it has lost an edge already; go from the output "
                "back, or begin anew with the whole graph."
            )
        kept = self.kept[edges]
        if not kept.all():
            name = self.graph.edge(edges[int(kept.argmin())]).name
            raise SettingsError(f"{name} was removed before; leave it out.")
        most = int(np.bincount(edges - slot.first_edge).argmax())
        raise SettingsError(f"{self.graph.edge(slot.first_edge + most).name} is given twice; leave one out.")
