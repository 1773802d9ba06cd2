"""Sums of exponentials over the vocabulary of many runs that hardly differ, from few full passes.

Each prediction is on its own. Let ``a_1, a_2, ...`` be its logits in runs whose sums over all outputs v are known,
with their gradients: the anchors. Those of another run are ``r = m + e``, where ``m = sum_k t_k a_k`` is the mixture
of anchors nearby (``sum_k t_k = 1``) that is nearest, so that e is as small as can be. Then

    sum_v exp(r) = sum_k t_k sum_v exp(a_k) (1 + r - a_k / 2 - m / 2) + sum_v [what is left],

where the first part is exact: the anchors' sums, and their gradients times how residual streams differ. What is left
is quadratic in e, and otherwise of third order in how far the anchors are away; with one anchor it is
``exp(a) (exp(r - a) - 1 - (r - a))``. Only this is summed up over a sample (:mod:`acdc.engine.fast.sample`), which
tells how far off that may be, too: where it is more than rounding is, a prediction passes over the vocabulary itself.
So does the last run of each group that goes by the same anchors, and proves the sample: removals add up, and what the
sample misses would be missing there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from acdc.engine.fast.chains import LONGEST_CHAIN
from acdc.engine.fast.sample import LEAST_OUTPUTS, RAREST, Sample, Sampler, drawn_outputs
from acdc.engine.fast.spans import FEW, Group, group
from acdc.engine.fast.vocabulary import Logits
from acdc.engine.sizes import Sizes
from acdc.models.products import product

#: Largest standard error of a metric that samples may leave: in roundings, less than a full pass leaves; or a share of
#: what rounding the input does to the metric anyway.
ROUNDINGS, OF_NOISE = 0.25, 0.1
#: Anchors that a prediction keeps from batch to batch.
CARRIED = 6
#: How far anchors may be from each other to be mixed: what is of third order is to be as small as what is of second.
_THIRD = 0.3
#: What is left may be so much of the sum: with more of it float32 isn't enough.
_LARGEST = 0.05
#: Logits may be so far from a mixture, whatever the output: none that a sample hasn't becomes much likelier unseen.
_FARTHEST = 3.0
#: Error of an anchor's own sum, in roundings; what a mixture multiplies it by is an error, too.
_ROUNDED = 0.25
#: Estimates that are proved wrong by so many standard errors show that the sample misses something.
_WRONG = 8.0
#: With effectively fewer of a sample's outputs, another is drawn around the present circuit.
_WORN = 0.5
#: How much heavier the tails of differences are taken to be than normal ones.
_KURTOSIS = 2.5
#: Of full passes over the vocabulary, about how many are left at first; and how fast it is learned how many are.
_PASSED, _LEARNED = 0.15, 0.02
#: Where more are left, anchors save nothing, and only one batch of so many tries whether they do by now.
_HOPELESS, _TRY = 0.9, 8


@dataclass(frozen=True)
class _Known:
    """Anchors of one prediction.

    Attributes:
        residual: normed, less the clean run's, ``[anchor, d_model]``.
        sums: ``[anchor]`` in float64.
        slopes: gradients of the sums, ``[anchor, d_model]``.
        at: logits at the sample, ``[anchor, drawn]``.
    """

    residual: Tensor
    sums: Tensor
    slopes: Tensor
    at: Tensor

    def __len__(self) -> int:
        return len(self.sums)


class Anchors:
    """Sums of many runs, batch after batch."""

    def __init__(
        self,
        log_p: Float[Tensor, "prediction output"],
        corrupted: Float64[Tensor, "prediction output"],
        unembedding: Float[Tensor, "output d_model"],
        noise: Callable[[], float],
    ) -> None:
        """Begin with the whole model.

        Args:
            log_p: its predictions; minus infinity for outputs that aren't summed up here.
            corrupted: logits of the corrupted run.
            unembedding: the right side of logits.
            noise: how far rounding alone moves the metric; asked when it is needed.
        """
        self._log_p, self._unembedding, self._noise = log_p, unembedding, noise
        self._longest = float(torch.linalg.vector_norm(unembedding, dim=1).max())
        self._sampler = Sampler(log_p, corrupted, unembedding)
        self._samples = [self._sampler.draw(i, own) for i, own in enumerate(log_p)]
        self._known: list[_Known | None] = [None] * len(log_p)  # of each prediction
        self.passed = 0  # predictions of runs that went over the vocabulary, twice where for a gradient too
        self._share = _PASSED  # of all
        self._skipped = 0  # batches since anchors were tried

    @property
    def outputs(self) -> int:
        """With so many a run's prediction is multiplied, as things are going."""
        return drawn_outputs(*self._log_p.shape) + int(self._share * self._log_p.shape[1])

    @cached_property
    def _near(self) -> float:
        """Largest standard error of one prediction, if those of all are alike."""
        # The noise floor is two standard errors.
        least = ROUNDINGS * torch.finfo(self._unembedding.dtype).eps
        return max(least, OF_NOISE * self._noise() / 2) * math.sqrt(len(self._log_p))

    def share_of(self, runs: int) -> float:
        """Which share of the predictions of so many runs passes over the vocabulary, as things are going."""
        return self._share if runs > FEW else 1.0

    def sums(
        self,
        logits: Logits,
        left: Float[Tensor, "run prediction d_model"],
        others: Float64[Tensor, "run prediction"],
    ) -> Float64[Tensor, "run prediction"]:
        """Sums over the outputs v of ``exp(left @ unembedding_v + log_p_v)`` of each run.

        Args:
            logits: these, whichever way is the shortest for what passes over the vocabulary.
            left: normed residual streams less those of the whole model.
            others: what is added to the sums: errors are measured by the whole.
        """
        if len(left) <= FEW or (self._share > _HOPELESS and self._skipped < _TRY - 1):
            self.passed += others.numel()
            self._skipped += 1
            return logits.sums().view_as(others)
        self._skipped, before = 0, self.passed
        sums = self._sums(logits, left, others)
        self._share += (1 - (1 - _LEARNED) ** len(left)) * ((self.passed - before) / others.numel() - self._share)
        return sums

    def _sums(self, logits: Logits, left: Tensor, others: Tensor) -> Tensor:
        runs, n = others.shape
        parts = [self._part(i, logits, left, others) for i in range(n)]
        if not all(part.is_finite for part in parts):
            self.passed += runs * n
            return logits.sums().view_as(others)
        for i in (i for i, part in enumerate(parts) if part.worn > 1 / _WORN):
            self._redraw(i, logits, (runs - 1) * n + i)
            parts[i] = self._part(i, logits, left, others)
        for part in parts:
            part.plan()
        exact = self._pass(logits, parts, runs)
        found, square = (torch.stack(one, 1) for one in zip(*(part.estimates() for part in parts), strict=True))
        self._known = [part.kept() for part in parts]
        wrong = ((found - exact) / (exact + others)).abs() > _WRONG * (square.sqrt() + self._near)
        wrong[-1] |= torch.tensor([part.misses for part in parts])
        for i in wrong.any(0).nonzero()[:, 0].tolist():
            self._redraw(i, logits, int(wrong[:, i].nonzero()[0]) * n + i)
            exact[:, i] = logits.pick(torch.arange(i, runs * n, n)).sums()
            self.passed += runs
        return self._finished(logits, exact, found, square)

    def _part(self, prediction: int, logits: Logits, left: Tensor, others: Tensor) -> _Part:
        """All of a batch that is about one prediction."""
        sample, known = self._samples[prediction], self._known[prediction]
        if logits.left.shape[-1] < left.shape[-1]:
            at = logits.at(prediction, sample.outputs)
        else:  # the rows are at hand
            at = product(left[:, prediction], sample.rows.T, self._log_p[prediction, sample.outputs])
        return _Part(sample, known, at, left[:, prediction], others[:, prediction], self._near, self._longest)

    def _pass(self, logits: Logits, parts: Sequence[_Part], runs: int) -> Float64[Tensor, "run prediction"]:
        """Sums of what has to pass over the vocabulary, and not a number for the others."""
        n = len(parts)
        exact = torch.full((runs * n,), torch.nan, dtype=torch.float64)
        first = [run * n + i for i, part in enumerate(parts) for run in part.anchors]
        rows = torch.tensor(
            [*first, *(run * n + i for i, part in enumerate(parts) for run in part.alone)], dtype=torch.int64
        )
        exact[rows], slopes = logits.pick(rows).sums_and_means(len(first), self._unembedding)
        self.passed += len(rows) + len(first)
        numbers = [len(part.anchors) for part in parts]
        for part, own, of_part in zip(parts, rows[: len(first)].split(numbers), slopes.split(numbers), strict=True):
            part.learn(exact[own], of_part)
        return exact.view(runs, n)

    def _finished(self, logits: Logits, exact: Tensor, found: Tensor, square: Tensor) -> Tensor:
        """Exact sums where they are there, else estimates, as long as a run's errors together are small enough.

        Args:
            logits: of the runs.
            exact: sums, or not a number, ``[run, prediction]``.
            found: estimates.
            square: of their standard errors, in units of the whole.
        """
        ordered, which = torch.where(exact.isnan(), square, 0).sort(1)
        stands = ordered.cumsum(1) <= exact.shape[1] * self._near**2
        failed = torch.zeros_like(stands).scatter_(1, which, ~stands)
        sums = torch.where(exact.isnan(), found, exact)
        rows = failed.flatten().nonzero()[:, 0]
        if len(rows):
            self.passed += len(rows)
            sums.view(-1)[rows] = logits.pick(rows).sums()
        return sums

    def _redraw(self, prediction: int, logits: Logits, row: int) -> None:
        """Draw another sample of a prediction, around one run's."""
        self._samples[prediction] = self._sampler.draw(prediction, logits.pick(torch.tensor([row])).everywhere()[0])
        self._known[prediction] = None


class _Part:
    """One prediction of a batch of runs.

    Places are those of carried anchors and, behind them, of runs.

    Attributes:
        anchors: runs to make anchors of.
        alone: other runs that pass over the vocabulary.
        worn: how many times fewer than drawn the outputs effectively are.
        is_finite: there are numbers to go by.
        misses: the sample hasn't foreseen the sum of an anchor.
    """

    def __init__(
        self,
        sample: Sample,
        known: _Known | None,
        at: Float[Tensor, "run drawn"],
        residual: Float[Tensor, "run d_model"],
        others: Float64[Tensor, " run"],
        near: float,
        longest: float,
    ) -> None:
        """Begin.

        Args:
            sample: drawn outputs.
            known: anchors of earlier batches.
            at: logits of the runs at the sample.
            residual: normed, less the clean run's.
            others: what is added to the sums.
            near: largest standard error.
            longest: length of the longest row of the unembedding.
        """
        self._error = near
        self._weight, self._uncertain = sample.weight, sample.uncertain
        self._known = _Known(residual[:0], others[:0], residual[:0], at[:0]) if known is None else known
        self._runs, self._first = len(residual), len(self._known)
        self._residual, self._others, self._longest = residual, others, longest
        self._at = torch.cat([self._known.at, at])
        mean = self._at.exp().mean(0)
        share = self._uncertain * mean / (float(self._weight @ mean) + float(others.mean()))  # [drawn]
        fewer = float(share.square().sum()) / max(float(share.sum()) ** 2, RAREST)
        self.worn = fewer * float((share > 0).sum())
        scaled = (self._at - self._at[-1]).mul_(share.sqrt())
        self._gram = (scaled @ scaled.T).double().numpy()
        self.is_finite = bool(np.isfinite(self._gram).all())
        # What is left is about half of a square. If differences are normal, the square of that has a mean of three
        # times its own mean's square.
        self._near = near / (_KURTOSIS * fewer) ** 0.5 if fewer else np.inf
        self._reach = (_THIRD * self._near) ** (2 / 3)
        self.anchors: list[int] = []
        self.alone: list[int] = []
        self._groups: list[Group] = []
        self.misses = False
        self._places: dict[int, int] = {}  # of anchors, and where they are among those known

    def plan(self) -> None:
        """Choose anchors."""
        self._groups, far = group(self._gram, self._first, self._near, self._reach)
        chosen = {place for one in self._groups for place in one.chosen if place >= self._first}
        self.anchors = sorted(place - self._first for place in chosen)
        # The last one that is near proves its group; the batch's last may be far from all, and proves nothing then.
        proofs = [max(near) for one in self._groups if (near := {*one.members}.difference(far))]
        self.alone = sorted(place - self._first for place in {*far, *proofs})
        self._places = {place: i for i, place in enumerate([*range(self._first), *sorted(chosen)])}

    def learn(self, sums: Float64[Tensor, " anchor"], slopes: Float[Tensor, "anchor d_model"]) -> None:
        """Take what the passes over the vocabulary say of the new anchors."""
        places = [self._first + run for run in self.anchors]
        old = self._known
        self._known = _Known(
            torch.cat([old.residual, self._residual[self.anchors]]),
            torch.cat([old.sums, sums]),
            torch.cat([old.slopes, slopes]),
            torch.cat([old.at, self._at[places]]),
        )

    def kept(self) -> _Known:
        """The newest anchors."""
        known, first = self._known, max(0, len(self._known) - CARRIED)
        return _Known(known.residual[first:], known.sums[first:], known.slopes[first:], known.at[first:])

    def estimates(self) -> tuple[Float64[Tensor, " run"], Float64[Tensor, " run"]]:
        """Sums of the runs, and squares of their standard errors in units of the whole, infinite where unknown."""
        sums = torch.full((self._runs,), torch.nan, dtype=torch.float64)
        square = torch.full_like(sums, torch.inf)
        for one in self._groups:
            if one.members:
                runs = [place - self._first for place in one.members]
                sums[runs], square[runs] = self._estimates_of(one, runs)
        return sums, square

    def _estimates_of(self, one: Group, runs: list[int]) -> tuple[Tensor, Tensor]:
        """Those of the runs of a group."""
        known, used = self._known, [self._places[place] for place in one.chosen]
        residual = (known.residual[used] - known.residual[used[0]]).double()  # [anchor, d_model], from the origin
        moved = (self._residual[runs] - known.residual[used[0]]).double()  # [run, d_model]
        slopes = known.slopes[used].double()
        self._prove(known.sums[used], residual, slopes[0], known.at[used])
        mixed = torch.from_numpy(one.mixed)  # [run, anchor]
        parts = torch.cat([1 - mixed.sum(1, keepdim=True), mixed], 1)  # with the origin
        slope = parts @ slopes  # [run, d_model]
        sums = parts @ (known.sums[used] - (slopes * residual).sum(1) / 2)
        outside = moved - parts @ residual  # [run, d_model]
        sums += ((moved + outside) * slope).sum(1) / 2
        third, square = self._left(self._at[one.members], known.at[used], mixed.to(known.at))
        is_far = torch.linalg.vector_norm(outside, dim=1) * self._longest > _FARTHEST
        whole = (sums + third + self._others[runs]).clamp_min_(RAREST)
        is_far |= third.abs() > _LARGEST * whole
        rounded = (_ROUNDED * torch.finfo(self._at.dtype).eps) ** 2 * (parts.square().sum(1) - 1).clamp_min_(0)
        square = square / whole.square() + rounded
        return sums + third, square.masked_fill_(is_far, torch.inf)

    def _prove(self, sums: Tensor, residual: Tensor, slope: Tensor, at: Tensor) -> None:
        """Hold what the first anchor says of the others against what is known of them."""
        if len(sums) == 1:
            return
        left, square = self._left(at[1:], at[:1], at.new_empty(len(at) - 1, 0))
        off = (left - (sums[1:] - sums[0] - residual[1:] @ slope)).abs()
        whole = sums[1:] + self._others.mean()
        self.misses |= bool((off > _WRONG * (square.sqrt() + self._error * whole)).any())

    def _left(
        self,
        at: Float[Tensor, "run drawn"],
        anchors: Float[Tensor, "anchor drawn"],
        mixed: Float[Tensor, "run other_anchor"],
    ) -> tuple[Tensor, Tensor]:
        """What is left, summed up over the sample, and the square of its standard error, ``[run]``.

        All is divided by the exponentials of the origin, the first anchor: no difference of large numbers is taken.
        """
        likely = anchors[0].exp() * self._weight
        d = at - anchors[0]  # [run, drawn]
        left = torch.expm1(d).sub_(d)
        if len(anchors) > 1:
            step = anchors[1:] - anchors[0]  # [other anchor, drawn]
            grown = torch.expm1(step)
            growth = mixed @ grown  # [run, drawn]
            left -= mixed @ (grown * (1 - step / 2) - step)
            left += growth * ((mixed @ step) / 2 - d)
        left *= likely
        sums = left.sum(1).double()
        return sums, (left.square_() @ (self._uncertain > 0).to(left)).double()


def anchor_bytes(sizes: Sizes) -> int:
    """Samples' rows, logits at them of the longest chain, of anchors and a few copies, and probabilities to draw by."""
    if sizes.element != 4 or sizes.n_outputs < LEAST_OUTPUTS:
        return 0
    drawn, places = drawn_outputs(sizes.predictions, sizes.n_outputs), LONGEST_CHAIN + CARRIED
    numbers = drawn * (sizes.predictions * (sizes.d_model + 3 * places) + 4 * places)
    kept = 2 * sizes.predictions * CARRIED * sizes.d_model  # residuals and slopes
    return sizes.element * (numbers + kept) + 8 * 8 * sizes.n_outputs
