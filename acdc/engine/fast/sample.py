"""A few outputs of a large vocabulary that stand for all, for each prediction its own.

All outputs that are likely are among them, and some of the others, each drawn as often as it is
likely and weighted by the inverse (Horvitz and Thompson 1952).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

#: Below so many outputs a full pass is no cost.
LEAST_OUTPUTS = 16384
#: Outputs that are drawn for all predictions together: errors of many predictions' means average out.
SAMPLE = 16384
#: The fewest for one prediction, and for how many of the vocabulary one is drawn at most.
LEAST, SHARE = 256, 8
#: Shares of the model's own predictions, and of those on the corrupted prompts, in what a sample is drawn by: a
#: removed edge brings what the corrupted run would say.
_OWN, _CORRUPTED = 0.1, 0.1
#: The least that an output counts for when a sample is drawn.
RAREST = 1e-30


@dataclass(frozen=True)
class Sample:
    """Outputs that stand for all of one prediction.

    Attributes:
        outputs: which they are.
        weight: of how many outputs each is one; those that are likely stand for themselves.
        uncertain: `weight`, where an output stands for others too, else 0.
        rows: their rows of the unembedding.
    """

    outputs: Int[Tensor, " drawn"]
    weight: Float[Tensor, " drawn"]
    uncertain: Float[Tensor, " drawn"]
    rows: Float[Tensor, "drawn d_model"]


def serves(left: Tensor, n_outputs: int) -> bool:
    """Whether samples save anything: on a CPU, where products count, in a precision whose rounding can be met."""
    return left.device.type == "cpu" and left.dtype == torch.float32 and n_outputs >= LEAST_OUTPUTS


class Sampler:
    """Draws samples around circuits."""

    def __init__(
        self,
        log_p: Float[Tensor, "prediction output"],
        corrupted: Float64[Tensor, "prediction output"],
        unembedding: Float[Tensor, "output d_model"],
    ) -> None:
        """Begin.

        Args:
            log_p: the model's predictions; minus infinity for outputs that aren't to be drawn.
            corrupted: logits of the corrupted run.
            unembedding: whose rows samples hold.
        """
        self._log_p, self._corrupted, self._unembedding = log_p, corrupted, unembedding
        self._drawn = drawn_outputs(*log_p.shape)
        self._random = torch.Generator().manual_seed(0)

    def draw(self, prediction: int, around: Float[Tensor, " output"]) -> Sample:
        """A sample by the probabilities of a circuit with these logits."""
        left_out = self._log_p[prediction].isneginf()
        own, corrupted = self._log_p[prediction], self._corrupted[prediction]
        mixed = _OWN * _counted(own, left_out) + _CORRUPTED * _counted(corrupted, left_out)
        mixed += (1 - _OWN - _CORRUPTED) * _counted(around, left_out)
        outputs, weight = _drawn(mixed, self._drawn, float(torch.rand(1, generator=self._random)))
        weight = weight.to(self._unembedding)
        return Sample(outputs, weight, torch.where(weight > 1, weight, 0), self._unembedding[outputs])


def _counted(logits: Tensor, left_out: Tensor) -> Tensor:
    """Probabilities over the outputs that may be drawn, in float64."""
    likely = logits.double().masked_fill(left_out, -torch.inf).softmax(-1)
    return likely.clamp_min(RAREST).masked_fill(left_out, 0)


def drawn_outputs(predictions: int, n_outputs: int) -> int:
    """How many outputs stand for all of one prediction."""
    return min(n_outputs // SHARE, max(LEAST, SAMPLE // predictions))


def _drawn(p: Tensor, n: int, start: float) -> tuple[Tensor, Tensor]:
    """A systematic sample of n outputs by their probabilities, and of how many each is one; likely ones are all in it.

    Args:
        p: ``[output]`` in float64.
        n: outputs to draw.
        start: in [0, 1).
    """
    ordered, outputs = p.sort(descending=True)
    behind = ordered.flip(0).cumsum(0).flip(0)  # with that output
    step = behind / (n - torch.arange(len(p), dtype=p.dtype)).clamp_min(1)  # if all before it are in for certain
    certain = int((ordered < step)[:n].int().argmax())
    rest = ordered[certain:].cumsum(0)
    width = rest[-1] / (n - certain)
    found = torch.searchsorted(rest, (torch.arange(n - certain, dtype=p.dtype) + start) * width)
    found = certain + found.clamp_max(len(rest) - 1)
    weight = torch.cat([torch.ones(certain, dtype=p.dtype), width / ordered[found]])
    return outputs[torch.cat([torch.arange(certain), found])], weight
