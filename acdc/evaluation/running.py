"""Many circuits on a setting's prompts, measured by one metric, equal ones run once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b

import numpy as np
from torch import Tensor

from acdc.engine import circuits
from acdc.engine.setting import Setting
from acdc.evaluation.behaviour import check_finite, usable_metrics
from acdc.evaluation.conventions import measures, run_mask
from acdc.graph import Graph


def values_of(
    setting: Setting, graph: Graph, masks: Iterable[np.ndarray], convention: str, measure: Callable[[Tensor], Tensor]
) -> np.ndarray:
    """What circuits are worth on every prediction.

    Args:
        setting: model and prompts.
        graph: the circuits'; the setting's, or with an input that this one splits.
        masks: ``[n_edges]`` bool each, at least one; read one after another.
        convention: see :mod:`acdc.evaluation.conventions`.
        measure: from logits ``[prediction, n_outputs]`` to ``[prediction]``.

    Returns:
        ``[circuit, prediction]`` float64.

    Raises:
        NumericsError: a logit is NaN or infinite; names the prompt.
    """
    numbers: dict[bytes, int] = {}  # of each different circuit
    places = []

    def different() -> Iterator[np.ndarray]:
        for mask in masks:
            kept = run_mask(convention, graph, mask, setting.graph)
            key = blake2b(np.packbits(kept).tobytes()).digest()
            is_new = key not in numbers
            places.append(numbers.setdefault(key, len(numbers)))
            if is_new:
                yield kept

    found = []
    for logits in circuits.run(setting, different()):
        check_finite(setting, logits)
        found.append(measure(logits).double().cpu().numpy())
    return np.stack(found)[places]


def metric_of(setting: Setting, name: str, convention: str) -> Callable[[Tensor], Tensor]:
    """A metric by its name as a measure of logits, as a convention counts it."""
    named = [metric for metric in usable_metrics(setting) if metric.name == name]
    metric = measures(convention, named, setting)[0]
    return lambda logits: metric.per_prediction(logits, setting.model_logits, setting.answers)
