"""What two circuits of one graph have in common: edges and nodes, by layer and by kind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from acdc.circuit import Circuit
from acdc.comparison.correlation import Correlation, correlation
from acdc.graph import Edge

_SOURCE_KINDS = ("input", "embed", "pos_embed", "head", "mlp")
_SLOT_KINDS = ("q", "k", "v", "mlp", "logits")


@dataclass(frozen=True)
class Overlap:
    """Two sets, counted.

    Attributes:
        first: members of the first set.
        second: members of the second.
        both: members of both.
    """

    first: int
    second: int
    both: int

    @property
    def only_first(self) -> int:
        """Members of the first set that aren't in the second."""
        return self.first - self.both

    @property
    def only_second(self) -> int:
        """Members of the second set that aren't in the first."""
        return self.second - self.both

    @property
    def jaccard(self) -> float | None:
        """Members of both sets over members of either; ``None`` where both are empty."""
        return _share(self.both, self.first + self.second - self.both)

    @property
    def share_of_first(self) -> float | None:
        """The share of the first set that is in the second; ``None`` where the first is empty."""
        return _share(self.both, self.first)

    @property
    def share_of_second(self) -> float | None:
        """The share of the second set that is in the first; ``None`` where the second is empty."""
        return _share(self.both, self.second)

    @classmethod
    def of(cls, first: np.ndarray, second: np.ndarray) -> Overlap:
        """That of two sets as boolean arrays of one length."""
        return cls(*(int(np.count_nonzero(chosen)) for chosen in (first, second, first & second)))

    def to_json(self) -> dict[str, Any]:
        """The counts, and the shares by their names here."""
        shares = {name: getattr(self, name) for name in ("jaccard", "share_of_first", "share_of_second")}
        return asdict(self) | {"only_first": self.only_first, "only_second": self.only_second} | shares


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


@dataclass(frozen=True, eq=False)
class Pair:
    """Two circuits, held against each other edge by edge.

    Edges count as they are kept, on a path from the input to the logits or not. A node counts where a
    kept edge touches it, ``input`` and ``logits`` too.

    Attributes:
        first: a circuit.
        second: another one of the same graph.

    Raises:
        SettingsError: they are of different graphs; says which sizes differ.
    """

    first: Circuit
    second: Circuit

    def __post_init__(self) -> None:
        self.first.graph.check_same(self.second.graph)

    @cached_property
    def edges(self) -> Overlap:
        """The kept edges of both."""
        return Overlap.of(self.first.in_graph, self.second.in_graph)

    @cached_property
    def nodes(self) -> Overlap:
        """The nodes that a kept edge touches."""
        return Overlap.of(*(one.graph.live_nodes(one.in_graph) for one in (self.first, self.second)))

    @cached_property
    def by_layer(self) -> Mapping[str, Overlap]:
        """Kept edges by where they arrive: ``logits``, then ``layer 3`` and so on downwards; those that have some."""
        graph = self.first.graph
        names = [*(f"layer {layer}" for layer in range(graph.cfg.n_layers)), "logits"]
        slots, _ = self._ends
        layer_of = np.array([len(names) - 1 if slot.node.layer is None else slot.node.layer for slot in graph.slots])
        counted = self._counted(layer_of[slots], names)
        return dict(reversed(counted.items()))

    @cached_property
    def by_kind(self) -> Mapping[str, Overlap]:
        """Kept edges by kind of source and slot, ``head->k`` or ``input->mlp``; those that have some."""
        graph = self.first.graph
        slots, sources = self._ends
        from_ = np.array([_SOURCE_KINDS.index(node.kind) for node in graph.sources])
        to = np.array([_SLOT_KINDS.index(slot.letter or slot.node.kind) for slot in graph.slots])
        names = [f"{source}->{slot}" for source in _SOURCE_KINDS for slot in _SLOT_KINDS]
        return self._counted(from_[sources] * len(_SLOT_KINDS) + to[slots], names)

    @cached_property
    def scores(self) -> Correlation:
        """How alike the two rank the edges that both have scored."""
        return correlation(self.first.scores, self.second.scores)

    def only_first(self, n: int | None = None) -> list[Edge]:
        """The edges that only the first circuit keeps, or `n` of them, by the size of their score there."""
        return strongest(self.first, self.first.in_graph & ~self.second.in_graph, n)

    def only_second(self, n: int | None = None) -> list[Edge]:
        """The edges that only the second circuit keeps, or `n` of them, by the size of their score there."""
        return strongest(self.second, self.second.in_graph & ~self.first.in_graph, n)

    def both(self, n: int | None = None) -> list[Edge]:
        """The edges that both keep, or `n` of them, by the size of their score in the first."""
        return strongest(self.first, self.first.in_graph & self.second.in_graph, n)

    def to_json(self) -> dict[str, Any]:
        """All counts, as plain data."""
        groups = {"by_layer": self.by_layer, "by_kind": self.by_kind}
        return {
            "edges": self.edges.to_json(),
            "nodes": self.nodes.to_json(),
            **{name: {key: one.to_json() for key, one in group.items()} for name, group in groups.items()},
            "scores": asdict(self.scores),
        }

    @cached_property
    def _kept(self) -> np.ndarray:
        """The numbers of the edges that either keeps, ``[n]`` ascending."""
        return np.flatnonzero(self.first.in_graph | self.second.in_graph)

    @cached_property
    def _ends(self) -> tuple[np.ndarray, np.ndarray]:
        """The slot and the source of each edge that either keeps, by their indices, ``[n]`` each."""
        return self.first.graph.ends(self._kept)

    def _counted(self, group: np.ndarray, names: Iterable[str]) -> dict[str, Overlap]:
        """The overlap within each group, by its name; `group` numbers that of each edge that either keeps."""
        names = list(names)
        first, second = self.first.in_graph[self._kept], self.second.in_graph[self._kept]
        counts = (np.bincount(group[chosen], minlength=len(names)) for chosen in (first, second, first & second))
        rows = zip(names, *(count.tolist() for count in counts), strict=True)
        return {name: Overlap(a, b, both) for name, a, b, both in rows if a or b}


def strongest(circuit: Circuit, mask: np.ndarray, n: int | None = None) -> list[Edge]:
    """The edges of `mask`, or `n` of them, by the size of their score in a circuit; NaN comes last, ties by number."""
    numbers = np.flatnonzero(mask)
    order = np.argsort(-np.abs(circuit.scores[numbers]), kind="stable")  # which puts NaN last
    return [circuit.graph.edge(number) for number in numbers[order[:n]]]
