"""Whether the nodes add up to the model's own logits on the very prompts of a run."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from acdc.engine.setting import Setting
from acdc.errors import ModelError
from acdc.models.selfcheck import LogitComparison, compare_logits
from acdc.models.tokens import Tokens

#: Logits of the model itself that are held at a time, in bytes.
_OWN_BYTES = 256 * 2**20


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
    rows = setting.rows.tolist()
    predictions: dict[int, list[int]] = {}  # of each prompt
    for prediction, row in enumerate(rows):
        predictions.setdefault(row, []).append(prediction)
    whole = LogitComparison(0.0, 0.0)
    for which, prompts, logits in sides[corrupted_alone:]:
        if model.frozen and which == "corrupted":  # where it is another than its own
            continue
        for batch in _alike(prompts, model.n_outputs * logits.element_size()):
            chosen = [(i, prediction) for i, row in enumerate(batch) for prediction in predictions[row]]
            at = [prediction for _, prediction in chosen]
            of_prompt = torch.tensor([i for i, _ in chosen], device=model.device)
            tokens = Tokens.of([prompts[row] for row in batch], model.device)
            theirs = model.own_logits_at(tokens, of_prompt, setting.columns[at])  # [prediction, n_outputs]
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


def _alike(prompts: Sequence[Sequence[int]], bytes_a_token: int) -> list[list[int]]:
    """Numbers of prompts of one length, as many together as the model's logits leave room for."""
    lengths: dict[int, list[int]] = {}
    for row, prompt in enumerate(prompts):
        lengths.setdefault(len(prompt), []).append(row)
    batches = []
    for length, rows in lengths.items():
        together = max(1, _OWN_BYTES // (length * bytes_a_token))
        batches += [rows[i : i + together] for i in range(0, len(rows), together)]
    return batches
