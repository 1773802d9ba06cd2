"""What is said of a run before its first decision: what it works on, and what to doubt."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from acdc.engine.setting import Setting
from acdc.errors import warn
from acdc.evaluation.behaviour import Behaviour, behaviour
from acdc.pairs import text_of
from acdc.pairs.bos import beginnings_in_words
from acdc.runs.record import Record
from acdc.verdict import POOR_ACCURACY
from acdc.wording import counted, quoted

#: Below this share of predictions whose likeliest token is an answer, the model has other things to say.
POOR_TOP1 = 0.5
#: An answer that isn't among so many likeliest tokens is hardly one.
FAR = 100
#: Tokens of the first prompt's end, and examples, that are shown.
_END, _EXAMPLES = 8, 3


def introduce(setting: Setting, record: Record, announce: Callable[[str], None]) -> None:
    """Say what the run works on and how well the model does the task; warn where it doesn't."""
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
    clean, corrupted = (behaviour(setting, logits) for logits in (setting.model_logits, setting.corrupted_logits))
    announce(f"the model on clean prompts: {_in_words(clean)}; on corrupted ones: {_in_words(corrupted)}")
    for doubt in _doubts(setting, clean, corrupted):
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


def _doubts(setting: Setting, clean: Behaviour, corrupted: Behaviour) -> Iterator[str]:
    """What may make the result mean little."""
    if clean.accuracy is not None and clean.accuracy < POOR_ACCURACY:
        yield f"the model is right on {clean.accuracy:.0%} of the predictions only; a circuit may not mean much."
    if clean.accuracy is not None and clean.accuracy <= (corrupted.accuracy or 0.0):
        yield "the model is as often right on corrupted prompts as on clean ones; check what the corruption changes."
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


def _in_words(found: Behaviour) -> str:
    if found.accuracy is None:
        return f"kl {found.metrics['kl']:.4g} to the model (no answers given)"
    difference = "" if found.logit_difference is None else f", logit difference {found.logit_difference:.3g}"
    return f"{found.accuracy:.1%} right{difference}, likeliest token right on {found.top1:.1%}"
