"""What a change of one node reaches through the kept edges, and at which positions.

A reader behind the node is recomputed if a kept edge leads to it from something that
changed. A node is needed at *every* position if some head's keys or values read it, or if
it is read by an MLP or a query of a node that is needed everywhere; else only at the answer
positions. Nothing here runs the model.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import get_args

import numpy as np

from acdc.graph import Graph, Letter, Node, Slot


@dataclass(frozen=True)
class Reads:
    """Slots of one kind whose input changes.

    Attributes:
        slots: the slots.
        whole: their inputs are needed at every position.
        mask: ``[slot, changed source]`` bool, which of the sources that changed so far each
            slot reads; for `whole`, of those that changed at every position.
    """

    slots: tuple[Slot, ...]
    whole: bool
    mask: np.ndarray

    @cached_property
    def columns(self) -> list[list[int]]:
        """Of each slot, which of the sources that changed it reads."""
        return [np.flatnonzero(row).tolist() for row in self.mask]


@dataclass(frozen=True)
class HeadStep:
    """Heads of one layer that are recomputed together.

    Attributes:
        layer: their layer.
        heads: their numbers.
        whole: they are needed at every position.
        reads: slots that changed, by letter.
        writes: sources that change by it: these heads, or, where heads share a norm behind
            their sum, all of the layer that something reads.
    """

    layer: int
    heads: tuple[int, ...]
    whole: bool
    reads: dict[Letter, Reads]
    writes: tuple[int, ...]


@dataclass(frozen=True)
class MlpStep:
    """An MLP that is recomputed."""

    layer: int
    whole: bool
    reads: Reads
    writes: tuple[int, ...]


@dataclass
class Downstream:
    """All that a change of one node reaches, in topological order.

    Attributes:
        first: sources that change with the node itself.
        whole: they are needed at every position.
        steps: what is recomputed after it.
        changed: all sources that change, in order.
        changed_whole: those of them that change at every position, in order.
        final: ``[changed source]`` bool, which of them the logits read.
    """

    first: tuple[int, ...]
    whole: bool
    steps: list[HeadStep | MlpStep] = field(default_factory=list)
    changed: list[int] = field(default_factory=list)
    changed_whole: list[int] = field(default_factory=list)
    final: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=bool))

    @property
    def final_sources(self) -> list[int]:
        """The sources that change and that the logits read, in order."""
        return [source for source, read in zip(self.changed, self.final, strict=True) if read]


def plan_downstream(
    graph: Graph, reads: np.ndarray, node: Node, *, tied_heads: bool = False, answers_only: bool = True
) -> Downstream:
    """Find what a change of `node` reaches.

    Args:
        graph: the graph.
        reads: ``[n_slots, n_sources]`` bool, the kept edges.
        node: the node whose output changes.
        tied_heads: heads of a layer share a norm behind their sum.
        answers_only: compute nodes at the answers alone where that is enough.
    """
    planner = _Planner(graph, reads, node, tied_heads)
    if not answers_only:
        planner.whole[:] = True
    return planner.plan(node)


class _Planner:
    def __init__(self, graph: Graph, reads: np.ndarray, node: Node, tied_heads: bool) -> None:
        self.graph, self.reads, self.tied = graph, reads, tied_heads
        self.read_at_all = np.logical_or.reduce(reads, axis=0)  # [n_sources] bool
        self.whole = self._needed_everywhere(node.index - (node.head or 0))

    def _needed_everywhere(self, first: int) -> np.ndarray:
        """``[n_sources]`` bool, right from a number on: nothing asks about those in front of it."""
        graph = self.graph
        whole = np.zeros(len(graph.nodes), dtype=bool)
        keys_values = np.array([slot.letter in ("k", "v") for slot in graph.slots])
        reader = np.array([slot.node.index for slot in graph.slots])
        for source in reversed(graph.sources[first:]):
            slots = self.reads[:, source.index]
            whole[source.index] = bool((slots & (keys_values | whole[reader])).any())
            if self.tied and source.kind == "head" and source.head == 0:
                heads = slice(source.index, source.index + graph.cfg.n_heads)
                whole[heads] = whole[heads].any()
        return whole

    def plan(self, node: Node) -> Downstream:
        graph = self.graph
        first = (node.index,) if node.head is None else self._writes(node.layer, [node.head])
        down = Downstream(first=first, whole=bool(self.whole[node.index]))
        self._change(down, first)
        for layer in range(node.layer or 0, graph.cfg.n_layers):
            if layer > (node.layer or 0) or node.layer is None:
                self._heads(down, layer)
            is_own = node.layer == layer and node.kind == "mlp"
            if not graph.cfg.attn_only and not is_own:
                self._mlp(down, layer)
        down.final = self.reads[-1, down.changed]
        return down

    def _writes(self, layer: int | None, heads: list[int]) -> tuple[int, ...]:
        start = self.graph.node(f"a{layer}.h0").index
        numbers = range(self.graph.cfg.n_heads) if self.tied else heads
        return tuple(start + head for head in numbers if self.read_at_all[start + head])

    def _change(self, down: Downstream, sources: tuple[int, ...]) -> None:
        down.changed += sources
        down.changed_whole += [source for source in sources if self.whole[source]]

    def _reads(self, down: Downstream, slots: list[Slot], whole: bool) -> Reads:
        columns = down.changed_whole if whole else down.changed
        mask = self.reads[np.ix_([slot.index for slot in slots], columns)]
        return Reads(tuple(slots), whole, mask)

    def _heads(self, down: Downstream, layer: int) -> None:
        graph, n_heads = self.graph, self.graph.cfg.n_heads
        start = graph.node(f"a{layer}.h0").index
        slots = {letter: [graph.slot(f"a{layer}.h{head}<{letter}>") for head in range(n_heads)] for letter in "qkv"}
        changed = {
            letter: np.logical_or.reduce(self.reads[np.ix_([slot.index for slot in found], down.changed)], axis=1)
            for letter, found in slots.items()
        }
        alive = np.array(self.read_at_all[start : start + n_heads], dtype=bool)
        if self.tied:
            alive[:] = alive.any()
        touched = (changed["q"] | changed["k"] | changed["v"]) & alive
        steps = []
        for whole in (False, True):
            heads = [head for head in range(n_heads) if touched[head] and self.whole[start + head] == whole]
            if not heads:
                continue
            reads: dict[Letter, Reads] = {}
            for letter in get_args(Letter):
                chosen = [slots[letter][head] for head in heads if changed[letter][head]]
                if chosen:
                    reads[letter] = self._reads(down, chosen, whole or letter != "q")
            steps.append(HeadStep(layer, tuple(heads), whole, reads, self._writes(layer, heads)))
        for step in steps:
            down.steps.append(step)
            self._change(down, step.writes)

    def _mlp(self, down: Downstream, layer: int) -> None:
        slot = self.graph.slot(f"m{layer}")
        source = slot.node.index
        if self.read_at_all[source] and self.reads[slot.index, down.changed].any():
            whole = bool(self.whole[source])
            down.steps.append(MlpStep(layer, whole, self._reads(down, [slot], whole), (source,)))
            self._change(down, (source,))
