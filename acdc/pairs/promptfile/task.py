"""The prompt pairs of a file, as a task."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import ClassVar

from acdc.errors import PromptError, warn
from acdc.pairs import PromptPair, Tokenizer
from acdc.pairs.given import GivenPairs
from acdc.pairs.promptfile.door import read_text
from acdc.pairs.promptfile.jsonlines import read_array, read_lines
from acdc.pairs.promptfile.markup import unmarked, with_space_moved
from acdc.pairs.promptfile.names import RIGHT_ID, WRONG_ID
from acdc.pairs.promptfile.pairs import Columns, listed, pair_of
from acdc.pairs.promptfile.records import Record
from acdc.pairs.promptfile.table import read_table
from acdc.waiting import waiting

_READERS: Mapping[str, Callable[[str, str], Iterator[Record]]] = {
    ".jsonl": read_lines,
    ".json": read_array,
    ".csv": read_table,
    ".tsv": partial(read_table, delimiter="\t"),
}
SUFFIXES = tuple(_READERS)


class FileTask(GivenPairs):
    """The prompt pairs of a ``.jsonl``, ``.json``, ``.csv`` or ``.tsv`` file, in the file's order.

    The seed decides which `n` of them are used and which are held out; see :mod:`acdc.pairs.splitting`.

    Args:
        path: the file.
        answers: the field or column that holds the right answers; by default those that
            :mod:`acdc.pairs.promptfile` names.
        wrong_answers: likewise the wrong ones.

    Attributes:
        notes: how the answers are read, where the user named a column or none is read.

    Raises:
        PromptError: the file can't be read, has no pairs, or lacks a column. A line that is no pair is an
            error (which names it) as soon as pairs are asked for, unless bad pairs are skipped.
    """

    summary = "prompt pairs from a file"
    corruptions: ClassVar = {"file": "the corrupted prompts of the file"}

    def __init__(self, path: Path, answers: str | None = None, wrong_answers: str | None = None) -> None:
        name = str(path)
        self.files = (path,)
        records = list(waiting(_READERS[path.suffix.lower()](name, read_text(path)), f"reading {path.name}"))
        if not records:
            raise PromptError(f"{name} has no prompt pairs; write one a line.")
        columns = Columns.of(records, answers, wrong_answers, name)
        self.notes = tuple(columns.notes(records, name))
        self._marked: set[str] = set()  # where the pairs with markup come from
        super().__init__(name, [self._pair(record, columns) for record in records])
        unread = columns.unread(records)
        alone = [field for field in (RIGHT_ID, WRONG_ID) if field in unread]
        if alone:
            warn(
                f"{name}: {listed(alone)} stands alone and isn't read as answers (in greater-than's files it is a "
                f'year); give `answers="{alone[0]}"` if it holds token ids of right answers.'
            )
        elif unread and not any(pair.answers for pair in self._given if isinstance(pair, PromptPair)):
            self.notes += (f"{name}: no answers are read; if {listed(unread)} holds them, name it by `answers`",)

    def _written_for(self, pair: PromptPair, tokenizer: Tokenizer | None) -> PromptPair:
        if tokenizer is None or pair.where not in self._marked:
            return pair
        return with_space_moved(pair, tokenizer)

    def _pair(self, record: Record, columns: Columns) -> PromptPair | PromptError:
        try:
            pair, marked = unmarked(pair_of(record, columns))
        except PromptError as error:
            return error
        if marked:
            self._marked.add(record.where)
        return pair
