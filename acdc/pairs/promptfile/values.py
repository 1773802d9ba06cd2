"""Single values of prompt files: what they are, and how messages show them."""

from __future__ import annotations

import ast
import json
import re
from typing import Any

from acdc.pairs.promptfile.strictjson import parse_json

_MOST_SHOWN = 40  # characters
#: A list in a cell of a table that isn't JSON, as Python writes it, is read up to this many characters.
_MOST_PYTHON = 10_000
_WHOLE = re.compile(r"\s*(\d{1,18})\.0+\s*")


def is_a(kind: type, value: object) -> bool:
    """Whether `value` is of `kind`; JSON's true and false are no numbers here."""
    return isinstance(value, kind) and not isinstance(value, bool)


def show(value: object) -> str:
    """A value as JSON for a message, shortened."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 3]}..."


def shortened(text: str) -> str:
    """Python's spelling of a text for a message, shortened."""
    return repr(text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 3]}...")


def numbers_in(cell: str) -> Any:
    """What a cell of a table holds where numbers or lists of them are wanted; ``None`` if it isn't JSON.

    Where a column has gaps, pandas writes 318 as 318.0.
    """
    if found := _WHOLE.fullmatch(cell):
        cell = found[1]
    try:
        return parse_json(cell)
    except ValueError:
        return None


def texts_in(cell: str) -> Any:
    """What a cell holds where text is wanted: itself, or the list that it spells (as JSON or as Python)."""
    if not (cell.startswith("[") and cell.endswith("]")):
        return cell
    found = numbers_in(cell)
    if found is None and len(cell) <= _MOST_PYTHON:
        try:
            found = ast.literal_eval(cell)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            found = None
    return found if isinstance(found, list) else cell
