"""The named parts of a prompt among its tokens."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

from acdc.pairs.encoding import Body
from acdc.pairs.spans import Spans
from acdc.pairs.tokenizer import Tokenizer, tokens_of


def token_spans(spans: Spans, body: Body, tokenizer: Tokenizer | None, before: int = 0) -> Spans:
    """The tokens that spans cover, as half-open ranges: all that hold a character of theirs.

    A space that belongs to a word's token belongs to the word.

    Args:
        spans: of the prompt as written.
        body: the prompt's tokens.
        tokenizer: what made them; none for token ids.
        before: how many tokens are put before the prompt's own.
    """
    if not spans:
        return {}
    counts: dict[tuple[int, bool], int] = {}

    def place(at: int, *, is_end: bool) -> int:
        if not body.pieces or tokenizer is None:
            return at
        if len(body.pieces) > 1:
            return (0, *body.ends)[at]
        if (at, is_end) not in counts:
            counts[at, is_end] = _end(at, body, tokenizer) if is_end else _start(at, body, tokenizer)
        return counts[at, is_end]

    return {
        name: tuple((before + place(start, is_end=False), before + place(end, is_end=True)) for start, end in ranges)
        for name, ranges in spans.items()
    }


def _start(at: int, body: Body, tokenizer: Tokenizer) -> int:
    """The first token that holds what begins at a character."""
    before = body.text[:at].rstrip(" ")
    return _common(tokens_of(tokenizer, before), body.ids) if before else 0


def _end(at: int, body: Body, tokenizer: Tokenizer) -> int:
    """The token after the last that holds what ends before a character."""
    if at == len(body.text):
        return len(body.ids)
    own = tokens_of(tokenizer, body.text[:at])
    common = _common(own, body.ids)
    return common if common == len(own) else common + 1


def _common(some: Sequence[int], others: Sequence[int]) -> int:
    """With how many equal members both begin."""
    return sum(1 for _ in takewhile(lambda both: both[0] == both[1], zip(some, others, strict=False)))
