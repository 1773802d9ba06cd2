"""From a record of a prompt file to a prompt pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from acdc.errors import PromptError
from acdc.pairs import Prompt, PromptPair
from acdc.pairs.promptfile.answers import Source, asked_source, own_source, read_answers
from acdc.pairs.promptfile.names import (
    CLEAN,
    CORRUPTED,
    GROUP,
    KNOWN,
    POSITION,
    RIGHT,
    RIGHT_ID,
    SPLIT,
    WRONG,
    WRONG_ID,
    nearly_known,
)
from acdc.pairs.promptfile.records import Record
from acdc.pairs.promptfile.values import is_a, numbers_in, shortened, show

#: Known names that are kept as tags: :mod:`acdc.pairs.splitting` reads two, the others may stand for something else.
_TAGS = (SPLIT, GROUP, RIGHT_ID, WRONG_ID)
_MOST_LISTED = 10


@dataclass(frozen=True)
class Columns:
    """Where the answers of a whole file stand.

    Attributes:
        right, wrong: the columns that the user named; ``None``: each record's own.
    """

    right: Source | None
    wrong: Source | None

    @classmethod
    def of(cls, records: Sequence[Record], answers: str | None, wrong_answers: str | None, path: str) -> Columns:
        """Look for the columns that the user named. Raises :class:`PromptError` if there is none of that name."""
        return cls(
            None if answers is None else asked_source(records, answers, "answers", path),
            None if wrong_answers is None else asked_source(records, wrong_answers, "wrong_answers", path),
        )

    @property
    def names(self) -> set[str]:
        """Of the columns that the user named."""
        return {source.name for source in (self.right, self.wrong) if source is not None}

    def notes(self, records: Sequence[Record], path: str) -> list[str]:
        """How the answers are read, where the file alone doesn't say it."""
        found = []
        for source, what in ((self.right, "answers"), (self.wrong, "wrong answers")):
            if source is not None:
                kind = {"text": "text", "ids": "token ids", "either": "text or token ids, as they are"}[source.kind]
                found.append(f"{path}: the {what} are column {source.name!r}, read as {kind}")
        return found

    def unread(self, records: Sequence[Record]) -> list[str]:
        """Names of the fields that are kept as tags only, if the file has no right answers at all."""
        if self.right is not None or any(_has_answers(record) for record in records):
            return []
        names = dict.fromkeys(name for record in records for name in record.fields)
        read = {*KNOWN, *self.names} - {RIGHT_ID, WRONG_ID}
        return [name for name in names if name not in read]


def pair_of(record: Record, columns: Columns) -> PromptPair:
    """The pair that a record is.

    Raises:
        PromptError: it is none; names file and line.
    """
    if record.error is not None:
        raise record.error
    where = record.where
    for name in record.fields:
        if name not in columns.names and (near := nearly_known(name)):
            raise PromptError(f"{where}: unknown field {shortened(name)}: did you mean {near!r}?")
    positions = _answer_positions(record)
    right = columns.right or own_source(record, RIGHT)
    wrong = columns.wrong or own_source(record, WRONG)
    read = {source.name for source in (right, wrong) if source is not None}
    return PromptPair(
        clean=_prompt(record, CLEAN),
        corrupted=_prompt(record, CORRUPTED),
        answers=() if right is None else read_answers(record, right, len(positions)),
        wrong_answers=() if wrong is None else read_answers(record, wrong, len(positions)),
        answer_positions=positions,
        where=where,
        tags={
            name: value
            for name, value in record.fields.items()
            if value is not None and (name not in KNOWN or (name in _TAGS and name not in read))
        },
    )


def listed(names: Sequence[str]) -> str:
    """Names for a message, shortened."""
    more = "" if len(names) <= _MOST_LISTED else " and more"
    return ", ".join(map(shortened, names[:_MOST_LISTED])) + more


def _has_answers(record: Record) -> bool:
    fields = record.fields
    return any(name in fields for name in RIGHT) or (RIGHT_ID in fields and WRONG_ID in fields)


def _prompt(record: Record, names: tuple[str, ...]) -> Prompt:
    where, (text, *_, tokens) = record.where, names
    given = [name for name in names if record.fields.get(name) is not None or (record.typed and name in record.fields)]
    if len(given) > 1:
        raise PromptError(f"{where}: both {given[0]!r} and {given[1]!r} are given; give one of them.")
    if not given:
        if not record.typed:
            raise PromptError(f"{where}: there is no value for column {text!r}.")
        raise PromptError(f"{where}: the field {text!r} (or {tokens!r}) is missing.")
    name, value = given[0], record.fields[given[0]]
    if name != tokens:
        if isinstance(value, str):
            return value
        if not _is_ids(value):  # AutoCircuit has token ids under the same name
            raise PromptError(f"{where}: {name!r} must be text, not {show(value)}.")
    elif not record.typed:
        value = numbers_in(value)
    if not _is_ids(value, or_empty=True):
        raise PromptError(f"{where}: {name!r} must be a list of token ids, not {show(record.fields[name])}.")
    return tuple(value)


def _is_ids(value: Any, *, or_empty: bool = False) -> bool:
    return isinstance(value, list) and (or_empty or bool(value)) and all(is_a(int, token) for token in value)


def _answer_positions(record: Record) -> tuple[int, ...]:
    value = record.fields.get(POSITION, -1)
    if not record.typed and isinstance(value, str):
        value = numbers_in(value) if value.strip() else -1
    positions = value if isinstance(value, list) else [value]
    if not positions or not all(is_a(int, position) for position in positions):
        raise PromptError(
            f"{record.where}: {POSITION!r} must be a whole number or a list of such, "
            f"not {show(record.fields[POSITION])}."
        )
    return tuple(positions)
