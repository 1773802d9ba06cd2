"""Words for messages, and text of others made fit to stand in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

#: Characters of a whole message, and of one value in it.
_LONGEST, _LONGEST_VALUE = 2000, 200
_LONGEST_SAID = 300  # of what a library says; some repeat the file
_CUT = " [...] "
#: Drawn as nothing or as a blank, though Unicode calls them printable: fillers and selectors of variants.
_INVISIBLE = frozenset(
    chr(code)
    for first, last in (
        (0x034F, 0x034F),
        (0x115F, 0x1160),
        (0x17B4, 0x17B5),
        (0x180B, 0x180F),
        (0x2800, 0x2800),
        (0x3164, 0x3164),
        (0xFE00, 0xFE0F),
        (0xFFA0, 0xFFA0),
        (0xE0100, 0xE01EF),
    )
    for code in range(first, last + 1)
)


def counted(n: int, noun: str) -> str:
    """``1 pair``, ``2 pairs``."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def one_line(text: str) -> str:
    r"""`text` as a terminal may have it: what it would obey, or hide, is written as an escape.

    That is line breaks, escape sequences and other control characters, marks that turn the
    direction of writing, characters without width, and halves of surrogate pairs. An escape is
    written as Python writes it (``\x1b``, ``\u202e``).
    """
    if text.isascii() and text.isprintable():  # as most is, and quickly told
        return text
    return "".join(character if _is_visible(character) else _escape(character) for character in text)


def shortened(text: str, most: int = _LONGEST) -> str:
    """`text` in about `most` characters: its beginning and its end, which say what it is about and what to do."""
    half = most // 2
    return text if len(text) <= most else f"{text[:half]}{_CUT}{text[-half:]}"


def message(text: object) -> str:
    """`text` as a message may have it: one line, and not too long."""
    return shortened(one_line(shortened(str(text))))


def quoted(value: Any, most: int = _LONGEST_VALUE) -> str:
    """`value` as Python writes it, for a message; shortened, with quotes at both ends where it is text."""
    if isinstance(value, str):
        return repr(shortened(value, most))
    try:
        return shortened(repr(value[:most] if isinstance(value, list | tuple) else value), most)
    except (ValueError, RecursionError):  # an int of thousands of digits, a list that holds itself
        return f"a {type(value).__name__} too long to show"


def in_pairs(examples: Sequence[str], of: int, says: str) -> str:
    """``in 3 of 9 prompt pairs the prompt ends in a space (pairs.jsonl, line 4: ' to ')``: a count and the first."""
    return f"in {len(examples)} of {counted(of, 'prompt pair')} {says} ({examples[0]})"


def _is_visible(character: str) -> bool:
    return character.isprintable() and character not in _INVISIBLE


def _escape(character: str) -> str:
    if not character.isprintable():
        return repr(character)[1:-1]
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def first_line(error: BaseException) -> str:
    """What a library says of an error, as the end of a sentence of ours."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if isinstance(error, KeyError) and lines:
        lines = [f"{lines[0]} isn't known"]
    said = " ".join(lines[:2]) if lines and lines[0].endswith(":") else "".join(lines[:1])
    return shortened(said or type(error).__name__, _LONGEST_SAID).rstrip(".") + "."


def some(names: Sequence[str], most: int = 3) -> str:
    """The first few of many names: ``a, b and 5 more``."""
    shown = [shortened(name, _LONGEST_VALUE) for name in names[:most]]
    if len(names) > most:
        return f"{', '.join(shown)} and {len(names) - most} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else "".join(shown)


def either(names: Iterable[str]) -> str:
    """All names to choose from: ``a, b or c``."""
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


def task_name(task: str) -> str:
    """A task's name; of a file without its folder."""
    return Path(task).name or task
