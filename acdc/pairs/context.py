"""The tokens of a text where it stands in a longer one.

Tokenizers treat the start of a text in a way of its own: SentencePiece's put a space
there, so that "B" by itself is another token than the B in "(B". So nothing but a
prompt's beginning is ever tokenized by itself.
"""

from __future__ import annotations

from collections.abc import Sequence

from acdc.pairs.tokenizer import Tokenizer, tokens_of, tokens_of_each

# What a text can follow without joining it: the first that the tokenizer keeps apart is taken.
_BEFORE_SPACE = ("The", ":", "1")
_BEFORE_OTHERS = ("\n", "(", ".", "1", "x")


def tokens_after(tokenizer: Tokenizer, before: str, text: str) -> list[int] | None:
    """The tokens that `text` adds to `before`; ``None`` where it changes those of `before`."""
    return _added(tokens_of(tokenizer, before), tokens_of(tokenizer, before + text))


def tokens_inside(tokenizer: Tokenizer, text: str, before: str | None = None) -> list[int]:
    """The tokens of `text` inside a longer text.

    Args:
        tokenizer: the tokenizer.
        text: what to tokenize.
        before: what it follows, if that is known. If the two would join to other tokens
            ("C" and "E" to "CE"), the border between them is kept all the same.
    """
    around = _BEFORE_SPACE if text[:1].isspace() else _BEFORE_OTHERS
    for context in (before, *around) if before else around:
        found = tokens_after(tokenizer, context, text)
        if found is not None:
            return found
    return tokens_of(tokenizer, text)


def tokens_inside_each(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    """:func:`tokens_inside` of each text, all tokenized together where they are kept apart from what stands before."""
    before = [(_BEFORE_SPACE if text[:1].isspace() else _BEFORE_OTHERS)[0] for text in texts]
    own = {one: tokens_of(tokenizer, one) for one in dict.fromkeys(before)}
    joined = tokens_of_each(tokenizer, [one + text for one, text in zip(before, texts, strict=True)])
    return [
        found if found is not None else tokens_inside(tokenizer, text)
        for found, text in zip(map(_added, map(own.__getitem__, before), joined), texts, strict=True)
    ]


def _added(own: list[int], both: list[int]) -> list[int] | None:
    """The tokens behind `own`; ``None`` where there are none, or where what follows changes it."""
    # Where nothing is left of what stands before, the text may still be treated as a beginning.
    kept_apart = bool(own) and len(both) > len(own) and both[: len(own)] == own
    return both[len(own) :] if kept_apart else None
