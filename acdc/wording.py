"""Words for messages."""

from __future__ import annotations

from collections.abc import Sequence

_LONGEST = 60


def counted(n: int, noun: str) -> str:
    """``1 pair``, ``2 pairs``."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def quoted(value: object) -> str:
    """A value as Python writes it, shortened."""
    try:
        text = repr(value[:_LONGEST] if isinstance(value, str | list | tuple) else value)
    except (ValueError, RecursionError):  # a number of too many digits, a list that holds itself
        return f"a {type(value).__name__} that is too large to show"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def in_pairs(examples: Sequence[str], of: int, says: str) -> str:
    """``in 3 of 9 prompt pairs the prompt ends in a space (pairs.jsonl, line 4: ' to ')``: a count and the first."""
    return f"in {len(examples)} of {counted(of, 'prompt pair')} {says} ({examples[0]})"
