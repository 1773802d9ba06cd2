"""A metric of the caller's own: a function, wrapped so that a wrong one is a sentence and not a wrong circuit.

The function gets the circuit's logits ``[prediction, n_outputs]``, the model's, both in float64, and
the :class:`acdc.metrics.AnswerTokens`, and gives how much worse the circuit is, ``[prediction]``: 0 for the
model itself, lower is better. Many circuits' predictions may stand beside each other, so each must be
judged by its own row alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from acdc.asked import said, shown
from acdc.errors import AcdcError, SettingsError, warn
from acdc.metrics import METRICS, AnswerTokens, Metric, find_metric
from acdc.results import QUANTITIES

if TYPE_CHECKING:
    from torch import Tensor

    from acdc.engine.setting import Setting

MetricFunction = Callable[["Tensor", "Tensor", AnswerTokens], "Tensor"]

#: What the model may differ from itself by.
_TOLERANCE = 1e-6


def asked_metric(metric: Any) -> Metric:
    """The metric of a name, or a function as one.

    Raises:
        UnknownNameError: no metric has that name.
        SettingsError: it is neither, or a function with the name of one of acdc's metrics.
    """
    if isinstance(metric, str):
        return find_metric(metric)
    if isinstance(metric, type) or not callable(metric):
        raise SettingsError(f"`metric` must be a metric's name or a function, not {shown(metric)}.")
    name = str(getattr(metric, "__name__", type(metric).__name__))
    if name in METRICS or name in QUANTITIES:
        raise SettingsError(f"the function {name} has the name of one of acdc's metrics; rename it.")
    return Metric(name, "a function of the caller's", "nothing", _Checked(name, metric))


def is_own(measure: Metric) -> bool:
    """Whether a metric is a function of the caller's."""
    return isinstance(measure.per_prediction, _Checked)


def check_own_metric(measure: Metric, setting: Setting) -> str | None:
    """Try a function of the caller's on the model's own predictions.

    Returns:
        A hash of what it gives on the corrupted prompts, by which a run that goes on knows another function of
        the same name; ``None`` for acdc's own metrics, which their names tell.

    Raises:
        SettingsError: it isn't 0 for the model, changes what it is given, or judges a prediction by others.
    """
    import torch

    if not is_own(measure):
        return None
    model, corrupted, answers = setting.model_logits, setting.corrupted_logits, setting.answers
    before = model.clone(), corrupted.clone()
    own = measure.per_prediction(model, model, answers)
    worse = measure.per_prediction(corrupted, model, answers)
    if not (torch.equal(before[0], model) and torch.equal(before[1], corrupted)):
        raise SettingsError(f"the metric {measure.name} changes the logits that it is given; let it work on a copy.")
    if float(own.abs().max()) > _TOLERANCE:
        raise SettingsError(
            f"the metric {measure.name} must be 0 for the model itself, not {float(own[own.abs().argmax()]):.4g}; "
            "give how much worse the circuit is."
        )
    both = replace(answers, right=answers.right.repeat(2, 1), wrong=answers.wrong.repeat(2, 1))
    beside = measure.per_prediction(torch.cat([corrupted, model]), model.repeat(2, 1), both)
    alone = measure.per_prediction(corrupted[:1], model[:1], answers[:1])
    scale = _TOLERANCE * (1 + float(worse.abs().max()))
    if not all(
        torch.allclose(found, wanted, rtol=0, atol=scale)
        for found, wanted in ((beside, torch.cat([worse, own])), (alone, worse[:1]))
    ):
        raise SettingsError(
            f"the metric {measure.name} judges a prediction by those beside it; give each one by its own row."
        )
    if float(worse.mean()) < -scale:
        warn(
            f"the metric {measure.name} is lower on corrupted prompts ({float(worse.mean()):.4g}) than for the model; "
            "lower must be better."
        )
    # Three digits: rounding on another machine hardly ever turns the third.
    return hashlib.sha256(f"{float(worse.mean()):.3g}".encode()).hexdigest()


class _Checked:
    """A function whose every result is checked.

    Args:
        name: the metric's name, for messages.
        function: of the circuit's logits, the model's and the answers.
    """

    def __init__(self, name: str, function: MetricFunction) -> None:
        self._name, self._function = name, function

    def __call__(self, circuit: Tensor, model: Tensor, answers: AnswerTokens) -> Tensor:
        import torch

        try:
            found = self._function(circuit, model, answers)
        except AcdcError:
            raise
        except Exception as error:
            if isinstance(error, torch.cuda.OutOfMemoryError | MemoryError):
                raise
            raise SettingsError(f"the metric {self._name} failed: {said(error)}") from error
        if not isinstance(found, torch.Tensor):
            raise SettingsError(f"the metric {self._name} must give a tensor [prediction], not {shown(found)}.")
        if found.shape != (len(circuit),) or found.dtype.is_complex:
            raise SettingsError(
                f"the metric {self._name} must give a number for each of {len(circuit)} predictions, "
                f"[{len(circuit)}], not {list(found.shape)} of {str(found.dtype).removeprefix('torch.')}."
            )
        if not bool(found.isfinite().all()):
            raise SettingsError(f"the metric {self._name} gave NaN or infinity; make it finite for every circuit.")
        if circuit.requires_grad and torch.is_grad_enabled():
            self._check_gradient(found, circuit)
        return found.to(torch.float64)

    def _check_gradient(self, found: Tensor, circuit: Tensor) -> None:
        """Raise :class:`SettingsError` unless it can be differentiated, here where an error is known to be its own."""
        import torch

        if not found.requires_grad:
            raise SettingsError(
                f"the metric {self._name} has no gradient, which methods of gradients or masks and the order "
                "attribution need; take another, or the method patching or acdc."
            )
        try:
            (gradient,) = torch.autograd.grad(found.sum(), circuit, retain_graph=True)
        except RuntimeError as error:
            if isinstance(error, torch.cuda.OutOfMemoryError):
                raise
            raise SettingsError(f"the metric {self._name} can't be differentiated: {said(error)}") from error
        if not bool(gradient.isfinite().all()):
            raise SettingsError(
                f"the gradient of the metric {self._name} is NaN or infinite; make it finite for every circuit, the "
                "whole model too (as a square root's at 0 isn't)."
            )
