"""Where a prompt file's answers stand, and whether they are text or token ids."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from acdc.errors import PromptError
from acdc.pairs.promptfile.names import RIGHT, RIGHT_ID, WRONG, WRONG_ID
from acdc.pairs.promptfile.records import Record
from acdc.pairs.promptfile.values import is_a, numbers_in, shortened, show, texts_in

#: ``either`` is decided by the values, as in AutoCircuit's files.
Kind = Literal["text", "ids", "either"]
Answers = tuple[tuple[str | int, ...], ...]
_KINDS: Mapping[str, Kind] = {
    **dict(zip(RIGHT + WRONG, ("text", "ids", "either") * 2, strict=True)),
    RIGHT_ID: "ids",
    WRONG_ID: "ids",
}
#: Columns that people call so hold token ids, if they hold whole numbers.
_ID_NAME = re.compile(r"(_idx|_ids?|_tokens?)$", re.IGNORECASE)
_WANTED = {"text": "text", "ids": "a token id", "either": "text or a token id"}


@dataclass(frozen=True)
class Source:
    """A field or column that holds answers.

    Attributes:
        name: its name.
        kind: what its values are.
        asked: whether the user named it.
    """

    name: str
    kind: Kind
    asked: bool = False


def asked_source(records: Sequence[Record], name: str, keyword: str, path: str) -> Source:
    """The column that the user named.

    Its values are token ids if its name ends in ``_idx``, ``_id(s)`` or ``_token(s)`` and they are whole
    numbers, and text otherwise; one of acdc's own names keeps its meaning.

    Args:
        records: of the whole file.
        name: the column's name.
        keyword: ``answers`` or ``wrong_answers``, for messages.
        path: the file, for messages.

    Raises:
        PromptError: no record has it; names the nearest.
    """
    names = dict.fromkeys(field for record in records for field in record.fields)
    if name not in names:
        near = difflib.get_close_matches(name[:100], [field[:100] for field in names], n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(map(shortened, list(names)[:20]))}."
        raise PromptError(f"{path}: there is no column {shortened(name)} for `{keyword}`: {hint}")
    if name in _KINDS:
        return Source(name, _KINDS[name], asked=True)
    kind: Kind = "text"
    if _ID_NAME.search(name) and any(_is_whole(_value(record, name, "ids")) for record in records):
        kind = "ids"
    return Source(name, kind, asked=True)


def own_source(record: Record, names: tuple[str, ...]) -> Source | None:
    """Where a record has its answers under one of acdc's or EAP-IG's own names, if it has any.

    What is left empty (``null``, an empty cell of a table, AutoCircuit's lists without a member) is left out.

    Raises:
        PromptError: under two of them.
    """
    both = RIGHT_ID in record.fields and WRONG_ID in record.fields
    known = (*names, RIGHT_ID if names is RIGHT else WRONG_ID) if both else names
    empty = None if record.typed else ""
    given = [
        name
        for name in known
        if name in record.fields
        and record.fields[name] != empty
        and not (record.fields[name] == [] and _KINDS[name] == "either")
    ]
    if len(given) > 1:
        raise PromptError(f"{record.where}: both {given[0]!r} and {given[1]!r} are given; give one of them.")
    return Source(given[0], _KINDS[given[0]]) if given else None


def read_answers(record: Record, source: Source, n_positions: int) -> Answers:
    """A record's answers for each position.

    Raises:
        PromptError: they aren't what they must be; names file and line.
    """
    name, where = source.name, record.where
    if record.fields.get(name) is None and (source.asked or not record.typed):
        raise PromptError(f"{where}: there is no value for column {name!r}.")
    if not record.typed and record.fields[name] == "" and source.kind != "ids":
        raise PromptError(f"{where}: there is no value for column {name!r}.")
    value = _value(record, name, source.kind)
    if not record.typed and source.kind == "ids" and not _is_whole(value) and n_positions == 1:
        raise PromptError(
            f"{where}: {name!r} must be a token id or a list like [1, 2], not {shortened(record.fields[name])}."
        )
    entries = [value] if n_positions == 1 else value
    if not isinstance(entries, list):
        raise PromptError(
            f"{where}: {name!r} must be a list of one entry for each of the {n_positions} answer positions, "
            f"not {show(value)}."
        )
    return tuple(_entry(entry, source, where) for entry in entries)


def _entry(entry: Any, source: Source, where: str) -> tuple[str | int, ...]:
    alternatives = entry if isinstance(entry, list) else [entry]
    kind = source.kind
    if kind == "text" and source.asked and source.name not in _KINDS:
        alternatives = [str(answer) if is_a(int, answer) else answer for answer in alternatives]
    if kind == "either":
        kind = "ids" if alternatives and is_a(int, alternatives[0]) else "text"
    wanted = int if kind == "ids" else str
    if not alternatives or not all(is_a(wanted, answer) for answer in alternatives):
        raise PromptError(
            f"{where}: an entry of {source.name!r} must be {_WANTED[source.kind]} or a list of such, not {show(entry)}."
        )
    return tuple(alternatives)


def _value(record: Record, name: str, kind: Kind) -> Any:
    """A record's value; of a table, what its text spells."""
    value = record.fields.get(name)
    if record.typed or value is None:
        return value
    return numbers_in(value) if kind == "ids" else texts_in(value)


def _is_whole(value: Any) -> bool:
    """Whether it is a whole number, or a list of such that isn't empty."""
    numbers = value if isinstance(value, list) else [value]
    return bool(numbers) and all(is_a(int, number) for number in numbers)
