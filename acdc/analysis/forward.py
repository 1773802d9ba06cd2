"""A run of the model that is kept, and goes on from any place in it with something else written or read there.

What is replaced is an activation (:mod:`acdc.analysis.activations`) at some positions. What comes before it, in layers
and, where the model sees backwards only, in positions, stays as it was and isn't computed again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from acdc.models.alike import vectors_of_all
from acdc.models.attention import PositionTable
from acdc.models.model import Model
from acdc.models.tokens import Tokens

#: What may be held at once beside the run, in bytes: patterns, keys and values, logits.
BYTES = 256 * 2**20
_COPIES = 3  # of patterns: scores, masked scores and weights

Stream = Float[Tensor, "batch pos d_model"]


@dataclass(frozen=True)
class Place:
    """What is replaced, and where.

    Attributes:
        kind: ``residual`` (the stream in front of a layer, or behind the last), ``heads``, ``attention``, ``mlps``
            (what they write), or ``q``, ``k``, ``v`` (what these slots read).
        layer: which layer; the number of layers for the stream behind the last.
        first: the first position.
    """

    kind: str
    layer: int
    first: int


class Forward:
    """One run of some prompts.

    Attributes:
        model, tokens: what is run.
        before: the residual stream in front of every layer, and behind the last, ``[batch, pos, d_model]`` each.
        between: the same behind the attention of every layer.
    """

    def __init__(self, model: Model, tokens: Tokens, embedded: Stream | None = None) -> None:
        """Run it.

        Args:
            model: the model.
            tokens: the prompts.
            embedded: the stream in front of the first layer; by default what the model embeds.
        """
        self.model, self.tokens = model, tokens
        self._filled = tokens.filled
        self._parallel = model.graph_config.parallel_attn_mlp
        self._has_mlps = not model.graph_config.attn_only
        self._tables = [model.table(layer, tokens) for layer in range(model.graph_config.n_layers)]
        self._kept: list[tuple[Tensor, Tensor]] = []  # keys and values of each layer, [kv_head, batch, pos, width]
        self._heads: tuple[int, Tensor] | None = None  # of the layer that was asked for last
        self.before: list[Stream] = [model.embed(tokens)[0] if embedded is None else embedded]
        self.between: list[Stream] = []
        for layer, table in enumerate(self._tables):
            x = self.before[-1]
            q, k, v = (vectors_of_all(self.model.attention[layer], letter, x, table) for letter in "qkv")
            self._kept.append((k, v))
            most = max(1, BYTES // self.pattern_bytes(0))
            parts = [
                self._attention(layer, q[:, rows], k[:, rows], v[:, rows], _part(table, rows, 0), self._filled[rows])
                for rows in torch.arange(len(x), device=x.device).split(most)
            ]
            self.between.append(x + torch.cat(parts))
            self.before.append(self._behind_mlp(layer, x, self.between[-1]))

    def pattern_bytes(self, start: int) -> int:
        """What a prompt's attention patterns of one layer take, of queries from a position on, while they are made."""
        width, most = self.tokens.ids.shape[1], max(4, self.before[0].element_size())
        return _COPIES * most * self.model.graph_config.n_heads * (width - start) * width

    def value(self, kind: str, layer: int) -> Float[Tensor, "one_or_head batch pos d_model"]:
        """An activation of a layer, ``[1, batch, pos, d_model]``; of all heads, ``[head, batch, pos, d_model]``.

        Args:
            kind: see :class:`Place`.
            layer: likewise.
        """
        if kind == "heads":
            if self._heads is None or self._heads[0] != layer:
                same = self.before[layer].expand(self.model.graph_config.n_heads, *self.before[layer].shape)
                self._heads = layer, self.model.heads(layer, same, same, same, self.tokens)[0]
            return self._heads[1]
        if kind == "attention":
            return (self.between[layer] - self.before[layer])[None]
        if kind == "mlps":
            return (self.before[layer + 1] - self.between[layer])[None]
        return self.before[layer][None]

    def go_on(
        self,
        place: Place,
        rows: Int[Tensor, " variant"],
        heads: Int[Tensor, " variant"],
        values: Float[Tensor, "variant replaced d_model"],
    ) -> tuple[Float[Tensor, "variant rest d_model"], int]:
        """Run on with an activation replaced, many at once.

        Args:
            place: what is replaced, and where.
            rows: the prompt of each.
            heads: the head of each, where there are heads.
            values: what stands there instead, from the first position on.

        Returns:
            The last residual stream, and the position that it begins at: the first that can have changed.
        """
        start = place.first if self.model.looks_back else 0
        at = slice(place.first - start, place.first - start + values.shape[1])
        layer = place.layer
        if place.kind == "residual":
            x = self.before[layer][rows, start:].clone()
            x[:, at] = values
            return self._from_layer(layer, x, rows, start), start
        if place.kind in "qkv":
            change = self._change_by_slots(place, rows, heads, values, start, at)
        else:
            now = self.value(place.kind, layer)[heads, rows, place.first : place.first + values.shape[1]]
            change = torch.zeros_like(self.before[layer][rows, start:])
            change[:, at] = values - now
        if place.kind != "mlps" and self._has_mlps and not self._parallel:
            between = self.between[layer][rows, start:] + change
            x = self._behind_mlp(layer, self.before[layer][rows, start:], between)
        else:
            x = self.before[layer + 1][rows, start:] + change
        return self._from_layer(layer + 1, x, rows, start), start

    def _from_layer(self, layer: int, x: Tensor, rows: Tensor, start: int) -> Tensor:
        """From the stream in front of a layer to the last one."""
        for each in range(layer, len(self._tables)):
            table = _part(self._tables[each], rows, start)
            q, k, v = (vectors_of_all(self.model.attention[each], letter, x, table) for letter in "qkv")
            k, v = (
                torch.cat((kept[:, rows, :start], new), 2) for kept, new in zip(self._kept[each], (k, v), strict=True)
            )
            between = x + self._attention(each, q, k, v, table, self._filled[rows])
            x = self._behind_mlp(each, x, between)
        return x

    def _change_by_slots(
        self, place: Place, rows: Tensor, heads: Tensor, values: Tensor, start: int, at: slice
    ) -> Tensor:
        """What a layer's attention adds otherwise when slots of single heads read other values."""
        layer = place.layer
        attention, x, whole = self.model.attention[layer], self.before[layer], self._tables[layer]
        own = {"q": vectors_of_all(self.model.attention[layer], "q", x[rows, start:], _part(whole, rows, start))}
        own |= {letter: kept[:, rows] for letter, kept in zip("kv", self._kept[layer], strict=True)}
        groups = [attention.group(head) for head in range(attention.n_heads)]
        vectors = {letter: each if letter == "q" else each[groups] for letter, each in own.items()}
        read = _part(whole, rows, place.first)
        new = vectors_of_all(self.model.attention[layer], place.kind, values, read)
        chosen = heads if place.kind == "q" else torch.tensor(groups, device=heads.device)[heads]
        variants = torch.arange(len(rows), device=rows.device)
        first = at.start if place.kind == "q" else place.first
        vectors[place.kind][heads, variants, first : first + values.shape[1]] = new[chosen, variants]
        found = self._attention(
            layer, vectors["q"], vectors["k"], vectors["v"], _part(whole, rows, start), self._filled[rows]
        )
        return found - (self.between[layer] - x)[rows, start:]

    def _attention(
        self, layer: int, q: Tensor, k: Tensor, v: Tensor, table: PositionTable, keys: Tensor
    ) -> Float[Tensor, "batch pos d_model"]:
        """What a layer's attention adds to the residual stream; keys and values of each head or of each group."""
        attention = self.model.attention[layer]
        groups = [attention.group(head) for head in range(attention.n_heads)]
        k, v = (each if len(each) == len(q) else each[groups] for each in (k, v))
        mixed = attention.mix(attention.weights(q, k, table, keys), v)  # [head, batch, pos, d_value]
        total = mixed.permute(1, 2, 0, 3).flatten(2) @ attention.W_O.flatten(0, 1)
        if attention.b_O is not None:
            total = total + attention.b_O
        total = attention.post_norm(total)
        return total if attention.multiplier == 1.0 else attention.multiplier * total

    def _behind_mlp(self, layer: int, before: Tensor, between: Tensor) -> Tensor:
        """The stream behind a layer, from those in front of it and behind its attention."""
        if not self._has_mlps:
            return between
        return between + self.model.mlp(layer, before if self._parallel else between)


def _part(table: PositionTable, rows: Tensor, start: int) -> PositionTable:
    """What a table says of queries of some prompts from a position on."""

    def part(given: Tensor, dims: int, queries: int = -2) -> Tensor:
        found = given[rows] if given.dim() > dims else given
        return found.narrow(queries, start, found.shape[queries] - start)

    rotary, bias, scale = table.rotary, table.bias, table.q_scale
    return PositionTable(
        None if rotary is None else replace(rotary, cos=part(rotary.cos, 2), sin=part(rotary.sin, 2)),
        part(table.visible, 2),
        None if bias is None else part(bias, 3),
        None if scale is None else part(scale, 1, -1),
    )
