"""What the logits of right and wrong answers read in the last residual stream, prediction by prediction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from acdc.engine.setting import Setting
from acdc.errors import SettingsError


@dataclass(frozen=True)
class Answers:
    """The best right and the best wrong answer of some predictions, and the vectors that read their logits.

    With the final norm's scale frozen at what it is on the clean prompt, the logit of a token t in front of a soft
    cap is linear in the last residual stream x: ``x · u_t + c_t``. The best answer is the one of the largest logit
    in the whole model, the same that ``logit-diff`` takes.

    Where there are pairs without wrong answers, the mean over all outputs stands for the wrong answer everywhere: a
    logit alone has in it what is added to all logits alike, which no prediction depends on.

    Attributes:
        right_tokens, wrong_tokens: token ids, ``[prediction]``; -1 for the mean over all outputs.
        right, wrong: the vectors u, ``[prediction, d_model]`` in float64.
        right_offset, wrong_offset: the constants c, by the biases of norm and unembedding, ``[prediction]``.
        capped: a soft cap comes behind these logits.
    """

    right_tokens: Int[Tensor, " prediction"]
    wrong_tokens: Int[Tensor, " prediction"]
    right: Float[Tensor, "prediction d_model"]
    wrong: Float[Tensor, "prediction d_model"]
    right_offset: Float[Tensor, " prediction"]
    wrong_offset: Float[Tensor, " prediction"]
    capped: bool

    @property
    def difference(self) -> Float[Tensor, "prediction d_model"]:
        """What reads the logit of the right answer minus that of the wrong one."""
        return self.right - self.wrong


def best_answers(setting: Setting) -> tuple[Int[Tensor, " prediction"], Int[Tensor, " prediction"]]:
    """The right and the wrong answer of the largest logit in the whole model, of every prediction.

    -1 for every wrong one where there are pairs without.

    Raises:
        SettingsError: a prompt pair names no right answers.
    """
    check_answers(setting)
    right = best(setting.model_logits, setting.answers.right)
    has_wrong = setting.prompts.has_wrong_answers
    return right, best(setting.model_logits, setting.answers.wrong) if has_wrong else torch.full_like(right, -1)


def best(
    logits: Float[Tensor, "prediction n_outputs"], tokens: Int[Tensor, "prediction answer"]
) -> Int[Tensor, " prediction"]:
    """Of each prediction's answers the one of the largest logit.

    Args:
        logits: in the whole model.
        tokens: at least one for each, -1 where there are fewer.
    """
    values = logits.gather(-1, tokens.clamp(min=0)).masked_fill(tokens < 0, -torch.inf)
    return tokens.gather(-1, values.argmax(-1, keepdim=True))[:, 0]


def check_answers(setting: Setting) -> None:
    """Raise :class:`SettingsError` unless every pair names right answers."""
    if not setting.prompts.has_answers:
        raise SettingsError(
            f"{setting.prompts.task}: attribution to answers takes right ones for every prompt pair, and there are "
            "pairs without; add them."
        )


def answers_of(setting: Setting, rows: slice) -> Answers:
    """The answers of the predictions of some prompts.

    Args:
        setting: model and prompts.
        rows: which prompts.

    Raises:
        SettingsError: a pair lacks right answers, or the model's logits are no linear function of what it unembeds.
    """
    model, scored = setting.model, setting.scored(rows)
    right, wrong = (tokens[scored] for tokens in best_answers(setting))
    readout, norm = model.readout(), model.final_norm
    if readout is None:
        raise SettingsError(
            f"{model.name} makes logits by more than a matrix and a bias, so that no node has a direct share in them."
        )
    residual = setting.contributions.clean_residual[setting.rows[scored], setting.columns[scored]].double()
    gain = 1.0 if norm.kind == "none" else norm.inverse_scale(residual)  # [prediction, 1]
    found = []
    for tokens in (right, wrong):
        if setting.prompts.has_wrong_answers or tokens is right:
            direction, offset = readout.directions(tokens), readout.offsets(tokens)
        else:
            direction, offset = (each.expand(len(tokens), *each.shape) for each in readout.mean(model.dead))
        if norm.bias is not None and norm.kind != "none":
            offset = offset + direction @ norm.bias.double()
        weighted = direction if norm.weight is None else direction * norm.weight.double()
        found.append((norm.center(weighted) * gain, offset))  # centring is its own transpose
    (to_right, by_right), (to_wrong, by_wrong) = found
    return Answers(right, wrong, to_right, to_wrong, by_right, by_wrong, readout.capped)


def places(setting: Setting) -> tuple[np.ndarray, np.ndarray]:
    """The prompt and the position of every prediction, ``[prediction]`` each."""
    return setting.rows.cpu().numpy(), setting.columns.cpu().numpy()
