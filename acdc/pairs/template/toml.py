"""The door for TOML files: text of a bearable size, parsed, or one sentence that names the line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from acdc.errors import PromptError
from acdc.pairs.promptfile.door import read_text

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

#: No task and no list of words is longer.
_MOST_BYTES = 4 * 2**20


def read_toml(path: Path) -> dict[str, Any]:
    """What a TOML file holds.

    Raises:
        PromptError: it can't be read, is too large, or isn't TOML; names file and line.
    """
    text = read_text(path, at_most=_MOST_BYTES, what="template files and word lists")
    try:
        return tomllib.loads(text.replace("\r\n", "\n"))
    except tomllib.TOMLDecodeError as error:
        raise PromptError(f"{path}: this is not TOML: {str(error).rstrip('.')}.") from None
    except RecursionError:
        raise PromptError(f"{path}: it is nested too deeply; no task needs that.") from None
    except ValueError as error:  # a date that isn't one, a number of thousands of digits
        raise PromptError(f"{path}: a value in it can't be read: {str(error).partition(';')[0].rstrip('.')}.") from None
