"""What a model's own figures on a task's prompts give to doubt, in sentences."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from acdc.engine.setting import Setting
from acdc.evaluation.behaviour import Behaviour
from acdc.pairs import text_of
from acdc.verdict import POOR_ACCURACY
from acdc.wording import in_pairs, quoted

#: Below this share of predictions whose likeliest token is an answer, the model has other things to say.
POOR_TOP1 = 0.5
#: An answer that isn't among so many likeliest tokens is hardly one.
FAR = 100
#: A right answer is as likely on the corrupted prompt if so little of what speaks for it is gone ...
_AS_LIKELY = 0.05
#: ... and that is worth a word in so large a share of the pairs: of words that a prompt lacks, either may be likelier.
_MANY = 0.5
#: So much of accuracy, or of the logit difference, may go under a control corruption.
_MOVED = 0.2
_EXAMPLES = 3


def model_doubts(
    setting: Setting, clean: Behaviour, corrupted: Behaviour, *, is_control: bool = False
) -> Iterator[str]:
    """What may make a result on these prompts mean little, by what the model does on them.

    Args:
        setting: model and prompts.
        clean: what it does on the clean prompts.
        corrupted: what it does on the corrupted ones.
        is_control: the corruption must leave the right answer what it is.
    """
    if clean.accuracy is not None and clean.accuracy < POOR_ACCURACY:
        yield f"the model is right on {clean.accuracy:.0%} of the predictions only; a circuit may not mean much."
    if is_control:
        yield from _moved(clean, corrupted)
    elif clean.accuracy is not None and clean.accuracy <= (corrupted.accuracy or 0.0):
        yield "the model is as often right on corrupted prompts as on clean ones; check what the corruption changes."
    else:
        yield from _as_likely(setting, clean, corrupted)
    if clean.top1 is not None and clean.top1 < POOR_TOP1:
        yield (
            f"the model's likeliest token is a right answer on {clean.top1:.0%} of the predictions only "
            f"({_likeliest_instead(setting)}); check how prompts and answers meet, and that they are the task's."
        )
    if setting.prompts.has_answers and (far := _share_far(setting)) > 0.5:
        yield (
            f"on {far:.0%} of the predictions no right answer is among the model's {FAR} likeliest tokens; check that "
            "the answers are meant, and their token ids this tokenizer's."
        )


def _as_likely(setting: Setting, clean: Behaviour, corrupted: Behaviour) -> Iterator[str]:
    """Pairs whose right answer the corrupted prompt makes as likely as the clean one, at every answer position."""
    before, after = _logit_differences(clean), _logit_differences(corrupted)
    if before is None or after is None:
        return
    # Where nothing speaks for the right answer, nothing can be gone.
    kept = np.where(before > 0, after - (1 - _AS_LIKELY) * before, -1.0) >= 0  # [prediction]
    rows = setting.rows.cpu().numpy()
    as_likely = np.bincount(rows, weights=kept) == np.bincount(rows)  # [prompt]
    found = [setting.prompts.pairs[row].where for row in np.flatnonzero(as_likely).tolist()]
    if len(found) > _MANY * len(setting.prompts):
        says = "the corrupted prompt makes the right answer as likely as the clean one"
        yield f"{in_pairs(found, len(setting.prompts), says)}; there, nothing that matters is corrupted."


def _logit_differences(found: Behaviour) -> np.ndarray | None:
    """``[prediction]``; ``None`` where no wrong answers are given."""
    return (found.values or {}).get("logit_difference")


def _moved(clean: Behaviour, corrupted: Behaviour) -> Iterator[str]:
    """That a control corruption moves the answer."""
    if clean.accuracy is None or corrupted.accuracy is None:
        return
    before, after = clean.logit_difference, corrupted.logit_difference
    gone = 0.0 if before is None or after is None or before <= 0 else 1 - after / before
    if clean.accuracy - corrupted.accuracy > _MOVED or gone > _MOVED:
        figures = f"right on {corrupted.accuracy:.0%} in place of {clean.accuracy:.0%}"
        if before is not None:
            figures += f", logit difference {after:.3g} in place of {before:.3g}"
        yield f"the control corruption moves the answer, which it must leave ({figures}): the model goes by it too."


def _likeliest_instead(setting: Setting) -> str:
    """Up to three different examples of predictions whose likeliest token is no right answer."""
    likeliest = setting.model_logits.argmax(-1)
    missed = (likeliest[:, None] != setting.answers.right).all(-1).nonzero()[:, 0].tolist()
    examples: dict[str, None] = {}
    for prediction in missed:
        row, place = int(setting.rows[prediction]), int(setting.columns[prediction])
        pair, tokenizer = setting.prompts.pairs[row], setting.model.tokenizer
        position = pair.answer_positions.index(place)
        said, right = (
            str(token) if tokenizer is None else quoted(text_of([token], tokenizer, pair.clean[: place + 1]))
            for token in (int(likeliest[prediction]), pair.answers[position][0])
        )
        examples[f"likeliest {said}, answer {right}"] = None
        if len(examples) == _EXAMPLES:
            break
    return "; ".join(examples)


def _share_far(setting: Setting) -> float:
    """Share of predictions of which no right answer is among the likeliest tokens."""
    logits, right = setting.model_logits, setting.answers.right
    best = logits.gather(-1, right.clamp(min=0)).masked_fill(right < 0, -float("inf")).amax(-1, keepdim=True)
    return float(((logits > best).sum(-1) >= FAR).double().mean())
