"""The tidy table of a sweep, ``table.csv`` and ``table.parquet``: a row a cell that has ended, always up to date.

Rows are measured once, and kept in the table itself; a table that is lost or broken is made again from the runs.
Nothing here imports torch.
"""

from __future__ import annotations

import contextlib
import csv
import io
import math
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from threading import RLock, Timer
from typing import TYPE_CHECKING, Any

from acdc.circuit import Circuit
from acdc.errors import AcdcError, warn
from acdc.files import atomic_write
from acdc.reading import kind_at, read_regular
from acdc.sweeps.cells import Cell
from acdc.sweeps.folder import CSV, PARQUET, SweepFolder
from acdc.sweeps.outcome import FINISHED, Outcome
from acdc.sweeps.reference import reference_circuit
from acdc.sweeps.rows import checkpoints, column_of, columns_of, row_of
from acdc.wording import first_line, one_line

if TYPE_CHECKING:
    import pyarrow

#: Under this key the Parquet file says with what circuits were compared.
_COMPARED = b"acdc.reference"
#: Writing takes this share of the time at most: that of ten cells is immediate, that of thousands waits a little.
_SHARE = 0.1
_MOST_BYTES = 2**31
#: What a spreadsheet would take for a formula, where text begins with it.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_LARGEST = 2**63


class Table:
    """The table of a sweep.

    Args:
        folder: of the sweep, with what has ended so far. Its reference is what all circuits of that graph are compared
            with.
        writes: whether it is kept in the folder, by whoever holds that; else it is only read.

    Raises:
        AcdcError: it can't be written, or the reference can't be opened.
    """

    def __init__(self, folder: SweepFolder, *, writes: bool = True) -> None:
        self._folder, self._writes = folder, writes
        self._numbers = checkpoints(str(cell.settings.get("model", "")) for cell in folder.grid.cells)
        self._lock = RLock()
        self._later: Timer | None = None
        self._written_at = self._took = 0.0
        self._error: AcdcError | None = None
        self._uncompared: set[str] = set()
        kept = self._kept()
        self._rows: dict[str, dict[str, Any]] = {}
        for cell in folder.grid.cells:
            if (outcome := folder.outcomes.get(cell.name)) is not None:
                self._rows[cell.name] = self._again(cell, outcome, kept.get(cell.name))
        if writes:
            self.write()

    def add(self, cell: Cell, outcome: Outcome) -> None:
        """Take in the row of a cell that has ended, in place of what it had. Raises :class:`RunFolderError`."""
        row = self._row(cell, outcome)
        with self._lock:
            self._rows[cell.name] = row
            if self._error is not None:
                raise self._error
            wait = self._took / _SHARE - (time.monotonic() - self._written_at)
            if wait <= 0 or len(self._rows) == len(self._folder.grid.cells):
                self.write()
            elif self._later is None:
                self._later = Timer(wait, self._write_later)
                self._later.daemon = True
                self._later.start()

    def close(self) -> None:
        """Write what hasn't been yet. Raises :class:`RunFolderError`."""
        with self._lock:
            if self._later is not None:
                self.write()
            if self._error is not None:
                raise self._error

    def __enter__(self) -> Table:
        return self

    def __exit__(self, *error: object) -> None:
        with contextlib.ExitStack() as stack:
            if any(error):  # which says more than that the table can't be written
                stack.enter_context(contextlib.suppress(AcdcError))
            self.close()

    @property
    def columns(self) -> list[str]:
        """Their names, in order."""
        names = dict.fromkeys(name for cell in self._folder.grid.cells for name in cell.settings)
        return columns_of(names, self._rows.values())

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows in the grid's order, each with every column; ``None`` for what isn't known."""
        with self._lock:
            columns, cells = self.columns, self._folder.grid.cells
            return [{name: row.get(name) for name in columns} for cell in cells if (row := self._rows.get(cell.name))]

    @property
    def table(self) -> pyarrow.Table:
        """The same as Arrow has it: a column is of whole numbers, numbers, yes or no, or else of text."""
        return self._arrow(self._columns())

    def _columns(self) -> dict[str, tuple[list[Any], str]]:
        """The values of each column, and of what kind they are."""
        with self._lock:
            rows = [row for cell in self._folder.grid.cells if (row := self._rows.get(cell.name)) is not None]
            return {name: _column([row.get(name) for row in rows]) for name in self.columns}

    def _arrow(self, columns: Mapping[str, tuple[list[Any], str]]) -> pyarrow.Table:
        import pyarrow as pa

        kinds = {"text": pa.string(), "float": pa.float64(), "int": pa.int64(), "bool": pa.bool_()}
        arrays = {name: pa.array(values, kinds[kind]) for name, (values, kind) in columns.items()}
        return pa.table(arrays, metadata={_COMPARED: (self._folder.reference or "").encode()})

    def write(self) -> None:
        """Write both files. Raises :class:`RunFolderError`."""
        import pyarrow.parquet as pq

        with self._lock:
            if self._later is not None:
                self._later.cancel()
                self._later = None
            begun = time.monotonic()
            columns, path = self._columns(), self._folder.path
            with atomic_write(path / CSV) as file:
                file.write(_csv(columns))
            with atomic_write(path / PARQUET, "wb") as file:
                pq.write_table(self._arrow(columns), file)
            self._written_at = time.monotonic()
            self._took = self._written_at - begun

    def _write_later(self) -> None:
        """Write what has been held back; what goes wrong is told by the next cell, or at the end."""
        with self._lock:
            if self._later is None:  # it has been written since
                return
            try:
                self.write()
            except AcdcError as error:
                self._error = error

    def _row(self, cell: Cell, outcome: Outcome) -> dict[str, Any]:
        """A cell's row, measured."""
        row, model = row_of(self._folder, cell, outcome, self._reference), str(cell.settings.get("model"))
        if self._reference is not None and "edges" in row and "recall" not in row and model not in self._uncompared:
            self._uncompared.add(model)
            warn(f"the reference {self._folder.reference} is of another graph than {model}: it isn't compared.")
        return row | ({"checkpoint": self._numbers[model]} if model in self._numbers else {})

    @cached_property
    def _reference(self) -> Circuit | None:
        """What circuits are compared with; opened when there is something to compare."""
        folder = self._folder
        if folder.reference is None:
            return None
        try:
            return reference_circuit(folder.reference, folder.directory)
        except AcdcError as error:
            if self._writes:
                raise
            warn(f"{str(error).rstrip('.')}; what isn't in the table yet isn't compared.")
            return None

    def _again(self, cell: Cell, outcome: Outcome, kept: Mapping[str, Any] | None) -> dict[str, Any]:
        """A cell's row, as the table has it where it is of the same outcome."""
        if kept is None or outcome.status != FINISHED or kept.get("status") != FINISHED or kept.get("edges") is None:
            return self._row(cell, outcome)
        settings = {column_of(name): value for name, value in cell.settings.items()}
        return {**kept, **settings}

    def _kept(self) -> dict[str, dict[str, Any]]:
        """The rows of the table's file by their cells; none where it is lost or broken, which is warned of."""
        path = self._folder.path
        found, why = _read_parquet(path / PARQUET, self._folder.reference)
        if why is None and found and (damage := _damage(path / CSV)) is not None:
            self._say(path / CSV, damage)
        if why is not None and self._folder.outcomes:
            self._say(path / PARQUET, why)
        return found

    def _say(self, path: Path, why: str) -> None:
        if self._writes:
            warn(f"{path} {why}; the table is made again from the runs.")


def _read_parquet(path: Path, reference: str | None) -> tuple[dict[str, dict[str, Any]], str | None]:
    """The rows of a table's file by their cells; and why there are none, where it is lost or broken.

    Those that were compared with another reference aren't handed out.
    """
    if kind_at(path) is None:
        return {}, "is missing"
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        content = read_regular(path, follow=False, at_most=_MOST_BYTES)
        # By no threads: those that Arrow has begun as this process ends, it ends by an abort.
        table = pq.ParquetFile(pa.BufferReader(content), pre_buffer=False).read(use_threads=False)
        rows = table.to_pylist()
    except OSError as error:
        return {}, f"can't be read ({error.strerror or first_line(error).rstrip('.')})"
    except (pa.ArrowException, ValueError) as error:
        return {}, f"is broken ({first_line(error).rstrip('.')})"
    if rows and not {"cell", "status"} <= rows[0].keys():
        return {}, "is no table of a sweep"
    if (table.schema.metadata or {}).get(_COMPARED, b"") != (reference or "").encode():
        return {}, None
    return {row["cell"]: row for row in rows if isinstance(row["cell"], str)}, None


def _damage(path: Path) -> str | None:
    """What is wrong with the table as CSV, in words; it is written anew in any case."""
    if kind_at(path) is None:
        return "is missing"
    try:
        text = read_regular(path, follow=False, at_most=_MOST_BYTES).decode()
    except OSError as error:
        return f"can't be read ({error.strerror})"
    except UnicodeDecodeError:
        return "is broken (it isn't UTF-8)"
    return None if text.startswith("cell,") and text.endswith("\n") else "is broken (its end or its head is missing)"


def _column(values: Sequence[Any]) -> tuple[list[Any], str]:
    """Values of one kind, and which: a column that holds text is text throughout."""
    known = [value for value in values if value is not None]
    kinds = set(map(type, known))
    if kinds == {bool}:
        return list(values), "bool"
    if kinds == {int} and max(map(abs, known)) < _LARGEST:
        return list(values), "int"
    if kinds and kinds <= {int, float} and all(map(math.isfinite, known)):
        return [None if value is None else float(value) for value in values], "float"
    return [None if value is None else str(value) for value in values], "text"


def _csv(columns: Mapping[str, tuple[list[Any], str]]) -> str:
    """Rows as CSV, in which text stays text: a spreadsheet sees no formula, a terminal nothing to obey."""
    out = io.StringIO()
    lines = csv.writer(out, lineterminator="\n")
    lines.writerow(map(_plain, columns))
    shown = [list(map(_plain, values)) if kind == "text" else values for values, kind in columns.values()]
    lines.writerows(zip(*shown, strict=True))
    return out.getvalue()


def _plain(text: str | None) -> str | None:
    if text is None:
        return None
    plain = one_line(text)
    return f"'{plain}" if plain.startswith(_FORMULA) else plain
