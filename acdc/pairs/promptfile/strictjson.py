"""JSON as its standard has it: no NaN, no name twice, no number of thousands of digits, no half characters."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

#: Whole numbers of more digits are refused: nothing that is counted here needs them.
_MOST_DIGITS = 20


def parse_json(text: str) -> Any:
    """What `text` holds.

    Raises:
        json.JSONDecodeError: it isn't JSON.
        ValueError: it is JSON that can't be used; the message says why.
    """
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_int=_whole, parse_constant=_constant)
        json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except UnicodeEncodeError:
        raise ValueError(r"half of a character (like \ud83d) stands alone") from None
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        (twice, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"the field {twice[:40]!r} is given twice")
    return found


def _whole(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"a number has {len(digits.lstrip('-'))} digits")
    return int(digits)


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number; write null")
