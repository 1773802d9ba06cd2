"""Prompts and answers to token ids, each in its context."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass

from acdc.errors import NoTokenizerError, PromptError
from acdc.pairs.context import tokens_inside
from acdc.pairs.pairs import Prompt
from acdc.pairs.tokenizer import Tokenizer, show_tokens, spelling, tokens_of, unknown_id
from acdc.wording import quoted

#: How far from the guessed place a token's end is looked for, in characters.
_NEAR = 24


@dataclass(frozen=True)
class Body:
    """A prompt's tokens without those that a tokenizer adds.

    Attributes:
        ids: the tokens.
        pieces: its pieces of text; none for token ids.
        ends: for each piece, how many tokens it and those before it have.
    """

    ids: tuple[int, ...]
    pieces: tuple[str, ...] = ()
    ends: tuple[int, ...] = ()

    @property
    def text(self) -> str:
        """All pieces as one text."""
        return "".join(self.pieces)


def encode_prompt(prompt: Prompt, tokenizer: Tokenizer | None, where: str, which: str) -> Body:
    """The tokens of a prompt as it's written; pieces are tokenized where they stand, with their borders kept.

    Raises:
        NoTokenizerError: text without a tokenizer.
        PromptError: the prompt is empty, or there are no tokens.
    """
    if not prompt or all(piece == "" for piece in prompt):
        raise PromptError(f"{where}: the {which} prompt is empty.")
    pieces = tuple(piece for piece in ((prompt,) if isinstance(prompt, str) else prompt) if isinstance(piece, str))
    if pieces and tokenizer is None:
        raise NoTokenizerError(f"{where}: the {which} prompt", 'give token ids ("clean_tokens", "corrupted_tokens")')
    if not pieces or tokenizer is None:
        return Body(tuple(token for token in prompt if isinstance(token, int)))
    ids: list[int] = []
    ends: list[int] = []
    text = ""
    for piece in pieces:
        if piece:
            ids += tokens_inside(tokenizer, piece, text) if text else tokens_of(tokenizer, piece)
        text += piece
        ends.append(len(ids))
    if not ids:
        raise PromptError(f"{where}: the {which} prompt has no tokens.")
    return Body(tuple(ids), pieces, tuple(ends))


def answer_token(answer: str | int, body: Body, place: int, tokenizer: Tokenizer | None, where: str) -> int:
    """The token of an answer after the prompt's token `place` (-1: as the beginning of a text).

    It is the token that follows where the answer is written after the text up to there;
    where the two would join to other tokens, the answer's own inside a text.

    Raises:
        NoTokenizerError: text without a tokenizer.
        PromptError: it isn't one token, or none that the tokenizer knows.
    """
    if isinstance(answer, int):
        return answer
    if tokenizer is None:
        raise NoTokenizerError(f"{where} {quoted(answer)}", "give its token id")
    if place < 0:
        tokens = tokens_of(tokenizer, answer)
    else:
        tokens = tokens_inside(tokenizer, answer, text_until(body, place, tokenizer))
    if len(tokens) != 1:
        raise PromptError(
            f"{where} {quoted(answer)} is {len(tokens)} tokens {show_tokens(tokens, tokenizer)}; an answer is "
            "one token. Shorten it, or mind the leading space."
        )
    if is_unknown(tokens, answer, tokenizer):
        raise PromptError(
            f"{where} {quoted(answer)} is no token of this tokenizer, which makes {show_tokens(tokens, tokenizer)} "
            "of it; choose another answer."
        )
    return tokens[0]


def text_until(body: Body, place: int, tokenizer: Tokenizer) -> str | None:
    """The prompt's text up to and with its token `place`; ``None`` where no text ends there."""
    for i, (piece, end) in enumerate(zip(body.pieces, body.ends, strict=True)):
        before, start = "".join(body.pieces[:i]), body.ends[i - 1] if i else 0
        if end == place + 1:
            return before + piece
        if end > place:
            cut = _cut(tokenizer, before, piece, list(body.ids[start : place + 1]))
            return None if cut is None else before + piece[:cut]
    return None


def tokens_of_start(tokenizer: Tokenizer, before: str, piece: str, cut: int) -> list[int]:
    """The tokens of a piece's first `cut` characters, where it stands after `before`."""
    start = piece[:cut]
    return tokens_inside(tokenizer, start, before) if before else tokens_of(tokenizer, start)


def _cut(tokenizer: Tokenizer, before: str, piece: str, ids: list[int]) -> int | None:
    """Where in a piece its first tokens `ids` end, in characters; ``None`` where they end inside one."""

    def length(cut: int) -> int:
        return len(tokens_of_start(tokenizer, before, piece, cut))

    # The number of tokens grows with the text, though not with every character.
    guess = bisect.bisect_left(range(len(piece) + 1), len(ids), lo=1, key=length)
    for cut in range(max(1, guess - _NEAR), min(len(piece), guess + _NEAR) + 1):
        if tokens_of_start(tokenizer, before, piece, cut) == ids:
            return cut
    return None


def is_unknown(ids: Sequence[int], text: str, tokenizer: Tokenizer) -> bool:
    """Whether tokens of `text` hold the one for what a tokenizer doesn't know."""
    unknown = unknown_id(tokenizer)
    return unknown is not None and unknown in ids and spelling(unknown, tokenizer) not in text
