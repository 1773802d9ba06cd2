"""A process on a Ray cluster that runs cells, as Ray's actor: one at a time, told by who drives the sweep."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acdc.errors import RunFolderError
from acdc.sweeps.cells import Cell
from acdc.sweeps.folder import RUNS
from acdc.sweeps.outcome import FINISHED
from acdc.sweeps.parcels import Parcel, packed, renamed, unpacked
from acdc.sweeps.raymessages import Home, Lacking, Prepared, Returned, Sent
from acdc.sweeps.worker import Full, Needed, Prepare, RunCell, answer

if TYPE_CHECKING:
    from acdc.sweeps.options import RunnerOptions


class Worker:
    """Runs cells.

    Args:
        options: of the :class:`Runner`.
        home: where the sweep is driven from.
        fetch: gives what is behind one of Ray's references.
    """

    def __init__(self, options: RunnerOptions, home: Home, fetch: Callable[[Any], bytes] | None = None) -> None:
        from acdc.sweeps.runner import Runner  # torch

        self._runner, self._home, self._fetch = Runner(options), home, fetch or _fetched
        self._shelf = _shelf(home.sweep)
        self._is_home = _sees(home)
        self._located: dict[Parcel, str] = {}
        if self._is_home and home.directory is not None:
            os.chdir(home.directory[0])
        else:  # no name may be taken for what happens to lie here
            self._shelf.mkdir(parents=True, exist_ok=True)
            os.chdir(self._shelf)

    def node(self) -> tuple[str, bool]:
        """Ray's name of the machine, and whether it sees the sweep's folder; torch is imported by now."""
        import ray

        return str(ray.get_runtime_context().get_node_id()), self._is_home

    def prepare(self, cell: Cell, parcels: Sequence[Parcel], sent: Mapping[Parcel, Sent]) -> Prepared | Lacking | Full:
        """Find or take the files that a cell names, open what it runs on, and say what it will need.

        Args:
            cell: the cell.
            parcels: the files that it names, as they are where the sweep is driven from.
            sent: those that this machine lacked, if it was asked before.
        """
        try:
            for parcel in parcels:
                if parcel not in self._located and parcel in sent:
                    self._located[parcel] = self._taken(parcel, sent[parcel])
        except RunFolderError as error:
            return Full(str(error))
        for parcel in parcels:
            if parcel not in self._located and parcel.is_here():
                self._located[parcel] = self._name_here(parcel)
        if lacking := tuple(parcel for parcel in parcels if parcel not in self._located):
            return Lacking(lacking)
        said = answer(self._runner, Prepare(self._here(cell, parcels)))
        return Prepared(said.memory_bytes if isinstance(said, Needed) else None)

    def run(self, cell: Cell, parcels: Sequence[Parcel]) -> Returned | Full:
        """Run a cell that was prepared, or one that names the same files."""
        here = self._here(cell, parcels)
        out = Path(self._home.folder) / RUNS / cell.name
        names = {self._located[parcel]: parcel.given for parcel in parcels if self._located[parcel] != parcel.given}
        if self._is_home and not names:
            return _told(answer(self._runner, RunCell(here, out)))
        if self._home.directory is not None:
            names[str(Path.cwd())] = self._home.directory[0]
        try:
            self._shelf.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self._shelf) as scratch:
                names[str(Path(scratch) / cell.name)] = str(out)
                told = _told(answer(self._runner, RunCell(here, Path(scratch) / cell.name)))
                if isinstance(told, Full):
                    return Full(renamed(told.sentence, names))
                outcome = told.outcome
                sentence = None if outcome.sentence is None else renamed(outcome.sentence, names)
                warned = tuple(renamed(said, names) for said in outcome.warned)
                files = packed(Path(scratch) / cell.name, names) if outcome.status == FINISHED else None
                return Returned(replace(outcome, sentence=sentence, warned=warned), files)
        except OSError as error:
            return Full(f"a worker can't write {self._shelf}: {error.strerror}; make room there.")

    def _taken(self, parcel: Parcel, sent: Sent) -> str:
        """What names a parcel's files on this machine, which are taken from Ray where it lacks them."""
        if parcel.is_alike_here(sent.digests):
            return self._name_here(parcel)
        place = unpacked(parcel, sent.digests, lambda number: self._fetch(sent.references[number]), self._shelf)
        return parcel.at(place)

    def _name_here(self, parcel: Parcel) -> str:
        return parcel.given if self._is_home or Path(parcel.given).is_absolute() else parcel.at(Path(parcel.root))

    def _here(self, cell: Cell, parcels: Sequence[Parcel]) -> Cell:
        """The cell with what its files are called on this machine."""
        return Cell(cell.name, {**cell.settings, **{one.setting: self._located[one] for one in parcels}})


def forget(sweep: str) -> None:
    """Remove what workers of a sweep unpacked on this machine."""
    shutil.rmtree(_shelf(sweep), ignore_errors=True)


def _shelf(sweep: str) -> Path:
    return Path(tempfile.gettempdir()) / f"acdc-sweep-{sweep}"


def _told(said: Any) -> Returned | Full:
    return said if isinstance(said, Full) else Returned(said.outcome, None)


def _sees(home: Home) -> bool:
    """Whether this machine shares the sweep's folder and the directory where relative paths begin."""
    name, text = home.mark
    try:
        if Path(home.folder, name).read_text() != text:
            return False
        return home.directory is None or Path(home.directory[0]).stat().st_ino == home.directory[1]
    except OSError:
        return False


def _fetched(reference: Any) -> bytes:
    import ray

    found: bytes = ray.get(reference)
    return found
