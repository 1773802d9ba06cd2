"""A pair of prompts as somebody wrote it, in text or in token ids."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

from acdc.errors import PromptError
from acdc.pairs.spans import Spans, checked_spans
from acdc.wording import quoted

#: A prompt: text, pieces of text whose borders are token borders (as in "... (" + "C" +
#: "E"), or token ids.
Prompt = str | tuple[str, ...] | tuple[int, ...]

_ANSWERS = 'one entry a position, each a tuple of text or of token ids, like ((" Mary", " Ann"),)'


@dataclass(frozen=True)
class PromptPair:
    """A clean and a corrupted prompt, as written.

    Lists are taken for tuples, and numpy's numbers and arrays for Python's.

        >>> pair = PromptPair("Mary met John. John saw", "Mary met John. Ann saw", answers=[[" Mary"]])
        >>> pair.answers, pair.answer_positions
        (((' Mary',),), (-1,))

    Attributes:
        clean: the prompt that shows the behaviour.
        corrupted: a prompt of as many tokens that lacks what the behaviour needs.
        answers: for each answer position, the right next tokens (text or token ids).
            Empty where the metric needs none.
        wrong_answers: for each answer position, the wrong ones.
        answer_positions: tokens after which the model's prediction counts; 0 is the
            first token that the tokenizer makes of the prompt, a BOS that it adds
            included; negative numbers count from the prompt's end.
        where: where the pair comes from, for messages ("pairs.jsonl, line 3").
        tags: whatever else is known of the pair. Of a list's and a file's pairs, ``split`` and
            ``group`` say what may be held out; see :mod:`acdc.pairs.splitting`. A template task gives
            ``template`` and ``slots``, a mapping of each slot to its word.
        spans: named parts of the clean prompt, as half-open ranges of its characters (of its pieces or ids, where
            it is made of such): ``{"subject": ((4, 8),)}``.
        corrupted_spans: likewise of the corrupted one.
        corrupted_answers: for each answer position, what is right on the corrupted prompt; empty where that isn't
            known. No metric uses them.

    Raises:
        PromptError: a field of another type; says what it should be.
    """

    clean: Prompt
    corrupted: Prompt
    answers: tuple[tuple[str | int, ...], ...] = ()
    wrong_answers: tuple[tuple[str | int, ...], ...] = ()
    answer_positions: tuple[int, ...] = (-1,)
    where: str = "prompt pair"
    tags: Mapping[str, Any] = field(default_factory=dict, compare=False)
    spans: Spans = field(default_factory=dict, compare=False)
    corrupted_spans: Spans = field(default_factory=dict, compare=False)
    corrupted_answers: tuple[tuple[str | int, ...], ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.where, str):
            raise PromptError(f"a prompt pair's `where` must be text, not {quoted(self.where)}.")
        if not isinstance(self.tags, Mapping):
            raise PromptError(f"{self.where}: `tags` must be a mapping of names to values, not {quoted(self.tags)}.")
        fields = {
            "clean": _prompt(self.clean, self.where, "clean"),
            "corrupted": _prompt(self.corrupted, self.where, "corrupted"),
            "answers": _answers(self.answers, self.where, "answers"),
            "wrong_answers": _answers(self.wrong_answers, self.where, "wrong_answers"),
            "answer_positions": _positions(self.answer_positions, self.where),
            "corrupted_answers": _answers(self.corrupted_answers, self.where, "corrupted_answers"),
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)
        for name, prompt in (("spans", self.clean), ("corrupted_spans", self.corrupted)):
            object.__setattr__(self, name, checked_spans(getattr(self, name), len(prompt), self.where, name))


def _prompt(value: Any, where: str, which: str) -> Prompt:
    if isinstance(value, str):
        entries: Any = (value,)
    else:
        entries = _entries(value)
        if entries is None or not (_all_text(entries) or _all_ids(entries)):
            raise PromptError(
                f"{where}: the {which} prompt must be text, a tuple of pieces of text, or one of token ids, "
                f"not {quoted(value)}."
            )
    made = _made(entries, where, f"the {which} prompt")
    return made[0] if isinstance(value, str) else made


def _answers(value: Any, where: str, name: str) -> tuple[tuple[Any, ...], ...]:
    entries = _entries(value)
    if entries is None:
        raise PromptError(f"{where}: `{name}` must be {_ANSWERS}, not {quoted(value)}.")
    found = []
    for entry in entries:
        alternatives = _entries(entry)
        if alternatives is None or not (_all_text(alternatives) or _all_ids(alternatives)):
            raise PromptError(f"{where}: `{name}` must be {_ANSWERS}; an entry is {quoted(entry)}.")
        found.append(_made(alternatives, where, f"`{name}`"))
    return tuple(found)


def _positions(value: Any, where: str) -> tuple[int, ...]:
    entries = _entries(value)
    if entries is None or not _all_ids(entries):
        raise PromptError(
            f"{where}: `answer_positions` must be a tuple of whole numbers, like (-1,), not {quoted(value)}."
        )
    return tuple(int(position) for position in entries)


def _entries(value: Any) -> tuple[Any, ...] | None:
    """The members of a list, a tuple or an array; ``None`` if it's nothing of the kind."""
    if isinstance(value, list | tuple):
        return tuple(value)
    to_list: Callable[[], Any] | None = getattr(value, "tolist", None)  # numpy's and torch's
    found = to_list() if callable(to_list) else None
    return tuple(found) if isinstance(found, list) else None


def _all_text(entries: tuple[Any, ...]) -> bool:
    return all(isinstance(entry, str) for entry in entries)


def _all_ids(entries: tuple[Any, ...]) -> bool:
    """Whether all are whole numbers; Python's True and False are none here."""
    return all(isinstance(entry, Integral) and not isinstance(entry, bool) for entry in entries)


def _made(entries: tuple[Any, ...], where: str, what: str) -> tuple[Any, ...]:
    """Plain Python values of `entries`, all text that can be written or all whole numbers."""
    made = tuple(str(entry) if isinstance(entry, str) else int(entry) for entry in entries)
    for entry in made:
        if isinstance(entry, str) and any("\ud800" <= character <= "\udfff" for character in entry):
            raise PromptError(f"{where}: {what} holds half of a character: {quoted(entry)}.")
    return made
