"""What a run was asked for, beside what is asked now: whether one can go on with the other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from acdc.wording import quoted

#: What a key means that a request lacks: options that came later were off before, or as they are by default now.
DEFAULTS: dict[str, Any] = {
    "method": "acdc",
    "order": "default",
    "gates": False,
    "seed": 0,
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
        before, after = (request.get(key, DEFAULTS.get(key)) for request in (earlier, asked))
        absent = key not in earlier or key not in asked
        if key in _FREE or before == after or "auto" in (before, after) or (absent and not before and not after):
            continue
        if key in _PLACES and _same_place(before, after, directory):
            continue
        found.append(f"{key} was {_said(before)} and is {_said(after)}")
    return found


def known_differences(record: Mapping[str, Any], asked: Mapping[str, Any]) -> list[str]:
    """What differs between the run of a record and what is known of a request before its model is opened.

    Args:
        record: of the earlier run.
        asked: some of a request's keys; ``n`` as it was given, or ``None``.
    """
    request = record["request"]
    known = {key: value for key, value in asked.items() if key != "n"}
    found = differences(request, known, directory=record.get("directory"), partly=True)
    noted = record.get("asked")
    before = noted.get("n") if isinstance(noted, dict) else request.get("n")
    if "n" in asked and asked["n"] not in (before, request.get("n")):
        found.append(f"n was {_said(before)} and is {_said(asked['n'])}")
    return found


def _same_place(before: Any, after: Any, directory: str | None) -> bool:
    """Whether two paths, the first from another directory, lead to one file or folder."""
    if not isinstance(before, str) or not isinstance(after, str) or directory is None:
        return False
    try:
        first, second = Path(directory, Path(before).expanduser()), Path(after).expanduser()
        return first.exists() and second.exists() and first.resolve() == second.resolve()
    except (OSError, RuntimeError, ValueError):  # a name that the system doesn't take
        return False


def _said(value: Any) -> str:
    return "not given" if value is None else quoted(value)
