"""One layer's attention as a function of every head's own q, k and v input.

A head is a function of *its* three inputs alone: each is normed and projected by
itself, with the layer's weights. Where a query-key norm spans all heads (OLMo-2), the
scale is computed from the head's own input through the whole projection, which equals
the model's when all heads read the same residual stream.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from acdc.models.norms import Norm


@dataclass(frozen=True)
class Rotary:
    """Rotary position embedding (Su et al. 2021, arXiv 2104.09864) of the first ``r`` dimensions.

    Attributes:
        cos, sin: ``[pos, r]``.
        interleaved: pairs are neighbours (GPT-J) instead of halves (GPT-NeoX, Llama).
    """

    cos: Tensor
    sin: Tensor
    interleaved: bool

    def __call__(self, x: Tensor) -> Tensor:
        """Rotate ``[..., pos, d_head]``."""
        r = self.cos.shape[-1]
        turned, rest = x[..., :r], x[..., r:]
        if self.interleaved:
            quarter = torch.stack((-turned[..., 1::2], turned[..., ::2]), -1).flatten(-2)
        else:
            quarter = torch.cat((-turned[..., r // 2 :], turned[..., : r // 2]), -1)
        length = x.shape[-2]
        return torch.cat((turned * self.cos[..., :length, :] + quarter * self.sin[..., :length, :], rest), -1)

    def at(self, positions: Tensor) -> Rotary:
        """The rotation of some positions, ``[place]``."""
        return Rotary(self.cos[positions], self.sin[positions], self.interleaved)


@dataclass(frozen=True)
class PositionTable:
    """What attention knows of positions, for one length of prompt.

    Attributes:
        rotary: the rotation of queries and keys, if the model has one.
        visible: ``[pos_q, pos_k]`` bool, which keys a query may see.
    """

    rotary: Rotary | None
    visible: Tensor


@dataclass(frozen=True)
class Attention:
    """Weights of one layer's attention.

    Attributes:
        norm: the norm in front of it.
        W_Q: ``[head, d_model, d_head]``. W_K, W_V: ``[kv_head, d_model, d_head]``.
        W_O: ``[head, d_head, d_model]``.
        b_Q: ``[head, d_head]``. b_K, b_V: ``[kv_head, d_head]``. b_O: ``[d_model]``.
        q_norm, k_norm: norms of queries and keys; over one head's ``d_head`` or over all.
        scale: multiplies the scores.
        soft_cap: scores become ``cap * tanh(score / cap)``, if given.
        post_norm: the norm behind the sum of the heads (Gemma 2 and 3, OLMo-2).
        multiplier: what the block's output is multiplied by (Granite), else 1.
    """

    norm: Norm
    W_Q: Tensor
    W_K: Tensor
    W_V: Tensor
    W_O: Tensor
    b_Q: Tensor | None
    b_K: Tensor | None
    b_V: Tensor | None
    b_O: Tensor | None
    q_norm: Norm
    k_norm: Norm
    scale: float
    soft_cap: float | None
    post_norm: Norm
    multiplier: float = 1.0

    @property
    def n_heads(self) -> int:
        """Query heads."""
        return self.W_Q.shape[0]

    def group(self, head: int) -> int:
        """The key and value head that a query head reads."""
        return head // (self.n_heads // self.W_K.shape[0])

    def head(self, head: int, q_in: Tensor, k_in: Tensor, v_in: Tensor, table: PositionTable, keys: Tensor) -> Tensor:
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
        group = self.group(head)
        q = self._project(q_in, self.W_Q, self.b_Q, head, self.q_norm)  # [batch, pos, d_head]
        k = self._project(k_in, self.W_K, self.b_K, group, self.k_norm)
        v = self._project(v_in, self.W_V, self.b_V, group, Norm("none"))
        if table.rotary is not None:
            q, k = table.rotary(q), table.rotary(k)
        scores = self.scale * (q @ k.transpose(-1, -2))  # [batch, pos_q, pos_k]
        if self.soft_cap is not None:
            scores = self.soft_cap * torch.tanh(scores / self.soft_cap)
        length = q_in.shape[1]
        visible = table.visible[:length, :length] & keys[:, None, :]
        # A query past its prompt's end may see no key at all; it then sees itself, so that
        # nothing becomes NaN. No position that counts reads it.
        visible = visible | torch.eye(length, dtype=torch.bool, device=keys.device) & ~keys[:, :, None]
        scores = scores.masked_fill(~visible, -torch.inf)
        accurate = torch.promote_types(scores.dtype, torch.float32)  # as the models themselves do
        pattern = scores.softmax(-1, dtype=accurate).to(v.dtype)
        return (pattern @ v) @ self.W_O[head]

    def contributions(self, heads: Tensor) -> tuple[Tensor, Tensor | None]:
        """What each head adds to the residual stream, and what no head adds.

        Without a norm behind the heads, a head adds its own output and the output bias is
        left over. With one, the heads share the normed sum: each adds its own output
        through the norm's linear part at the scale of the sum, which is exact in sum.

        Args:
            heads: outputs of all heads, ``[head, batch, pos, d_model]``.

        Returns:
            The heads' contributions, ``[head, batch, pos, d_model]``, and the rest,
            ``[batch, pos, d_model]`` or broadcastable to it, or ``None`` for nothing.
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

    def _project(self, x: Tensor, weight: Tensor, bias: Tensor | None, head: int, qk_norm: Norm) -> Tensor:
        """One head's queries, keys or values, ``[batch, pos, d_head]``."""
        x = self.norm(x)
        over_all_heads = (
            qk_norm.kind != "none"
            and qk_norm.weight is not None
            and (qk_norm.weight.shape[0] == weight.shape[0] * weight.shape[2] != weight.shape[2])
        )
        if not over_all_heads:
            y = x @ weight[head]
            return qk_norm(y if bias is None else y + bias[head])
        y = torch.einsum("bpd,hde->bphe", x, weight)  # [batch, pos, head, d_head]
        y = qk_norm((y if bias is None else y + bias).flatten(-2))
        return y.unflatten(-1, (weight.shape[0], weight.shape[2]))[:, :, head]
