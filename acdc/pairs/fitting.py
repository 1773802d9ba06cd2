"""Which words a tokenizer spells as a task needs them, inside a text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from acdc.errors import NoTokenizerError
from acdc.pairs import Tokenizer
from acdc.pairs.context import tokens_inside_each
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
    for word, tokens in _inside(tokenizer, words):
        (fit if len(tokens) == 1 and not is_unknown(tokens, word, tokenizer) else left_out).append(word)
    return fit, left_out


def capital_and_rest_words(tokenizer: Tokenizer, words: Iterable[str]) -> tuple[list[str], list[str]]:
    """Part capitalised `words` into those spelled as capital (with its space) + rest, and the others."""
    fit: list[str] = []
    left_out: list[str] = []
    words = list(words)
    capitals = dict(_inside(tokenizer, {word[0]: None for word in words}))
    for word, tokens in _inside(tokenizer, words):
        fits = len(tokens) == 2 and tokens[:1] == capitals[word[0]] and not is_unknown(tokens, word, tokenizer)
        (fit if fits else left_out).append(word)
    return fit, left_out


def _inside(tokenizer: Tokenizer, words: Iterable[str]) -> Iterator[tuple[str, list[int]]]:
    """Words with their tokens behind a space."""
    words = list(words)
    return zip(words, tokens_inside_each(tokenizer, [f" {word}" for word in words]), strict=True)
