"""A sweep's axes in a TOML file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from acdc.asked import path
from acdc.errors import AcdcError, PromptError, SettingsError
from acdc.pairs.template.toml import read_toml

_WORD = re.compile(r"`(\w+)`")
#: What Python calls otherwise than TOML does.
_AS_TOML = (
    (re.compile(r"\bTrue or False\b"), "true or false"),
    (re.compile(r"(?<=, not )(?:True|False)(?=\.$)"), lambda word: word[0].lower()),
    (re.compile(r", not None(?=\.$)"), ""),
    (re.compile(r"(?<=, not )datetime\.\w+\([^()]*\)"), "a date or a time"),
    (re.compile(r"(?<=; give it )beside the axes(?=\.$)"), "beside the file"),
)


def read_file(file: Path) -> dict[str, Any]:
    """What a sweep's file holds: its keys are the axes, and ``[[method]]`` tables hold a name and axes of that method.

    Paths in it are as on the command line: from the folder in which the sweep runs.

    Raises:
        SettingsError: it can't be read, isn't TOML (names the line), or holds nothing.
    """
    if path("axes", file).is_dir():
        raise SettingsError(
            f"{file} is a folder; a sweep's axes stand in a TOML file, and a sweep that is in a folder is gone on with "
            "by acdc resume."
        )
    try:
        found = read_toml(file, what="a sweep's axes")
    except PromptError as error:
        raise SettingsError(str(error)) from None
    if not found:
        raise SettingsError(f'{file} holds no axes; write e.g. task = "ioi" into it.')
    return found


@contextmanager
def in_file(file: Path | None) -> Iterator[None]:
    """Errors of the block name the file, and its keys by their plain names; without a file they are as they are."""
    try:
        yield
    except AcdcError as error:
        if file is None:
            raise
        plain = _WORD.sub(lambda word: word[1], str(error))
        for python, toml in _AS_TOML:
            plain = python.sub(toml, plain)
        raise SettingsError(f"{file}: {plain}") from None
