"""Prompt pairs from a file of the user's own, as a task.

JSONL, each pair one line (broken here to fit)::

    {"clean": "Ann met Bob. Bob thanked", "corrupted": "Ann met Bob. Ann thanked",
     "answer": " Ann", "wrong_answer": " Bob"}

with token ids in place of text (``clean_tokens``, ``corrupted_tokens``, ``answer_token``,
``wrong_answer_token``) where a model has no tokenizer, and ``answer_position`` where it
isn't the last token. Several right answers are a list. With several answer positions
(a list), an answer field is a list of one entry a position, each an answer or a list
of them. Answers may be left out.

CSV as EAP-IG reads it (arXiv 2403.17806): the columns ``clean``, ``corrupted``,
``correct_idx`` and ``incorrect_idx``, the last two a token id or a list of them
(``"[1, 2]"``); further columns are ignored.
"""

from __future__ import annotations

import csv
import difflib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from acdc.errors import PromptError
from acdc.prompts import Prompt, PromptPair, Tokenizer
from acdc.task import Generated, Split, Task
from acdc.wording import counted

SUFFIXES = (".jsonl", ".csv")
FIELDS = (
    "clean",
    "corrupted",
    "answer",
    "wrong_answer",
    "clean_tokens",
    "corrupted_tokens",
    "answer_token",
    "wrong_answer_token",
    "answer_position",
)
COLUMNS = ("clean", "corrupted", "correct_idx", "incorrect_idx")


class FileTask(Task):
    """The prompt pairs of a ``.jsonl`` or ``.csv`` file, in the file's order.

    For `n` pairs, train is the first `n` of the file and test the up to `n` after them,
    so that held-out pairs exist where the file has more than `n`.

    Args:
        path: the file.

    Raises:
        PromptError: the file can't be read, has no pairs, or a line is no pair; names
            file and line.
    """

    summary = "prompt pairs from a file"
    metric = "kl"
    corruptions: ClassVar = {"file": "the corrupted prompts of the file"}

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        read = _read_csv if path.suffix == ".csv" else _read_jsonl
        try:
            # utf-8-sig: spreadsheets put a byte-order mark before the first column's name.
            with path.open(encoding="utf-8-sig", newline="") as file:
                self._pairs = list(read(self.name, file))
        except FileNotFoundError:
            raise PromptError(f"{self.name} doesn't exist; check the path.") from None
        except OSError as error:
            raise PromptError(f"{self.name} can't be read: {error.strerror}.") from error
        except UnicodeDecodeError as error:
            raise PromptError(f"{self.name} is not UTF-8 text ({error.reason}); save it as UTF-8.") from None
        if not self._pairs:
            raise PromptError(f"{self.name} has no prompt pairs; write one a line.")

    @property
    def default_n(self) -> int:
        """As many pairs as the file has."""
        return len(self._pairs)

    def generate(self, tokenizer: Tokenizer | None, n: int, seed: int, split: Split, corruption: str) -> Generated:
        """Take the split's pairs; neither tokenizer nor seed matters.

        Raises:
            PromptError: the file has fewer than `n` pairs, or for test none after those.
        """
        if n > len(self._pairs):
            raise PromptError(
                f"{self.name} has {counted(len(self._pairs), 'prompt pair')}, not {n}; ask for fewer or add some."
            )
        if split == "train":
            return Generated(self._pairs[:n])
        if n == len(self._pairs):
            raise PromptError(
                f"{self.name}: it has {counted(n, 'prompt pair')} and all are used; a smaller n holds the others out."
            )
        return Generated(self._pairs[n : 2 * n])


def _read_jsonl(path: str, lines: Iterable[str]) -> Iterator[PromptPair]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            fields = json.loads(line)
            json.dumps(fields, ensure_ascii=False).encode()  # fails on half of a character ("\ud83d")
        except json.JSONDecodeError as error:
            raise PromptError(f"{where}, column {error.colno}: this is not JSON: {error.msg}.") from None
        except (ValueError, RecursionError) as error:
            raise PromptError(f"{where}: this is not JSON that can be used: {error}.") from None
        if not isinstance(fields, dict):
            raise PromptError(
                f'{where}: a line must be an object like {{"clean": ..., "corrupted": ...}}, not {_show(fields)}.'
            )
        for name in fields:
            if name not in FIELDS:
                near = difflib.get_close_matches(name, FIELDS, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(FIELDS)}."
                raise PromptError(f"{where}: unknown field {name!r}: {hint}")
        positions = _answer_positions(fields.get("answer_position", -1), where)
        yield PromptPair(
            clean=_prompt(fields, "clean", where),
            corrupted=_prompt(fields, "corrupted", where),
            answers=_answers(fields, "answer", len(positions), where),
            wrong_answers=_answers(fields, "wrong_answer", len(positions), where),
            answer_positions=positions,
            where=where,
        )


def _read_csv(path: str, lines: Iterable[str]) -> Iterator[PromptPair]:
    reader = csv.DictReader(lines)
    try:
        if reader.fieldnames is None:
            return
        if missing := [column for column in COLUMNS if column not in reader.fieldnames]:
            raise PromptError(
                f"{path}, line 1: the column {missing[0]!r} is missing; the first line must name {', '.join(COLUMNS)}."
            )
        for row in reader:
            where = f"{path}, line {reader.line_num}"
            for column in COLUMNS:
                if row[column] is None:
                    raise PromptError(f"{where}: there is no value for column {column!r}.")
            yield PromptPair(
                clean=row["clean"],
                corrupted=row["corrupted"],
                answers=(_token_ids(row["correct_idx"], "correct_idx", where),),
                wrong_answers=(_token_ids(row["incorrect_idx"], "incorrect_idx", where),),
                where=where,
            )
    except csv.Error as error:
        raise PromptError(f"{path}, line {max(reader.line_num, 1)}: this is not CSV: {error}.") from None


def _prompt(fields: Mapping[str, Any], name: str, where: str) -> Prompt:
    given = _text_or_tokens(fields, name, f"{name}_tokens", where)
    if given == name:
        text = fields[name]
        if not isinstance(text, str):
            raise PromptError(f"{where}: {name!r} must be text, not {_show(text)}.")
        return text
    if given is None:
        raise PromptError(f"{where}: the field {name!r} (or '{name}_tokens') is missing.")
    tokens = fields[given]
    if not isinstance(tokens, list) or not all(_is_a(int, token) for token in tokens):
        raise PromptError(f"{where}: {given!r} must be a list of token ids, not {_show(tokens)}.")
    return tuple(tokens)


def _answers(
    fields: Mapping[str, Any], name: str, n_positions: int, where: str
) -> tuple[tuple[str, ...] | tuple[int, ...], ...]:
    """The answers for each position; none if they are left out."""
    given = _text_or_tokens(fields, name, f"{name}_token", where)
    if given is None:
        return ()
    kind, what = (str, "text") if given == name else (int, "a token id")
    value = fields[given]
    entries = [value] if n_positions == 1 else value
    if not isinstance(entries, list):
        raise PromptError(
            f"{where}: {given!r} must be a list of one entry for each of the {n_positions} answer positions, "
            f"not {_show(value)}."
        )
    found = []
    for entry in entries:
        alternatives = entry if isinstance(entry, list) else [entry]
        if not alternatives or not all(_is_a(kind, answer) for answer in alternatives):
            raise PromptError(f"{where}: an entry of {given!r} must be {what} or a list of such, not {_show(entry)}.")
        found.append(tuple(alternatives))
    return tuple(found)


def _text_or_tokens(fields: Mapping[str, Any], text: str, tokens: str, where: str) -> str | None:
    """Which of two fields is given, if any."""
    given = [name for name in (text, tokens) if name in fields]
    if len(given) == 2:
        raise PromptError(f"{where}: both {text!r} and {tokens!r} are given; give one of them.")
    return given[0] if given else None


def _answer_positions(value: Any, where: str) -> tuple[int, ...]:
    positions = value if isinstance(value, list) else [value]
    if not positions or not all(_is_a(int, position) for position in positions):
        raise PromptError(f"{where}: 'answer_position' must be a whole number or a list of such, not {_show(value)}.")
    return tuple(positions)


def _token_ids(text: str, column: str, where: str) -> tuple[int, ...]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        value = None
    ids = value if isinstance(value, list) else [value]
    if not ids or not all(_is_a(int, token) for token in ids):
        raise PromptError(f"{where}: {column!r} must be a token id or a list like [1, 2], not {text!r}.")
    return tuple(ids)


def _is_a(kind: type, value: object) -> bool:
    """Whether `value` is of `kind`; JSON's true and false are no numbers here."""
    return isinstance(value, kind) and not isinstance(value, bool)


def _show(value: object) -> str:
    """A value as JSON for a message, shortened."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:37]}..."
