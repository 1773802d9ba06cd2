"""A model taken apart into the paths that end in its logits, of which some carry other values.

In a treeified model (Goldowsky-Dill et al. 2023, arXiv 2304.05969) every node stands once for each way from it to the
logits, and reads copies of its own of all that it reads. Each path can then be given another value without touching
any other. Only the copies that a chosen path passes are run: all others write what they do in the unpatched run.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from acdc.analysis.pathnames import NodePath
from acdc.errors import SettingsError
from acdc.graph import Graph
from acdc.models.model import Model
from acdc.models.tokens import Tokens

#: Which paths a way to the logits is the end of: a path's number, and the place in it of the node that was met last.
State = frozenset[tuple[int, int]]

#: That of a copy at which a path begins: it writes the other value.
REPLACED: State = frozenset()
MOST_COPIES = 50_000


class Copy(NamedTuple):
    """A node as those ways to the logits read it that are alike to all paths."""

    node: int
    state: State


class Tree:
    """The copies of nodes that some paths pass.

    Where several nodes may carry a path from one of its nodes to the next, it stands for every path by way of them.

    Attributes:
        copies: those to run, readers behind what they read; the last is the logits.
        reads: of each, for each of its slots that a path enters: the copies whose values are other ones there.
    """

    def __init__(self, graph: Graph, paths: Sequence[NodePath], carriers: Bool[np.ndarray, " n_nodes"]) -> None:
        """Find them.

        Args:
            graph: of the model.
            paths: the paths.
            carriers: nodes that may carry any path unnamed.

        Raises:
            SettingsError: they are more than :data:`MOST_COPIES`.
        """
        self._graph, self._paths, self._carriers = graph, paths, np.flatnonzero(carriers).tolist()
        self._sees = [max((slot.n_parents for slot in graph.slots_of(node)), default=0) for node in graph.nodes]
        self.reads: dict[Copy, dict[int, tuple[Copy, ...]]] = {}
        states: dict[int, dict[State, None]] = defaultdict(dict)
        states[len(graph.nodes) - 1] = {frozenset((p, len(path.nodes) - 1) for p, path in enumerate(paths)): None}
        for node in reversed(range(len(graph.nodes))):
            for state in states.pop(node, {}):
                if state == REPLACED:
                    continue
                self.reads[Copy(node, state)] = found = self._reads(node, state)
                for read in found.values():
                    for copy in read:
                        states[copy.node][copy.state] = None
                if len(self.reads) > MOST_COPIES:
                    raise SettingsError(
                        f"the paths come apart into more than {MOST_COPIES:,} copies of nodes; give fewer at a time, "
                        'or `rest="frozen"`.'
                    )
        self.copies = list(reversed(self.reads))

    def _reads(self, node: int, state: State) -> dict[int, tuple[Copy, ...]]:
        """Copies that carry a path into a copy's slots, by slot."""
        found = {}
        for slot in self._graph.slots_of(self._graph.nodes[node]):
            met: dict[int, set[tuple[int, int]]] = defaultdict(set)
            for p, i in state:
                path = self._paths[p]
                if node == path.nodes[i] and slot.index not in path.slots[i - 1]:
                    continue
                met[path.nodes[i - 1]].add((p, i - 1))
                for carrier in self._between(path, i, slot.n_parents):
                    met[carrier].add((p, i))
            if met:
                found[slot.index] = tuple(Copy(source, _state(met[source])) for source in sorted(met))
        return found

    def _between(self, path: NodePath, place: int, n_parents: int) -> list[int]:
        """Nodes that may carry a path to one of its nodes from the one before, and are among a slot's parents."""
        before = path.nodes[place - 1]
        every = path.is_open and place == len(path.nodes) - 1
        carriers = range(before + 1, n_parents) if every else self._carriers
        return [node for node in carriers if before < node < n_parents and before < self._sees[node]]


def _state(met: set[tuple[int, int]]) -> State:
    return REPLACED if any(place == 0 for _, place in met) else frozenset(met)


@dataclass(frozen=True)
class Unpatched:
    """A run in which no path is patched.

    Attributes:
        tokens: the prompts, for their lengths.
        written: what every node writes, ``[n_sources, prompt, pos, d_model]``.
        streams: what every slot reads, ``[prompt, pos, d_model]`` each.
        raw: of each layer, what its heads write in front of the norm behind their sum, where there is one.
    """

    tokens: Tokens
    written: Float[Tensor, "n_sources prompt pos d_model"]
    streams: list[Float[Tensor, "prompt pos d_model"]]
    raw: list[Float[Tensor, "head prompt pos d_model"]]


def run_once(
    model: Model, graph: Graph, tokens: Tokens, inputs: Float[Tensor, "n_inputs prompt pos d_model"]
) -> Unpatched:
    """Run the model, and keep what slots read.

    Args:
        model: the model.
        graph: its graph.
        tokens: the prompts.
        inputs: what the input nodes write on them.
    """
    x, written, streams, raw = inputs.sum(0), list(inputs), [], []
    for layer, attention in enumerate(model.attention):
        table = model.table(layer, tokens)
        each = [attention.head(i, x, x, x, table, tokens.filled) for i in range(attention.n_heads)]
        outputs = torch.stack(each)  # [head, prompt, pos, d_model]
        heads, rest = attention.contributions(outputs)
        written += heads
        streams += [x] * (3 * attention.n_heads)
        y = x + heads.sum(0) if rest is None else x + heads.sum(0) + rest
        if model.tied_heads:
            raw.append(outputs)
        if not graph.cfg.attn_only:
            streams.append(x if graph.cfg.parallel_attn_mlp else y)
            written.append(model.mlp(layer, streams[-1]))
            y = y + written[-1]
        x = y
    return Unpatched(tokens, torch.stack(written), [*streams, x], raw)


class PatchedRun:
    """The copies of a tree run on some prompts.

    Where a norm stands behind the sum of a layer's heads, a reader sees that of the sum of the copies that it reads, in
    which heads that carry no path are as in the unpatched run; what it does to these heads' shares is of the path.
    """

    def __init__(
        self, model: Model, graph: Graph, base: Unpatched, other: Float[Tensor, "n_sources prompt pos d_model"]
    ) -> None:
        """Nothing is run yet.

        Args:
            model: the model.
            graph: its graph.
            base: the unpatched run.
            other: what nodes write where a path begins.
        """
        self._model, self._graph, self._base, self._other = model, graph, base, other
        self._outputs: dict[Copy, Tensor] = {}  # what a copy writes; heads that share a norm, in front of it
        self._sums: dict[tuple[Copy, ...], Tensor] = {}

    def residual(self, tree: Tree) -> Float[Tensor, "prompt pos d_model"]:
        """The last residual stream when the paths carry other values."""
        sources = {copy: set().union(*read.values()) for copy, read in tree.reads.items()}
        waiting = Counter(source for each in sources.values() for source in each)
        layer: int | None = -1
        result = self._base.streams[-1]
        for copy in tree.copies:
            node = self._graph.nodes[copy.node]
            if node.layer != layer:
                layer, self._sums = node.layer, {}
            result = self._outputs[copy] = self._run(copy, tree.reads[copy])
            for source in sources[copy]:
                waiting[source] -= 1
                if not waiting[source]:
                    self._outputs.pop(source, None)
        return result

    def _run(self, copy: Copy, read: dict[int, tuple[Copy, ...]]) -> Tensor:
        """What a copy writes; of the logits, what they read."""
        node = self._graph.nodes[copy.node]
        inputs = [
            self._base.streams[slot.index] + self._changed(read[slot.index])
            if slot.index in read
            else self._base.streams[slot.index]
            for slot in self._graph.slots_of(node)
        ]
        if node.layer is None:
            return inputs[0]
        if node.head is None:
            return self._model.mlp(node.layer, inputs[0])
        attention, tokens = self._model.attention[node.layer], self._base.tokens
        q, k, v = inputs
        output = attention.head(node.head, q, k, v, self._model.table(node.layer, tokens), tokens.filled)
        return output if self._model.tied_heads else attention.contributions(output[None])[0][0]

    def _changed(self, read: tuple[Copy, ...]) -> Tensor:
        """By how much the copies that a slot reads change its input; heads of a layer read alike, so it is kept."""
        if read not in self._sums:
            tied: dict[int, list[Copy]] = defaultdict(list)
            total = torch.zeros_like(self._base.streams[0])
            for copy in read:
                node = self._graph.nodes[copy.node]
                if copy.state == REPLACED:
                    total += self._other[copy.node] - self._base.written[copy.node]
                elif node.head is not None and node.layer is not None and self._model.tied_heads:
                    tied[node.layer].append(copy)
                else:
                    total += self._outputs[copy] - self._base.written[copy.node]
            for layer, copies in tied.items():
                replaced = [copy.node for copy in read if copy.state == REPLACED]
                total += self._of_tied(layer, copies, replaced)
            self._sums[read] = total
        return self._sums[read]

    def _of_tied(self, layer: int, copies: Sequence[Copy], replaced: Sequence[int]) -> Tensor:
        """The change of what a layer with a norm behind its heads adds, but for heads that are replaced."""
        attention, first = self._model.attention[layer], self._graph.node(f"a{layer}.h0").index
        outputs = self._base.raw[layer].clone()
        for copy in copies:
            outputs[copy.node - first] = self._outputs[copy]
        before, after = attention.contributions(self._base.raw[layer]), attention.contributions(outputs)
        others = [head for head in range(attention.n_heads) if first + head not in replaced]
        change = (after[0][others] - before[0][others]).sum(0)
        return change if before[1] is None or after[1] is None else change + (after[1] - before[1])
