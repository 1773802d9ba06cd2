"""How well a model, or a circuit of it, does a task: behaviour and metrics side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from acdc.engine import circuits
from acdc.engine.own_metric import is_own
from acdc.engine.setting import Setting
from acdc.errors import NumericsError
from acdc.metrics import METRICS, Metric, logit_difference
from acdc.results import QUANTITIES, Behaviour, Evaluation, faithfulness

__all__ = ["Behaviour", "Evaluation", "behaviour", "evaluate"]

#: Logits that are measured at a time on a CPU, in bytes.
_PART_BYTES = 2**20


def usable_metrics(setting: Setting) -> list[Metric]:
    """The metrics for which the prompt pairs name the answers needed, and the caller's own."""
    have = {"nothing"} | ({"answers"} if setting.prompts.has_answers else set())
    if setting.prompts.has_answers and setting.prompts.has_wrong_answers:
        have.add("wrong answers")
    own = [] if setting.own_metric is None else [setting.own_metric]
    return [metric for metric in METRICS.values() if metric.needs in have] + own


def check_finite(setting: Setting, logits: Tensor) -> None:
    """Raise :class:`NumericsError` where one of some logits ``[prediction, n_outputs]`` isn't finite."""
    bad = ~logits.isfinite().all(-1)  # [prediction]
    if bad.any():
        raise NumericsError(
            f'{setting.prompt_of(int(bad.nonzero()[0]))}: logits are NaN or infinite; try `dtype="float32"`, '
            "or leave the prompt out."
        )


def behaviour(setting: Setting, logits: Tensor, *, measures: Sequence[Metric] | None = None) -> Behaviour:
    """Judge logits, ``[prediction, n_outputs]``, against the model's own and the answers.

    Args:
        setting: model and prompts.
        logits: to judge.
        measures: by which metrics; by default :func:`usable_metrics`.

    Raises:
        NumericsError: a logit is NaN or infinite; names the prompt.
    """
    answers, prompts = setting.answers, setting.prompts
    check_finite(setting, logits)
    values: dict[str, Tensor] = {}  # [prediction] each
    if prompts.has_answers:
        hit = (logits.argmax(-1, keepdim=True) == answers.right).any(-1).double()
        values = {"accuracy": hit, "top1": hit}
        if prompts.has_wrong_answers:
            margins = logit_difference(logits, answers)
            values |= {"accuracy": (margins > 0).double(), "logit_difference": margins}
    values |= _measured(setting, logits, usable_metrics(setting) if measures is None else measures)
    means = {name: float(each.mean()) for name, each in values.items()}
    accuracy, top1, difference = (means.get(name) for name in QUANTITIES)
    metrics = {name: mean for name, mean in means.items() if name not in QUANTITIES}
    return Behaviour(accuracy, top1, difference, metrics, {name: each.cpu().numpy() for name, each in values.items()})


def _measured(setting: Setting, logits: Tensor, measures: Sequence[Metric]) -> dict[str, Tensor]:
    """The metrics of logits by name, ``[prediction]`` each.

    A caller's function gets all predictions at once. Of acdc's metrics each prediction is on its own: they get a few at
    a time, which stay in the cache from metric to metric.
    """
    n = len(logits)
    few = max(1, _PART_BYTES // logits[0].nbytes) if logits.device.type == "cpu" else n
    parts: dict[str, list[Tensor]] = {}
    for step, some in ((n, [m for m in measures if is_own(m)]), (few, [m for m in measures if not is_own(m)])):
        for start in range(0, n, step):
            rows = slice(start, start + step)
            for metric in some:
                found = metric.per_prediction(logits[rows], setting.model_logits[rows], setting.answers[rows])
                parts.setdefault(metric.name, []).append(found)
    return {metric.name: torch.cat(parts[metric.name]) for metric in measures}


def unpatched(setting: Setting) -> tuple[Behaviour, Behaviour]:
    """What the model does on the clean and on the corrupted prompts. Raises :class:`NumericsError`."""
    return setting.once(
        ("unpatched", setting.own_metric),
        lambda: (behaviour(setting, setting.model_logits), behaviour(setting, setting.corrupted_logits)),
    )


def evaluate(setting: Setting, in_graph: np.ndarray, *, metrics: Sequence[str] = ("kl",)) -> Evaluation:
    """Run a circuit, its complement and the ablated model on a setting's prompts and compare them with the model.

    Args:
        setting: model and prompts.
        in_graph: ``[n_edges]`` bool, the circuit.
        metrics: faithfulness is of the first of these that the prompt pairs allow.

    Raises:
        SettingsError: `in_graph` is no set of edges of the model's graph.
        NumericsError: a logit is NaN or infinite; names the prompt.
    """
    setting.graph.check_mask(in_graph)

    wanted = [in_graph, ~in_graph]
    found: list[Behaviour] = []

    def ablated() -> Behaviour:  # with the others, as many share what their runs begin with
        found.extend(behaviour(setting, logits) for logits in circuits.run(setting, [np.zeros_like(in_graph), *wanted]))
        return found.pop(0)

    of_ablated = setting.once(("ablated", setting.own_metric), ablated)
    if not found:
        found.extend(behaviour(setting, logits) for logits in circuits.run(setting, wanted))
    of_circuit, of_complement = found
    model, corrupted = unpatched(setting)
    states = {
        "model": model,
        "circuit": of_circuit,
        "complement": of_complement,
        "ablated": of_ablated,
        "corrupted": corrupted,
    }
    return side_by_side(setting, states, metrics=metrics)


def side_by_side(
    setting: Setting, states: Mapping[str, Behaviour], *, metrics: Sequence[str], kl_scale: float = 1.0
) -> Evaluation:
    """What was measured on a setting's prompts, as one evaluation.

    Args:
        setting: model and prompts.
        states: what :data:`acdc.results.STATES` names.
        metrics: faithfulness is of the first of these that was measured, else of KL.
        kl_scale: what the values of KL were multiplied by.
    """
    circuit, ablated = (states[name].metrics for name in ("circuit", "ablated"))
    metric = next((name for name in metrics if name in circuit), "kl")
    rounding = rounding_of(setting, metric) * (kl_scale if metric == "kl" else 1.0)
    return Evaluation(
        n_prompts=len(setting.prompts),
        model=states["model"],
        corrupted=states["corrupted"],
        circuit=states["circuit"],
        ablated=states["ablated"],
        faithfulness=faithfulness(circuit[metric], ablated[metric], rounding),
        faithfulness_metric=metric,
        complement=states["complement"],
        prompt_of=setting.rows.cpu().numpy(),
        rounding=rounding,
    )


def rounding_of(setting: Setting, metric: str) -> float:
    """A metric's values up to here may be rounding alone: the logits' own, in the model's precision, in their mean."""
    logits = setting.model_logits
    dtype = setting.contributions.inputs.dtype
    moved = 4 * torch.finfo(dtype).eps * max(1.0, float(logits.amax(-1).abs().max()))  # of a logit that counts
    if metric in ("kl", "l2"):  # grow with the square
        return moved**2 * (logits.shape[-1] if metric == "l2" else 1)
    return moved / len(logits) ** 0.5
