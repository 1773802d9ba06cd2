"""The run folder: ``run.json``, ``trace.jsonl`` and ``circuit.json``, and nothing half-written."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import warnings
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from acdc.circuit import Circuit
from acdc.errors import AcdcWarning, RunFolderError
from acdc.export import FORMATS
from acdc.files import atomic_write
from acdc.jsondata import check, read_plain, shown
from acdc.reading import kind_at, kind_of, open_regular, read_regular
from acdc.runs.differences import differences, known_differences
from acdc.runs.trace import TraceWriter, lock

RECORD, TRACE, CIRCUIT = "run.json", "trace.jsonl", "circuit.json"
#: Names of the files that :func:`atomic_write` is still writing in a run folder.
PARTS = tuple(f".{name}.*.part" for name in (RECORD, *(f"circuit{ending}" for ending in FORMATS.values())))
#: Parts of the record that must be equal for a run to go on.
IDENTITY = ("request", "hashes")
#: What a run that goes on keeps of its beginning.
_FROM_THE_START = ("started", "seconds", "directory", "asked")
#: The newest layout of a record that this version reads, and the one that it writes.
FORMAT = 1
_MOST_BYTES = 2**26  # of a record
_LONGEST = 1e10  # seconds; three centuries
#: What every record has, finished or not, as far as acdc reads it.
RECORD_SHAPE = {
    "status": str,
    "request": dict,
    "hashes": dict,
    "versions": dict,
    "started": str,
    "seconds": float,
}


def check_free(path: Path, *, resume: bool, asked: Mapping[str, Any] | None = None) -> None:
    """Raise :class:`RunFolderError` if a new run would write over something.

    Called before a model is opened, so that the user learns at once.

    Args:
        path: the folder.
        resume: whether to go on with a run in it.
        asked: what is known of the request so far; advice to go on is given only where that would work.
    """
    try:
        if path.is_symlink() and not path.exists():
            raise RunFolderError(f"{path} is a link to nothing; choose another folder with `out`.")
        if path.exists() and not path.is_dir():
            raise RunFolderError(f"{path} is a file; choose another folder with `out`.")
        occupied = path.is_dir() and not is_free(path)
    except OSError as error:  # no permission to look, or a name that the system doesn't take
        raise RunFolderError(f"can't use {path}: {error.strerror}; choose another folder with `out`.") from error
    if not occupied:
        return
    if not is_regular(path / RECORD):
        what = "is not a run folder" if resume else "exists already and is not a run folder"
        raise RunFolderError(f"{path} {what} (it has no {RECORD}); choose another folder with `out`.")
    if not resume:
        raise RunFolderError(f"{path} exists already{_advice(path, asked or {})}, or choose another folder with `out`.")


def is_free(path: Path) -> bool:
    """Whether a folder holds nothing but what a run left that was killed before it had begun."""
    return all(_is_part(entry) or _is_unbegun(entry) for entry in path.iterdir())


def _advice(path: Path, asked: Mapping[str, Any]) -> str:
    """What to do about the run in a folder."""
    try:
        earlier = read_record(path)
    except RunFolderError as error:
        return f" and can't be gone on with ({error}); repair it"
    if changed := known_differences(earlier, asked):
        return f" and holds a run with other settings ({'; '.join(changed)}); ask for those"
    if _is_younger(asked.get("task"), earlier["started"]):
        return f" and holds a run begun before {asked['task']} was last changed; put that back"
    if earlier["status"] == "finished":
        return " and holds a run of these settings, finished; look at it by acdc show"
    return "; go on with it by `resume=True`"


def _is_younger(task: Any, started: str) -> bool:
    """Whether a task is a file that was changed after a run on it began: going on may not work."""
    with contextlib.suppress(OSError, TypeError, ValueError):  # no file, or no time
        file = Path(task)
        return file.is_file() and file.stat().st_mtime > datetime.fromisoformat(started).timestamp() + 1
    return False


class RunFolder:
    """A folder that a run writes; nobody else can, until it is closed.

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
                another process writes it, or the run in it has other settings (the message
                says which differ).
        """
        check_free(path, resume=resume)
        self.path = path
        self.resumed = is_regular(path / RECORD)
        self.finished = False
        if self.resumed:
            check_files(path)
            earlier = read_record(path)
            _refuse_differences(path, earlier, record)
            self.finished = earlier["status"] == "finished"
            if self.finished:
                return
            record = {**record, **{key: earlier[key] for key in _FROM_THE_START if key in earlier}}
            record["request"] = {**record["request"], **earlier["request"]}
            if versions := _earlier_versions(path, earlier, record):
                record["earlier_versions"] = versions
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunFolderError(f"can't make {path}: {error.strerror}; choose another folder with `out`.") from error
        self.record = record
        self.trace = TraceWriter(path / TRACE)
        try:
            if not self.resumed:
                if is_regular(path / RECORD):
                    raise RunFolderError(f"another process has just made a run in {path}; choose another folder.")
                self.write_record()
            elif record["versions"] != earlier["versions"]:
                self.write_record()  # before the first decision under them
        except BaseException:
            self.close()
            raise
        clear_parts(path)

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Let others write the folder."""
        if not self.finished:
            self.trace.close()

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
    return any(entry.match(pattern) for pattern in PARTS) and is_regular(entry)


def _is_unbegun(entry: Path) -> bool:
    """Whether it is the trace of a run that has written nothing."""
    return entry.name == TRACE and is_regular(entry) and entry.lstat().st_size == 0


def is_regular(path: Path) -> bool:
    """Whether a file is there, and neither a link nor anything else."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except (OSError, ValueError):
        return False


def check_files(path: Path) -> None:
    """Raise :class:`RunFolderError` where something that acdc didn't make has the name of a run's file."""
    for name in (RECORD, TRACE, CIRCUIT):
        try:
            mode = (path / name).lstat().st_mode
        except OSError:
            continue
        if not stat.S_ISREG(mode):
            raise RunFolderError(f"{path / name} is {kind_of(mode)}, not a file; put the run's own file in its place.")


def clear_parts(path: Path) -> None:
    """Remove what writes left half done that a kill cut off; only for whoever holds the folder's lock."""
    for entry in path.iterdir():
        if _is_part(entry):
            entry.unlink(missing_ok=True)


def tidy(path: Path) -> bool:
    """Clear a folder of half-written files, unless another process writes it; says whether none does."""
    try:
        handle = open_regular(path / TRACE, follow=False)
    except OSError:
        return True
    try:
        if not lock(handle):
            return False
        with contextlib.suppress(OSError):  # in a folder that can't be written, they stay
            clear_parts(path)
        return True
    except OSError:  # a system that locks only what is open for writing
        return True
    finally:
        os.close(handle)


def read_record(path: Path) -> dict[str, Any]:
    """What a run's ``run.json`` holds.

    Raises:
        RunFolderError: it is missing, can't be read, or isn't the record of a run.
    """
    file = path / RECORD
    try:
        record = read_plain(read_regular(file, follow=False, at_most=_MOST_BYTES))
    except OSError as error:
        raise RunFolderError(f"{path} is not a run folder: can't read {file}: {error.strerror}.") from error
    except ValueError as error:
        raise RunFolderError(f"{file} is not JSON ({error}).") from error
    check_record(path, record, RECORD_SHAPE)
    check_record(path, {"earlier_versions": [], "format": FORMAT, **record}, {"earlier_versions": list, "format": int})
    if not 1 <= record.get("format", FORMAT) <= FORMAT:
        why = "a newer one wrote it; update acdc" if record["format"] > FORMAT else "no version writes that"
        raise RunFolderError(
            f"{file} has the format {shown(record['format'])}, and this version of acdc knows 1 to {FORMAT}: {why}."
        )
    if not 0 <= record["seconds"] <= _LONGEST:
        raise RunFolderError(
            f"{file} is not the record of a run: seconds must be 0 or more, not {record['seconds']!r}."
        )
    return record


def is_own_picture(path: Path) -> bool:
    """Whether a file is one that acdc has drawn into a run folder, and so may be drawn anew."""
    names = {f"circuit{ending}" for ending in FORMATS.values()} - {CIRCUIT}
    if path.name not in names or kind_at(path) != "a file":
        return False
    try:
        read_record(path.parent)
    except RunFolderError:
        return False
    return True


def is_finished(path: Path) -> bool:
    """Whether a folder holds a run that has ended."""
    try:
        return read_record(path)["status"] == "finished"
    except RunFolderError:
        return False


def check_record(path: Path, record: Any, shape: Mapping[str, Any]) -> None:
    """Raise :class:`RunFolderError` if a record isn't of a shape; see :func:`acdc.jsondata.check`."""
    try:
        check(record, shape, "")
    except ValueError as error:
        raise RunFolderError(f"{path / RECORD} is not the record of a run: {error}.") from error


def _refuse_differences(path: Path, earlier: dict[str, Any], now: dict[str, Any]) -> None:
    found = differences(earlier["request"], now["request"], directory=earlier.get("directory"))
    before, after = earlier["hashes"], now["hashes"]
    # A hash that an older version didn't take can't have changed.
    found += [f"the {key} changed" for key in sorted(before) if before[key] != after.get(key)]
    if found:
        raise RunFolderError(
            f"{path} holds a run with other settings: {'; '.join(found)}. "
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
