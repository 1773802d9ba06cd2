"""The run folder: ``run.json``, ``trace.jsonl`` and ``circuit.json``, and nothing half-written."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from acdc.circuit import Circuit
from acdc.errors import AcdcWarning, RunFolderError
from acdc.export import FORMATS
from acdc.files import atomic_write, kind_of
from acdc.jsondata import check, parse
from acdc.runs.trace import TraceWriter

RECORD, TRACE, CIRCUIT = "run.json", "trace.jsonl", "circuit.json"
#: Names of the files that :func:`atomic_write` is still writing in a run folder.
PARTS = tuple(f".{name}.*.part" for name in (RECORD, *(f"circuit{ending}" for ending in FORMATS.values())))
#: Parts of the record that must be equal for a run to go on.
IDENTITY = ("request", "hashes")
#: What every record has, finished or not, as far as acdc reads it.
RECORD_SHAPE = {
    "status": str,
    "request": dict,
    "hashes": dict,
    "versions": dict,
    "started": str,
    "seconds": float,
}


def check_free(path: Path, *, resume: bool) -> None:
    """Raise :class:`RunFolderError` if a new run would write over something.

    Called before a model is opened, so that the user learns at once.
    """
    try:
        if path.is_symlink() and not path.exists():
            raise RunFolderError(f"{path} is a link to nothing; choose another folder with `out`.")
        if path.exists() and not path.is_dir():
            raise RunFolderError(f"{path} is a file; choose another folder with `out`.")
        occupied = path.is_dir() and any(not _is_part(entry) for entry in path.iterdir())
    except OSError as error:  # no permission to look, or a name that the system doesn't take
        raise RunFolderError(f"can't use {path}: {error.strerror}; choose another folder with `out`.") from error
    if occupied:
        if not resume:
            raise RunFolderError(
                f"{path} exists already; go on with it by `resume=True`, or choose another folder with `out`."
            )
        if not (path / RECORD).is_file():
            raise RunFolderError(f"{path} is not a run folder (it has no {RECORD}); choose another folder with `out`.")


class RunFolder:
    """A folder that a run writes.

    Attributes:
        path: the folder.
        record: what ``run.json`` holds.
        trace: the open trace; its ``past`` are the decisions of an interrupted run.
        resumed: whether there was a run to go on with.
        finished: whether that run had ended; the folder is then left as it is.
    """

    def __init__(self, path: Path, record: dict[str, Any], *, resume: bool) -> None:
        """Make the folder, or go on with the run in it.

        Args:
            path: the folder.
            record: the new run's record; must have the parts in :data:`IDENTITY`.
            resume: go on with the run in the folder, if there is one.

        Raises:
            RunFolderError: the folder exists and `resume` isn't set, it can't be written,
                or the run in it has other settings (the message says which differ).
        """
        check_free(path, resume=resume)
        self.path = path
        self.resumed = (path / RECORD).is_file()
        self.finished = False
        if self.resumed:
            earlier = read_record(path)
            _refuse_differences(path, earlier, record)
            self.finished = earlier["status"] == "finished"
            if self.finished:
                return
            record = {**record, **{key: earlier[key] for key in ("started", "seconds")}}
            if versions := _earlier_versions(path, earlier, record):
                record["earlier_versions"] = versions
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunFolderError(f"can't make {path}: {error.strerror}; choose another folder with `out`.") from error
        self.record = record
        if not self.resumed:
            self.write_record()
        self.trace = TraceWriter(path / TRACE)
        if self.resumed and record["versions"] != earlier["versions"]:
            self.write_record()  # before the first decision under them
        for entry in path.iterdir():
            if _is_part(entry):  # of a write that a kill cut off
                entry.unlink(missing_ok=True)

    def checkpoint(self, seconds: float) -> None:
        """Make the trace safe and note how long the run has taken so far."""
        self.trace.sync()
        self.record["seconds"] = seconds
        self.write_record()

    def write_circuit(self, circuit: Circuit) -> None:
        """Write ``circuit.json``."""
        circuit.save(self.path / CIRCUIT)

    def write_record(self) -> None:
        """Write ``run.json`` as it stands."""
        with atomic_write(self.path / RECORD) as file:
            json.dump(self.record, file, indent=1, allow_nan=False)
            file.write("\n")


def _is_part(entry: Path) -> bool:
    return any(entry.match(pattern) for pattern in PARTS)


def read_record(path: Path) -> dict[str, Any]:
    """What a run's ``run.json`` holds.

    Raises:
        RunFolderError: it is missing, can't be read, or isn't the record of a run.
    """
    file = path / RECORD
    try:
        record = parse(lambda: json.loads(file.read_text(encoding="utf-8")))
    except OSError as error:
        raise RunFolderError(f"{path} is not a run folder: can't read {file}: {error.strerror}.") from error
    except ValueError as error:
        raise RunFolderError(f"{file} is not JSON ({error}).") from error
    check_record(path, record, RECORD_SHAPE)
    check_record(path, {"earlier_versions": [], **record}, {"earlier_versions": list})
    return record


def is_own_picture(path: Path) -> bool:
    """Whether a file is one that acdc has drawn into a run folder, and so may be drawn anew."""
    names = {f"circuit{ending}" for ending in FORMATS.values()} - {CIRCUIT}
    if path.name not in names or kind_of(path) != "a file":
        return False
    try:
        read_record(path.parent)
    except RunFolderError:
        return False
    return True


def check_record(path: Path, record: Any, shape: Mapping[str, Any]) -> None:
    """Raise :class:`RunFolderError` if a record isn't of a shape; see :func:`acdc.jsondata.check`."""
    try:
        check(record, shape, "")
    except ValueError as error:
        raise RunFolderError(f"{path / RECORD} is not the record of a run: {error}.") from error


def _refuse_differences(path: Path, earlier: dict[str, Any], now: dict[str, Any]) -> None:
    differences = []
    for part in IDENTITY:
        before, after = earlier[part], now[part]
        differences += [
            f"the {key} changed" if part == "hashes" else f"{key} was {before.get(key)!r} and is {after.get(key)!r}"
            for key in sorted(before.keys() | after.keys())
            if before.get(key) != after.get(key)
        ]
    if differences:
        raise RunFolderError(
            f"{path} holds a run with other settings: {'; '.join(differences)}. "
            "Resume with the same ones, or choose another folder with `out`."
        )


def _earlier_versions(path: Path, earlier: dict[str, Any], now: dict[str, Any]) -> list[dict[str, str]]:
    """The versions under which a run's decisions were made so far; warns if today's are others."""
    known = list(earlier.get("earlier_versions", []))
    before, after = earlier["versions"], now["versions"]
    if before == after:
        return known
    differences = ", ".join(
        f"{name} was {before.get(name, 'absent')} and is {after.get(name, 'absent')}"
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    )
    warnings.warn(
        f"{path} was begun under other versions: {differences}; decisions may differ from those of one whole run.",
        AcdcWarning,
        stacklevel=4,
    )
    return [*known, before]
