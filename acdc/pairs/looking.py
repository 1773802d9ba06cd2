"""A pair token by token, as the model gets it: what differs, which span is where, and where answers are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from acdc.displayed import Displayed
from acdc.pairs.tokenizer import Tokenizer, text_of
from acdc.pairs.tokenizing import TokenPair


@dataclass(frozen=True)
class ShownToken:
    """A place of a pair.

    Attributes:
        clean, corrupted: the token of either prompt as it reads there; its number where there is no tokenizer.
        differs: whether the two are different tokens.
        spans: names of the clean prompt's spans that it belongs to.
    """

    clean: str
    corrupted: str
    differs: bool
    spans: tuple[str, ...]


@dataclass(frozen=True)
class ShownAnswer:
    """What is to follow after a token.

    Attributes:
        position: the token, from 0.
        right, wrong: the answers there; empty where they aren't given.
        corrupted: what is right there on the corrupted prompt; empty where that isn't known.
    """

    position: int
    right: tuple[str, ...]
    wrong: tuple[str, ...]
    corrupted: tuple[str, ...]


@dataclass(frozen=True)
class ShownPair(Displayed):
    """A pair as data: what ``acdc task show`` prints.

    Attributes:
        where: where the pair comes from.
        tokens: its places, in order.
        answers: its answer positions, in order.
        tags: what it says of itself: its template, the word of each slot.
    """

    where: str
    tokens: tuple[ShownToken, ...]
    answers: tuple[ShownAnswer, ...]
    tags: Mapping[str, Any]
    _form: ClassVar = "prompts:pair_form"


def shown_pair(pair: TokenPair, tokenizer: Tokenizer | None) -> ShownPair:
    """A pair of a :class:`acdc.PromptSet`, token by token.

        >>> pair = acdc.prompts("tiny-tasks", "ioi", n=1).pairs[0]  # doctest: +SKIP
        >>> [token.clean for token in acdc.shown_pair(pair, tokenizer).tokens if token.differs]  # doctest: +SKIP

    Args:
        pair: the pair.
        tokenizer: the one that it was made with.
    """
    tokens = tuple(
        ShownToken(
            clean=_text(token, pair.clean[:place], tokenizer),
            corrupted=_text(other, pair.corrupted[:place], tokenizer),
            differs=token != other,
            spans=tuple(
                name for name, ranges in pair.spans.items() if any(start <= place < stop for start, stop in ranges)
            ),
        )
        for place, (token, other) in enumerate(zip(pair.clean, pair.corrupted, strict=True))
    )
    groups = (pair.answers, pair.wrong_answers, pair.corrupted_answers)
    answers = tuple(
        ShownAnswer(
            position,
            *(
                tuple(_text(token, pair.clean[: position + 1], tokenizer) for token in (group[i] if group else ()))
                for group in groups
            ),
        )
        for i, position in enumerate(pair.answer_positions)
    )
    return ShownPair(pair.where, tokens, answers, pair.tags)


def _text(token: int, before: tuple[int, ...], tokenizer: Tokenizer | None) -> str:
    return str(token) if tokenizer is None else text_of([token], tokenizer, before)
