"""The folder of a sweep.

``sweep.json`` holds the axes and the cells, ``runs/NAME/`` the run folder of each cell, ``ended/NAME.json`` how it
ended (:mod:`acdc.sweeps.outcome`), and ``table.csv`` and ``table.parquet`` a row a cell that has ended, made of these.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from acdc.errors import RunFolderError, warn
from acdc.files import atomic_write
from acdc.jsondata import check, finite, read_plain
from acdc.reading import kind_at, open_regular, read_regular
from acdc.runs.environment import working_directory
from acdc.runs.folder import RECORD, is_regular, read_record
from acdc.runs.trace import lock
from acdc.sweeps.cells import Cell
from acdc.sweeps.grid import Grid
from acdc.sweeps.outcome import FINISHED, Outcome
from acdc.wording import some

SWEEP, RUNS, ENDED, CSV, PARQUET = "sweep.json", "runs", "ended", "table.csv", "table.parquet"
PLOTS, _LOCK = "plots", ".lock"
_FORMAT = "acdc-sweep"
_VERSION = 1
_MOST_BYTES = 2**28  # of sweep.json; of 100,000 cells some 50 MB
_MOST_ENDED_BYTES = 2**20  # of a file that says how a cell ended
#: What a write that a kill cut off leaves, see :func:`atomic_write`.
_PARTS = re.compile(r"\..+\.\w+\.part")


class SweepFolder:
    """A sweep's folder.

    Attributes:
        path: it.
        grid: what the sweep runs.
        curve: whether curves over sizes are measured too.
        reference: the circuit that the cells' are compared with, if one was named.
        directory: where relative paths in the axes begin.
        outcomes: how the cells ended that did, by name.
    """

    def __init__(
        self,
        path: Path,
        grid: Grid,
        *,
        curve: bool = False,
        reference: str | None = None,
        directory: str | None = None,
    ) -> None:
        self.path, self.grid = path, grid
        self.curve, self.reference, self.directory = curve, reference, directory
        self.outcomes: dict[str, Outcome] = {}

    @classmethod
    @contextmanager
    def held(
        cls, path: Path, grid: Grid, *, resume: bool = True, curve: bool = False, reference: str | None = None
    ) -> Iterator[SweepFolder]:
        """Make the folder or go on in it; nobody else can write it meanwhile.

        Args:
            path: the folder.
            grid: what the sweep runs.
            resume: go on with the same sweep in it.
            curve: whether curves are measured too.
            reference: what the circuits are compared with.

        Raises:
            RunFolderError: it holds something else, or another sweep (says which axes differ), another process writes
                it, or it can't be written.
        """
        cls.check(path, grid, resume=resume, curve=curve)  # before anything is written
        folder = cls(path, grid, curve=curve, reference=reference, directory=working_directory())
        _make(path)
        with _locked(path):
            if is_sweep(path):  # as it is now that nobody else writes it
                folder._take_over(cls.load(path), resume=resume)
            else:
                folder._read_outcomes()  # of runs whose sweep.json was lost
            _clear_parts(path)
            for name in (RUNS, ENDED):
                _make(path / name)
            folder._write()
            yield folder

    @classmethod
    def check(cls, path: Path, grid: Grid, *, resume: bool = True, curve: bool = False) -> None:
        """Raise the :class:`RunFolderError` that :meth:`held` would for what is in the folder; writes nothing."""
        _check_place(path, _ANOTHER)
        _check_free(path, grid)
        if is_sweep(path):
            cls(path, grid, curve=curve)._take_over(cls._read(path), resume=resume)

    @classmethod
    def load(cls, path: Path) -> SweepFolder:
        """Read a folder; another process may be writing it.

        Raises:
            RunFolderError: it isn't a sweep's, or its ``sweep.json`` is damaged.
        """
        _check_place(path, "give the folder of a sweep")
        if not is_sweep(path):
            raise RunFolderError(f"{path} is not a sweep's folder ({_lack(path)}.")
        folder = cls._read(path)
        folder._read_outcomes()
        return folder

    @classmethod
    def _read(cls, path: Path) -> SweepFolder:
        """What ``sweep.json`` says. Raises :class:`RunFolderError`."""
        file = path / SWEEP
        try:
            raw = read_plain(read_regular(file, follow=False, at_most=_MOST_BYTES))
        except OSError as error:
            raise RunFolderError(f"can't read {file}: {error.strerror}.") from error
        except ValueError as error:
            raise RunFolderError(f"{file} is not JSON ({error}); {_REPAIR}.") from error
        try:
            return cls._from_json(path, raw)
        except ValueError as error:
            raise RunFolderError(f"{file} is not a sweep's: {error}; {_REPAIR}.") from error

    @classmethod
    def _from_json(cls, path: Path, raw: Any) -> SweepFolder:
        check(raw, {"format": str, "version": int, "curve": bool, "grid": dict}, "")
        if raw["format"] != _FORMAT:
            raise ValueError(f"format is {raw['format']!r}, and must be {_FORMAT!r}")
        if raw["version"] > _VERSION:
            raise ValueError(f"its version is {raw['version']}, and this acdc knows {_VERSION}; a newer one reads it")
        for name in ("reference", "directory"):
            check(raw, {name: str | None}, "") if raw.get(name) is not None else None
        return cls(
            path,
            Grid.from_json(raw["grid"]),
            curve=raw["curve"],
            reference=raw.get("reference"),
            directory=raw.get("directory"),
        )

    def run_folder(self, cell: Cell) -> Path:
        """Where the run of a cell is."""
        return self.path / RUNS / cell.name

    @property
    def left(self) -> list[Cell]:
        """The cells that haven't finished, those that failed among them, in the grid's order."""
        found = self.outcomes
        return [cell for cell in self.grid.cells if cell.name not in found or found[cell.name].status != FINISHED]

    def ended(self, cell: Cell, outcome: Outcome) -> None:
        """Keep how a cell ended. Raises :class:`RunFolderError`, e.g. on a full disk."""
        with atomic_write(self.path / ENDED / f"{cell.name}.json") as file:
            json.dump(finite(outcome.to_json()), file, indent=1, allow_nan=False)
            file.write("\n")
        self.outcomes[cell.name] = outcome

    def _take_over(self, earlier: SweepFolder, *, resume: bool) -> None:
        """Become the sweep that is there already. Raises :class:`RunFolderError`: it is another."""
        found = earlier.grid.differences(self.grid)
        if earlier.curve != self.curve:
            found.append(f"curves were{'' if earlier.curve else ' not'} measured in it (`curve`)")
        if found:
            raise RunFolderError(
                f"{self.path} holds another sweep: {'; '.join(found)}; ask for the same one, or choose another folder "
                "with `out`."
            )
        if not resume:
            raise RunFolderError(
                f"{self.path} holds this sweep already; go on with it by `resume=True`, or choose another folder with "
                "`out`."
            )
        self.grid, self.directory, self.outcomes = earlier.grid, earlier.directory, earlier.outcomes
        self.reference = earlier.reference if self.reference is None else self.reference

    def _write(self) -> None:
        held = {
            "format": _FORMAT,
            "version": _VERSION,
            "directory": self.directory,
            "curve": self.curve,
            "reference": self.reference,
            "grid": self.grid.to_json(),
        }
        with atomic_write(self.path / SWEEP) as file:
            json.dump(held, file, indent=1, allow_nan=False)
            file.write("\n")

    def _read_outcomes(self) -> None:
        """See how cells ended: by their files, else by their runs."""
        there = {entry.name for name in (ENDED, RUNS) for entry in _entries(self.path / name)}
        for cell in self.grid.cells:
            found = self._kept(cell) if f"{cell.name}.json" in there else None
            if found is None and cell.name in there:
                found = self._of_run(cell)
            if found is not None:
                self.outcomes[cell.name] = found

    def _kept(self, cell: Cell) -> Outcome | None:
        """How a cell ended, as its file says; ``None`` where that is no use."""
        file = self.path / ENDED / f"{cell.name}.json"
        try:
            outcome = Outcome.from_json(read_plain(read_regular(file, follow=False, at_most=_MOST_ENDED_BYTES)))
        except FileNotFoundError:
            return None
        except OSError as error:
            warn(f"can't read {file} ({error.strerror}): how its cell ended is told by its run.")
            return None
        except ValueError as error:
            warn(f"{file} doesn't say how its cell ended ({error}): that is told by its run.")
            return None
        if outcome.status == FINISHED and not is_regular(self.run_folder(cell) / RECORD):
            return None  # its run was removed, perhaps to have it again
        return outcome

    def _of_run(self, cell: Cell) -> Outcome | None:
        """How a cell ended, as its run says, of a process that was killed before it could; ``None``: it hasn't."""
        try:
            record = read_record(self.run_folder(cell))
        except RunFolderError:  # the cell says so when it runs
            return None
        if not record.finished or self.curve:  # a run holds no curve: the cell measures it
            return None
        return Outcome(
            FINISHED,
            warned=tuple(one for one in record.warned if isinstance(one, str)),
            seconds=record.seconds,
            peak_memory_bytes=record.peak_memory_bytes,
            estimated_memory_bytes=record.estimated_memory_bytes,
        )


_ANOTHER = "choose another folder with `out`"
_REPAIR = "put it back, or remove it and run the same sweep again: finished runs are kept"


def is_sweep(path: Path) -> bool:
    """Whether a folder is a sweep's, by the name of its file."""
    return is_regular(path / SWEEP)


def was_sweep(path: Path) -> bool:
    """Whether a folder is a sweep's, or holds what one leaves and no run, so that its damage is told as a sweep's."""
    return kind_at(path / SWEEP) is not None or (
        kind_at(path / RUNS) == "a folder" and kind_at(path / ENDED) is not None
    )


def _check_place(path: Path, instead: str) -> None:
    """Raise :class:`RunFolderError` where no folder can be; the message ends in what to do."""
    try:
        if path.is_symlink() and not path.exists():
            raise RunFolderError(f"{path} is a link to nothing; {instead}.")
        if path.exists() and not path.is_dir():
            what = kind_at(path.resolve()) or "no folder"
            raise RunFolderError(f"{path} is {what}; {instead}.")
        for name, kind in ((SWEEP, "a file"), (_LOCK, "a file"), (RUNS, "a folder"), (ENDED, "a folder")):
            if (found := kind_at(path / name)) not in (None, kind):
                raise RunFolderError(f"{path / name} is {found}, not {kind}; put the sweep's own in its place.")
    except OSError as error:  # no permission to look, or a name that the system doesn't take
        raise RunFolderError(f"can't use {path}: {error.strerror}; {instead}.") from error


def _lack(path: Path) -> str:
    """Why a folder is no sweep's, and what to do."""
    if not path.is_dir():
        return "there is no such folder); check the path"
    if kind_at(path / RUNS) is None:
        return f"it has no {SWEEP}); give one that a sweep wrote"
    return f"it has no {SWEEP}); where that was lost, run the same sweep into it again: finished runs are kept"


def _check_free(path: Path, grid: Grid) -> None:
    """Raise :class:`RunFolderError` for a folder without a sweep in it that isn't empty.

    What is taken for one whose ``sweep.json`` was lost holds nothing but runs of this sweep.
    """
    if is_sweep(path) or not path.is_dir():
        return
    own = {RUNS, ENDED, CSV, PARQUET, PLOTS, _LOCK}
    others = [entry.name for entry in _entries(path) if entry.name not in own and not _PARTS.fullmatch(entry.name)]
    if others:
        raise RunFolderError(
            f"{path} exists already and is not a sweep's folder (it has no {SWEEP}, and holds {some(sorted(others))}); "
            "choose another folder with `out`."
        )
    names = {cell.name for cell in grid.cells}
    if unknown := sorted(entry.name for entry in _entries(path / RUNS) if entry.name not in names):
        raise RunFolderError(
            f"{path / RUNS} holds runs that are none of this sweep's ({some(unknown)}); choose another folder with "
            "`out`."
        )


def _entries(path: Path) -> list[Path]:
    """What is in a folder; nothing where there is none. Raises :class:`RunFolderError`: it can't be looked at."""
    try:
        return list(path.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunFolderError(f"can't read {path}: {error.strerror}.") from error


def _make(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunFolderError(f"can't make {path}: {error.strerror}; choose another folder with `out`.") from error


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keep other processes from running a sweep in a folder; its lock goes with the process, however that ends."""
    file = path / _LOCK
    try:
        handle = open_regular(file, os.O_RDWR | os.O_CREAT, follow=False)
    except OSError as error:
        raise RunFolderError(f"can't write {file}: {error.strerror}; choose another folder with `out`.") from error
    try:
        try:
            alone = lock(handle)
        except OSError as error:
            raise RunFolderError(f"can't lock {file}: {error.strerror}; choose another folder with `out`.") from error
        if not alone:
            raise RunFolderError(f"another process runs the sweep in {path}; wait for it, or choose another folder.")
        yield
    finally:
        os.close(handle)


def _clear_parts(path: Path) -> None:
    """Remove what writes left half done that a kill cut off; only for whoever holds the folder's lock."""
    for entry in (*_entries(path), *_entries(path / ENDED)):
        if _PARTS.fullmatch(entry.name) and is_regular(entry):
            with contextlib.suppress(OSError):
                entry.unlink(missing_ok=True)
