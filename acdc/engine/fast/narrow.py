"""What slots read where only what a few heads write has changed: it changes in few dimensions.

On a CPU the first products of what reads it then go through ``W_O`` times the reader's weights, and nothing as wide
as the residual stream is written out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from acdc.engine.fast.changes import Changes
from acdc.engine.fast.downstream import Reads
from acdc.engine.fast.gains import MixtureChange
from acdc.engine.fast.heads import LayerHeads
from acdc.engine.fast.mlps import LayerMlp
from acdc.engine.fast.present import Present
from acdc.engine.fast.tactics import Tactics
from acdc.graph import Letter

#: Rows for each of so many dimensions of a change, to be worth it to multiply weights for it.
_LEAST_ROWS = 2


@dataclass(frozen=True)
class NarrowHeads:
    """How what heads' slots read changes: by ``change @ written``.

    Attributes:
        before: projections before the change.
        change: of the heads' mixtures, side by side.
        written: ``W_O`` of the heads that a slot reads, else 0.
        gain: what the norm multiplies their inputs after the change by; ``None`` for 1.
    """

    before: Float[Tensor, "slot place d_head"]
    change: Float[Tensor, "run place k"]
    written: Float[Tensor, "slot k d_model"]
    gain: Float[Tensor, "slot run place 1"] | None


@dataclass(frozen=True)
class NarrowMlp:
    """How what an MLP reads changes.

    Attributes:
        before: its first products before the change.
        heads: whose changes it reads.
        gain: what the norm multiplies its input after the change by; ``None`` for 1.
    """

    before: Sequence[Float[Tensor, "place d_mlp"]]
    heads: Sequence[MixtureChange]
    gain: Float[Tensor, "run place 1"] | None


class Narrow:
    """Tells where that is so, and pays."""

    def __init__(self, present: Present, tactics: Tactics) -> None:
        self._present, self._tactics = present, tactics

    def heads(self, letter: Letter, layer: LayerHeads, reads: Reads, changes: Changes) -> NarrowHeads | None:
        """Of heads' slots of one letter."""
        wanted = self._tactics.short_heads and layer.is_linear(letter) and layer.W_O.device.type == "cpu"
        mixtures = changes.mixtures(reads) if wanted else None
        if mixtures is None:
            return None
        change = mixtures[0].change if len(mixtures) == 1 else torch.cat([one.change for one in mixtures], -1)
        runs, places, k = change.shape
        if 2 * k > layer.W_O.shape[-1] or runs * places < _LEAST_ROWS * k:
            return None
        norm, gain = layer.attention.norm, None
        if norm.kind != "none" and (gain := changes.gains(norm, reads, self._present.inputs(reads), mixtures)) is None:
            return None
        before = torch.stack([self._present.projection(slot, layer, whole=reads.whole) for slot in reads.slots])
        mask = torch.from_numpy(reads.mask[:, reads.mask.any(0)]).to(change)  # [slot, mixture]
        written = torch.cat([own[:, None, None] * one.weight for own, one in zip(mask.T, mixtures, strict=True)], 1)
        return NarrowHeads(before, change, written, gain)

    def mlp(self, mlp: LayerMlp, reads: Reads, changes: Changes) -> NarrowMlp | None:
        """Of an MLP."""
        plain = mlp.plain if self._tactics.short_mlps else None
        if plain is None or plain.plain.W_in.device.type != "cpu":
            return None
        mixtures = changes.mixtures(reads)
        if mixtures is None or not mlp.is_worth(len(mixtures), mixtures[0].weight.shape[0]):
            return None
        norm, gain = plain.before, None
        if norm.kind != "none" and (gain := changes.gains(norm, reads, self._present.inputs(reads), mixtures)) is None:
            return None
        before = self._present.first_products(reads.slots[0], mlp, whole=reads.whole)
        return NarrowMlp(before, mixtures, None if gain is None else gain[0])
