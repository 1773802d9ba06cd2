"""From the last residual stream of many patched runs to the metric of each.

KL needs no pass over the vocabulary but one: with f the model's logits, p its
probabilities and h the circuit's logits,

    KL = sum_v p_v (f_v - h_v) + logsumexp(h) - logsumexp(f),

and the sum is a dot product of the normed residuals with ``W_U p``. The one pass goes block
by block, so that logits are summed up while they are still in the cache.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from acdc.engine.changes import MixtureChange
from acdc.engine.heads import fold, normalized
from acdc.engine.setting import Setting
from acdc.metrics import AnswerTokens, Metric

#: Logits that are held at a time, in bytes: of metrics that need them all, and of a block of KL's pass.
LOGITS_BYTES = 64 * 2**20
BLOCK_BYTES = 4 * 2**20
#: Products that the way through ``W_O W_U`` must save for each prediction, as it takes them one by one.
LEAST_SAVED = 500_000
#: Columns of the unembedding in a block: what a core's cache holds of the weights while they are multiplied.
BLOCK_COLUMNS = 1024


class Scorer:
    """Scores any metric through the model's own logits."""

    def __init__(self, setting: Setting, measure: Metric) -> None:
        self.setting, self.measure = setting, measure

    def score(self, residual: Tensor) -> Tensor:
        """The metric of each run, ``[run, prediction, d_model]`` to ``[run]`` in float64."""
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

    def __init__(self, setting: Setting, measure: Metric, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__(setting, measure)
        self._norm = setting.model.final_norm
        weight, bias = fold(self._norm, weight, bias)
        if self._norm.kind == "layer":
            # What is multiplied is centred already; a centred matrix serves changes that are not.
            weight = weight - weight.mean(0)
        p = setting.model_logits.softmax(-1).to(weight.dtype)  # [prediction, n_outputs]
        self._expected = (p @ weight.T).double()  # W_U p, [prediction, d_model]
        self._clean: Tensor | None = None  # normed residual of the clean run, [prediction, d_model]
        # Logits are taken relative to the model's own logsumexp, so that the logarithm is of a number near 1.
        self._offset = setting.model_logits.logsumexp(-1)[:, None].to(weight.dtype)  # [prediction, 1]
        extra = weight.new_ones(1, weight.shape[1]) if bias is None else torch.stack((torch.ones_like(bias), bias))
        self._extra = _split(extra)  # what a 1 beside the offset is multiplied by, [1 or 2, column] each
        # [d_model + 1 or 2, column] each: a row for the offset, and one for the bias if there is one.
        self._blocks = [torch.cat(pair) for pair in zip(_split(weight), self._extra, strict=True)]
        # A layer's heads come up three times in turn, once a letter, and with them a few heads behind.
        self._most_products = setting.graph.cfg.n_heads + 8
        self._products: OrderedDict[tuple[int, int], list[Tensor]] = OrderedDict()
        self._base: tuple[Tensor, list[Tensor]] | None = None

    def score(self, residual: Tensor) -> Tensor:
        """The metric of each run, ``[run, prediction, d_model]`` to ``[run]`` in float64."""
        y = normalized(self._norm, residual)
        if self._clean is None:  # the first residual that is scored is the clean one
            self._clean = y[0].double()
        left = torch.cat([y, self._constant_columns(len(y))], -1)
        return (self._linear(y) + _Logits(left, self._blocks).log_sum_exp()).mean(1)

    def is_worth(self, dimensions: int) -> bool:
        """Whether changes of so many dimensions are cheaper to score by :meth:`score_heads`."""
        width = self._expected.shape[1]
        saved = (width - dimensions) * self.setting.model_logits.shape[1]  # of a prediction, in products
        return 2 * dimensions < width and saved >= LEAST_SAVED and self._expected.device.type == "cpu"

    def score_heads(self, now: Tensor, residual: Tensor, heads: Sequence[MixtureChange]) -> Tensor:
        """Like :meth:`score`, where only what some heads write has changed.

        Args:
            now: the residual stream before the change, ``[prediction, d_model]``.
            residual: after it, ``[run, prediction, d_model]``.
            heads: the heads.

        Returns:
            ``[run]`` in float64.
        """
        y = normalized(self._norm, residual)
        plain = self._norm.kind == "none"
        gain = residual.new_ones(*y.shape[:2], 1) if plain else self._norm.inverse_scale(residual)
        changes = torch.cat([head.change for head in heads], -1)  # [run, prediction, dimension]
        # The columns of a prediction: the heads' changes, offset and bias.
        left = torch.cat([gain * changes, self._constant_columns(len(y))], -1)
        products = [self._product(head) for head in heads]
        rights = [
            torch.cat([*(product[block] for product in products), extra]) for block, extra in enumerate(self._extra)
        ]
        sums = _Logits(left, rights, gain, self._base_logits(now)).log_sum_exp()
        return (self._linear(y) + sums).mean(1)

    def _constant_columns(self, runs: int) -> Tensor:
        """``[run, prediction, 1 or 2]``: minus the offset, and 1 where there is a bias."""
        columns = [-self._offset, torch.ones_like(self._offset)][: self._extra[0].shape[0]]
        return torch.cat(columns, -1).expand(runs, -1, -1)

    def _linear(self, y: Tensor) -> Tensor:
        """``sum_v p_v (f_v - h_v)`` up to the bias and the offset, which cancel, ``[run, prediction]``."""
        if self._clean is None:
            raise RuntimeError("the clean residual is scored first")
        return ((self._clean - y.double()) * self._expected).sum(-1)

    def _base_logits(self, now: Tensor) -> list[Tensor]:
        """``now W_U`` without scale and bias, ``[prediction, column]`` each; kept while `now` is the same."""
        if self._base is None or not torch.equal(self._base[0], now):
            self._base = (now, [now @ block[: now.shape[-1]] for block in self._blocks])
        return self._base[1]

    def _product(self, head: MixtureChange) -> list[Tensor]:
        """``W_O W_U`` of a head, ``[d_head, column]`` each."""
        if head.key not in self._products:
            if len(self._products) >= self._most_products:
                self._products.popitem(last=False)
            width = head.weight.shape[-1]
            self._products[head.key] = [head.weight @ block[:width] for block in self._blocks]
        self._products.move_to_end(head.key)
        return self._products[head.key]


def _split(matrix: Tensor) -> list[Tensor]:
    """Blocks of columns, each contiguous."""
    return [block.contiguous() for block in matrix.split(BLOCK_COLUMNS, dim=1)]


#: Sums of exponentials below it may have lost digits to underflow.
_SMALLEST = 1e-20


@dataclass(frozen=True)
class _Logits:
    """Logits that are computed block by block and never held all at once: ``left @ rights + gain * base``.

    Attributes:
        left: ``[run, prediction, k]``.
        rights: ``[k, column]`` each.
        gain: ``[run, prediction, 1]``, with a base.
        base: ``[prediction, column]`` each, or none.
    """

    left: Tensor
    rights: Sequence[Tensor]
    gain: Tensor | None = None
    base: Sequence[Tensor] = ()

    def log_sum_exp(self) -> Tensor:
        """Over all columns, ``[run, prediction]`` in float64.

        On a CPU a plain sum is tried first: the logits are relative to the model's logsumexp, so
        that it hardly ever overflows. Elsewhere, to look would cost a synchronization.
        """
        if self.left.device.type == "cpu":
            total = self._reduced(lambda logits: logits.exp_().sum(-1).double()).sum(0)
            if bool(((total > _SMALLEST) & total.isfinite()).all()):
                return total.log()
        return self._reduced(lambda logits: logits.logsumexp(-1).double()).logsumexp(0)

    def _reduced(self, reduce: Callable[[Tensor], Tensor]) -> Tensor:
        """``reduce`` of every block's logits, ``[block, run, prediction]``."""
        runs, n, _ = self.left.shape
        found = self.left.new_empty(len(self.rights), runs, n, dtype=torch.float64)
        step = max(1, BLOCK_BYTES // (n * self.rights[0].shape[1] * self.left.element_size()))
        for block, right in enumerate(self.rights):
            for i in range(0, runs, step):
                logits = self.left[i : i + step] @ right
                if self.gain is not None:
                    logits.addcmul_(self.gain[i : i + step], self.base[block])
                found[block, i : i + step] = reduce(logits)
        return found


def make_scorer(setting: Setting, measure: Metric) -> Scorer:
    """The quickest scorer that serves a metric and a model."""
    unembedding = setting.model.unembedding()
    if measure.name == "kl" and unembedding is not None:
        return KlScorer(setting, measure, *unembedding)
    return Scorer(setting, measure)
