"""Prompt pairs: what a task supplies, and what the engine runs on.

A :class:`PromptPair` is text (or token ids) as somebody wrote it. A
:class:`TokenPair` is the same pair under one tokenizer, checked: both prompts have
the same number of tokens, every answer is one token, every answer position lies in
the prompt. A :class:`PromptSet` is a list of those with where they came from.

Nothing here imports torch or transformers.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from acdc.errors import AcdcWarning, NoTokenizerError, PromptError
from acdc.wording import counted

#: A prompt: text, pieces of text that are tokenized one by one and joined (to force
#: token borders, as in "... (" + "C" + "E"), or token ids.
Prompt = str | tuple[str, ...] | tuple[int, ...]


class Tokenizer(Protocol):
    """The part of a Hugging Face tokenizer that acdc uses."""

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        """Text to token ids."""
        ...

    def convert_ids_to_tokens(self, ids: list[int]) -> list[str]:
        """Token ids to the tokens' spellings, for messages."""
        ...


@dataclass(frozen=True)
class PromptPair:
    """A clean and a corrupted prompt, as written.

    Attributes:
        clean: the prompt that shows the behaviour.
        corrupted: a prompt of as many tokens that lacks what the behaviour needs.
        answers: for each answer position, the right next tokens (text or token ids).
            Empty where the metric needs none.
        wrong_answers: for each answer position, the wrong ones.
        answer_positions: tokens after which the model's prediction counts; 0 is the
            first token, negative numbers count from the end.
        where: where the pair comes from, for messages ("pairs.jsonl, line 3").
        tags: whatever else is known of the pair. Of a list's and a file's pairs, ``split`` and
            ``group`` say what may be held out; see :mod:`acdc.splitting`.
    """

    clean: Prompt
    corrupted: Prompt
    answers: tuple[tuple[str | int, ...], ...] = ()
    wrong_answers: tuple[tuple[str | int, ...], ...] = ()
    answer_positions: tuple[int, ...] = (-1,)
    where: str = "prompt pair"
    tags: Mapping[str, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class TokenPair:
    """A checked pair of token ids.

    Attributes:
        clean, corrupted: token ids, equally many.
        answer_positions: ascending, all within the prompt, from its first token.
        answers, wrong_answers: for each answer position the token ids; empty if the
            pair has none.
        where: where the pair comes from, for messages.
    """

    clean: tuple[int, ...]
    corrupted: tuple[int, ...]
    answer_positions: tuple[int, ...]
    answers: tuple[tuple[int, ...], ...] = ()
    wrong_answers: tuple[tuple[int, ...], ...] = ()
    where: str = field(default="prompt pair", compare=False)


@dataclass(frozen=True)
class PromptSet:
    """The checked pairs that a run uses.

    Attributes:
        pairs: at least one; they may differ in length.
        task: the task's name, or the file's path.
        left_out: what the check left out and how many of it, e.g. ``{"names": 3}``.
    """

    pairs: tuple[TokenPair, ...]
    task: str
    left_out: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.pairs:
            raise PromptError(f"{self.task}: there are no prompt pairs.")
        if all(pair.clean == pair.corrupted for pair in self.pairs):
            which = "the only pair" if len(self) == 1 else f"all {len(self)} pairs"
            raise PromptError(
                f"{self.task}: clean and corrupted prompts are equal in {which}, "
                "so that patching can't change anything; corrupt what the behaviour depends on."
            )
        for name, found, shown in (
            ("answers", [pair.answers for pair in self.pairs], "accuracy"),
            ("wrong answers", [pair.wrong_answers for pair in self.pairs], "the logit difference"),
        ):
            if any(found) and not all(found):
                warnings.warn(
                    f"{self.task}: {name} on {sum(map(bool, found))} of {len(found)} pairs: {shown} isn't shown.",
                    AcdcWarning,
                    stacklevel=3,
                )

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def has_answers(self) -> bool:
        """Whether every pair names right answers."""
        return all(pair.answers for pair in self.pairs)

    @property
    def has_wrong_answers(self) -> bool:
        """Whether every pair names wrong answers."""
        return all(pair.wrong_answers for pair in self.pairs)

    def sha256(self) -> str:
        """A hash of all token ids, answers and positions: equal exactly for equal data."""
        rows = [
            [pair.clean, pair.corrupted, pair.answer_positions, pair.answers, pair.wrong_answers] for pair in self.pairs
        ]
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def tokenize_pair(
    pair: PromptPair,
    tokenizer: Tokenizer | None,
    *,
    vocab_size: int | None = None,
    n_outputs: int | None = None,
    max_length: int | None = None,
) -> TokenPair:
    """Turn a pair into token ids and check all that the engine relies on.

    Text is tokenized with the special tokens that the tokenizer itself adds (a BOS for
    Llama and Gemma, none for GPT-2). An answer's token is the one that follows when the
    answer is appended to the prompt, or, where that changes the prompt's own tokens,
    the answer's token by itself.

    Args:
        pair: the pair as written.
        tokenizer: needed for text; token ids pass without one.
        vocab_size: token ids must lie below it, where given.
        n_outputs: answers must lie below it, where given (toy models can have other
            outputs than inputs).
        max_length: the model's context, where given.

    Raises:
        PromptError: an empty prompt, prompts that differ in length, an empty entry of
            answers, an answer of several tokens, a token id outside the vocabulary, an answer position
            outside the prompt, a prompt longer than the context, or text without a
            tokenizer. The message names the pair.
    """
    clean = _encode(pair.clean, tokenizer, pair.where, "clean")
    corrupted = _encode(pair.corrupted, tokenizer, pair.where, "corrupted")
    if len(clean) != len(corrupted):
        raise PromptError(
            f"{pair.where}: the prompts differ in length: clean has {counted(len(clean), 'token')} "
            f"{show_tokens(clean, tokenizer)}, corrupted has {len(corrupted)} "
            f"{show_tokens(corrupted, tokenizer)}; make them line up token by token."
        )
    if max_length is not None and len(clean) > max_length:
        raise PromptError(
            f"{pair.where}: {len(clean)} tokens are more than the model's context of {max_length}; shorten the prompt."
        )
    _check_ids(clean + corrupted, vocab_size, pair.where, "token id")
    positions = _positions(pair.answer_positions, len(clean), pair.where)
    groups: list[tuple[tuple[int, ...], ...]] = []
    for name, given in (("answer", pair.answers), ("wrong answer", pair.wrong_answers)):
        if given and len(given) != len(positions):
            raise PromptError(
                f"{pair.where}: {counted(len(positions), 'answer position')} but {name}s for {len(given)}; "
                "give one entry a position."
            )
        if not all(given):
            raise PromptError(f"{pair.where}: an entry of the {name}s is empty; name one, or leave all {name}s out.")
        tokens = tuple(
            tuple(
                _answer_token(answer, pair.clean, clean, position, tokenizer, f"{pair.where}: {name}")
                for answer in answers
            )
            for position, answers in zip(positions, given, strict=False)
        )
        for ids in tokens:
            _check_ids(ids, n_outputs if n_outputs is not None else vocab_size, pair.where, f"{name} token id")
        groups.append(tokens)
    order = sorted(range(len(positions)), key=positions.__getitem__)
    answers, wrong_answers = (tuple(group[i] for i in order) if group else () for group in groups)
    return TokenPair(clean, corrupted, tuple(sorted(positions)), answers, wrong_answers, pair.where)


def show_tokens(ids: Sequence[int], tokenizer: Tokenizer | None) -> str:
    """A token list for a message: spellings where there is a tokenizer, else the ids."""
    if tokenizer is None:
        return str(list(ids))
    return str(tokenizer.convert_ids_to_tokens(list(ids)))


def _encode(prompt: Prompt, tokenizer: Tokenizer | None, where: str, which: str) -> tuple[int, ...]:
    pieces: tuple[str | int, ...] = (prompt,) if isinstance(prompt, str) else prompt
    if not pieces or not any(piece != "" for piece in pieces):
        raise PromptError(f"{where}: the {which} prompt is empty.")
    ids: list[int] = []
    for i, piece in enumerate(pieces):
        if not isinstance(piece, str):
            ids.append(piece)
        elif tokenizer is None:
            raise NoTokenizerError(
                f"{where}: the {which} prompt", 'give token ids ("clean_tokens", "corrupted_tokens")'
            )
        else:
            ids += tokenizer.encode(piece, add_special_tokens=i == 0)
    if not ids:
        raise PromptError(f"{where}: the {which} prompt has no tokens.")
    return tuple(ids)


def _answer_token(
    answer: str | int,
    prompt: Prompt,
    prompt_ids: tuple[int, ...],
    position: int,
    tokenizer: Tokenizer | None,
    where: str,
) -> int:
    if isinstance(answer, int):
        return answer
    if tokenizer is None:
        raise NoTokenizerError(f"{where} {answer!r}", "give its token id")
    if isinstance(prompt, str) and position == len(prompt_ids) - 1:
        together = tuple(tokenizer.encode(prompt + answer, add_special_tokens=True))
        if together[:-1] == prompt_ids:
            return together[-1]
    alone = tokenizer.encode(answer, add_special_tokens=False)
    if len(alone) != 1:
        raise PromptError(
            f"{where} {answer!r} is {len(alone)} tokens {show_tokens(alone, tokenizer)}; an answer is "
            "one token. Shorten it, or mind the leading space."
        )
    return alone[0]


def _positions(positions: tuple[int, ...], length: int, where: str) -> tuple[int, ...]:
    found = []
    for position in positions:
        if not -length <= position < length:
            raise PromptError(
                f"{where}: answer position {position} is outside the prompt, which has tokens 0 to {length - 1}."
            )
        found.append(position % length)
    if not found:
        raise PromptError(f"{where}: there is no answer position; leave the field out for the last token.")
    if len(set(found)) != len(found):
        raise PromptError(f"{where}: an answer position occurs twice in {list(positions)}.")
    return tuple(found)


def _check_ids(ids: Sequence[int], limit: int | None, where: str, what: str) -> None:
    for token in ids:
        if token < 0 or (limit is not None and token >= limit):
            raise PromptError(f"{where}: {what} {token} is outside the vocabulary (0 to {(limit or 0) - 1}).")
