"""How well a model, or a circuit of it, does a task: behaviour and metrics side by side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from acdc.engine.reference import ReferenceEngine
from acdc.engine.setting import Setting
from acdc.errors import NumericsError
from acdc.metrics import METRICS, Metric, logit_difference


@dataclass(frozen=True)
class Behaviour:
    """How well some logits do the task, over all predictions; ``None`` where answers aren't given.

    Attributes:
        accuracy: share of predictions with a right answer above every wrong one (or, where
            no wrong answers are given, above every other token).
        top1: share of predictions whose likeliest token is a right answer.
        logit_difference: mean of the best right answer's logit minus the best wrong one's.
        metrics: mean of each metric against the model on the clean prompts.
    """

    accuracy: float | None
    top1: float | None
    logit_difference: float | None
    metrics: dict[str, float]


@dataclass(frozen=True)
class Evaluation:
    """A circuit beside the model it is of, on one set of prompts.

    Attributes:
        n_prompts: prompt pairs.
        model: the model on the clean prompts.
        corrupted: the model on the corrupted prompts.
        circuit: the circuit on the clean prompts.
        ablated: no edge left.
    """

    n_prompts: int
    model: Behaviour
    corrupted: Behaviour
    circuit: Behaviour
    ablated: Behaviour


def usable_metrics(setting: Setting) -> list[Metric]:
    """The metrics for which the prompt pairs name the answers needed, and the caller's own."""
    have = {"nothing"} | ({"answers"} if setting.prompts.has_answers else set())
    if setting.prompts.has_answers and setting.prompts.has_wrong_answers:
        have.add("wrong answers")
    own = [] if setting.own_metric is None else [setting.own_metric]
    return [metric for metric in METRICS.values() if metric.needs in have] + own


def behaviour(setting: Setting, logits: Tensor) -> Behaviour:
    """Judge logits, ``[prediction, n_outputs]``, against the model's own and the answers.

    Raises:
        NumericsError: a logit is NaN or infinite; names the prompt.
    """
    answers, prompts = setting.answers, setting.prompts
    bad = ~logits.isfinite().all(-1)  # [prediction]
    if bad.any():
        raise NumericsError(
            f'{setting.prompt_of(int(bad.nonzero()[0]))}: logits are NaN or infinite; try `dtype="float32"`, '
            "or leave the prompt out."
        )
    accuracy = top1 = difference = None
    if prompts.has_answers:
        hit = (logits.argmax(-1, keepdim=True) == answers.right).any(-1)  # [prediction]
        accuracy = top1 = float(hit.double().mean())
        if prompts.has_wrong_answers:
            margins = logit_difference(logits, answers)
            accuracy, difference = float((margins > 0).double().mean()), float(margins.mean())
    metrics = {
        metric.name: float(metric.per_prediction(logits, setting.model_logits, answers).mean())
        for metric in usable_metrics(setting)
    }
    return Behaviour(accuracy, top1, difference, metrics)


def circuit_behaviour(setting: Setting, in_graph: np.ndarray) -> Behaviour:
    """Run a circuit, ``[n_edges]`` bool, on a setting's prompts and judge it."""
    return behaviour(setting, ReferenceEngine(setting, METRICS["kl"]).logits(in_graph))


def ablated_behaviour(setting: Setting) -> Behaviour:
    """Judge what is left of the model when every edge is ablated."""
    return circuit_behaviour(setting, np.zeros(setting.graph.n_edges, dtype=bool))


def evaluate(setting: Setting, in_graph: np.ndarray, ablated: Behaviour | None = None) -> Evaluation:
    """Run a circuit on a setting's prompts and compare it with the model.

    Args:
        setting: model and prompts.
        in_graph: ``[n_edges]`` bool, the circuit.
        ablated: :func:`ablated_behaviour`, if it is known already.
    """
    return Evaluation(
        n_prompts=len(setting.prompts),
        model=behaviour(setting, setting.model_logits),
        corrupted=behaviour(setting, setting.corrupted_logits),
        circuit=circuit_behaviour(setting, in_graph),
        ablated=ablated_behaviour(setting) if ablated is None else ablated,
    )
