"""The computational graph of a transformer: nodes, slots and edges as plain data.

Nodes write to the residual stream, slots read from it, and an edge is one node's
contribution to one slot's input. The names are those of EAP-IG and the MIB
benchmark (``input``, ``a5.h1``, ``m5``, ``logits``; slots ``a5.h1<q>``; edges
``a2.h2->a5.h5<k>``), so that files travel between tools.

With the nodes in topological order, the parents of every slot are exactly the
*first* ``n_parents`` nodes, because a reader sees all that was written before it.
A graph is therefore a list of nodes, a list of slots and one number a slot; its
edges are numbered but never stored. Sets of edges are boolean NumPy arrays of
length ``n_edges``, which keeps the 1.6 million edges of Llama-3.1-8B light.

Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

import numpy as np

from acdc.displayed import Displayed
from acdc.errors import SettingsError, UnknownNameError
from acdc.graphconfig import MAX_EDGES, MAX_NODES, GraphConfig
from acdc.wording import quoted

if TYPE_CHECKING:
    import networkx as nx

__all__ = ["MAX_EDGES", "MAX_NODES", "Edge", "Graph", "GraphConfig", "Letter", "Node", "NodeKind", "Slot"]

NodeKind = Literal["input", "embed", "pos_embed", "head", "mlp", "logits"]
Letter = Literal["q", "k", "v"]


@dataclass(frozen=True)
class Node:
    """A component that writes to the residual stream, or ``logits``, which reads it.

    Attributes:
        index: place in topological order; ``logits`` is the last.
        name: ``input``, ``a{layer}.h{head}``, ``m{layer}`` or ``logits``.
        kind: which of these it is.
        layer: the block it belongs to; ``None`` for input and logits.
        head: the head in its layer; ``None`` for anything but a head.
    """

    index: int
    name: str
    kind: NodeKind
    layer: int | None = None
    head: int | None = None


@dataclass(frozen=True)
class Slot:
    """A place where a node reads the residual stream.

    Attributes:
        index: place in topological order.
        name: ``a5.h1<q>``, ``m5`` or ``logits``.
        node: the node that reads here.
        letter: ``q``, ``k`` or ``v`` for a head's three slots, else ``None``.
        n_parents: the slot reads from nodes ``0 .. n_parents - 1``, all of them.
        first_edge: number of its first edge; the others follow in node order.
    """

    index: int
    name: str
    node: Node
    letter: Letter | None
    n_parents: int
    first_edge: int

    @property
    def edges(self) -> slice:
        """The numbers of its edges, as a slice into any per-edge array."""
        return slice(self.first_edge, self.first_edge + self.n_parents)


class Edge(NamedTuple):
    """One node's contribution to one slot's input; `number` indexes per-edge arrays."""

    number: int
    source: Node
    slot: Slot

    @property
    def name(self) -> str:
        """``a2.h2->a5.h5<k>``."""
        return f"{self.source.name}->{self.slot.name}"


class Graph(Displayed):
    """Nodes, slots and edges of one model, in topological order.

    Build one without a model::

        >>> graph = Graph.from_config(n_layers=12, n_heads=12)  # GPT-2 small
        >>> len(graph.nodes), graph.n_edges
        (158, 32491)
        >>> [slot.name for slot in graph.slots_of(graph.node("a5.h1"))]
        ['a5.h1<q>', 'a5.h1<k>', 'a5.h1<v>']
        >>> graph.edge("a2.h2->a5.h1<k>").source.layer
        2

    Attributes:
        cfg: what it was built from.
        nodes: all nodes, ``logits`` last.
        slots: all slots; within a layer q, k, v (each head by head), then the MLP.
        n_sources: nodes that write, i.e. all but ``logits``.
        n_inputs: those of them that write the input: 2 where it is split, else 1.
        n_edges: edges in all. The ACDC paper counts three placeholder edges a head
            besides (GPT-2 small: 32,923); they are not counted here.
    """

    _form: ClassVar = "circuits:graph_form"

    def __init__(self, cfg: GraphConfig) -> None:
        self.cfg = cfg
        self.nodes: tuple[Node, ...] = tuple(_nodes(cfg))
        self.slots: tuple[Slot, ...] = tuple(_slots(cfg, self.nodes))
        self.n_sources = len(self.nodes) - 1
        self.n_inputs = 2 if cfg.split_input else 1
        self.n_edges = self.slots[-1].edges.stop

    @classmethod
    def from_config(
        cls,
        n_layers: int,
        n_heads: int,
        d_model: int = 0,
        parallel_attn_mlp: bool = False,
        attn_only: bool = False,
        split_input: bool = False,
    ) -> Graph:
        """Build a graph from a model's shape alone; see :class:`GraphConfig`."""
        return cls(GraphConfig(n_layers, n_heads, d_model, parallel_attn_mlp, attn_only, split_input))

    def __repr__(self) -> str:
        return f"Graph({len(self.nodes)} nodes, {len(self.slots)} slots, {self.n_edges} edges)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Graph) and self.cfg == other.cfg

    def __hash__(self) -> int:
        return hash(self.cfg)

    @property
    def sources(self) -> tuple[Node, ...]:
        """The nodes that write to the residual stream."""
        return self.nodes[:-1]

    @cached_property
    def _node_by_name(self) -> dict[str, Node]:
        return {node.name: node for node in self.nodes}

    @cached_property
    def _slot_by_name(self) -> dict[str, Slot]:
        return {slot.name: slot for slot in self.slots}

    @cached_property
    def first_edges(self) -> np.ndarray:
        """First edge number of every slot, ``[n_slots]`` int64, ascending."""
        return np.array([slot.first_edge for slot in self.slots], dtype=np.int64)

    @cached_property
    def _slots_by_node(self) -> dict[int, tuple[Slot, ...]]:
        found: dict[int, list[Slot]] = {}
        for slot in self.slots:
            found.setdefault(slot.node.index, []).append(slot)
        return {index: tuple(slots) for index, slots in found.items()}

    def node(self, name: str) -> Node:
        """The node of that name. Raises :class:`UnknownNameError`."""
        try:
            return self._node_by_name[name]
        except KeyError:
            raise UnknownNameError("node", name, self._node_by_name) from None

    def slot(self, name: str) -> Slot:
        """The slot of that name (``a5.h1<q>``). Raises :class:`UnknownNameError`."""
        try:
            return self._slot_by_name[name]
        except KeyError:
            raise UnknownNameError("slot", name, self._slot_by_name) from None

    def slots_of(self, node: Node) -> tuple[Slot, ...]:
        """Where a node reads: three slots for a head, one for an MLP, none for the input."""
        return self._slots_by_node.get(node.index, ())

    def edge(self, name_or_index: str | int | np.integer) -> Edge:
        """An edge by its name (``a2.h2->a5.h5<k>``) or number.

        Raises:
            UnknownNameError: no such node or slot.
            SettingsError: the source doesn't come before the slot, or the number is
                out of range.
        """
        if not isinstance(name_or_index, str):
            index = int(name_or_index)
            if not 0 <= index < self.n_edges:
                raise SettingsError(f"edge number {index} is outside 0 .. {self.n_edges - 1}.")
            slot = self.slots[int(np.searchsorted(self.first_edges, index, side="right")) - 1]
            return Edge(index, self.nodes[index - slot.first_edge], slot)
        source_name, arrow, slot_name = name_or_index.partition("->")
        if not arrow:
            raise SettingsError(f"{quoted(name_or_index)} is not an edge; edges look like m0->a1.h3<k>.")
        source, slot = self.node(source_name), self.slot(slot_name)
        if source.index >= slot.n_parents:
            raise SettingsError(
                f"there is no edge {name_or_index}: {source_name} doesn't write before {slot_name} reads."
            )
        return Edge(slot.first_edge + source.index, source, slot)

    def edges(self, mask: np.ndarray | None = None) -> Iterator[Edge]:
        """Edges in topological order of their slots; only those in `mask`, if given.

        Args:
            mask: ``[n_edges]`` bool.
        """
        for slot in self.slots:
            chosen = range(slot.n_parents) if mask is None else np.flatnonzero(mask[slot.edges])
            for source in chosen:
                yield Edge(slot.first_edge + int(source), self.nodes[int(source)], slot)

    def ends(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The slot and the source of edges, by their indices: each ``[n]``, as `numbers` is."""
        slots = np.searchsorted(self.first_edges, numbers, side="right") - 1
        return slots, numbers - self.first_edges[slots]

    def edge_names(self, slot: Slot) -> list[str]:
        """Names of all edges into `slot`, in order; cheaper than making the edges."""
        return [f"{node.name}->{slot.name}" for node in self.nodes[: slot.n_parents]]

    def on_path(self, mask: np.ndarray) -> np.ndarray:
        """The edges of `mask` that lie on a path from the input to ``logits`` within it.

        Args:
            mask: ``[n_edges]`` bool.

        Returns:
            ``[n_edges]`` bool, a subset of `mask`.
        """
        self.check_mask(mask)
        reached = np.zeros(len(self.nodes), dtype=bool)  # some path comes from the input
        reached[: self.n_inputs] = True
        kept = np.zeros_like(mask)
        for slot in self.slots:  # topological: a slot's parents are settled before it
            kept[slot.edges] = mask[slot.edges] & reached[: slot.n_parents]
            reached[slot.node.index] |= bool(kept[slot.edges].any())
        useful = np.zeros(len(self.nodes), dtype=bool)  # some path goes on to the logits
        useful[-1] = True
        for slot in reversed(self.slots):
            if useful[slot.node.index]:
                useful[: slot.n_parents] |= kept[slot.edges]
            else:
                kept[slot.edges] = False
        return kept

    def among(self, nodes: np.ndarray) -> np.ndarray:
        """Every edge with both ends in a set of nodes, ``[n_nodes]`` bool to ``[n_edges]`` bool."""
        mask = np.zeros(self.n_edges, dtype=bool)
        for slot in self.slots:
            if nodes[slot.node.index]:
                mask[slot.edges] = nodes[: slot.n_parents]
        return mask

    def live_nodes(self, mask: np.ndarray) -> np.ndarray:
        """Which nodes an edge of `mask` touches, ``[n_nodes]`` bool."""
        self.check_mask(mask)
        live = np.zeros(len(self.nodes), dtype=bool)
        for slot in self.slots:
            live[: slot.n_parents] |= mask[slot.edges]
            live[slot.node.index] |= bool(mask[slot.edges].any())
        return live

    def check_mask(self, mask: object) -> None:
        """Raise :class:`SettingsError` unless `mask` is a boolean array of one entry an edge."""
        if not isinstance(mask, np.ndarray):
            got = f"a {type(mask).__name__}"
        elif mask.shape != (self.n_edges,) or mask.dtype != bool:
            got = f"{mask.dtype} of shape {mask.shape}"
        else:
            return
        raise SettingsError(
            f"a set of edges of this graph is a boolean array of shape ({self.n_edges},), got {got}; "
            "make one for this very graph."
        )

    def differences(self, other: Graph) -> list[str]:
        """What differs between two graphs, ``n_layers 2 against 4``; nothing where their edges are the same.

        A width of 0, which files without one have, is that of any model.
        """
        found = []
        for name, value in vars(self.cfg).items():
            theirs = getattr(other.cfg, name)
            if value != theirs and not (name == "d_model" and 0 in (value, theirs)):
                found.append(f"{name} {value} against {theirs}")
        return found

    def check_same(self, other: Graph) -> None:
        """Raise :class:`SettingsError` unless `other` has the same edges; the message says which sizes differ.

        Sets of edges of both can then be held against each other, entry by entry.
        """
        if differences := self.cfg.differences(other.cfg):
            raise SettingsError(f"they are of different graphs: {', '.join(differences)}.")

    def to_networkx(self, mask: np.ndarray | None = None) -> nx.MultiDiGraph:
        """The graph, or the part of it in `mask`, for networkx.

        Nodes are named as here, with attributes ``kind``, ``layer`` and ``head``; an
        edge's key is its slot's name and it has attributes ``name`` and ``letter``.
        Between two nodes there can be three edges (q, k and v), hence the multigraph.
        With a mask, nodes that no edge touches are left out.
        """
        import networkx as nx

        out = nx.MultiDiGraph()
        live = None if mask is None else self.live_nodes(mask)
        for node in self.nodes:
            if live is None or live[node.index]:
                out.add_node(node.name, kind=node.kind, layer=node.layer, head=node.head)
        for edge in self.edges(mask):
            out.add_edge(
                edge.source.name,
                edge.slot.node.name,
                key=edge.slot.name,
                name=edge.name,
                letter=edge.slot.letter,
            )
        return out


def _nodes(cfg: GraphConfig) -> Iterator[Node]:
    """All nodes in topological order."""
    kinds: tuple[NodeKind, ...] = ("embed", "pos_embed") if cfg.split_input else ("input",)
    index = 0
    for kind in kinds:
        yield Node(index, kind, kind)
        index += 1
    for layer in range(cfg.n_layers):
        for head in range(cfg.n_heads):
            yield Node(index, f"a{layer}.h{head}", "head", layer, head)
            index += 1
        if not cfg.attn_only:
            yield Node(index, f"m{layer}", "mlp", layer)
            index += 1
    yield Node(index, "logits", "logits")


def _slots(cfg: GraphConfig, nodes: tuple[Node, ...]) -> Iterator[Slot]:
    """All slots in topological order, with the length of their prefix of parents."""
    by_name = {node.name: node for node in nodes}
    letters: tuple[Letter, ...] = ("q", "k", "v")
    index = first_edge = 0

    def slot(node: Node, letter: Letter | None, n_parents: int) -> Slot:
        nonlocal index, first_edge
        name = node.name if letter is None else f"{node.name}<{letter}>"
        made = Slot(index, name, node, letter, n_parents, first_edge)
        index, first_edge = index + 1, first_edge + n_parents
        return made

    for layer in range(cfg.n_layers):
        before_layer = by_name[f"a{layer}.h0"].index
        for letter in letters:
            for head in range(cfg.n_heads):
                yield slot(by_name[f"a{layer}.h{head}"], letter, before_layer)
        if not cfg.attn_only:
            mlp = by_name[f"m{layer}"]
            yield slot(mlp, None, before_layer if cfg.parallel_attn_mlp else mlp.index)
    yield slot(nodes[-1], None, len(nodes) - 1)
