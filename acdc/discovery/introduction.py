"""What is said of a run before its first decision: what it works on, and what to doubt."""

from __future__ import annotations

from collections.abc import Callable

from acdc.engine.setting import Setting
from acdc.errors import warn
from acdc.evaluation.behaviour import Behaviour, unpatched
from acdc.evaluation.model_doubts import model_doubts
from acdc.pairs import text_of
from acdc.pairs.bos import beginnings_in_words
from acdc.runs.record import Record
from acdc.wording import counted, quoted

#: Tokens of the first prompt's end, and examples, that are shown.
_END, _EXAMPLES = 8, 3


def introduce(setting: Setting, record: Record, announce: Callable[[str], None], *, is_control: bool = False) -> None:
    """Say what the run works on and how well the model does the task; warn where it doesn't.

    Args:
        setting: model and prompts.
        record: of the run.
        announce: called with each line.
        is_control: the prompts are under a corruption that must leave the right answer what it is.
    """
    request, prompts, tokenizer = record.request, setting.prompts, setting.model.tokenizer
    announce(f"{request.model}: {len(setting.graph.nodes)} nodes, {setting.graph.n_edges} edges ({request.dtype})")
    left_out = ", ".join(f"{count} {kind}" for kind, count in prompts.left_out.items() if count)
    announce(
        f"{request.task}: {counted(len(prompts), 'prompt pair')}, {prompts.alignment_in_words}"
        + (f"; left out: {left_out}" if left_out else "")
    )
    if tokenizer is not None:
        announce(beginnings_in_words(prompts.pairs, tokenizer))
    announce(_first_pair(setting))
    clean, corrupted = unpatched(setting)
    announce(f"the model on clean prompts: {_in_words(clean)}; on corrupted ones: {_in_words(corrupted)}")
    for doubt in setting.once("doubts", lambda: [*model_doubts(setting, clean, corrupted, is_control=is_control)]):
        warn(doubt)


def _first_pair(setting: Setting) -> str:
    """The end of the first prompt and its answers as the model gets them, so that other tokens than meant are seen."""
    pair, tokenizer = setting.prompts.pairs[0], setting.model.tokenizer
    stop = pair.answer_positions[-1] + 1
    start = max(stop - _END, 0)
    end = text_of(pair.clean[start:stop], tokenizer, pair.clean[:start])
    answers = [
        f"{kind} {_answers_text(setting, group[-1], 0)}"
        for kind, group in (("right", pair.answers), ("wrong", pair.wrong_answers))
        if group
    ]
    shown = end if tokenizer is None else quoted(end)
    return f"the first prompt ends in {shown}" + "".join(f", {text}" for text in answers)


def _answers_text(setting: Setting, tokens: tuple[int, ...], row: int) -> str:
    """Answers at a prompt's last answer position, as text."""
    pair, tokenizer = setting.prompts.pairs[row], setting.model.tokenizer
    before = pair.clean[: pair.answer_positions[-1] + 1]
    shown = [
        str(token) if tokenizer is None else quoted(text_of([token], tokenizer, before)) for token in tokens[:_EXAMPLES]
    ]
    return " or ".join(shown) + (f" and {len(tokens) - len(shown)} more" if len(tokens) > len(shown) else "")


def _in_words(found: Behaviour) -> str:
    if found.accuracy is None:
        return f"kl {found.metrics['kl']:.4g} to the model (no answers given)"
    difference = "" if found.logit_difference is None else f", logit difference {found.logit_difference:.3g}"
    return f"{found.accuracy:.1%} right{difference}, likeliest token right on {found.top1:.1%}"
