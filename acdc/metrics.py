"""Metrics: how much worse a circuit is than the model, one number a prediction.

Every metric is 0 for the model itself and grows as the circuit gets worse; a negative
value means that the circuit does better than the model. A run's value is the mean over
all predictions, i.e. over prompts and answer positions.

With ``f`` the model's logits, ``h`` the circuit's, ``p = softmax(f)``, ``q = softmax(h)``,
``A`` the right answers and ``W`` the wrong ones:

==================  ==========================================================
``kl``              sum_v p_v (log p_v - log q_v)
``logit-diff``      d(f) - d(h),  d(x) = max_{a in A} x_a - max_{w in W} x_w
``prob-diff``       e(p) - e(q),  e(x) = sum_{a in A} x_a - sum_{w in W} x_w
``answer-logprob``  log sum_{a in A} p_a - log sum_{a in A} q_a
``l2``              sum_v (f_v - h_v)^2
==================  ==========================================================

With one right and one wrong answer ``logit-diff`` is the logit difference of Wang et
al. 2022 (arXiv 2211.00593); with several wrong ones it is that of García-Carrasco et
al. 2024 (arXiv 2405.04156). ``kl`` is the default of Conmy et al. 2023 (arXiv
2304.14997). Importing this module doesn't import torch.

    >>> import torch
    >>> model, circuit = torch.tensor([[0.0, 1.0, 3.0]]), torch.tensor([[0.0, 1.0, 1.5]])
    >>> answers = AnswerTokens(right=torch.tensor([[2]]), wrong=torch.tensor([[1]]))
    >>> METRICS["logit-diff"].per_prediction(circuit, model, answers)  # 2 for the model, 0.5 for the circuit
    tensor([1.5000])
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from acdc.errors import PromptError, UnknownNameError
from acdc.wording import either

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import Tensor

    from acdc.pairs import PromptSet

    Logits = Float[Tensor, "prediction vocab"]
    Values = Float[Tensor, " prediction"]


@dataclass(frozen=True)
class AnswerTokens:
    """Right and wrong answers of each prediction.

    Attributes:
        right, wrong: ``[prediction, most answers]`` token ids, -1 where there are fewer.
    """

    right: Int[Tensor, "prediction most_right"]
    wrong: Int[Tensor, "prediction most_wrong"]

    def __getitem__(self, predictions: slice) -> AnswerTokens:
        """Those of some predictions."""
        return AnswerTokens(self.right[predictions], self.wrong[predictions])


@dataclass(frozen=True)
class Metric:
    """One way to say how much worse a circuit is.

    Attributes:
        name: as users write it.
        summary: one line.
        needs: which answers the prompt pairs must name.
        per_prediction: from the circuit's logits ``[prediction, vocab]``, the model's and
            the answers to ``[prediction]``.
    """

    name: str
    summary: str
    needs: Literal["nothing", "answers", "wrong answers"]
    per_prediction: Callable[[Logits, Logits, AnswerTokens], Values]

    def check(self, prompts: PromptSet) -> None:
        """Raise :class:`PromptError` unless the pairs name the answers that it needs."""
        lacks = (self.needs != "nothing" and not prompts.has_answers) or (
            self.needs == "wrong answers" and not prompts.has_wrong_answers
        )
        if lacks:
            what = "right and wrong answers" if self.needs == "wrong answers" else "right answers"
            free = either(sorted(metric.name for metric in METRICS.values() if metric.needs == "nothing"))
            raise PromptError(
                f"{prompts.task}: the metric {self.name} needs {what} for every prompt pair; add them, or use {free}."
            )


def find_metric(name: str) -> Metric:
    """The metric of that name. Raises :class:`UnknownNameError` with the nearest names."""
    try:
        return METRICS[name]
    except KeyError:
        raise UnknownNameError("metric", name, METRICS) from None


def logit_difference(logits: Logits, answers: AnswerTokens) -> Values:
    """Best right answer's logit minus best wrong one's, ``[prediction]``."""
    return _of(logits, answers.right, -float("inf")).amax(-1) - _of(logits, answers.wrong, -float("inf")).amax(-1)


def _of(values: Tensor, tokens: Tensor, missing: float) -> Tensor:
    """Values at some tokens, ``[prediction, most answers]``; `missing` where there is no token."""
    return values.gather(-1, tokens.clamp(min=0)).masked_fill(tokens < 0, missing)


def _kl(circuit: Logits, model: Logits, answers: AnswerTokens) -> Values:
    log_p, log_q = model.log_softmax(-1), circuit.log_softmax(-1)
    return (log_p.exp() * (log_p - log_q)).sum(-1)


def _logit_diff(circuit: Logits, model: Logits, answers: AnswerTokens) -> Values:
    return logit_difference(model, answers) - logit_difference(circuit, answers)


def _prob_diff(circuit: Logits, model: Logits, answers: AnswerTokens) -> Values:
    def difference(logits: Tensor) -> Tensor:
        probabilities = logits.softmax(-1)
        return _of(probabilities, answers.right, 0.0).sum(-1) - _of(probabilities, answers.wrong, 0.0).sum(-1)

    return difference(model) - difference(circuit)


def _answer_logprob(circuit: Logits, model: Logits, answers: AnswerTokens) -> Values:
    def log_probability(logits: Tensor) -> Tensor:
        return _of(logits.log_softmax(-1), answers.right, -float("inf")).logsumexp(-1)

    return log_probability(model) - log_probability(circuit)


def _l2(circuit: Logits, model: Logits, answers: AnswerTokens) -> Values:
    return (model - circuit).pow(2).sum(-1)


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("kl", "KL divergence of the circuit's prediction from the model's", "nothing", _kl),
        Metric("logit-diff", "drop of the logit difference, right minus wrong", "wrong answers", _logit_diff),
        Metric("prob-diff", "drop of the probability difference, right minus wrong", "wrong answers", _prob_diff),
        Metric("answer-logprob", "drop of the right answer's log probability", "answers", _answer_logprob),
        Metric("l2", "squared distance of the logits from the model's", "nothing", _l2),
    )
}
#: Those that are a distance from the model: they have no gradient at the model itself.
DISTANCES = ("kl", "l2")
