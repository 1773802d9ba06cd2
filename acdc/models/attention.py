"""One layer's attention as a function of every head's own q, k and v input.

A head is a function of *its* three inputs alone: each is normed and projected by
itself, with the layer's weights. Where a query-key norm spans all heads (OLMo-2), the
scale is computed from the head's own input through the whole projection, which equals
the model's when all heads read the same residual stream.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from acdc.models.norms import Norm
from acdc.models.rules import NO_RULES, BackwardRules, scaled_back


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
        q_scale: ``[..., pos]``, what queries are multiplied by (Llama 4's temperature), if by anything.

    The dots stand for nothing, or for ``prompt`` where the table depends on a prompt's length.
    """

    rotary: Rotary | None
    visible: Bool[Tensor, "*prompt pos pos"]
    bias: Float[Tensor, "*prompt head pos pos"] | None = None
    q_scale: Float[Tensor, "*prompt pos"] | None = None


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

    def with_rules(self, rules: BackwardRules) -> Attention:
        """The same with a way back by the rules."""
        return replace(self._with_norms(lambda norm: norm.with_rules(rules)), rules=rules)

    def with_bias_weight(self, weight: Float[Tensor, ""]) -> Attention:
        """The same with all biases multiplied by a number."""
        other = self._with_norms(lambda norm: norm.with_bias_weight(weight))
        biases: dict[str, Any] = {name: getattr(self, name) for name in ("b_Q", "b_K", "b_V", "b_O")}
        return replace(other, **{name: None if bias is None else bias * weight for name, bias in biases.items()})

    def _with_norms(self, change: Callable[[Norm], Norm]) -> Attention:
        """The same with every norm changed."""
        changed: dict[str, Any] = {
            name: change(getattr(self, name)) for name in ("norm", "q_norm", "k_norm", "post_norm")
        }
        for name in ("q_latent", "kv_latent"):
            latent = getattr(self, name)
            changed[name] = None if latent is None else latent.with_norm(change)
        return replace(self, **changed)

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
        v = self._project("v", v_in, self.group(head), None)
        return (self.pattern(head, q_in, k_in, table, keys).to(v.dtype) @ v) @ self.W_O[head]

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
        scores = self.scale * (q @ k.transpose(-1, -2))  # [batch, pos_q, pos_k]
        if (cap := self.soft_cap) is not None:
            scores = self.rules.elementwise(lambda x: cap * torch.tanh(x / cap), scores)
        length = q_in.shape[1]
        if table.bias is not None:
            scores = scores + table.bias[..., head, :length, :length]
        visible = table.visible[..., :length, :length] & keys[:, None, :]
        # A query past its prompt's end may see no key at all; it then sees itself, so that
        # nothing becomes NaN. No position that counts reads it.
        visible = visible | torch.eye(length, dtype=torch.bool, device=keys.device) & ~keys[:, :, None]
        scores = scores.masked_fill(~visible, -torch.inf)
        if self.sinks is not None:
            scores = torch.cat((scores, self.sinks[head].expand(*scores.shape[:-1], 1)), -1)
        accurate = torch.promote_types(scores.dtype, torch.float32)  # as the models themselves do
        pattern = self.rules.softmax(scores, accurate)[..., :length]
        return pattern.detach() if self.rules.pattern else pattern

    def query(
        self, head: int, x: Float[Tensor, "batch pos d_model"], table: PositionTable
    ) -> Float[Tensor, "batch pos d_head"]:
        """A head's queries as they meet the keys, ``[batch, pos, d_model]`` to ``[batch, pos, d_head]``."""
        q = self._project("q", x, head, table.rotary)
        return q if table.q_scale is None else q * table.q_scale[..., : x.shape[1], None]

    def key(
        self, group: int, x: Float[Tensor, "batch pos d_model"], table: PositionTable
    ) -> Float[Tensor, "batch pos d_head"]:
        """The same of the keys that a group of heads has."""
        return self._project("k", x, group, table.rotary)

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

    def _project(self, letter: str, x: Tensor, head: int, rotary: Rotary | None) -> Tensor:
        """One head's queries, keys or values, ``[batch, pos, d_head]``."""
        weight, bias, qk_norm, latent = self.parts(letter)
        rules = self.rules
        if rules.scales_heads:
            x = scaled_back(x, {"q": rules.query, "k": rules.key, "v": rules.value}[letter])
        x = self.norm(x) if latent is None else latent(self.norm(x))
        if spans_heads(qk_norm, weight):
            y = torch.einsum("bpd,hde->bphe", x, weight)  # [batch, pos, head, d_head]
            y = qk_norm((y if bias is None else y + bias).flatten(-2))
            y = y.unflatten(-1, (weight.shape[0], weight.shape[2]))[:, :, head]
        else:
            y = x @ weight[head] if bias is None else x @ weight[head] + bias[head]
            if rotary is not None and rotary.before_norm:
                return qk_norm.of_head(head)(rotary(y))
            y = qk_norm.of_head(head)(y)
        if (clip := self.clip) is not None:
            y = rules.elementwise(lambda z: z.clamp(-clip, clip), y)
        return y if rotary is None else rotary(y)


def spans_heads(qk_norm: Norm, weight: Tensor) -> bool:
    """Whether a norm of queries or keys is over all heads together (OLMo-2), given ``[head, d_model, d_head]``."""
    n, _, width = weight.shape
    return qk_norm.weight is not None and qk_norm.weight.shape == (n * width,) != (width,)
