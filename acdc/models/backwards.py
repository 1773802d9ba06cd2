"""The whole model a layer at a time, forwards once and backwards to every slot.

Where no edge is removed, all slots of a layer's heads read one residual stream: it is normed once and projected for
all heads at once, and only the gradients are apart. That at a slot is what flows back through its own projection
and no other. A layer has an autograd graph of its own, so that nothing but its own gradients is held on the way back.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

import torch
from jaxtyping import Float
from torch import Tensor

from acdc.graph import Graph, Slot
from acdc.models.attention import spans_heads
from acdc.models.model import Model
from acdc.models.tokens import Tokens


class Read(ABC):
    """Nodes of a layer that were run on one residual stream.

    Attributes:
        slots: where they read.
        sources: their indices.
        written: what each of them writes, ``[node, batch, pos, d_model]``, without a graph.
        total: what comes to the residual stream by them, ``[batch, pos, d_model]``.
    """

    slots: Sequence[Slot]
    sources: slice
    written: Float[Tensor, "node batch pos d_model"]
    total: Float[Tensor, "batch pos d_model"]

    @abstractmethod
    def back(
        self, gradient: Float[Tensor, "batch pos d_model"]
    ) -> Iterator[tuple[Sequence[Slot], Float[Tensor, "slot batch pos d_model"]]]:
        """From the gradient at `total` to those at the slots, some at a time. Once."""


@dataclass
class _Cut:
    """Where the vectors of one letter are parted by heads.

    Attributes:
        leaf: what each head's own way begins with.
        pull: from gradients at the leaf to those at what the slots read, ``[slot, batch, pos, d_model]``.
    """

    leaf: Tensor
    pull: Callable[[Tensor], Tensor]


class Heads(Read):
    """A layer's heads.

    Attributes:
        projected: queries, keys and values of all heads by their letters, ``[head, batch, pos, d_head]`` with a graph,
            as the weights and biases make them: no norm of theirs and no rotation yet, but where it spans all heads.
    """

    projected: dict[str, Tensor]

    def __init__(self, model: Model, layer: int, slots: Sequence[Slot], x: Tensor, tokens: Tokens) -> None:
        """Run them.

        Args:
            model: the model.
            layer: which layer.
            slots: theirs, q of all heads, then k, then v.
            x: what they read, ``[batch, pos, d_model]``.
            tokens: the prompts, for their lengths.
        """
        self.slots, first = slots, slots[0].node.index
        self._attention = attention = model.attention[layer]
        self.sources = slice(first, first + attention.n_heads)
        self._x = x.detach()
        table = model.table(layer, tokens)
        self._cuts: dict[str, _Cut] = {}
        with torch.enable_grad():
            vectors, self.projected = {}, {}
            for letter in "qkv":
                own = [head if letter == "q" else attention.group(head) for head in range(attention.n_heads)]
                self.projected[letter] = self._project(letter, own)
                vectors[letter] = attention.behind(letter, self.projected[letter], own, table)
            weights = attention.weights(vectors["q"], vectors["k"], table, tokens.filled)
            mixed = attention.mix(weights, vectors["v"])
            heads = torch.bmm(mixed.flatten(1, 2), attention.W_O).unflatten(1, mixed.shape[1:3])
            written, rest = attention.contributions(heads)
            total = written.sum(0)
            self.total = total if rest is None else total + rest
        self.written = written.detach()

    def _project(self, letter: str, own: list[int]) -> Tensor:
        """Projections of all heads, ``[head, batch, pos, d_head]``, each with a way of its own from here."""
        attention = self._attention
        weight, bias, qk_norm, _ = attention.parts(letter)
        before = partial(attention.before, letter)
        if spans_heads(qk_norm, weight):
            # A head's own vector hangs on the whole projection, through the scale of the norm.
            def spanning(x: Tensor) -> Tensor:
                return attention.spanning(letter, before(x))

            def pull(gradients: Tensor) -> Tensor:
                alone = gradients.new_zeros(len(own), len(weight), *gradients.shape[1:])
                alone[range(len(own)), own] = gradients
                return _pulled(spanning, self._x, alone)

            with torch.no_grad():
                leaf = spanning(self._x)[own]
            self._cuts[letter] = _Cut(leaf.requires_grad_(), pull)
            return leaf
        with torch.no_grad():
            leaf = before(self._x).expand(len(own), -1, -1, -1)
        self._cuts[letter] = _Cut(leaf.requires_grad_(), partial(_pulled, before, self._x))
        weight = weight if own == list(range(len(weight))) else weight[own]
        y = torch.bmm(leaf.flatten(1, 2), weight).unflatten(1, leaf.shape[1:3])
        return y if bias is None else y + bias[own, None, None]

    def at_projections(self, gradient: Tensor) -> dict[str, Tensor]:
        """From the gradient at `total` to those at what is `projected`, in front of :meth:`back`."""
        found = torch.autograd.grad(
            self.total, [self.projected[letter] for letter in "qkv"], gradient, retain_graph=True
        )
        return dict(zip("qkv", found, strict=True))

    def back(self, gradient: Tensor) -> Iterator[tuple[Sequence[Slot], Tensor]]:
        """One letter after the other, v first."""
        n = self._attention.n_heads
        found = torch.autograd.grad(self.total, [self._cuts[letter].leaf for letter in "qkv"], gradient)
        gradients = dict(zip("qkv", found, strict=True))
        del found, self.total, self.projected
        for i, letter in reversed(list(enumerate("qkv"))):
            yield self.slots[i * n : (i + 1) * n], self._cuts.pop(letter).pull(gradients.pop(letter))


class Mlp(Read):
    """A layer's MLP."""

    def __init__(self, model: Model, layer: int, slot: Slot, x: Tensor) -> None:
        """Run it on ``[batch, pos, d_model]``."""
        self.slots, self.sources = [slot], slice(slot.node.index, slot.node.index + 1)
        self._x = x.detach().requires_grad_()
        with torch.enable_grad():
            self.total = model.mlp(layer, self._x)
        self.written = self.total.detach()[None]

    def back(self, gradient: Tensor) -> Iterator[tuple[Sequence[Slot], Tensor]]:
        """The one."""
        (found,) = torch.autograd.grad(self.total, self._x, gradient)
        del self.total
        yield self.slots, found[None]


class Layers:
    """The steps of a model between its input and its last residual stream.

    A step is what is run on one residual stream: a layer's heads, then its MLP; or both, where blocks are parallel.

    Attributes:
        n_steps: how many there are.
    """

    def __init__(self, model: Model, graph: Graph, tokens: Tokens) -> None:
        """Nothing is run yet.

        Args:
            model: the model.
            graph: its graph.
            tokens: the prompts, for their lengths.
        """
        self._model, self._tokens = model, tokens
        self._steps: list[list[tuple[int, Sequence[Slot]]]] = []  # layer and slots of what each step runs
        slots = iter(graph.slots)
        for layer in range(graph.cfg.n_layers):
            self._steps.append([(layer, list(islice(slots, 3 * graph.cfg.n_heads)))])
            if not graph.cfg.attn_only:
                mlp: tuple[int, Sequence[Slot]] = (layer, [next(slots)])
                if graph.cfg.parallel_attn_mlp:
                    self._steps[-1].append(mlp)
                else:
                    self._steps.append([mlp])
        self.n_steps = len(self._steps)

    def run(self, step: int, x: Float[Tensor, "batch pos d_model"]) -> list[Read]:
        """Run a step on the residual stream in front of it."""
        return [
            Heads(self._model, layer, slots, x, self._tokens)
            if len(slots) > 1
            else Mlp(self._model, layer, slots[0], x)
            for layer, slots in self._steps[step]
        ]

    def step_behind(self, source: int) -> int:
        """The first step that reads what a node writes; :attr:`n_steps` for the last residual stream."""
        for number, parts in enumerate(self._steps):
            if source < parts[0][1][0].n_parents:
                return number
        return self.n_steps


def _pulled(function: Callable[[Tensor], Tensor], x: Tensor, gradients: Tensor) -> Tensor:
    """Many gradients at ``function(x)``, ``[n, ...]``, pulled back to `x`, ``[n, *x.shape]``."""
    with torch.enable_grad():
        leaf = x.detach().requires_grad_()
        y = function(leaf)
    if y is leaf:
        return gradients
    return torch.autograd.grad(y, leaf, gradients, is_grads_batched=True)[0]
