"""A layer's heads where all of them read the same, as in the whole model: normed once, projected together."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from acdc.models.attention import Attention, PositionTable, spans_heads
from acdc.models.products import pairwise_products, product

#: What the patterns of heads that are looked at together may take, in bytes.
_PATTERN_BYTES = 64 * 2**20


def vectors_of_all(
    attention: Attention, letter: str, x: Float[Tensor, "batch pos d_model"], table: PositionTable
) -> Float[Tensor, "head batch pos width"]:
    """Queries, keys or values of all heads that have such.

    Args:
        attention: the layer's.
        letter: which of them.
        x: what all of them read.
        table: positions.
    """
    weight, bias, qk_norm, _ = attention.parts(letter)
    x = attention.before(letter, x)
    if spans_heads(qk_norm, weight):
        y = attention.spanning(letter, x)
    else:
        joint = weight.transpose(0, 1).flatten(1)  # [d_model, head * width]
        y = product(x, joint, in_parts=True).unflatten(-1, (len(weight), -1)).permute(2, 0, 1, 3)
        y = y if bias is None else y + bias[:, None, None]
    return attention.behind(letter, y, list(range(len(weight))), table)


@torch.no_grad()
def heads_alike(
    attention: Attention,
    x: Float[Tensor, "batch pos d_model"],
    table: PositionTable,
    keys: Bool[Tensor, "batch pos"],
    out: Float[Tensor, "head batch pos d_model"],
) -> Float[Tensor, "*broadcastable d_model"] | None:
    """What a layer's heads write, and what belongs to no node, as :meth:`acdc.models.model.Model.heads` gives them.

    Args:
        attention: the layer's.
        x: what every slot of them reads.
        table: positions.
        keys: which positions hold a token.
        out: where what the heads write is put; contiguous.

    Returns:
        What belongs to no node, or ``None`` for nothing.
    """
    run_heads(attention, x, table, keys, out)
    written, rest = attention.contributions(out)
    if written is not out:
        out.copy_(written)
    return rest


@torch.no_grad()
def run_heads(
    attention: Attention,
    x: Float[Tensor, "batch pos d_model"],
    table: PositionTable,
    keys: Bool[Tensor, "batch pos"],
    out: Float[Tensor, "head batch pos d_model"],
    patterns: list[Float[Tensor, "some batch pos pos"]] | None = None,
) -> None:
    """All heads' outputs before the sum over heads, as :meth:`Attention.head` gives each.

    Args:
        attention: the layer's.
        x: what every slot of them reads.
        table: positions.
        keys: which positions hold a token.
        out: where they are put; contiguous.
        patterns: is given how they look, some heads at a time, in their order.
    """
    q, k, v = (vectors_of_all(attention, letter, x, table) for letter in "qkv")
    one = 4 * x.shape[0] * x.shape[1] ** 2  # bytes of a head's pattern
    step = max(1, _PATTERN_BYTES // one)
    for first in range(0, attention.n_heads, step):
        heads = slice(first, min(first + step, attention.n_heads))
        groups = [attention.group(head) for head in range(heads.start, heads.stop)]
        pattern = attention.weights(q[heads], k[groups], table, keys, heads)
        if patterns is not None:
            patterns.append(pattern)
        mixed = attention.mix(pattern, v[groups])
        pairwise_products(mixed.flatten(1, 2), attention.W_O[heads], out=out[heads].flatten(1, 2))
