"""A layer's heads, many at once and for many patched runs at once.

Unlike :meth:`acdc.models.attention.Attention.head`, which it is tested against, this
recomputes only the queries, keys and values whose inputs changed, at the positions that are
needed, with the norm's weights folded into contiguous projections.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from acdc.engine.fast.indices import index
from acdc.engine.fast.norms import centred, fold, less_mean, normalized
from acdc.engine.fast.places import Places
from acdc.engine.sizes import Sizes
from acdc.graph import Letter
from acdc.models.attention import Attention, Latent, PositionTable, Rotary, spans_heads
from acdc.models.norms import Norm
from acdc.models.products import pairwise_products, product


@dataclass(frozen=True)
class _Projection:
    """``normalized(x) @ weight + bias`` for every query head, with what stands before and behind it.

    Attributes:
        weight: ``[head, d_model, d_head]``. bias: ``[head, 1, d_head]`` or ``None``.
        norm: norm of the result, over ``d_head`` (with one weight for all, or each query head's own,
            ``[head, 1, d_head]``) or over all heads together.
        everything: for a norm over all heads, the whole projection ``[d_model, heads * d_head]``.
        latent: what is projected, where it isn't the normed input; in place of ``d_model`` its width.
        rotary: the rotation of the result, if there is one. scale: ``[..., pos]`` a factor of it, likewise.
    """

    weight: Tensor
    bias: Tensor | None
    norm: Norm
    everything: tuple[Tensor, Tensor | None] | None
    latent: Latent | None
    rotary: Rotary | None = None
    scale: Tensor | None = None


#: Queries and mixtures (what stands in front of ``W_O``), ``[head, live place, d_head]``; keys and values at
#: every position, as queries see them all, ``[head, batch, pos, d_head]``.
VectorKind = Literal["q", "k", "v", "z"]
HeadVectors = dict[VectorKind, Tensor]
#: One run may stand for all.
Queries = Float[Tensor, "head #run place d_head"]
Keys = Float[Tensor, "head #run batch pos d_head"]
Values = Float[Tensor, "head #run batch pos d_value"]


class LayerHeads:
    """One layer's attention.

    Attributes:
        attention: the weights.
        W_O: its last ones, ``[head, d_head, d_model]``, contiguous.
    """

    def __init__(self, attention: Attention, table: PositionTable, filled: Bool[Tensor, "batch pos"]) -> None:
        """Fold the weights.

        Args:
            attention: its weights.
            table: masks and rotations.
            filled: which positions hold a token.
        """
        self.attention = attention
        self._projections = {letter: self._projection(letter) for letter in get_args(Letter)}
        self.W_O = attention.W_O.contiguous()
        self._joint: dict[Letter, tuple[tuple[str | int, ...], Tensor]] = {}  # heads' weights side by side
        self._stand_on(table, filled)

    def on(self, table: PositionTable, filled: Bool[Tensor, "batch pos"]) -> LayerHeads:
        """The same weights on other prompts; see :meth:`__init__`."""
        found = copy(self)
        found._stand_on(table, filled)
        return found

    def _stand_on(self, table: PositionTable, filled: Tensor) -> None:
        rotary, scale = {"q": table.rotary, "k": table.rotary}, {"q": table.q_scale}
        self._projections = {
            letter: replace(one, rotary=rotary.get(letter), scale=scale.get(letter))
            for letter, one in self._projections.items()
        }
        _, length = filled.shape
        visible = table.visible[..., :length, :length] & filled[:, None, :]
        own = torch.eye(length, dtype=torch.bool, device=filled.device)
        self._visible = visible | own & ~filled[:, :, None]  # [batch, pos_q, pos_k]
        self._hidden: list[tuple[Places, Tensor]] = []  # two at most: live places and answers
        self._turned: list[tuple[Places, Rotary]] = []  # likewise
        self._bias: Tensor | None = None  # [head, 1 or batch, pos_q, pos_k]
        if table.bias is not None:
            bias = table.bias if table.bias.dim() == 4 else table.bias[None]
            self._bias = bias[..., :length, :length].transpose(0, 1)

    def vectors(self, x: Float[Tensor, "batch pos d_model"], live: Places) -> HeadVectors:
        """All heads' vectors where all of them read the same, as in the whole model.

        Args:
            x: what they read.
            live: where queries and mixtures are wanted.
        """
        k, v = self.keys_and_values(x)
        q = self._same_for_all("q", live.pick(x), live)
        heads = list(range(self.attention.n_heads))
        z = self.mix(heads, q[:, None], k[:, None], v[:, None], live)[:, 0]
        return {"q": q, "k": k, "v": v, "z": z}

    def keys_and_values(
        self, x: Float[Tensor, "batch pos d_model"]
    ) -> tuple[Float[Tensor, "head batch pos d_head"], Float[Tensor, "head batch pos d_value"]]:
        """All heads' keys and values where all of them read `x`."""
        batch, length, _ = x.shape
        every = Places.of([range(length)] * batch, x.device)
        k, v = self._same_for_all("k", x.flatten(0, 1), every), self._same_for_all("v", x.flatten(0, 1), every)
        return k.unflatten(1, (batch, length)), v.unflatten(1, (batch, length))

    def _same_for_all(self, letter: Letter, x: Tensor, places: Places) -> Tensor:
        """Projections of all heads that read the same, ``[place, d_model]`` to ``[head, place, d_head]``."""
        heads = list(range(self.attention.n_heads))
        return self.project(letter, heads, x.expand(len(heads), 1, *x.shape), places)[:, 0]

    def project(
        self,
        letter: Letter,
        heads: list[int],
        x: Float[Tensor, "#head run place d_model"],
        places: Places,
        *,
        spoils_input: bool = False,
    ) -> Float[Tensor, "head run place d_head"]:
        """Queries, keys or values of some heads.

        Args:
            letter: which of them.
            heads: query heads.
            x: their inputs; one, where all of them read the same.
            places: where the inputs stand.
            spoils_input: the inputs may be written over, which is quicker.
        """
        projection, scale = self._projections[letter], None
        # Where nothing is in between, the narrow projection is scaled instead of the inputs.
        may_wait = spoils_input or self.attention.norm.kind == "rms"
        if may_wait and self.is_linear(letter):
            scale = centred(self.attention.norm, x)
        else:
            x = normalized(self.attention.norm, x)
        if projection.latent is not None:
            x = projection.latent(x)
        y = self._products(letter, heads, x.reshape(len(x), -1, x.shape[-1]))  # [head, run * place, d_head]
        if scale is not None:
            y *= scale.view(len(x), -1, 1)
        return self._finished(letter, heads, y.view(len(heads), *x.shape[1:-1], -1), places, x)

    def is_linear(self, letter: Letter) -> bool:
        """Whether projections are linear in their inputs, but for the norm's scale."""
        return self._projections[letter].latent is None and self._projections[letter].everything is None

    def first_products(
        self, letter: Letter, heads: list[int], x: Float[Tensor, "head place d_model"]
    ) -> Float[Tensor, "head place d_head"]:
        """Projections of inputs of some heads, up to the norm's scale and without biases; of :meth:`is_linear` ones."""
        return pairwise_products(less_mean(self.attention.norm, x), self._own(letter, heads))

    def project_changed(
        self,
        letter: Letter,
        heads: list[int],
        gain: Float[Tensor, "head run place 1"] | None,
        before: Float[Tensor, "head place d_head"],
        change: Float[Tensor, "run place k"],
        written: Float[Tensor, "head k d_model"],
        places: Places,
    ) -> Float[Tensor, "head run place d_head"]:
        """Like :meth:`project`, where inputs change by ``change @ written`` from those that had the products `before`.

        Args:
            letter: which projections.
            heads: query heads.
            gain: what the norm multiplies their inputs after the change by.
            before: what :meth:`first_products` made of them.
            change: narrow.
            written: what it makes of each head's inputs.
            places: where the inputs stand.
        """
        own = self._own(letter, heads)
        narrow = pairwise_products(less_mean(self.attention.norm, written), own)  # [head, k, d_head]
        y = pairwise_products(change.flatten(0, 1).expand(len(heads), -1, -1), narrow)
        y = y.view(len(heads), *change.shape[:-1], -1)
        y += before[:, None]
        if gain is not None:
            y *= gain
        return self._finished(letter, heads, y, places)

    def _finished(self, letter: Letter, heads: list[int], y: Tensor, places: Places, x: Tensor | None = None) -> Tensor:
        """What stands behind products `y`, ``[head, run, place, .]``; of inputs `x`, if they aren't linear."""
        projection, chosen = self._projections[letter], index(heads, y.device)
        if projection.bias is not None:
            y += projection.bias[chosen][:, None]
        rotary = None if projection.rotary is None else self._rotary_at(projection.rotary, places)
        if rotary is not None and rotary.before_norm:
            y = rotary(y)
        if projection.everything is not None and x is not None:
            y = self._normed_over_heads(letter, heads, x, y.flatten(1, 2)).view_as(y)
        elif projection.norm.kind != "none":
            y = _of_heads(projection.norm, chosen)(y.flatten(1, 2)).view_as(y)
        if self.attention.clip is not None:
            y = y.clamp(-self.attention.clip, self.attention.clip)
        if rotary is not None and not rotary.before_norm:
            y = rotary(y)
        if projection.scale is None:
            return y
        at = (places.position,) if projection.scale.dim() == 1 else (places.prompt, places.position)
        return y * projection.scale[at][:, None]

    def _normed_over_heads(self, letter: Letter, heads: list[int], x: Tensor, y: Tensor) -> Tensor:
        """Projections `y` of inputs `x`, ``[head, row, d_head]``, where one norm is over those of all heads."""
        projection = self._projections[letter]
        if projection.everything is None:
            return y
        weight, bias = projection.everything
        square = product(x.reshape(-1, x.shape[-1]), weight, bias).pow(2).mean(-1)
        gain = torch.rsqrt(square + projection.norm.eps).view(len(x), -1, 1)
        if projection.norm.weight is not None:
            groups = [self.attention.group(head) for head in heads] if letter != "q" else heads
            own = projection.norm.weight.view(-1, y.shape[-1])[index(groups, x.device)]  # [head, d_head]
            gain = gain * own[:, None]
        return y * gain

    def _products(self, letter: Letter, heads: list[int], rows: Tensor) -> Tensor:
        """Rows times heads' weights, ``[head or 1, row, width]`` to ``[head, row, d_head]``.

        Of one input for all heads it is one product, whose weights are kept of the heads asked for last.
        """
        weights = self._projections[letter].weight
        if len(rows) == len(heads):
            return pairwise_products(rows, self._own(letter, heads))
        key = (letter, *heads)
        if self._joint.get(letter, (None,))[0] != key:
            weight = weights[index(heads, rows.device)]
            self._joint[letter] = key, weight.transpose(0, 1).flatten(1).contiguous()
        y = product(rows[0], self._joint[letter][1])  # [row, head * d_head]
        return y.view(rows.shape[1], len(heads), -1).transpose(0, 1).contiguous()

    def _own(self, letter: Letter, heads: list[int]) -> Tensor:
        """Some heads' weights, ``[head, width, d_head]``."""
        weights = self._projections[letter].weight
        if len(heads) == 1:
            return weights[heads[0]][None]  # no copy
        return weights if heads == list(range(len(weights))) else weights[index(heads, weights.device)]

    def mix(
        self, heads: list[int], q: Queries, k: Keys, v: Values, places: Places
    ) -> Float[Tensor, "head run place d_value"]:
        """What attention makes of queries, keys and values.

        The number of runs may be 1 where something is the same in all of them.

        Args:
            heads: query heads.
            q: queries.
            k: keys.
            v: values.
            places: where the queries stand.
        """
        scores = self.attention.scale * _per_run(places.by_prompt(q), k.transpose(-1, -2))
        if self.attention.soft_cap is not None:
            scores = self.attention.soft_cap * torch.tanh(scores / self.attention.soft_cap)
        if self._bias is not None:
            rows = torch.arange(len(places.grid), device=places.grid.device)[:, None]
            own = self._bias[index(heads, q.device)].expand(-1, len(rows), -1, -1)  # [head, batch, pos_q, pos_k]
            scores += own[:, rows, places.position[places.grid]][:, None]
        scores = scores.masked_fill_(self._hidden_from(places), -torch.inf)  # [head, run, batch, width, pos]
        length = scores.shape[-1]
        if self.attention.sinks is not None:
            sinks = self.attention.sinks[index(heads, q.device)].to(scores)[:, None, None, None, None]
            scores = torch.cat((scores, sinks.expand(*scores.shape[:-1], 1)), -1)
        return places.flat(_per_run(_softmax(scores)[..., :length].to(v.dtype), v))

    def _rotary_at(self, rotary: Rotary, places: Places) -> Rotary:
        """The rotation of some places; kept of the places asked for last."""
        for known, turned in self._turned:
            if known is places:
                return turned
        turned = rotary.at(places.prompt, places.position)
        self._turned = [(places, turned), *self._turned[:1]]
        return turned

    def _hidden_from(self, places: Places) -> Bool[Tensor, "batch width pos"]:
        """Which keys queries at some places don't see; kept of the places asked for last."""
        for known, hidden in self._hidden:
            if known is places:
                return hidden
        rows = torch.arange(len(places.grid), device=places.grid.device)[:, None]
        hidden = ~self._visible[rows, places.position[places.grid]]
        self._hidden = [(places, hidden), *self._hidden[:1]]
        return hidden

    def _projection(self, letter: Letter) -> _Projection:
        """A letter's, but for what depends on prompts."""
        attention = self.attention
        weight, bias, qk_norm, latent = attention.parts(letter)
        n, d_model, width = weight.shape
        groups = list(range(n)) if letter == "q" else [attention.group(head) for head in range(attention.n_heads)]
        everything = None
        if latent is None:
            weight, bias = fold(attention.norm, weight, bias)
        else:
            folded, folded_bias = fold(attention.norm, latent.weight, latent.bias)
            latent = replace(latent, weight=folded, bias=folded_bias)
        if spans_heads(qk_norm, weight):
            whole_bias = None if bias is None else bias.reshape(-1)
            everything = (weight.transpose(0, 1).reshape(d_model, n * width).contiguous(), whole_bias)
        elif qk_norm.weight is not None and qk_norm.weight.dim() == 2:
            bias_of_heads = None if qk_norm.bias is None else qk_norm.bias[groups][:, None]
            qk_norm = replace(qk_norm, weight=qk_norm.weight[groups][:, None], bias=bias_of_heads)
        own = weight if groups == list(range(n)) else weight[groups]
        own_bias = None if bias is None else bias[groups][:, None]
        return _Projection(own, own_bias, qk_norm, everything, latent)


def _of_heads(norm: Norm, heads: Tensor) -> Norm:
    """A norm of whose weights each head has its own, for some heads; any other as it is."""
    if norm.weight is None or norm.weight.dim() == 1:
        return norm
    bias = None if norm.bias is None else norm.bias[heads]
    return replace(norm, weight=norm.weight[heads], bias=bias)


def _per_run(a: Tensor, b: Tensor) -> Tensor:
    """Matrix product over the last two dimensions of ``[head, run, batch, ., .]``, either with one run for all.

    Where only the left side differs between runs, the runs become rows of one product.
    """
    if b.shape[1] == 1 and a.shape[1] > 1:
        heads, runs, batch, rows, inner = a.shape
        flat = a.transpose(1, 2).reshape(heads, batch, runs * rows, inner)
        return (flat @ b[:, 0]).view(heads, batch, runs, rows, -1).transpose(1, 2)
    return a @ b


#: Keys of which a softmax in plain passes is quicker on a CPU: torch's own goes row by row.
_FEW_KEYS = 64


def _softmax(scores: Tensor) -> Tensor:
    """Over the last dimension, in float32 at least; scores may be written over."""
    if scores.device.type != "cpu" or scores.shape[-1] > _FEW_KEYS or torch.finfo(scores.dtype).bits < 32:
        return scores.softmax(-1, dtype=torch.promote_types(scores.dtype, torch.float32))
    pattern = scores.sub_(scores.amax(-1, keepdim=True)).exp_()
    return pattern.div_(pattern.sum(-1, keepdim=True))


def head_bytes(sizes: Sizes) -> int:
    """All layers' weights, folded and contiguous."""
    return sizes.element * 4 * sizes.n_layers * sizes.n_heads * sizes.d_head * sizes.d_model
