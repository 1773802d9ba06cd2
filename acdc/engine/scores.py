"""From the last residual stream of many patched runs to the metric of each.

KL needs no pass over the vocabulary but one: with f the model's logits, p its
probabilities and h the circuit's logits,

    KL = sum_v p_v (f_v - h_v) + logsumexp(h) - logsumexp(f),

and the sum is a dot product of the normed residuals with ``W_U p``.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from acdc.engine.heads import fold, normalized
from acdc.engine.setting import Setting
from acdc.metrics import AnswerTokens, Metric

#: Logits that are held at a time, in bytes.
BLOCK_BYTES = 64 * 2**20


class Scorer:
    """Scores any metric through the model's own logits.

    Attributes:
        positions: ``[batch, answer]`` answer positions of each prompt; where a prompt has
            fewer than others its last one is repeated.
        counts: ``[batch, answer]`` bool, which of them count.
    """

    def __init__(self, setting: Setting, measure: Metric) -> None:
        self.setting, self.measure = setting, measure
        lists = [pair.answer_positions for pair in setting.prompts.pairs]
        width = max(len(found) for found in lists)
        device = setting.model.device
        self.positions = torch.tensor([[*found, *[found[-1]] * (width - len(found))] for found in lists], device=device)
        lengths = torch.tensor([len(found) for found in lists], device=device)
        self.counts = torch.arange(width, device=device) < lengths[:, None]

    def score(self, residual: Tensor) -> Tensor:
        """The metric of each run, ``[run, batch, answer, d_model]`` to ``[run]`` in float64."""
        rows = residual[:, self.counts]  # [run, prediction, d_model], in the order of setting.rows
        per_run = rows.shape[1] * self.setting.model_logits.shape[1] * 8
        step = max(1, BLOCK_BYTES // per_run)
        return torch.cat([self._score(rows[i : i + step]) for i in range(0, len(rows), step)])

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

    #: Products ``W_O W_U`` that are kept; those of a slot's own node and of the heads behind it recur.
    _MOST_PRODUCTS = 12

    def __init__(self, setting: Setting, measure: Metric, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__(setting, measure)
        self._norm = setting.model.final_norm
        weight, bias = fold(self._norm, weight, bias)
        # What is multiplied is centred already; a centred matrix serves changes that are not.
        self._weight = weight - weight.mean(0) if self._norm.kind == "layer" else weight
        p = setting.model_logits.softmax(-1)  # [prediction, n_outputs] in float64
        self._expected = (p.to(weight.dtype) @ self._weight.T).double()  # W_U p, [prediction, d_model]
        self._clean: Tensor | None = None  # normed residual of the clean run, [prediction, d_model]
        # Logits are taken relative to the model's own logsumexp, so that the logarithm is of a number near 1.
        offset = setting.model_logits.logsumexp(-1)[:, None].to(weight.dtype)
        self._bias = -offset if bias is None else bias - offset  # [prediction, n_outputs or 1]
        self._products: OrderedDict[tuple[int, int], Tensor] = OrderedDict()
        self._base: tuple[Tensor, Tensor] | None = None

    def _score(self, rows: Tensor) -> Tensor:
        runs, n, width = rows.shape
        y = normalized(self._norm, rows)
        if self._clean is None:  # the first residual that is scored is the clean one
            self._clean = y[0].double()
        logits = (y.view(-1, width) @ self._weight).view(runs, n, -1)
        logits += self._bias
        return (self._linear(y) + _log_sum_exp(logits)).mean(1)

    def is_worth(self, dimensions: int) -> bool:
        """Whether changes of so many dimensions are cheaper to score by :meth:`score_heads`."""
        return 2 * dimensions < self._weight.shape[0]

    def score_heads(self, now: Tensor, residual: Tensor, heads: Sequence[HeadChange]) -> Tensor:
        """Like :meth:`score`, where only what some heads write has changed.

        Args:
            now: the residual stream before the change, ``[batch, answer, d_model]``.
            residual: after it, ``[run, batch, answer, d_model]``.
            heads: the heads.

        Returns:
            ``[run]`` in float64.
        """
        rows, now = residual[:, self.counts], now[self.counts]  # [run, prediction, d_model]
        y = normalized(self._norm, rows)
        gain = self._norm.inverse_scale(rows) if self._norm.kind != "none" else rows.new_ones(*rows.shape[:2], 1)
        products = torch.cat([self._product(head) for head in heads])  # [dimension, n_outputs]
        changes = torch.cat([head.change[:, self.counts] for head in heads], -1)  # [run, prediction, dimension]
        left = torch.cat([gain * changes, gain, torch.ones_like(gain)], -1)
        right = torch.cat([products, products.new_empty(2, products.shape[1])])
        base = self._base_logits(now)
        sums = []
        for i in range(rows.shape[1]):
            right[-2], right[-1] = base[i], self._bias[i]
            sums.append(_log_sum_exp(left[:, i] @ right))
        return (self._linear(y) + torch.stack(sums, 1)).mean(1)

    def _linear(self, y: Tensor) -> Tensor:
        """``sum_v p_v (f_v - h_v)`` up to the bias and the offset, which cancel, ``[run, prediction]``."""
        if self._clean is None:
            raise RuntimeError("the clean residual is scored first")
        return ((self._clean - y.double()) * self._expected).sum(-1)

    def _base_logits(self, now: Tensor) -> Tensor:
        """``now W_U`` without scale and bias, ``[prediction, n_outputs]``; kept while `now` is the same."""
        if self._base is None or not torch.equal(self._base[0], now):
            self._base = (now, now @ self._weight)
        return self._base[1]

    def _product(self, head: HeadChange) -> Tensor:
        """``W_O W_U`` of a head, ``[d_head, n_outputs]``."""
        if head.key not in self._products:
            if len(self._products) >= self._MOST_PRODUCTS:
                self._products.popitem(last=False)
            self._products[head.key] = head.weight @ self._weight
        self._products.move_to_end(head.key)
        return self._products[head.key]


@dataclass(frozen=True)
class HeadChange:
    """How one head's mixture changes.

    Attributes:
        key: layer and head.
        weight: its ``W_O``, ``[d_head, d_model]``.
        change: ``[run, batch, answer, d_head]``.
    """

    key: tuple[int, int]
    weight: Tensor
    change: Tensor


def _log_sum_exp(logits: Tensor) -> Tensor:
    """Of logits that are no longer needed, over the last dimension, in float64.

    They are relative to the model's logsumexp, so that a plain sum hardly ever overflows.
    Elsewhere than on a CPU, to look would cost a synchronization.
    """
    if logits.device.type == "cpu" and -60 < float(logits.max()) < 80:
        return logits.exp_().sum(-1).double().log()
    return logits.logsumexp(-1).double()


def make_scorer(setting: Setting, measure: Metric) -> Scorer:
    """The quickest scorer that serves a metric and a model."""
    unembedding = setting.model.unembedding()
    if measure.name == "kl" and unembedding is not None:
        return KlScorer(setting, measure, *unembedding)
    return Scorer(setting, measure)
