"""Records of tables: CSV, and TSV with tabs in place of commas."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator

from acdc.errors import PromptError
from acdc.pairs.promptfile.names import MOST_FIELDS
from acdc.pairs.promptfile.records import Record

#: Of the columns in each group one must be there.
_NEEDED = (("clean", "clean_tokens"), ("corrupted", "corrupt", "corrupted_tokens"))


def read_table(path: str, text: str, delimiter: str = ",") -> Iterator[Record]:
    """A row a pair; the first line names the columns.

    Raises:
        PromptError: it isn't a table, or lacks the prompts' columns; names file and line.
    """
    # strict: a quote that isn't closed would take in the rest of the file.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        names = next(reader, None)
        if names is None:
            return
        _check_names(f"{path}, line 1", names, delimiter)
        for row in reader:
            if len(row) < 2 and not "".join(row).strip():
                continue  # a blank line
            where = f"{path}, line {reader.line_num}"
            if len(row) > len(names):
                message = (
                    f"{where}: {len(row)} values for {len(names)} columns; "
                    "put quotes around text that holds the separator."
                )
                yield Record(where, error=PromptError(message), typed=False)
                continue
            cells = row + [None] * (len(names) - len(row))
            # Spreadsheets leave columns without a name behind the last one.
            unnamed = [cell for name, cell in zip(names, cells, strict=True) if not name]
            if len(unnamed) > 1 and any(unnamed):
                message = f"{where}: a value stands in a column without a name; name the column, or leave it out."
                yield Record(where, error=PromptError(message), typed=False)
                continue
            yield Record(where, dict(zip(names, cells, strict=True)), typed=False)
    except csv.Error as error:
        raise PromptError(f"{path}, line {max(reader.line_num, 1)}: this is not CSV: {error}.") from None


def _check_names(where: str, names: list[str], delimiter: str) -> None:
    for group in _NEEDED:
        if any(name in names for name in group):
            continue
        other = next((mark for mark in ";\t," if mark != delimiter and mark in "".join(names)), None)
        if other is not None and group[0] in "".join(names).split(other):
            raise PromptError(f"{where}: the columns are separated by {other!r}; save it with {delimiter!r}.")
        near = next((name for name in names if name.strip().casefold() == group[0]), None)
        hint = "" if near is None else f" (there is {near!r})"
        raise PromptError(
            f"{where}: the column {group[0]!r} is missing{hint}; the first line must name clean and corrupted."
        )
    if len(names) > MOST_FIELDS:
        raise PromptError(f"{where}: {len(names)} columns are more than {MOST_FIELDS}; keep those that are needed.")
    twice, times = max(Counter(filter(None, names)).items(), key=lambda item: item[1])
    if times > 1:
        raise PromptError(f"{where}: the column {twice[:40]!r} is there twice; keep one.")
