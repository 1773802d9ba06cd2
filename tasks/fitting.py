"""Which words a tokenizer spells as a task needs them."""

from __future__ import annotations

from collections.abc import Iterable

from acdc.errors import NoTokenizerError
from acdc.prompts import Tokenizer


def require_tokenizer(tokenizer: Tokenizer | None, task: str) -> Tokenizer:
    """Hand the tokenizer through.

    Raises:
        NoTokenizerError: there is none.
    """
    if tokenizer is None:
        raise NoTokenizerError(f"task {task}", "write a file of token ids")
    return tokenizer


def tokens_in_text(tokenizer: Tokenizer, text: str) -> list[int]:
    """The tokens that `text` adds to a sentence that it continues.

    Taken in context, because some tokenizers (SentencePiece) put a space before the
    start of every text.
    """
    before = tokenizer.encode("The", add_special_tokens=False)
    return tokenizer.encode("The" + text, add_special_tokens=False)[len(before) :]


def one_token_words(tokenizer: Tokenizer, words: Iterable[str]) -> tuple[list[str], list[str]]:
    """Part `words` into those that are one token with their leading space, and the rest."""
    fit: list[str] = []
    left_out: list[str] = []
    for word in words:
        (fit if len(tokens_in_text(tokenizer, f" {word}")) == 1 else left_out).append(word)
    return fit, left_out


def capital_and_rest_words(tokenizer: Tokenizer, words: Iterable[str]) -> tuple[list[str], list[str]]:
    """Part capitalised `words` into those spelled as capital (with its space) + rest, and the others."""
    fit: list[str] = []
    left_out: list[str] = []
    for word in words:
        tokens = tokens_in_text(tokenizer, f" {word}")
        capital = tokens_in_text(tokenizer, f" {word[0]}")
        (fit if len(tokens) == 2 and tokens[:1] == capital else left_out).append(word)
    return fit, left_out
