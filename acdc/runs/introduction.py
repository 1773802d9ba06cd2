"""What is said of a run before its first decision: what it works on, and what to doubt."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

from acdc.engine.setting import Setting
from acdc.errors import AcdcWarning
from acdc.evaluation import Behaviour, behaviour
from acdc.verdict import POOR_ACCURACY
from acdc.wording import counted


def introduce(setting: Setting, record: dict[str, Any], announce: Callable[[str], None]) -> None:
    """Say what the run works on and how well the model does the task; warn where it doesn't."""
    request, prompts = record["request"], setting.prompts
    announce(
        f"{request['model']}: {len(setting.graph.nodes)} nodes, {setting.graph.n_edges} edges ({request['dtype']})"
    )
    left_out = ", ".join(f"{count} {kind}" for kind, count in prompts.left_out.items() if count)
    announce(
        f"{request['task']}: {counted(len(prompts), 'prompt pair')}"
        + (f"; left out for the tokenizer: {left_out}" if left_out else "")
    )
    clean, corrupted = (behaviour(setting, logits) for logits in (setting.model_logits, setting.corrupted_logits))
    announce(f"the model on clean prompts: {_in_words(clean)}; on corrupted ones: {_in_words(corrupted)}")
    for doubt in _doubts(record, clean, corrupted):
        warnings.warn(doubt, AcdcWarning, stacklevel=3)


def _doubts(record: dict[str, Any], clean: Behaviour, corrupted: Behaviour) -> Iterator[str]:
    """What may make the result mean little."""
    request = record["request"]
    if clean.accuracy is not None and clean.accuracy < POOR_ACCURACY:
        yield f"the model is right on {clean.accuracy:.0%} of the predictions only; a circuit may not mean much."
    if clean.accuracy is not None and clean.accuracy <= (corrupted.accuracy or 0.0):
        yield "the model is as often right on corrupted prompts as on clean ones; check what the corruption changes."
    if request["threshold"] >= record["metric_ablated"] > 0:
        yield (
            f"ablating every edge costs {record['metric_ablated']:.4g} {request['metric']}, no more than the threshold "
            f"{request['threshold']:g}; nothing may be kept. Lower it, or check what the corruption changes."
        )
    if 0 < request["threshold"] < record["noise_floor"]:
        yield (
            f"the threshold {request['threshold']:g} is below the noise floor {record['noise_floor']:.2g} of "
            f"{request['metric']} in {request['dtype']}: some decisions will be rounding. Raise it, or use float64."
        )


def _in_words(found: Behaviour) -> str:
    if found.accuracy is None:
        return f"kl {found.metrics['kl']:.4g} to the model (no answers given)"
    difference = "" if found.logit_difference is None else f", logit difference {found.logit_difference:.3g}"
    return f"{found.accuracy:.1%} right{difference}"
