"""How a tokenizer spells symbols, each of which has to be one token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from acdc.errors import PromptError
from acdc.pairs import Prompt, Tokenizer, show_tokens
from acdc.pairs.context import tokens_inside
from acdc.pairs.encoding import encode_prompt, is_unknown
from acdc.pairs.tokenizer import tokens_of

_OTHERS = "take a model of the task's own symbols, or write a file of prompt pairs"


@dataclass(frozen=True)
class Spelling:
    """Symbols as one tokenizer has them.

    Attributes:
        ids: each symbol's token inside a text, after a space.
        tokenizer: which; none where prompts are token ids.
        task: whose symbols, for messages.
    """

    ids: Mapping[str, int]
    tokenizer: Tokenizer | None
    task: str

    def prompt(self, symbols: Sequence[str]) -> Prompt:
        """A prompt of as many pieces as symbols.

        The first is the same token as elsewhere: GPT-2's family needs a space before it.

        Raises:
            PromptError: no text can begin with it.
        """
        if self.tokenizer is None:
            return tuple(self.ids[symbol] for symbol in symbols)
        first = symbols[0]
        for start in (first, f" {first}"):
            if tokens_of(self.tokenizer, start) == [self.ids[first]]:
                return (start, *(f" {symbol}" for symbol in symbols[1:]))
        raise PromptError(
            f"task {self.task} needs prompts that begin with {first!r}, and this tokenizer makes "
            f"{show_tokens(tokens_of(self.tokenizer, first), self.tokenizer)} of it there; {_OTHERS}."
        )

    def answers(self, symbols: Sequence[str]) -> tuple[str, ...] | tuple[int, ...]:
        """Symbols as answers: text, or token ids without a tokenizer."""
        if self.tokenizer is None:
            return tuple(self.ids[symbol] for symbol in symbols)
        return tuple(f" {symbol}" for symbol in symbols)


def spelling_of(symbols: Sequence[str], tokenizer: Tokenizer | None, task: str) -> Spelling:
    """How a tokenizer spells symbols; without one, each is its place among them.

    Raises:
        PromptError: a symbol isn't one token, none of the tokenizer's, or the same as another.
    """
    if tokenizer is None:
        return Spelling({symbol: number for number, symbol in enumerate(symbols)}, None, task)
    ids: dict[str, int] = {}
    by_id: dict[int, str] = {}
    for symbol in symbols:
        tokens = tokens_inside(tokenizer, f" {symbol}")
        if len(tokens) != 1 or is_unknown(tokens, symbol, tokenizer):
            raise PromptError(
                f"task {task} needs symbols of one token, but this tokenizer makes {show_tokens(tokens, tokenizer)} of "
                f"{f' {symbol}'!r}; {_OTHERS}."
            )
        if (other := by_id.setdefault(tokens[0], symbol)) != symbol:
            raise PromptError(
                f"task {task}: this tokenizer makes the same token of {other!r} and {symbol!r}; {_OTHERS}."
            )
        ids[symbol] = tokens[0]
    spelling = Spelling(ids, tokenizer, task)
    _check_in_a_row(spelling, symbols)
    return spelling


def _check_in_a_row(spelling: Spelling, symbols: Sequence[str]) -> None:
    """Refuse a tokenizer under which symbols join, or are other tokens behind each other than by themselves."""
    found = encode_prompt(spelling.prompt(symbols), spelling.tokenizer, f"task {spelling.task}", "clean").ids
    if list(found) != [spelling.ids[symbol] for symbol in symbols]:
        raise PromptError(
            f"task {spelling.task} needs symbols of one token wherever they stand, but this tokenizer makes "
            f"{show_tokens(found, spelling.tokenizer)} of them in a row; {_OTHERS}."
        )
