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

#: What to do, by how the parser's message begins.
_ADVICE = {
    "Invalid value": "texts stand in straight quotes",
    "Illegal character": "a text ends with the quote that it begins with, on its line",
    "Unterminated": "a text ends with the quote that it begins with",
    "Cannot declare": "give one of them another name",
    "Cannot overwrite": "give one of them another name",
    "Unclosed array": "a list ends with ']', and commas stand between its entries",
    "Unclosed inline table": "it ends with '}', and commas stand between its entries",
    "Expected newline": "nothing but a comment follows a value on its line, and a text has none of its quotes inside",
    "Invalid statement": "a line is KEY = VALUE, [TABLE] or a comment",
    "Unescaped": "double it, or put the text in single quotes",
    "Expected '=' after a key": "a line is KEY = VALUE, and a text in it stands in quotes",
}


def read_toml(path: Path, what: str = "template files and word lists") -> dict[str, Any]:
    """What a TOML file holds.

    Args:
        path: the file.
        what: is in it, for messages.

    Raises:
        PromptError: it can't be read, is too large, or isn't TOML; names file and line.
    """
    text = read_text(path, at_most=_MOST_BYTES, what=what)
    try:
        return tomllib.loads(text.replace("\r\n", "\n"))
    except tomllib.TOMLDecodeError as error:
        said = str(error).rstrip(".")
        advice = next((f"; {advice}" for begins, advice in _ADVICE.items() if said.startswith(begins)), "")
        raise PromptError(f"{path}: this is not TOML: {said}{advice}.") from None
    except RecursionError:
        raise PromptError(f"{path}: it is nested too deeply; nothing needs that.") from None
    except ValueError as error:  # a date that isn't one, a number of thousands of digits
        raise PromptError(f"{path}: a value in it can't be read: {str(error).partition(';')[0].rstrip('.')}.") from None
