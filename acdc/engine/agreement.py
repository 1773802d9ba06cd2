"""Whether the nodes add up to the model's own logits on the very prompts of a run."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from acdc.engine.own_logits import own_predictions
from acdc.engine.setting import Setting
from acdc.errors import ModelError
from acdc.models.selfcheck import LogitComparison, compare_logits


@torch.no_grad()
def check_prompts(setting: Setting, *, corrupted_alone: bool = False) -> LogitComparison:
    """Compare what the nodes add up to on the very prompts of a run with the model's own logits.

    The model runs each prompt at its own length and without padding; logits are compared where
    answers are read, on clean and on corrupted prompts.

    Args:
        setting: model, prompts and their values.
        corrupted_alone: the clean prompts have been compared before.

    Raises:
        ModelError: they differ; names the prompt.
    """
    pairs, model = setting.prompts.pairs, setting.model
    sides = (
        ("clean", [pair.clean for pair in pairs], setting.model_logits),
        ("corrupted", [pair.corrupted for pair in pairs], setting.corrupted_logits),
    )
    whole = LogitComparison(0.0, 0.0)
    for which, prompts, logits in sides[corrupted_alone:]:
        if model.frozen and which == "corrupted":  # where it is another than its own
            continue
        for at, theirs in own_predictions(model, prompts, setting.rows, setting.columns):
            found = compare_logits(logits[at], theirs, model.dtype)
            if not found.passed:
                _refuse(setting, which, at, theirs, logits)
            whole = whole | found
    return whole


def _refuse(
    setting: Setting,
    which: str,
    predictions: list[int],
    own: Float[Tensor, "compared n_outputs"],
    logits: Float[Tensor, "prediction n_outputs"],
) -> None:
    """Raise :class:`ModelError` for the first of some predictions whose logits aren't the model's own."""
    for prediction, theirs in zip(predictions, own, strict=True):
        found = compare_logits(logits[prediction][None], theirs[None], setting.model.dtype)
        if not found.passed:
            length = len(setting.prompts.pairs[int(setting.rows[prediction])].clean)
            if setting.model.has_hooks:
                advice = "there are hooks on its bridge, which change that one only; take them off (`reset_hooks`)"
            elif torch.finfo(setting.model.dtype).bits < 32:  # where experts are chosen, say, it decides near ties
                advice = (
                    f"rounding in {str(setting.model.dtype).removeprefix('torch.')} may do so; give `dtype='float32'`"
                )
            else:
                advice = "leave out prompts of that length, and please report it"
            raise ModelError(
                f"{setting.prompt_of(prediction)}: on the {which} prompt ({length} tokens) the components of "
                f"{setting.model.name} add up to other logits than its own, by {found.difference:.2g} "
                f"(tolerance {found.tolerance:.2g}); {advice}."
            )
    raise ModelError(f"{setting.model.name} failed its self-check on the {which} prompts; please report it.")
