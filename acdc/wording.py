"""Words for messages."""

from __future__ import annotations

from collections.abc import Sequence

_LONGEST = 300  # characters of what a library says; some repeat the file


def counted(n: int, noun: str) -> str:
    """``1 pair``, ``2 pairs``."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def first_line(error: BaseException) -> str:
    """What a library says of an error, as the end of a sentence of ours."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = (lines[0] if lines else type(error).__name__).rstrip(".")
    return (said if len(said) <= _LONGEST else f"{said[:_LONGEST]}...").rstrip(".") + "."


def some(names: Sequence[str], most: int = 3) -> str:
    """The first few of many names: ``a, b and 5 more``."""
    shown = [name if len(name) <= _LONGEST else f"{name[:_LONGEST]}..." for name in names[:most]]
    if len(names) > most:
        return f"{', '.join(shown)} and {len(names) - most} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else "".join(shown)
