"""One layer's attention as a function of every head's own q, k and v input.

A head is a function of *its* three inputs alone: each is normed and projected by
itself, with the layer's weights. Where a query-key norm spans all heads (OLMo-2), the
scale is computed from the head's own input through the whole projection, which equals
the model's when all heads read the same residual stream.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from acdc.models.norms import Norm, check_frozen
from acdc.models.rules import NO_RULES, BackwardRules, handed_back_by, scaled_back

if TYPE_CHECKING:
    from acdc.models.freezing import FrozenLayer


@dataclass(frozen=True)
class Rotary:
    """Rotary position embedding (Su et al. 2021, arXiv 2104.09864) of the first ``r`` dimensions.

    Attributes:
        cos, sin: ``[pos, r]``, or ``[prompt, pos, r]`` where they depend on a prompt's length.
        interleaved: pairs are neighbours (GPT-J) instead of halves (GPT-NeoX, Llama).
        before_norm: queries and keys are turned before they are normed (HunYuan), not after.
    """

    cos: Float[Tensor, "*prompt pos r"]
    sin: Float[Tensor, "*prompt pos r"]
    interleaved: bool
    before_norm: bool = False

    def __call__(self, x: Float[Tensor, "*batch pos d_head"]) -> Float[Tensor, "*batch pos d_head"]:
        """Rotate ``[..., pos, d_head]``; ``[prompt, pos, d_head]`` where the rotation depends on the prompt."""
        r = self.cos.shape[-1]
        turned, rest = x[..., :r], x[..., r:]
        if self.interleaved:
            quarter = torch.stack((-turned[..., 1::2], turned[..., ::2]), -1).flatten(-2)
        else:
            quarter = torch.cat((-turned[..., r // 2 :], turned[..., : r // 2]), -1)
        length = x.shape[-2]
        return torch.cat((turned * self.cos[..., :length, :] + quarter * self.sin[..., :length, :], rest), -1)

    def at(self, prompt: Int[Tensor, " place"], position: Int[Tensor, " place"]) -> Rotary:
        """The rotation of some positions of some prompts, ``[place]`` both."""
        at = (position,) if self.cos.dim() == 2 else (prompt, position)
        return replace(self, cos=self.cos[at], sin=self.sin[at])


@dataclass(frozen=True)
class PositionTable:
    """What attention knows of positions, for one length of prompt or for prompts side by side.

    Attributes:
        rotary: the rotation of queries and keys, if the model has one.
        visible: ``[..., pos_q, pos_k]`` bool, which keys a query may see.
        bias: ``[..., head, pos_q, pos_k]``, what is added to the scores (ALiBi), if anything is.
        q_scale: ``[..., pos_q]``, what queries are multiplied by (Llama 4's temperature), if by anything.

    The dots stand for nothing, or for ``prompt`` where the table depends on a prompt's length.
    """

    rotary: Rotary | None
    visible: Bool[Tensor, "*prompt pos_q pos_k"]
    bias: Float[Tensor, "*prompt head pos_q pos_k"] | None = None
    q_scale: Float[Tensor, "*prompt pos_q"] | None = None


@dataclass(frozen=True)
class Latent:
    """What stands between the residual stream and the heads' projections where they share one (DeepSeek-V2 and V3).

    Multi-head latent attention (DeepSeek-AI 2024, arXiv 2405.04434): a projection to a few
    dimensions, the first of which are normed.

    Attributes:
        weight: ``[d_model, latent]``. bias: ``[latent]`` or ``None``.
        norm: of the first `normed` dimensions; the others (keys that are rotated) pass as they are.
    """

    weight: Float[Tensor, "d_model latent"]
    bias: Float[Tensor, " latent"] | None
    norm: Norm
    normed: int

    def __call__(self, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch latent"]:
        """``[..., d_model]`` to ``[..., latent]``."""
        y = x @ self.weight if self.bias is None else x @ self.weight + self.bias
        return torch.cat((self.norm(y[..., : self.normed]), y[..., self.normed :]), -1)

    def with_norm(self, change: Callable[[Norm], Norm]) -> Latent:
        """The same with its norm changed."""
        return replace(self, norm=change(self.norm))

    def with_bias_weight(self, weight: Float[Tensor, ""]) -> Latent:
        """The same with its biases multiplied by a number."""
        other = self.with_norm(lambda norm: norm.with_bias_weight(weight))
        return other if self.bias is None else replace(other, bias=self.bias * weight)


@dataclass(frozen=True)
class Attention:
    """Weights of one layer's attention.

    Attributes:
        norm: the norm in front of it.
        W_Q: ``[head, d_model, d_head]``. W_K, W_V: ``[kv_head, d_model, d_head]``. Behind a latent they read
            that instead of the residual stream, and values may be of another width.
        W_O: ``[head, d_head, d_model]``.
        b_Q: ``[head, d_head]``. b_K, b_V: ``[kv_head, d_head]``. b_O: ``[d_model]``.
        q_norm, k_norm: norms of queries and keys; over one head's ``d_head`` (with weights that may be each
            head's own, ``[head, d_head]``) or over all heads together.
        scale: multiplies the scores.
        soft_cap: scores become ``cap * tanh(score / cap)``, if given.
        post_norm: the norm behind the sum of the heads (Gemma 2 and 3, OLMo-2).
        multiplier: what the block's output is multiplied by (Granite), else 1.
        q_latent: what queries are projected from, if it isn't the normed residual stream. kv_latent: likewise.
        clip: queries, keys and values are cut off at plus and minus this (OLMo-1), if given.
        sinks: ``[head]``, scores of a key that every query sees and that has no value (gpt-oss), if given.
        rules: what the way back does otherwise than the gradient.
        frozen: how heads look, ``[head, prompt, pos, pos]``, whatever they read; see :mod:`acdc.models.freezing`.
    """

    norm: Norm
    W_Q: Float[Tensor, "head q_width d_head"]
    W_K: Float[Tensor, "kv_head k_width d_head"]
    W_V: Float[Tensor, "kv_head v_width d_value"]
    W_O: Float[Tensor, "head d_value d_model"]
    b_Q: Float[Tensor, "head d_head"] | None
    b_K: Float[Tensor, "kv_head d_head"] | None
    b_V: Float[Tensor, "kv_head d_value"] | None
    b_O: Float[Tensor, " d_model"] | None
    q_norm: Norm
    k_norm: Norm
    scale: float
    soft_cap: float | None
    post_norm: Norm
    multiplier: float = 1.0
    q_latent: Latent | None = None
    kv_latent: Latent | None = None
    clip: float | None = None
    sinks: Float[Tensor, " head"] | None = None
    rules: BackwardRules = NO_RULES
    frozen: Float[Tensor, "head prompt pos pos"] | None = None

    def with_frozen(self, layer: FrozenLayer) -> Attention:
        """The same with what is frozen of its layer."""
        norm, post_norm = self.norm.with_frozen(layer.attention), self.post_norm.with_frozen(layer.heads)
        return replace(self, norm=norm, post_norm=post_norm, frozen=layer.pattern)

    def with_rules(self, rules: BackwardRules) -> Attention:
        """The same with a way back by the rules."""

        def of_latent(latent: Latent | None) -> Latent | None:
            return None if latent is None else latent.with_norm(lambda norm: norm.with_rules(rules))

        return replace(
            self,
            rules=rules,
            norm=self.norm.with_rules(rules),
            q_norm=self.q_norm.with_rules(rules),
            k_norm=self.k_norm.with_rules(rules),
            post_norm=self.post_norm.with_rules(rules),
            q_latent=of_latent(self.q_latent),
            kv_latent=of_latent(self.kv_latent),
        )

    def with_bias_weight(self, weight: Float[Tensor, ""]) -> Attention:
        """The same with all biases of what it writes multiplied by a number, not those of where it looks."""
        return replace(
            self,
            norm=self.norm.with_bias_weight(weight),
            post_norm=self.post_norm.with_bias_weight(weight),
            kv_latent=None if self.kv_latent is None else self.kv_latent.with_bias_weight(weight),
            b_V=None if self.b_V is None else self.b_V * weight,
            b_O=None if self.b_O is None else self.b_O * weight,
        )

    @property
    def n_heads(self) -> int:
        """Query heads."""
        return self.W_Q.shape[0]

    @property
    def d_model(self) -> int:
        """Width of the residual stream."""
        return self.W_O.shape[-1]

    def group(self, head: int) -> int:
        """The key and value head that a query head reads."""
        return head // (self.n_heads // self.W_K.shape[0])

    def head(
        self,
        head: int,
        q_in: Float[Tensor, "batch pos d_model"],
        k_in: Float[Tensor, "batch pos d_model"],
        v_in: Float[Tensor, "batch pos d_model"],
        table: PositionTable,
        keys: Bool[Tensor, "batch pos"],
    ) -> Float[Tensor, "batch pos d_model"]:
        """One head's output before the sum over heads, without the output bias.

        Args:
            head: which query head.
            q_in: what its query slot reads, ``[batch, pos, d_model]``.
            k_in: what its key slot reads, likewise.
            v_in: what its value slot reads, likewise.
            table: positions.
            keys: ``[batch, pos]`` bool, which positions hold a token.

        Returns:
            ``[batch, pos, d_model]``
        """
        v = self.value(self.group(head), v_in, table)
        return self.mix(self.pattern(head, q_in, k_in, table, keys), v) @ self.W_O[head]

    def pattern(
        self,
        head: int,
        q_in: Float[Tensor, "batch pos d_model"],
        k_in: Float[Tensor, "batch pos d_model"],
        table: PositionTable,
        keys: Bool[Tensor, "batch pos"],
    ) -> Float[Tensor, "batch pos pos"]:
        """How much a head looks from each position (the first ``pos``) at each other one.

        Args are those of :meth:`head`. Rows sum to 1, or to less where a head has a sink.

        Returns:
            ``[batch, pos, pos]``, in float32 at least.
        """
        q, k = self.query(head, q_in, table), self.key(self.group(head), k_in, table)
        return self.weights(q[None], k[None], table, keys, slice(head, head + 1))[0]

    def mix(
        self, weights: Float[Tensor, "*head batch pos_q pos_k"], v: Float[Tensor, "*head batch pos_k d_value"]
    ) -> Float[Tensor, "*head batch pos_q d_value"]:
        """What heads gather of values, in front of ``W_O``."""
        return weights.to(v.dtype) @ v

    def weights(
        self,
        q: Float[Tensor, "head batch pos_q d_head"],
        k: Float[Tensor, "head batch pos_k d_head"],
        table: PositionTable,
        keys: Bool[Tensor, "batch pos_k"],
        heads: slice = slice(None),
    ) -> Float[Tensor, "head batch pos_q pos_k"]:
        """How much some heads look from each position at each other one, by their queries and keys.

        Args:
            q: queries as they meet the keys; of the last positions alone, where there are fewer than keys.
            k: keys, of each query head.
            table: positions; its rows are the queries'.
            keys: ``[batch, pos_k]`` bool, which positions hold a token.
            heads: which query heads these are.

        Returns:
            ``[head, batch, pos_q, pos_k]``, in float32 at least.
        """
        scores = self.scale * (q @ k.transpose(-1, -2))  # [head, batch, pos_q, pos_k]
        if (cap := self.soft_cap) is not None:
            scores = self.rules.elementwise(lambda x: cap * torch.tanh(x / cap), scores)
        length, seen = scores.shape[-2:]
        if table.bias is not None:
            bias = table.bias[..., heads, :length, :seen].movedim(-3, 0)
            scores = scores + (bias if bias.dim() == 4 else bias[:, None])
        visible = table.visible[..., :length, :seen] & keys[:, None, :]
        # A query past its prompt's end may see no key at all; it then sees itself, so that
        # nothing becomes NaN. No position that counts reads it.
        itself = torch.eye(seen, dtype=torch.bool, device=keys.device)[seen - length :]
        visible = visible | itself & ~keys[:, seen - length :, None]
        scores = scores.masked_fill(~visible, -torch.inf)
        if self.sinks is not None:
            sinks = self.sinks[heads].view(-1, 1, 1, 1)
            scores = torch.cat((scores, sinks.expand(*scores.shape[:-1], 1)), -1)
        accurate = torch.promote_types(scores.dtype, torch.float32)  # as the models themselves do
        pattern = self.rules.softmax(scores, accurate)[..., :seen]
        if self.frozen is not None:
            check_frozen(pattern.shape[1:], self.frozen.shape[1:])
            return handed_back_by(self.frozen[heads], scaled_back(pattern, 0.0))
        return scaled_back(pattern, 0.0) if self.rules.pattern else pattern

    def query(
        self, head: int, x: Float[Tensor, "batch pos d_model"], table: PositionTable
    ) -> Float[Tensor, "batch pos d_head"]:
        """A head's queries as they meet the keys, ``[batch, pos, d_model]`` to ``[batch, pos, d_head]``."""
        return self._project("q", x, head, table)

    def key(
        self, group: int, x: Float[Tensor, "batch pos d_model"], table: PositionTable
    ) -> Float[Tensor, "batch pos d_head"]:
        """The same of the keys that a group of heads has."""
        return self._project("k", x, group, table)

    def value(
        self, group: int, x: Float[Tensor, "batch pos d_model"], table: PositionTable
    ) -> Float[Tensor, "batch pos d_value"]:
        """What each position holds for those that look at it, likewise; ``W_O`` comes behind."""
        return self._project("v", x, group, table)

    def contributions(
        self, heads: Float[Tensor, "head *place d_model"]
    ) -> tuple[Float[Tensor, "head *place d_model"], Float[Tensor, "*broadcastable d_model"] | None]:
        """What each head adds to the residual stream, and what no head adds.

        Without a norm behind the heads, a head adds its own output and the output bias is
        left over. With one, the heads share the normed sum: each adds its own output
        through the norm's linear part at the scale of the sum, which is exact in sum.

        Args:
            heads: outputs of all heads, ``[head, batch, pos, d_model]``, or at some places alone.

        Returns:
            The heads' contributions, of the same shape, and the rest, of one head's shape or
            broadcastable to it, or ``None`` for nothing.
        """
        norm = self.post_norm
        if norm.kind == "none":
            rest = None if self.b_O is None else self.multiplier * self.b_O
            return (heads if self.multiplier == 1.0 else self.multiplier * heads), rest
        total = heads.sum(0) if self.b_O is None else heads.sum(0) + self.b_O
        gain = norm.inverse_scale(total) * self.multiplier  # [batch, pos, 1]
        if norm.weight is not None:
            gain = gain * norm.weight
        rest = None if self.b_O is None else norm.center(self.b_O) * gain
        if norm.bias is not None:
            bias = self.multiplier * norm.bias
            rest = bias if rest is None else rest + bias
        return norm.center(heads) * gain, rest

    def parts(self, letter: str) -> tuple[Tensor, Tensor | None, Norm, Latent | None]:
        """What makes queries, keys or values: weight, bias, norm behind them and latent in front of them."""
        if letter == "q":
            return self.W_Q, self.b_Q, self.q_norm, self.q_latent
        if letter == "k":
            return self.W_K, self.b_K, self.k_norm, self.kv_latent
        return self.W_V, self.b_V, Norm("none"), self.kv_latent

    def before(self, letter: str, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch width"]:
        """What queries, keys or values are projected from: the normed residual stream, or its latent."""
        latent = self.parts(letter)[3]
        return self.norm(x) if latent is None else latent(self.norm(x))

    def behind(
        self, letter: str, y: Float[Tensor, "head batch pos d_head"], own: list[int], table: PositionTable
    ) -> Float[Tensor, "head batch pos d_head"]:
        """From projections to queries, keys or values as attention takes them.

        Args:
            letter: which of them.
            y: what weights and biases make; where a norm spans all heads (:func:`spans_heads`), what it gives.
            own: which of the letter's weights each is made with: query heads, or key and value heads.
            table: positions.
        """
        weight, _, qk_norm, _ = self.parts(letter)
        rotary = None if letter == "v" else table.rotary
        early = rotary is not None and rotary.before_norm
        if not spans_heads(qk_norm, weight):
            if rotary is not None and early:
                y = rotary(y)
            y = qk_norm.of_heads(own)(y)
        if (clip := self.clip) is not None:
            y = self.rules.elementwise(lambda z: z.clamp(-clip, clip), y)
        if rotary is not None and not early:
            y = rotary(y)
        y = scaled_back(y, self.rules.of_heads(letter))
        return y * table.q_scale[..., : y.shape[-2], None] if letter == "q" and table.q_scale is not None else y

    def _project(self, letter: str, x: Tensor, own: int, table: PositionTable) -> Tensor:
        """One head's queries, keys or values, ``[batch, pos, d_head]``."""
        weight, bias, qk_norm, _ = self.parts(letter)
        x = self.before(letter, x)
        if spans_heads(qk_norm, weight):
            y = self.spanning(letter, x)[own]
        else:
            y = x @ weight[own] if bias is None else x @ weight[own] + bias[own]
        return self.behind(letter, y[None], [own], table)[0]

    def spanning(self, letter: str, x: Float[Tensor, "batch pos width"]) -> Float[Tensor, "head batch pos d_head"]:
        """Projections of all heads together and the norm that spans them, where there is one (:func:`spans_heads`)."""
        weight, bias, qk_norm, _ = self.parts(letter)
        y = torch.einsum("bpd,hde->bphe", x, weight)
        y = qk_norm((y if bias is None else y + bias).flatten(-2))
        return y.unflatten(-1, (weight.shape[0], weight.shape[2])).movedim(-2, 0)


def spans_heads(qk_norm: Norm, weight: Tensor) -> bool:
    """Whether a norm of queries or keys is over all heads together (OLMo-2), given ``[head, d_model, d_head]``."""
    n, _, width = weight.shape
    return qk_norm.weight is not None and qk_norm.weight.shape == (n * width,) != (width,)
