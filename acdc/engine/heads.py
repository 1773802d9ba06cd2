"""A layer's heads, many at once and for many patched runs at once.

Unlike :meth:`acdc.models.attention.Attention.head`, which it is tested against, this
recomputes only the queries, keys and values whose inputs changed, at the positions that are
needed, with the norm's weights folded into contiguous projections.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from acdc.engine.indices import index
from acdc.engine.places import Places
from acdc.models.attention import Attention, PositionTable
from acdc.models.norms import Norm


@dataclass(frozen=True)
class _Projection:
    """``normalized(x) @ weight + bias`` for every query head, with what follows it.

    Attributes:
        weight: ``[head, d_model, d_head]``. bias: ``[head, 1, d_head]`` or ``None``.
        norm: norm of the result, over ``d_head`` or over all heads together.
        everything: for a norm over all heads, the whole projection ``[d_model, heads * d_head]``.
    """

    weight: Tensor
    bias: Tensor | None
    norm: Norm
    everything: tuple[Tensor, Tensor | None] | None
    rotated: bool


def normalized(norm: Norm, x: Tensor) -> Tensor:
    """A norm without its weight and bias, which the projections carry."""
    if norm.kind == "layer":
        return F.layer_norm(x, x.shape[-1:], eps=norm.eps)
    if norm.kind == "rms":
        square = torch.linalg.vector_norm(x, dim=-1, keepdim=True).pow_(2).div_(x.shape[-1])
        return x * torch.rsqrt(square + norm.eps)
    return x


def fold(norm: Norm, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Move a norm's weight and bias into the projection behind it, ``[..., d_model, width]``."""
    folded = weight if norm.weight is None else norm.weight[:, None] * weight
    if norm.bias is not None:
        extra = norm.bias @ weight  # [..., width]
        bias = extra if bias is None else bias + extra
    return folded.contiguous(), bias


class LayerHeads:
    """One layer's attention with its cached queries, keys, values and mixtures.

    Attributes:
        attention: the weights.
        q, z: ``[head, live place, d_head]``; `z` is the mixture in front of ``W_O``.
        k, v: ``[head, batch, pos, d_head]``, at every position, as queries see them all.
    """

    def __init__(self, attention: Attention, table: PositionTable, filled: Tensor, x: Tensor, live: Places) -> None:
        """Fold the weights and run the layer once.

        Args:
            attention: its weights.
            table: masks and rotations.
            filled: ``[batch, pos]`` bool, which positions hold a token.
            x: what all heads read in the clean run, ``[batch, pos, d_model]``.
            live: where it is going to be recomputed.
        """
        self.attention = attention
        self._table = table
        groups = [attention.group(head) for head in range(attention.n_heads)]
        self._projections = {
            "q": self._projection(attention.W_Q, attention.b_Q, attention.q_norm, list(range(attention.n_heads)), True),
            "k": self._projection(attention.W_K, attention.b_K, attention.k_norm, groups, True),
            "v": self._projection(attention.W_V, attention.b_V, Norm("none"), groups, False),
        }
        self.W_O = attention.W_O.contiguous()
        batch, length = filled.shape
        visible = table.visible[:length, :length] & filled[:, None, :]
        own = torch.eye(length, dtype=torch.bool, device=x.device)
        self._visible = visible | own & ~filled[:, :, None]  # [batch, pos_q, pos_k]
        heads = list(range(attention.n_heads))
        every = torch.arange(length, device=x.device).repeat(batch)
        k, v = (self._same_for_all(letter, x.flatten(0, 1), every) for letter in "kv")
        self.k, self.v = (found.view(len(heads), batch, length, -1) for found in (k, v))
        self.q = self._same_for_all("q", live.pick(x), live.position)
        self.z = self.mix(self.q[:, None], self.k[:, None], self.v[:, None], live)[:, 0]

    def _same_for_all(self, letter: str, x: Tensor, positions: Tensor) -> Tensor:
        """Projections of all heads that read the same, ``[place, d_model]`` to ``[head, place, d_head]``."""
        heads = list(range(self.attention.n_heads))
        return self.project(letter, heads, x.expand(len(heads), 1, *x.shape), positions)[:, 0]

    def project(self, letter: str, heads: list[int], x: Tensor, positions: Tensor) -> Tensor:
        """Queries, keys or values of some heads.

        Args:
            letter: which of them.
            heads: query heads.
            x: their inputs, ``[head, run, place, d_model]``.
            positions: ``[place]`` where in their prompts the inputs stand.

        Returns:
            ``[head, run, place, d_head]``
        """
        projection = self._projections[letter]
        x = normalized(self.attention.norm, x)
        shape, chosen = x.shape, index(heads, x.device)
        weight = projection.weight if len(heads) == len(projection.weight) else projection.weight[chosen]
        y = torch.bmm(x.reshape(len(heads), -1, shape[-1]), weight)  # [head, run * place, d_head]
        if projection.bias is not None:
            y += projection.bias[chosen]
        if projection.everything is not None:
            weight, bias = projection.everything
            square = _affine(x.reshape(-1, shape[-1]), weight, bias).pow(2).mean(-1)
            gain = torch.rsqrt(square + projection.norm.eps).view(len(heads), -1, 1)
            width = y.shape[-1]
            groups = [self.attention.group(head) for head in heads] if letter != "q" else heads
            if projection.norm.weight is not None:
                own = projection.norm.weight.view(-1, width)[index(groups, x.device)]  # [head, d_head]
                gain = gain * own[:, None]
            y = y * gain
        elif projection.norm.kind != "none":
            y = projection.norm(y)
        y = y.view(*shape[:-1], y.shape[-1])
        rotary = self._table.rotary
        return y if rotary is None or not projection.rotated else rotary.at(positions)(y)

    def mix(self, q: Tensor, k: Tensor, v: Tensor, places: Places) -> Tensor:
        """What attention makes of queries, keys and values.

        The number of runs may be 1 where something is the same in all of them.

        Args:
            q: queries, ``[head, run, place, d_head]``.
            k: keys, ``[head, run, batch, pos, d_head]``.
            v: values, likewise.
            places: where the queries stand.

        Returns:
            ``[head, run, place, d_head]``
        """
        scores = self.attention.scale * _per_run(places.by_prompt(q), k.transpose(-1, -2))
        if self.attention.soft_cap is not None:
            scores = self.attention.soft_cap * torch.tanh(scores / self.attention.soft_cap)
        rows = torch.arange(len(places.grid), device=places.grid.device)[:, None]
        visible = self._visible[rows, places.position[places.grid]]  # [batch, width, pos]
        scores = scores.masked_fill_(~visible, -torch.inf)
        pattern = scores.softmax(-1, dtype=torch.promote_types(scores.dtype, torch.float32)).to(v.dtype)
        return places.flat(_per_run(pattern, v))

    def _projection(
        self, weight: Tensor, bias: Tensor | None, qk_norm: Norm, groups: list[int], rotated: bool
    ) -> _Projection:
        folded, folded_bias = fold(self.attention.norm, weight, bias)
        n, d_model, width = folded.shape
        everything = None
        if qk_norm.weight is not None and qk_norm.weight.shape[0] == n * width != width:
            whole_bias = None if folded_bias is None else folded_bias.reshape(-1)
            everything = (folded.transpose(0, 1).reshape(d_model, n * width).contiguous(), whole_bias)
        own = folded if groups == list(range(n)) else folded[groups]
        own_bias = None if folded_bias is None else folded_bias[groups][:, None]
        return _Projection(own, own_bias, qk_norm, everything, rotated)


def _affine(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return x @ weight if bias is None else torch.addmm(bias, x, weight)


def _per_run(a: Tensor, b: Tensor) -> Tensor:
    """Matrix product over the last two dimensions of ``[head, run, batch, ., .]``, either with one run for all.

    Where only the left side differs between runs, the runs become rows of one product.
    """
    if b.shape[1] == 1 and a.shape[1] > 1:
        heads, runs, batch, rows, inner = a.shape
        flat = a.transpose(1, 2).reshape(heads, batch, runs * rows, inner)
        return (flat @ b[:, 0]).view(heads, batch, runs, rows, -1).transpose(1, 2)
    return a @ b
