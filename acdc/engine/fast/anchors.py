"""Sums of exponentials over the vocabulary of many runs that hardly differ, from few full passes.

Let ``a`` be a run whose sum over all outputs v is known, with its gradient. A run whose logits
are those of ``a`` plus small differences d has

    sum_v exp(a_v + d_v) = sum_v exp(a_v) + sum_v exp(a_v) d_v + sum_v exp(a_v) (exp(d_v) - 1 - d_v).

The second term is the gradient times how the residual stream differs: exact, and no pass over
the vocabulary. Only the third, which is quadratic in d, is summed up over a sample: all outputs
that are likely, and some of the others, each drawn as often as it is likely and weighted by the
inverse (Horvitz and Thompson 1952). The sample tells how far off that sum may be: where it is
more than the rounding of the run's precision, a run passes over the vocabulary itself. The last
run of a batch always does, and proves the sample: what it missed would be missing there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from acdc.engine.fast.chains import LONGEST_CHAIN
from acdc.engine.fast.vocabulary import Logits
from acdc.engine.sizes import Sizes

#: Outputs that are drawn for all predictions together: errors of many predictions' means average out.
SAMPLE = 32768
#: The fewest for one prediction, and for how many of the vocabulary one is drawn at most.
LEAST, SHARE = 256, 8
#: Below so many outputs a full pass is no cost.
LEAST_OUTPUTS = 16384
#: Runs that are too few to gain by an anchor.
FEW = 3
#: Largest standard error of a metric that a sample may leave, in roundings: less than a full pass leaves.
ROUNDINGS = 0.25
#: Anchors that are kept from batch to batch.
_CARRIED = 3
#: The third term may be so much of the sum: with more of it float32 isn't enough.
_LARGEST = 0.05
#: Logits may be so far from an anchor's, whatever the output: none that the sample hasn't becomes much likelier unseen.
_FARTHEST = 3.0
#: Estimates that are proved wrong by so many standard errors show that the sample misses something.
_WRONG = 8.0
#: With effectively fewer of a sample's outputs, another is drawn around the present circuit.
_WORN = 0.5
#: How much heavier the tails of differences are taken to be than normal ones.
_KURTOSIS = 2.5
#: Shares of the model's own predictions, and of those on the corrupted prompts, in what a sample is drawn by: a
#: removed edge brings what the corrupted run would say.
_OWN, _CORRUPTED = 0.1, 0.1
#: The least that an output counts for when a sample is drawn.
_RAREST = 1e-30


def serves(left: Tensor, n_outputs: int) -> bool:
    """Whether anchors save anything: on a CPU, where products count, in a precision whose rounding can be met."""
    return left.device.type == "cpu" and left.dtype == torch.float32 and n_outputs >= LEAST_OUTPUTS


@dataclass(frozen=True)
class _Sample:
    """Outputs that stand for all.

    Attributes:
        outputs: ``[prediction, drawn]``.
        weight: of how many outputs each is one, ``[prediction, drawn]``; those that are likely stand for themselves.
        uncertain: `weight`, where an output stands for others too, else 0.
        rows: their rows of the unembedding.
        longest: length of the longest row of all.
    """

    outputs: Int[Tensor, "prediction drawn"]
    weight: Float[Tensor, "prediction drawn"]
    uncertain: Float[Tensor, "prediction drawn"]
    rows: Float[Tensor, "prediction drawn d_model"]
    longest: float


@dataclass(frozen=True)
class _Anchor:
    """A run whose sums are known.

    Attributes:
        left: normed residual less the clean run's, ``[prediction, d_model]``.
        sums: ``[prediction]`` in float64.
        slopes: gradient of the sums, ``[prediction, d_model]``.
        at: logits at the sample, ``[prediction, drawn]``.
    """

    left: Tensor
    sums: Tensor
    slopes: Tensor
    at: Tensor


class Anchors:
    """Sums of many runs, batch after batch."""

    def __init__(
        self,
        log_p: Float[Tensor, "prediction output"],
        corrupted: Float64[Tensor, "prediction output"],
        unembedding: Float[Tensor, "output d_model"],
    ) -> None:
        """Begin with the whole model.

        Args:
            log_p: its predictions; minus infinity for outputs that aren't summed up here.
            corrupted: logits of the corrupted run.
            unembedding: the right side of logits whose anchors last from batch to batch.
        """
        self._own = _counted(log_p.double(), log_p)
        self._corrupted = _counted(corrupted, log_p)
        self._unembedding = unembedding
        self._longest = float(torch.linalg.vector_norm(unembedding, dim=1).max())
        n, n_outputs = log_p.shape
        self._drawn = min(n_outputs // SHARE, max(LEAST, SAMPLE // n))
        self._random = torch.Generator().manual_seed(0)
        self._sample: _Sample | None = None
        self._carried: list[_Anchor] = []
        self.passed = 0  # runs that went over the vocabulary, twice where for a gradient too

    def sums(self, logits: Logits, others: Float64[Tensor, "run prediction"]) -> Float64[Tensor, "run prediction"]:
        """Sums of exponentials of each run.

        Args:
            logits: of the runs, products with the unembedding.
            others: what is added to the sums: errors are measured by the whole.
        """
        if len(logits) <= FEW:
            return self._of_all(logits)
        batch = self._batch(logits, others)
        if batch.is_worn:
            self._redraw(logits, len(logits) - 1)
            batch = self._batch(logits, others)
        if not batch.run():
            return self._of_all(logits)
        self.passed += batch.passed
        if batch.missed is not None:
            self._redraw(logits, batch.missed)
            return self._of_all(logits)
        self._carried = (batch.anchors + self._carried)[:_CARRIED]
        return batch.sums

    def _of_all(self, logits: Logits) -> Tensor:
        self.passed += len(logits)
        return logits.sums()

    def _batch(self, logits: Logits, others: Tensor) -> _Batch:
        if self._sample is None:
            self._sample = self._draw(self._own)
        return _Batch(self._sample, self._carried, logits, self._at(self._sample, logits), others)

    def _at(self, sample: _Sample, logits: Logits) -> Tensor:
        """Logits at the sample, of carried anchors and behind them of all runs, ``[prediction, place, drawn]``."""
        outputs, first = sample.outputs, len(self._carried)
        at = logits.left.new_empty(len(outputs), first + len(logits), outputs.shape[1])
        for place, anchor in enumerate(self._carried):
            at[:, place] = anchor.at
        both = zip(logits.left.transpose(0, 1), sample.rows, logits.base.gather(1, outputs), strict=True)
        for n, (left, rows, base) in enumerate(both):
            torch.addmm(base, left, rows.T, out=at[n, first:])
        return at

    def _redraw(self, logits: Logits, run: int) -> None:
        """Draw another sample, around a run."""
        found = logits.pick(torch.tensor([run])).everywhere()[0].double()
        self._sample, self._carried = self._draw(_counted(found, logits.base)), []

    def _draw(self, around: Float64[Tensor, "prediction output"]) -> _Sample:
        """Outputs by their probabilities."""
        mixed = (1 - _OWN - _CORRUPTED) * around + _OWN * self._own + _CORRUPTED * self._corrupted
        start = float(torch.rand(1, generator=self._random))
        drawn = [_drawn(p, self._drawn, start) for p in mixed]
        outputs, weight = (torch.stack(parts) for parts in zip(*drawn, strict=True))
        weight = weight.to(self._unembedding)
        return _Sample(outputs, weight, torch.where(weight > 1, weight, 0), self._unembedding[outputs], self._longest)


class _Batch:
    """The runs of one batch, a prediction at a time, so that what is computed stays in the cache.

    Attributes:
        sums: ``[run, prediction]``.
        missed: a run whose sum the sample hasn't foreseen, or ``None``.
        is_worn: the runs are far from what the sample was drawn around.
        passed: runs that went over the vocabulary, twice where for a gradient too.
    """

    def __init__(self, sample: _Sample, carried: list[_Anchor], logits: Logits, at: Tensor, others: Tensor) -> None:
        """Begin.

        Args:
            sample: drawn outputs.
            carried: anchors of earlier batches.
            logits: of the runs.
            at: logits at the sample, of carried anchors and behind them of the runs, ``[prediction, place, drawn]``.
            others: what is added to the sums, ``[run, prediction]``.
        """
        self._sample, self._logits, self._others, self._at = sample, logits, others, at
        self._known = dict(enumerate(carried))  # by place
        self._first = len(carried)  # place of the first run
        self._left = logits.left
        self.sums = torch.zeros_like(others)
        self.missed: int | None = None
        self.passed = 0
        # Largest standard error, of the sum over predictions.
        self._most = ROUNDINGS * torch.finfo(at.dtype).eps * others.shape[1]
        self._near, self.is_worn = self._apart()

    @property
    def anchors(self) -> list[_Anchor]:
        """Those made of its runs."""
        return [anchor for place, anchor in self._known.items() if place >= self._first]

    def run(self) -> bool:
        """Find all sums; whether that was possible."""
        apart = self._near
        if not np.isfinite(apart).all():
            return False
        anchors, alone = _cover(apart, self._first, self._most)
        self._pass(anchors, alone)
        passed = anchors + alone
        known = np.array(list(self._known))
        rest = np.setdiff1d(np.arange(len(self._logits)), passed)
        if len(rest):
            nearest = known[apart[np.ix_(self._first + rest, known)].argmin(1)]
            found, error, is_near = self._estimates(rest, nearest)
            self.sums[rest] = found
            failed = rest[(error > self._most) | ~is_near]
            if len(failed):
                self.sums[failed] = self._logits.pick(torch.from_numpy(failed)).sums()
                self.passed += len(failed)
                passed += failed.tolist()
        self._prove(apart, np.array(passed, dtype=np.int64))
        return True

    def _apart(self) -> tuple[np.ndarray, bool]:
        """About how far off the sum of a run would be from each other as its anchor, ``[place, place]``.

        The third term is taken as quadratic and differences as normal: then its square is three times that of their
        mean square.
        """
        sample, squares, worn = (
            self._sample,
            torch.zeros(self._at.shape[1], self._at.shape[1], dtype=torch.float64),
            0.0,
        )
        for n, at in enumerate(self._at):  # [place, drawn]
            mean = at.exp().mean(0)
            whole = float(sample.weight[n] @ mean) + float(self._others[:, n].mean())
            share = sample.uncertain[n] * mean / whole  # [drawn]
            scaled = (at - at[-1]).mul_(share.sqrt())
            products = (scaled @ scaled.T).double()
            size = products.diagonal()
            square = (size[:, None] + size - 2 * products).clamp_min_(0)
            fewer = float(share.square().sum()) / max(float(share.sum()) ** 2, _RAREST)
            squares += _KURTOSIS * fewer * square.square_()
            worn += fewer * float((share > 0).sum())
        return squares.sqrt_().numpy(), worn / len(self._at) > 1 / _WORN

    def _pass(self, anchors: list[int], alone: list[int]) -> None:
        """Pass over the vocabulary: with gradients for some runs, without for others."""
        if not anchors + alone:
            return
        sums, slopes = self._logits.pick(torch.tensor(anchors + alone)).sums_and_slopes(len(anchors))
        self.sums[anchors + alone] = sums
        self.passed += 2 * len(anchors) + len(alone)
        for run, total, slope in zip(anchors, sums, slopes, strict=False):
            place = self._first + run
            self._known[place] = _Anchor(self._left[run], total, slope, self._at[:, place].clone())

    def _estimates(self, runs: np.ndarray, nearest: np.ndarray) -> tuple[Tensor, np.ndarray, np.ndarray]:
        """Sums of runs, each by an anchor.

        Args:
            runs: which.
            nearest: place of the anchor of each.

        Returns:
            The sums, ``[run, prediction]``, by run the standard error of their mean in units of the whole sum, and
            whether it is near enough for the error to be told.
        """
        sample, places = self._sample, torch.from_numpy(self._first + runs)
        used, which = np.unique(nearest, return_inverse=True)
        own, inverse = [self._known[place] for place in used.tolist()], torch.from_numpy(which)
        sums = torch.stack([anchor.sums for anchor in own])[inverse]  # [run, prediction]
        slopes = torch.stack([anchor.slopes for anchor in own]).double()  # [anchor, prediction, dimension]
        moved = (self._left[runs] - torch.stack([anchor.left for anchor in own])[inverse]).double()
        whole = (sums + self._others[runs]).clamp_min(_RAREST)
        third, squares = torch.empty_like(sums), torch.empty_like(sums)
        for n, at in enumerate(self._at):
            likely = at[used].exp_().mul_(sample.weight[n])  # [anchor, drawn]
            difference = at[places].sub_(at[nearest])  # [run, drawn]
            term = torch.expm1(difference).sub_(difference).mul_(likely[inverse])
            third[:, n] = term.sum(-1)
            squares[:, n] = term.square_() @ (sample.uncertain[n] > 0).to(term)
        sums = sums + (moved * slopes[inverse]).sum(-1) + third
        error = (squares / whole.square()).sum(-1).sqrt().numpy()
        far = torch.linalg.vector_norm(moved, dim=-1) * sample.longest
        return sums, error, ((third / whole < _LARGEST) & (far < _FARTHEST)).all(-1).numpy()

    def _prove(self, apart: np.ndarray, passed: np.ndarray) -> None:
        """Hold what is known of runs against what another anchor says of them."""
        if not self._known:
            return
        known = np.array(list(self._known))
        far = apart[np.ix_(self._first + passed, known)]  # [run, anchor]
        far[known == self._first + passed[:, None]] = np.inf
        runs = passed[np.isfinite(far).any(1)]
        if not len(runs):
            return
        nearest = known[far[np.isfinite(far).any(1)].argmin(1)]
        sums, error, is_near = self._estimates(runs, nearest)
        whole = self.sums[runs] + self._others[runs]
        off = ((sums - self.sums[runs]) / whole).sum(-1).abs().numpy()
        wrong = runs[is_near & (off > _WRONG * (error + self._most))]
        self.missed = int(wrong[0]) if len(wrong) else None


def _cover(apart: np.ndarray, n_carried: int, most: float) -> tuple[list[int], list[int]]:
    """Which runs to pass over the vocabulary, so that all others are near one; the last one always is.

    Args:
        apart: ``[place, place]``, places of carried anchors before those of runs.
        n_carried: of these.
        most: that is near.

    Returns:
        Runs to make anchors of, and runs that are near none, or the last.
    """
    near: Any = apart <= most
    left: Any = ~near[:n_carried].any(0)
    left[:n_carried] = False
    last = len(apart) - 1
    left[last] = False  # it passes anyway
    anchors: list[int] = []
    while left.any():
        found = near[n_carried:, left].sum(1)
        best = int(found.argmax())
        if found[best] < FEW:
            break
        anchors.append(best)
        left &= ~near[n_carried + best]
        left[n_carried + best] = False
    left[last] = last - n_carried not in anchors
    return anchors, (np.flatnonzero(left) - n_carried).tolist()


def _counted(logits: Tensor, log_p: Tensor) -> Tensor:
    """Probabilities over the outputs that are summed up here, ``[prediction, output]`` in float64."""
    left_out = log_p.isneginf()
    likely = logits.double().masked_fill(left_out, -torch.inf).softmax(-1)
    return likely.clamp_min(_RAREST).masked_fill(left_out, 0)


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


def anchor_bytes(sizes: Sizes) -> int:
    """A sample's rows, logits at it of the longest chain with two copies, and probabilities to draw by."""
    if sizes.element != 4 or sizes.n_outputs < LEAST_OUTPUTS:
        return 0
    drawn = max(SAMPLE, LEAST * sizes.predictions)
    probabilities = 5 * 8 * sizes.predictions * sizes.n_outputs
    return sizes.element * drawn * (sizes.d_model + 3 * LONGEST_CHAIN) + probabilities
