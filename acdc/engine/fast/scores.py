"""From the last residual stream of many patched runs to the metric of each.

KL needs no pass over the vocabulary but one: with p the model's probabilities and D the
circuit's logits minus the model's,

    KL = log(sum_v p_v exp(D_v)) - sum_v p_v D_v,

and the second sum is a dot product of the normed residuals' difference with ``W_U p``. Both
terms take differences, so that the rounding of logits themselves, whose size may be a hundred,
plays no part. What rounding does to one token's difference or exponential counts by its p,
and averages out over many tokens, but not over the likeliest, where a confident model has all
its p: these few are summed in float64. Where many runs hardly differ, most of
them need no pass over all others (:mod:`acdc.engine.fast.anchors`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from acdc.engine.fast.anchors import Anchors, anchor_bytes
from acdc.engine.fast.gains import MixtureChange
from acdc.engine.fast.norms import less_mean, normalized
from acdc.engine.fast.sample import serves
from acdc.engine.fast.vocabulary import Logits, blocks, expected
from acdc.engine.setting import Setting
from acdc.engine.sizes import Sizes
from acdc.metrics import AnswerTokens, Metric
from acdc.models.norms import Norm
from acdc.models.products import product

#: Logits of metrics that need them all are held at a time, in bytes.
LOGITS_BYTES = 64 * 2**20
#: Tokens that are summed in float64 for each prediction, the likeliest. With all others below 1/16,
#: rounding of each by 6e-8 makes at most 1.5e-8 in their sum.
LIKELIEST = 16
#: Products that the way through ``W_O W_U`` must save for each prediction, to be worth its passes over the blocks.
LEAST_SAVED = 500_000
#: Sums of exponentials below it may have lost digits to underflow.
_SMALLEST = 1e-20
#: Products that are kept besides those of one layer's heads, which come up three times in turn, once a letter, and
#: with them a few heads behind.
_MORE_PRODUCTS = 8


class Scorer:
    """Scores any metric through the model's own logits."""

    def __init__(self, setting: Setting, measure: Metric) -> None:
        self.setting, self.measure = setting, measure

    @property
    def outputs(self) -> int:
        """With so many a run's prediction is multiplied, on the average."""
        return self.setting.model.n_outputs

    def score(self, residual: Float[Tensor, "run prediction d_model"]) -> Float64[Tensor, " run"]:
        """The metric of each run."""
        per_run = residual.shape[1] * self.setting.model_logits.shape[1] * 8
        step = max(1, LOGITS_BYTES // per_run)
        return torch.cat([self._score(residual[i : i + step]) for i in range(0, len(residual), step)])

    def _score(self, rows: Tensor) -> Tensor:
        """``[run, prediction, d_model]`` to ``[run]``."""
        runs, n, _ = rows.shape
        logits = self.setting.model.logits(rows).double()  # [run, prediction, n_outputs]
        base = self.setting.model_logits
        answers = AnswerTokens(self.setting.answers.right.repeat(runs, 1), self.setting.answers.wrong.repeat(runs, 1))
        values = self.measure.per_prediction(logits.flatten(0, 1), base.repeat(runs, 1), answers)
        return values.view(runs, n).mean(1)


class KlScorer(Scorer):
    """Scores KL where the unembedding is a plain matrix behind a norm.

    Where all that changes of the last residual stream is what a few heads write, the change
    has ``heads * d_head`` dimensions instead of ``d_model``: it goes through the product of
    ``W_O`` and ``W_U``, which is kept for the heads used last.
    """

    def __init__(
        self, setting: Setting, measure: Metric, weight: Float[Tensor, "d_model n_outputs"], noise: Callable[[], float]
    ) -> None:
        super().__init__(setting, measure)
        self._norm = setting.model.final_norm
        log_p = setting.model_logits.log_softmax(-1)  # [prediction, n_outputs] float64
        self._clean: Tensor | None = None  # normed residual of the clean run, [prediction, d_model]
        self._weight = _folded(self._norm, weight.T)  # [n_outputs, d_model]
        self._expected = expected(log_p, self._weight)  # W_U p, [prediction, d_model]
        self._likeliest = _Likeliest.of(log_p, self._weight)
        rest = log_p.scatter(1, self._likeliest.tokens, -torch.inf)
        self._log_p = rest.to(weight.dtype)  # of all others, [prediction, n_outputs]
        self._anchors: Anchors | None = None
        if serves(self._weight, log_p.shape[1]):
            self._anchors = Anchors(self._log_p, setting.corrupted_logits, self._weight, noise)
        self._most_products = setting.graph.cfg.n_heads + _MORE_PRODUCTS
        self._products: OrderedDict[int, Tensor] = OrderedDict()
        self._base: _Base | None = None

    @property
    def outputs(self) -> int:
        """See :attr:`Scorer.outputs`."""
        return super().outputs if self._anchors is None else self._anchors.outputs

    def score(self, residual: Float[Tensor, "run prediction d_model"]) -> Float64[Tensor, " run"]:
        """The metric of each run."""
        left = self._moved(residual)
        linear = (left.double() * self._expected).sum(-1)  # [run, prediction]
        logits = Logits.of_runs(left, [self._weight], self._log_p)
        return (self._log_sum_exp(logits, left, self._likeliest.logits(left.double())) - linear).mean(1)

    def is_worth(self, heads: Sequence[MixtureChange]) -> bool:
        """Whether changes of so few dimensions are cheaper to score by :meth:`score_heads`."""
        dimensions, (n, width), n_outputs = (
            sum(h.change.shape[-1] for h in heads),
            self._expected.shape,
            len(self._weight),
        )
        if 2 * dimensions >= width or self._expected.device.type != "cpu":
            return False
        if self._anchors is None:
            return (width - dimensions) * n_outputs >= LEAST_SAVED
        # Of one prediction, in products of one output: what passes, and for all runs their base, and weights that are
        # asked for three times.
        runs = len(heads[0].change)
        new = sum(head.change.shape[-1] for head in heads if head.source not in self._products)
        short = 2 * width / runs + new * width / (3 * n * runs)
        return short < self._anchors.share_of(runs) * (width - dimensions)

    def score_heads(
        self,
        now: Float[Tensor, "prediction d_model"],
        residual: Float[Tensor, "run prediction d_model"],
        heads: Sequence[MixtureChange],
    ) -> Float64[Tensor, " run"]:
        """Like :meth:`score`, where only what some heads write has changed.

        Args:
            now: the residual stream before the change.
            residual: after it.
            heads: the heads.
        """
        base, expected = self._base_of(now), self._expected
        gain = _gain(self._norm, residual)  # [run, prediction, 1]
        more = gain - base.gain
        changes = torch.cat([head.change for head in heads], -1)  # [run, prediction, dimension]
        left = gain.to(changes) * changes
        rows = torch.cat([head.weight for head in heads])  # [dimension, d_model]
        written = rows.double()
        linear = (left.double() * (expected @ written.T)).sum(-1)  # [run, prediction]
        linear += more[..., 0] * (now.double() * expected).sum(-1)
        linear += (base.difference.double() * expected).sum(-1)
        likeliest = self._likeliest.logits(base.difference.double()) + more * self._likeliest.changes(now.double())
        likeliest = likeliest + self._likeliest.changes(left.double(), written)
        rights = [self._product(head) for head in heads]
        logits = Logits.of_runs(left, rights, base.logits, more.to(left), base.unscaled)
        # Not by the residual: its rounding isn't in what is linear, where it would cancel.
        moved = less_mean(self._norm, (more * now).to(left) + left @ rows) + base.difference
        return (self._log_sum_exp(logits, moved, likeliest) - linear).mean(1)

    def _moved(self, residual: Tensor) -> Tensor:
        """Normed residual streams, ``[run, prediction, d_model]``, less the clean run's."""
        y = normalized(self._norm, residual)
        if self._clean is None:  # the first residual that is scored is the clean one
            self._clean = y[0].clone()
        return y - self._clean

    def _log_sum_exp(self, logits: Logits, left: Tensor, likeliest: Tensor) -> Tensor:
        """Over all outputs, ``[run, prediction]`` in float64; `left` is normed, less the clean run's.

        On a CPU a plain sum is tried first: it is 1 where the circuit is the model, and hardly ever
        overflows. Elsewhere, to look would cost a synchronization.
        """
        if logits.left.device.type == "cpu":
            others = likeliest.exp().sum(-1)
            sums = logits.sums().view_as(others) if self._anchors is None else self._anchors.sums(logits, left, others)
            total = sums + others
            if bool(((total > _SMALLEST) & total.isfinite()).all()):
                return total.log()
        found = logits.log_sum_exp().view(likeliest.shape[:-1])
        return torch.logaddexp(found, likeliest.logsumexp(-1))

    def _base_of(self, now: Tensor) -> _Base:
        """What all runs from one residual stream share; kept while `now` is the same."""
        if self._clean is None:
            raise RuntimeError("the clean residual is scored first")
        if self._base is None or not torch.equal(self._base.now, now):
            difference = normalized(self._norm, now) - self._clean
            both = product(torch.cat([now, difference]), self._weight.T)  # the weights are read once
            unscaled, logits = both.chunk(2)
            self._base = _Base(now, _gain(self._norm, now), difference, unscaled, logits.add_(self._log_p))
        return self._base

    def _product(self, head: MixtureChange) -> Tensor:
        """``W_O W_U`` of a head, ``[n_outputs, d_head]``."""
        if head.source not in self._products:
            if len(self._products) >= self._most_products:
                self._products.popitem(last=False)
            self._products[head.source] = product(self._weight, head.weight.T)
        self._products.move_to_end(head.source)
        return self._products[head.source]


def _folded(norm: Norm, rows: Float[Tensor, "output d_model"]) -> Float[Tensor, "output d_model"]:
    """The unembedding behind a norm without its weight and bias, without what all outputs have in common.

    Biases cancel, as that does.
    """
    common, found = rows.mean(0), torch.empty_like(rows, memory_format=torch.contiguous_format)
    for some in blocks(len(rows), rows.device):  # each is passed over several times
        part = torch.sub(rows[some], common, out=found[some])
        if norm.weight is not None:
            part *= norm.weight
        if norm.kind == "layer":
            # What is multiplied is centred already; a centred matrix serves changes that are not.
            part -= part.mean(1, keepdim=True)
    return found


def _gain(norm: Norm, residual: Tensor) -> Tensor:
    """What a norm multiplies by, ``[..., d_model]`` to ``[..., 1]`` in float64: differences of gains are taken."""
    wide = residual.double()
    return wide.new_ones(*wide.shape[:-1], 1) if norm.kind == "none" else norm.inverse_scale(wide)


@dataclass(frozen=True)
class _Likeliest:
    """The few tokens that are likeliest for each prediction.

    Attributes:
        tokens: which they are, ``[prediction, token]``.
        log_p: ``[prediction, token]`` in float64.
        weight: their columns of the unembedding, ``[prediction, d_model, token]`` in float64.
    """

    tokens: Tensor
    log_p: Tensor
    weight: Tensor

    @classmethod
    def of(cls, log_p: Tensor, weight: Tensor) -> _Likeliest:
        """From ``[prediction, n_outputs]`` and the unembedding, ``[n_outputs, d_model]``."""
        most, tokens = log_p.topk(min(LIKELIEST, log_p.shape[1]))
        return cls(tokens, most, weight[tokens].transpose(1, 2).double())

    def logits(self, difference: Tensor) -> Tensor:
        """``log p + D``, ``[..., prediction, d_model]`` to ``[..., prediction, token]``."""
        return self.changes(difference) + self.log_p

    def changes(self, x: Tensor, written: Tensor | None = None) -> Tensor:
        """What ``[..., prediction, d_model]`` makes of their logits; with `written`, `x` times that."""
        weight = self.weight if written is None else written @ self.weight
        return torch.einsum("...nd,ndt->...nt", x, weight)


@dataclass(frozen=True)
class _Base:
    """A residual stream from which several runs start.

    Attributes:
        now: the stream, ``[prediction, d_model]``.
        gain: what its norm multiplies it by, ``[prediction, 1]`` in float64.
        difference: normed, minus the clean run's, ``[prediction, d_model]``.
        unscaled: ``now W_U`` without that gain, ``[prediction, n_outputs]``.
        logits: ``difference W_U + log p``, ``[prediction, n_outputs]``; those of the likeliest aren't in it.
    """

    now: Tensor
    gain: Tensor
    difference: Tensor
    unscaled: Tensor
    logits: Tensor


def make_scorer(setting: Setting, measure: Metric, noise: Callable[[], float]) -> Scorer:
    """The quickest scorer that serves a metric and a model.

    Args:
        setting: model, prompts and cached values.
        measure: the metric.
        noise: how far rounding alone moves it; asked when it is needed.
    """
    weight = setting.model.unembedding()
    if measure.name == "kl" and weight is not None:
        return KlScorer(setting, measure, weight, noise)
    return Scorer(setting, measure)


def score_bytes(sizes: Sizes) -> int:
    """Copies of the unembedding, products of heads' last weights with it, likeliest tokens' columns, and anchors."""
    weights = (3 * sizes.d_model + (sizes.n_heads + _MORE_PRODUCTS) * sizes.d_head) * sizes.n_outputs
    likeliest = 2 * sizes.predictions * sizes.d_model * LIKELIEST  # columns of it, and of a product with it
    return sizes.element * weights + 8 * likeliest + anchor_bytes(sizes)
