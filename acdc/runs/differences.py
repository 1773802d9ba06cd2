"""What a run was asked for, beside what is asked now: whether one can go on with the other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from acdc.pairs.finding import file_of
from acdc.runs.record import Record
from acdc.selection import words_of
from acdc.wording import quoted

#: What a key means that a request lacks: options that came later were off before, or as they are by default now.
DEFAULTS: dict[str, Any] = {
    "method": "acdc",
    "order": "default",
    "gates": False,
    "seed": 0,
    "passes": 1,
    "budget": 0,
    "rule": "left",  # of EAP-IG
    "split_input": False,
    "bos": "auto",
    "allow_misaligned": False,
    "skip_bad_pairs": False,
}
#: The keys that change how something is computed, not what.
_FREE = ("threads",)
#: The keys that may be paths.
_PLACES = ("task", "model")


def differences(
    earlier: Mapping[str, Any], asked: Mapping[str, Any], *, directory: str | None = None, partly: bool = False
) -> list[str]:
    """What changed from an earlier request to the present one, in words.

    A key that one of them lacks means its default, or that the option is off. ``auto`` fits whatever came of it:
    where that changes the prompts, their hash tells.

    Args:
        earlier: the request in a record.
        asked: the present one.
        directory: where relative paths of the earlier one begin.
        partly: `asked` has only what is known so far; only its keys are compared.
    """
    keys = asked.keys() if partly else earlier.keys() | asked.keys()
    found = []
    for key in sorted(keys):
        absent = earlier.get(key) is None or asked.get(key) is None
        before, after = (
            DEFAULTS.get(key) if (value := request.get(key)) is None else value for request in (earlier, asked)
        )
        if key in _FREE or before == after or "auto" in (before, after) or (absent and not before and not after):
            continue
        if key in _PLACES and _same_place(before, after, directory):
            continue
        found.append(f"{key} was {_said(before)} and is {_said(after)}")
    return found


def known_differences(record: Record, asked: Mapping[str, Any]) -> list[str]:
    """What differs between the run of a record and what is known of a request before its model is opened.

    Args:
        record: of the earlier run.
        asked: some of a request's keys; ``n`` as it was given, or ``None``.
    """
    known = {key: value for key, value in asked.items() if key != "n"}
    found = differences(record.request.to_json(), known, directory=record.directory, partly=True)
    before = record.request.n if record.asked is None else record.asked.n
    if "n" in asked and asked["n"] not in (before, record.request.n):
        found.append(f"n was {_said(before)} and is {_said(asked['n'])}")
    return found


def _same_place(before: Any, after: Any, directory: str | None) -> bool:
    """Whether two paths, the first from another directory, lead to one file or folder."""
    if not isinstance(before, str) or not isinstance(after, str) or directory is None:
        return False
    files = file_of(before), file_of(after)
    if None not in files and before.removeprefix(str(files[0])) != after.removeprefix(str(files[1])):
        return False  # other classes of Python files
    try:
        first, second = Path(directory, Path(files[0] or before).expanduser()), Path(files[1] or after).expanduser()
        return first.exists() and second.exists() and first.resolve() == second.resolve()
    except (OSError, RuntimeError, ValueError):  # a name that the system doesn't take
        return False


def _said(value: Any) -> str:
    if isinstance(value, Mapping):  # a selection
        return words_of(value)
    return "not given" if value is None else quoted(value)
