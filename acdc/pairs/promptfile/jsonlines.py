"""Records of JSON files: an object a line, a list of objects, or AutoCircuit's object of ``prompts``."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

from acdc.errors import PromptError
from acdc.pairs.promptfile.names import MOST_FIELDS
from acdc.pairs.promptfile.records import Record
from acdc.pairs.promptfile.strictjson import parse_json
from acdc.pairs.promptfile.values import show


def read_lines(path: str, text: str) -> Iterator[Record]:
    """An object a line (JSONL); a file that is one list of objects is read as that."""
    if text.lstrip().startswith("["):
        try:
            whole = parse_json(text)
        except ValueError:
            pass
        else:
            yield from _items(path, whole)
            return
    for number, line in enumerate(io.StringIO(text, newline=""), start=1):
        if line.strip():
            yield _record(f"{path}, line {number}", line)


def read_array(path: str, text: str) -> Iterator[Record]:
    """A list of objects, or an object with such a list as ``prompts``; or JSONL under the name ``.json``.

    Raises:
        PromptError: it is none of these; names the place.
    """
    if not text.strip():
        return
    try:
        whole = parse_json(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":  # several values, one after another
            yield from read_lines(path, text)
            return
        raise PromptError(
            f"{path}, line {error.lineno}, column {error.colno}: this is not JSON: {error.msg}."
        ) from None
    except ValueError as error:
        raise PromptError(f"{path}: this is not JSON that can be used: {error}.") from None
    if isinstance(whole, dict):
        if "clean" in whole or "clean_tokens" in whole:
            whole = [whole]
        elif isinstance(whole.get("prompts"), list):
            whole = whole["prompts"]
    if not isinstance(whole, list):
        raise PromptError(
            f'{path}: it must be a list of objects like {{"clean": ..., "corrupted": ...}}, or an object with such '
            f'a list as "prompts", not {show(whole)}.'
        )
    yield from _items(path, whole)


def _items(path: str, items: list[Any]) -> Iterator[Record]:
    for number, item in enumerate(items, start=1):
        yield _checked(f"{path}, pair {number}", item, "a pair")


def _record(where: str, line: str) -> Record:
    try:
        fields = parse_json(line)
    except json.JSONDecodeError as error:
        return Record(where, error=PromptError(f"{where}, column {error.colno}: this is not JSON: {error.msg}."))
    except ValueError as error:
        return Record(where, error=PromptError(f"{where}: this is not JSON that can be used: {error}."))
    return _checked(where, fields, "a line")


def _checked(where: str, fields: Any, what: str) -> Record:
    if isinstance(fields, dict):
        if len(fields) > MOST_FIELDS:
            too_many = f"{where}: {len(fields)} fields are more than {MOST_FIELDS}; keep those that are needed."
            return Record(where, error=PromptError(too_many))
        return Record(where, fields)
    wanted = '{"clean": ..., "corrupted": ...}'
    return Record(where, error=PromptError(f"{where}: {what} must be an object like {wanted}, not {show(fields)}."))
