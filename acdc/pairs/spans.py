"""Named parts of a prompt as written: ranges of its characters, pieces or ids."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from acdc.errors import PromptError
from acdc.wording import quoted

#: Half-open ranges by name; a name may stand at several places.
Spans = Mapping[str, tuple[tuple[int, int], ...]]


def checked_spans(value: Any, length: int, where: str, name: str) -> dict[str, tuple[tuple[int, int], ...]]:
    """Spans of a prompt as plain tuples.

    Args:
        value: a mapping of names to half-open ranges, ``{"subject": ((4, 8),)}``.
        length: of the prompt, in characters of a text and in pieces or ids of any other.
        where: for messages.
        name: likewise.

    Raises:
        PromptError: it's something else, or a range is empty or leaves the prompt.
    """
    if not isinstance(value, Mapping):
        raise PromptError(f"{where}: `{name}` must be a mapping of names to ranges, not {quoted(value)}.")
    found = {}
    for key, ranges in value.items():
        if not isinstance(key, str) or not isinstance(ranges, list | tuple):
            raise PromptError(f'{where}: `{name}` must be ranges by name, like {{"subject": ((4, 8),)}}.')
        for one in ranges:
            if not _is_range(one, length):
                raise PromptError(
                    f"{where}: the span {quoted(key)} must be of ranges from 0 to {length} that aren't empty, "
                    f"not {quoted(one)}."
                )
        found[key] = tuple((int(start), int(end)) for start, end in ranges)
    return found


def _is_range(value: Any, length: int) -> bool:
    is_pair = isinstance(value, list | tuple) and len(value) == 2
    if not is_pair or not all(isinstance(end, int) and not isinstance(end, bool) for end in value):
        return False
    return 0 <= value[0] < value[1] <= length
