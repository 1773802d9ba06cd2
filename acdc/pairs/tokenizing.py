"""From a pair as written to a pair of token ids, with every check that the engine relies on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from acdc.errors import PromptError
from acdc.pairs.alignment import Alignment, judge
from acdc.pairs.bos import Beginning, beginning, check_bos
from acdc.pairs.encoding import Body, answer_token, encode_prompt
from acdc.pairs.pairs import PromptPair
from acdc.pairs.spans import Spans
from acdc.pairs.tokenizer import Tokenizer, plain_spelling, show_tokens
from acdc.pairs.tokenspans import token_spans
from acdc.wording import counted, quoted

#: A longer prompt fits no run; to tokenize it first would take minutes.
_MOST_CHARACTERS = 1_000_000
#: No vocabulary is larger; what is can't be put into a tensor either.
_MOST_IDS = 2**31


@dataclass(frozen=True)
class TokenPair:
    """A checked pair of token ids.

    Attributes:
        clean, corrupted: token ids, equally many.
        answer_positions: ascending, all within the prompt, from its first token.
        answers, wrong_answers: for each answer position the token ids; empty if the
            pair has none.
        where: where the pair comes from, for messages.
        alignment: whether the words of both prompts stand at the same tokens.
        tags: whatever else the pair says of itself.
        spans: named parts of the clean prompt, as half-open ranges of its tokens.
        corrupted_answers: for each answer position the token ids that are right on the corrupted prompt; empty
            where that isn't known.
    """

    clean: tuple[int, ...]
    corrupted: tuple[int, ...]
    answer_positions: tuple[int, ...]
    answers: tuple[tuple[int, ...], ...] = ()
    wrong_answers: tuple[tuple[int, ...], ...] = ()
    where: str = field(default="prompt pair", compare=False)
    alignment: Alignment = field(default="not judged", compare=False)
    tags: Mapping[str, Any] = field(default_factory=dict, compare=False)
    spans: Spans = field(default_factory=dict, compare=False)
    corrupted_answers: tuple[tuple[int, ...], ...] = field(default=(), compare=False)


def tokenize_pair(
    pair: PromptPair,
    tokenizer: Tokenizer | None,
    *,
    vocab_size: int | None = None,
    n_outputs: int | None = None,
    max_length: int | None = None,
    bos: str = "auto",
    allow_misaligned: bool = False,
) -> TokenPair:
    """Turn a pair into token ids and check all that the engine relies on.

    Text is tokenized with the special tokens that the tokenizer itself adds before it (a
    BOS for Llama and Gemma, none for GPT-2), unless `bos` says otherwise; what the
    tokenizer adds after it (an EOS) is left out, so that the answer isn't read there.
    Pieces and answers are tokenized where they stand (see :mod:`acdc.pairs.context`). An
    answer's token is the one that follows when the answer is appended to the text up to
    its position, or, where that changes the text's own tokens, the answer's inside a text.

    Args:
        pair: the pair as written.
        tokenizer: needed for text; token ids pass without one.
        vocab_size: token ids must lie below it, where given.
        n_outputs: answers must lie below it, where given (toy models can have other
            outputs than inputs).
        max_length: the model's context, where given.
        bos: ``auto``: as the tokenizer does; ``yes``: exactly one BOS before every prompt
            (also before token ids that have none); ``no``: none is added. Answer positions
            from 0 up are counted on the prompt as it is under ``auto``, and move along.
        allow_misaligned: take prompts of equal length whose words stand at other tokens.

    Raises:
        PromptError: an empty prompt, prompts that differ in length or whose words stand at
            other tokens, two BOS, an empty entry of answers, an answer of several tokens, a right
            answer among the wrong ones, a token id outside the vocabulary, an answer
            position outside the prompt, a prompt longer than the context, or text without
            a tokenizer. The message names the pair.
        UnknownNameError: `bos` is none of the three.
        SettingsError: ``bos="yes"`` without a BOS in the tokenizer.
    """
    check_bos(bos, tokenizer)
    _check_sizes(pair)
    own = [encode_prompt(getattr(pair, which), tokenizer, pair.where, which) for which in ("clean", "corrupted")]
    for body in own:
        _check_ids(body.ids, vocab_size, pair.where, "token id")
    begins = [beginning(body, tokenizer, bos, pair.where) for body in own]
    clean, corrupted = (begin.ids + body.ids for begin, body in zip(begins, own, strict=True))
    _check_lengths(clean, corrupted, tokenizer, max_length, pair.where)
    alignment = _alignment(own[0], own[1], tokenizer, pair.where, allow_misaligned)
    positions = _positions(pair.answer_positions, begins[0], len(clean), pair.where)
    order = sorted(range(len(positions)), key=positions.__getitem__)
    limit = n_outputs if n_outputs is not None else vocab_size
    groups = _all_answers(pair, positions, own, begins, tokenizer, limit)
    answers, wrong_answers, corrupted_answers = (tuple(group[i] for i in order) if group else () for group in groups)
    _check_apart(answers, wrong_answers, tokenizer, pair.where)
    about = (pair.where, alignment, pair.tags, token_spans(pair.spans, own[0], tokenizer, len(begins[0].ids)))
    ordered = tuple(sorted(positions))
    return TokenPair(clean, corrupted, ordered, answers, wrong_answers, *about, corrupted_answers)


def _check_sizes(pair: PromptPair) -> None:
    """Refuse a prompt that would take minutes to tokenize."""
    for which, prompt in (("clean", pair.clean), ("corrupted", pair.corrupted)):
        size = len(prompt) if isinstance(prompt, str) else sum(_size(piece) for piece in prompt)
        if size > _MOST_CHARACTERS:
            what = "characters" if isinstance(prompt, str) else "characters or tokens"
            raise PromptError(
                f"{pair.where}: the {which} prompt has {size:,} {what}, and at most {_MOST_CHARACTERS:,} are taken; "
                "shorten it."
            )


def _check_lengths(
    clean: tuple[int, ...], corrupted: tuple[int, ...], tokenizer: Tokenizer | None, max_length: int | None, where: str
) -> None:
    """Refuse prompts of different lengths, or longer than the context."""
    if len(clean) != len(corrupted):
        raise PromptError(
            f"{where}: the prompts differ in length: clean has {counted(len(clean), 'token')} "
            f"{show_tokens(clean, tokenizer)}, corrupted has {len(corrupted)} "
            f"{show_tokens(corrupted, tokenizer)}; make them line up token by token."
        )
    if max_length is not None and len(clean) > max_length:
        raise PromptError(
            f"{where}: {len(clean)} tokens are more than the model's context of {max_length}; shorten the prompt."
        )


def _alignment(
    clean: Body, corrupted: Body, tokenizer: Tokenizer | None, where: str, allow_misaligned: bool
) -> Alignment:
    """Whether words stand at the same tokens; unless it is allowed, they may not stand at others."""
    alignment, problem = judge(clean, corrupted, tokenizer)
    if problem is not None and not allow_misaligned:
        raise PromptError(
            f"{where}: the prompts have as many tokens but don't line up: {problem}, so that tokens are patched "
            "from other words' tokens; use words of as many tokens, or give `allow_misaligned=True`."
        )
    return alignment


def _check_apart(
    answers: tuple[tuple[int, ...], ...],
    wrong_answers: tuple[tuple[int, ...], ...],
    tokenizer: Tokenizer | None,
    where: str,
) -> None:
    """Refuse a token that is right and wrong at one position."""
    for right, wrong in zip(answers, wrong_answers, strict=False):
        if both := [token for token in right if token in wrong]:
            said = both[0] if tokenizer is None else plain_spelling(both[0], tokenizer)
            raise PromptError(
                f"{where}: the right answer {said!r} is among the wrong answers too; leave it out of one of them."
            )


def _all_answers(
    pair: PromptPair,
    positions: Sequence[int],
    bodies: Sequence[Body],
    begins: Sequence[Beginning],
    tokenizer: Tokenizer | None,
    limit: int | None,
) -> list[tuple[tuple[int, ...], ...]]:
    """Tokens of the right answers, of the wrong ones, and of those that are right on the corrupted prompt."""
    given = (
        ("answer", pair.answers, 0),
        ("wrong answer", pair.wrong_answers, 0),
        ("corrupted answer", pair.corrupted_answers, 1),
    )
    return [
        _answers(name, group, positions, bodies[side], begins[side], tokenizer, limit, pair.where)
        for name, group, side in given
    ]


def _answers(
    name: str,
    given: tuple[tuple[str | int, ...], ...],
    positions: Sequence[int],
    body: Body,
    begin: Beginning,
    tokenizer: Tokenizer | None,
    limit: int | None,
    where: str,
) -> tuple[tuple[int, ...], ...]:
    """The answers' tokens at each position; of equal ones one."""
    if given and len(given) != len(positions):
        raise PromptError(
            f"{where}: {counted(len(positions), 'answer position')} but {name}s for {len(given)}; "
            "give one entry a position."
        )
    if not all(given):
        raise PromptError(f"{where}: an entry of the {name}s is empty; name one, or leave all {name}s out.")
    found = []
    for position, answers in zip(positions, given, strict=False):
        place = position - len(begin.ids)
        tokens = [answer_token(answer, body, place, tokenizer, f"{where}: {name}") for answer in answers]
        _check_ids(tokens, limit, where, f"{name} token id")
        found.append(tuple(dict.fromkeys(tokens)))
    return tuple(found)


def _positions(positions: Sequence[int], begin: Beginning, length: int, where: str) -> tuple[int, ...]:
    """Answer positions in the prompt as it is, from those in the prompt as it is under ``auto``."""
    usual = length - begin.shift
    found = []
    for position in positions:
        if not -usual <= position < usual:
            raise PromptError(
                f"{where}: answer position {quoted(position)} is outside the prompt, which has tokens 0 to {usual - 1}."
            )
        moved = position % usual + begin.shift
        if moved < 0:
            raise PromptError(
                f'{where}: answer position {position} is a token that the tokenizer adds, and `bos="no"` leaves it '
                "out; leave the position out too."
            )
        found.append(moved)
    if not found:
        raise PromptError(f"{where}: there is no answer position; leave the field out for the last token.")
    if len(set(found)) != len(found):
        raise PromptError(f"{where}: an answer position occurs twice in {list(positions)}.")
    return tuple(found)


def _size(piece: str | int) -> int:
    return len(piece) if isinstance(piece, str) else 1


def _check_ids(ids: Sequence[int], limit: int | None, where: str, what: str) -> None:
    for token in ids:
        if not 0 <= token < (_MOST_IDS if limit is None else limit):
            known = "token ids are whole numbers from 0" if limit is None else f"0 to {limit - 1}"
            raise PromptError(f"{where}: {what} {quoted(token)} is outside the vocabulary ({known}).")
