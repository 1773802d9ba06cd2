"""Which words a tokenizer spells as a task needs them, inside a text."""

from __future__ import annotations

from collections.abc import Iterable

from acdc.errors import NoTokenizerError
from acdc.pairs import Tokenizer
from acdc.pairs.context import tokens_inside
from acdc.pairs.encoding import is_unknown


def require_tokenizer(tokenizer: Tokenizer | None, task: str) -> Tokenizer:
    """Hand the tokenizer through.

    Raises:
        NoTokenizerError: there is none.
    """
    if tokenizer is None:
        raise NoTokenizerError(f"task {task}", "write a file of token ids")
    return tokenizer


def one_token_words(tokenizer: Tokenizer, words: Iterable[str]) -> tuple[list[str], list[str]]:
    """Part `words` into those that are one token with their leading space, and the rest."""
    fit: list[str] = []
    left_out: list[str] = []
    for word in words:
        tokens = tokens_inside(tokenizer, f" {word}")
        (fit if len(tokens) == 1 and not is_unknown(tokens, word, tokenizer) else left_out).append(word)
    return fit, left_out


def capital_and_rest_words(tokenizer: Tokenizer, words: Iterable[str]) -> tuple[list[str], list[str]]:
    """Part capitalised `words` into those spelled as capital (with its space) + rest, and the others."""
    fit: list[str] = []
    left_out: list[str] = []
    for word in words:
        tokens = tokens_inside(tokenizer, f" {word}")
        capital = tokens_inside(tokenizer, f" {word[0]}")
        fits = len(tokens) == 2 and tokens[:1] == capital and not is_unknown(tokens, word, tokenizer)
        (fit if fits else left_out).append(word)
    return fit, left_out
