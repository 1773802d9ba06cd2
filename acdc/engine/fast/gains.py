"""What a norm multiplies by, where all that changes of its input is what a few heads write.

With x the input before, and ``d_i = c_i W_i`` what head i writes more (c_i how its mixture changes, W_i its ``W_O``),

    |x + d_1 + ... + d_n|^2 = |x|^2 + 2 sum_i c_i (W_i x) + sum_ij c_i (W_i W_j^T) c_j,

so the d_i, which are as wide as the residual stream, needn't be written out. A LayerNorm is the same on what is
centred.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from acdc.engine.fast.norms import less_mean
from acdc.models.norms import Norm
from acdc.models.products import product


@dataclass(frozen=True)
class MixtureChange:
    """How one head's mixture changes: all that it writes is ``change @ weight``.

    Attributes:
        source: the head's node.
        weight: its ``W_O``.
        change: of its mixture.
    """

    source: int
    weight: Float[Tensor, "d_head d_model"]
    change: Float[Tensor, "run place d_head"]


#: Squares below such a share of those of all that is summed up have lost digits: of two heads that change much the
#: opposite ways, too.
_LEAST = 0.25
#: Products of two heads' changes, by their sources.
Squares = dict[tuple[int, int], Float[Tensor, "run place"]]


def gains(
    norm: Norm,
    before: Float[Tensor, "slot place d_model"],
    mixtures: Sequence[MixtureChange],
    mask: Bool[np.ndarray, "slot mixture"],
    known: Squares,
) -> Float[Tensor, "slot run place 1"] | None:
    """What a norm multiplies the changed inputs of some slots by; ``None`` where that would lose digits.

    Args:
        norm: the norm; not none.
        before: inputs before the change.
        mixtures: how heads' mixtures change.
        mask: which of them each slot reads.
        known: products that have been found, to which those that are needed are added.
    """
    x, weights = less_mean(norm, before), [less_mean(norm, one.weight) for one in mixtures]
    runs = len(mixtures[0].change)
    own = x.square().sum(-1)  # [slot, place]
    whole = own[:, None].repeat(1, runs, 1)
    apart = whole.clone()  # squares of all that is summed up
    for i, one in enumerate(mixtures):
        slots = np.flatnonzero(mask[:, i])
        seen = product(x[slots], weights[i].T)  # [slot, place, d_head]
        # A product for each place: [place, run, d_head] times [place, d_head, slot].
        whole[slots] += 2 * torch.bmm(one.change.transpose(0, 1), seen.permute(1, 2, 0)).permute(2, 1, 0)
        for j in range(i + 1):
            both = np.flatnonzero(mask[:, i] & mask[:, j])
            if len(both):
                square = _product(one, mixtures[j], weights[i], weights[j], known)
                whole[both] += square if i == j else 2 * square
                if i == j:
                    apart[both] += square
    if not bool((whole >= _LEAST * apart).all()):  # NaN too
        return None
    return whole.div_(x.shape[-1]).add_(norm.eps).rsqrt_()[..., None]


def _product(one: MixtureChange, other: MixtureChange, left: Tensor, right: Tensor, known: Squares) -> Tensor:
    """How far what two heads write more points the same way, ``[run, place]``."""
    key = one.source, other.source
    if key not in known:
        known[key] = (product(one.change, left @ right.T) * other.change).sum(-1)
    return known[key]
