"""Prompts as they are shown beside figures: their text, what they are one of, and the worst of them token by token."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from acdc.engine.setting import Setting
from acdc.evaluation.judgement import ANSWER, FORMS, JudgedPrompt, WorstPrompt
from acdc.pairs import TokenPair, text_of

_LIKELIEST = 5


def judged_prompts(setting: Setting) -> list[JudgedPrompt]:
    """The prompts of a setting, in order."""
    tokenizer = setting.model.tokenizer
    found = []
    for pair in setting.prompts.pairs:
        labels = {kind: str(pair.tags[kind]) for kind in FORMS if isinstance(pair.tags.get(kind), str | int | float)}
        if pair.answers:
            labels[ANSWER] = " ".join(_answers(setting, pair, place)[0] for place in range(len(pair.answers)))
        found.append(
            JudgedPrompt(pair.where, text_of(pair.clean, tokenizer), text_of(pair.corrupted, tokenizer), labels)
        )
    return found


def worst_prompts(setting: Setting, values: np.ndarray, circuit: Tensor, most: int) -> list[WorstPrompt]:
    """The prompts on which a metric is highest, by its mean over their predictions; equal ones in their order.

    Args:
        setting: model and prompts.
        values: the metric, ``[prediction]``.
        circuit: the circuit's logits, ``[prediction, n_outputs]``.
        most: how many.
    """
    rows = setting.rows.cpu().numpy()
    means = np.bincount(rows, weights=values) / np.bincount(rows)  # [prompt]
    found = []
    for prompt in np.argsort(-means, kind="stable")[:most].tolist():
        of_prompt = np.flatnonzero(rows == prompt)
        prediction = int(of_prompt[np.argmax(values[of_prompt])])
        pair, place = setting.prompts.pairs[prompt], int(np.flatnonzero(of_prompt == prediction)[0])
        found.append(
            WorstPrompt(
                prompt=prompt,
                value=float(means[prompt]),
                position=pair.answer_positions[place],
                tokens=tuple(zip(_tokens(setting, pair.clean), _tokens(setting, pair.corrupted), strict=True)),
                right=_answers(setting, pair, place) if pair.answers else (),
                wrong=_answers(setting, pair, place, wrong=True) if pair.wrong_answers else (),
                model=likeliest(setting, setting.model_logits[prediction], pair, place),
                circuit=likeliest(setting, circuit[prediction], pair, place),
            )
        )
    return found


def _tokens(setting: Setting, ids: tuple[int, ...]) -> list[str]:
    """Each token of a prompt as it reads there."""
    return [_text(setting, token, ids[:place]) for place, token in enumerate(ids)]


def _answers(setting: Setting, pair: TokenPair, place: int, *, wrong: bool = False) -> tuple[str, ...]:
    """The answers at one of a pair's answer positions, as text."""
    ids = (pair.wrong_answers if wrong else pair.answers)[place]
    before = pair.clean[: pair.answer_positions[place] + 1]
    return tuple(_text(setting, token, before) for token in ids)


def likeliest(setting: Setting, logits: Tensor, pair: TokenPair, place: int) -> tuple[tuple[str, float], ...]:
    """The likeliest tokens of one prediction, ``[n_outputs]``, with their probabilities.

    Args:
        setting: model and prompts.
        logits: ``[n_outputs]``.
        pair: its prompt pair.
        place: which of the pair's answer positions it is.
    """
    best = torch.topk(logits.softmax(-1), min(_LIKELIEST, len(logits)))
    before = pair.clean[: pair.answer_positions[place] + 1]
    pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    return tuple((_text(setting, token, before), share) for token, share in pairs)


def _text(setting: Setting, token: int, before: tuple[int, ...]) -> str:
    """A token as it reads behind others; its number where there is no tokenizer."""
    tokenizer = setting.model.tokenizer
    return str(token) if tokenizer is None else text_of([token], tokenizer, before)
