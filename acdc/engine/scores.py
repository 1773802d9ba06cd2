"""From the last residual stream of many patched runs to the metric of each.

KL needs no pass over the vocabulary but one: with f the model's logits, p its
probabilities and h the circuit's logits,

    KL = sum_v p_v (f_v - h_v) + logsumexp(h) - logsumexp(f),

and the sum is a dot product of the normed residuals with ``W_U p``.
"""

from __future__ import annotations

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
    """Scores KL where the unembedding is a plain matrix behind a norm."""

    def __init__(self, setting: Setting, measure: Metric, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__(setting, measure)
        self._norm = setting.model.final_norm
        self._weight, self._bias = fold(self._norm, weight, bias)
        p = setting.model_logits.softmax(-1)  # [prediction, n_outputs] in float64
        self._expected = (p.to(self._weight.dtype) @ self._weight.T).double()  # W_U p, [prediction, d_model]
        self._clean: Tensor | None = None  # normed residual of the clean run, [prediction, d_model]
        self._offset = setting.model_logits.logsumexp(-1)[:, None].to(self._weight.dtype)

    def _score(self, rows: Tensor) -> Tensor:
        runs, n, width = rows.shape
        y = normalized(self._norm, rows)
        if self._clean is None:  # the first residual that is scored is the clean one
            self._clean = y[0].double()
        linear = ((self._clean - y.double()) * self._expected).sum(-1)  # [run, prediction]
        logits = y.view(-1, width) @ self._weight
        if self._bias is not None:
            logits += self._bias
        logits = logits.view(runs, n, -1).sub_(self._offset)  # so that the logarithm is of a number near 1
        return (linear + logits.logsumexp(-1).double()).mean(1)


def make_scorer(setting: Setting, measure: Metric) -> Scorer:
    """The quickest scorer that serves a metric and a model."""
    unembedding = setting.model.unembedding()
    if measure.name == "kl" and unembedding is not None:
        return KlScorer(setting, measure, *unembedding)
    return Scorer(setting, measure)
