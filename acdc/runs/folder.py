"""The run folder: ``run.json``, ``trace.jsonl`` and ``circuit.json``, and nothing half-written."""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from acdc.circuit import Circuit
from acdc.errors import RunFolderError, warn
from acdc.files import atomic_write
from acdc.jsondata import read_plain
from acdc.pairs.finding import file_of, word_files
from acdc.reading import kind_of, open_regular, read_regular, sha256_of
from acdc.runs.differences import differences, known_differences
from acdc.runs.record import Record
from acdc.runs.trace import TraceWriter, lock
from acdc.wording import some

RECORD, TRACE, CIRCUIT = "run.json", "trace.jsonl", "circuit.json"
#: Names of the files that :func:`atomic_write` is still writing in a run folder: the record, or a circuit as a file
#: of whatever format.
_PARTS = re.compile(r"\.(run\.json|circuit\.[a-z]+)\.\w+\.part")
_MOST_BYTES = 2**26  # of a record


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
    if files := task_changes(asked.get("task"), earlier):
        return f" and holds a run begun before {some(files)} was last changed; put that back"
    if earlier.finished:
        return " and holds a run of these settings, finished; look at it by acdc show"
    return "; go on with it by `resume=True`"


def task_changes(task: Any, earlier: Record) -> list[str]:
    """The files of a task that were changed after a run on it began; of word files, only the time tells."""
    if not isinstance(task, str | Path):
        return []
    changed = [str(task)] if _has_changed(task, earlier) else []
    return changed + [str(file) for file in word_files(str(task)) if is_younger(file, earlier.started)]


def _has_changed(task: Any, earlier: Record) -> bool:
    """Whether a task is a file that was changed after a run on it began; older versions left only the time to go by."""
    file = (file_of(str(task)) or task) if isinstance(task, str | Path) else None
    if earlier.task_sha256 is not None and file is not None and (now := sha256_of(Path(file))) is not None:
        return now != earlier.task_sha256
    return is_younger(file, earlier.started)


def is_younger(place: Any, started: str, *, folders: bool = False) -> bool:
    """Whether a name is that of a file that was changed after a run began: going on may not work.

    Args:
        place: the name, or whatever a caller gave.
        started: when the run began, in ISO 8601.
        folders: whether it may be that of a folder, one of whose files was changed.
    """
    with contextlib.suppress(OSError, TypeError, ValueError):  # no file, or no time
        path, begun = Path(place), datetime.fromisoformat(started).timestamp() + 1
        files = path.iterdir() if folders and path.is_dir() else [path]
        return any(file.is_file() and file.stat().st_mtime > begun for file in files)
    return False


class RunFolder:
    """A folder that a run writes; nobody else can, until it is closed.

    Attributes:
        path: the folder.
        record: what ``run.json`` holds.
        trace: the open trace; its ``past`` are the decisions of an interrupted run.
        resumed: whether there was a run to go on with.
    """

    def __init__(self, path: Path, record: Record, *, resume: bool) -> None:
        """Make the folder, or go on with the run in it.

        Args:
            path: the folder.
            record: the new run's; its request and hashes must be those of the run to go on with.
            resume: go on with the run in the folder, if there is one.

        Raises:
            RunFolderError: the folder exists and `resume` isn't set, it can't be written,
                another process writes it, or the run in it is finished or has other settings (the message
                says which differ).
        """
        check_free(path, resume=resume)
        self.path = path
        earlier = earlier_run(path)
        self.resumed = earlier is not None
        if earlier is not None:
            refuse_differences(path, earlier, record)
            if earlier.finished:
                raise RunFolderError(f"the run in {path} is finished already; load it, or choose another with `out`.")
            record = _gone_on_with(path, earlier, record)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunFolderError(f"can't make {path}: {error.strerror}; choose another folder with `out`.") from error
        self.record = record
        self.trace = TraceWriter(path / TRACE)
        try:
            if earlier is None:
                if is_regular(path / RECORD):
                    raise RunFolderError(f"another process has just made a run in {path}; choose another folder.")
                self.write_record()
            elif record.versions != earlier.versions:
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
        self.trace.close()

    def checkpoint(self, seconds: float) -> None:
        """Make the trace safe and note how long the run has taken so far."""
        self.trace.sync()
        self.record.seconds = seconds
        self.write_record()

    def write_circuit(self, circuit: Circuit) -> None:
        """Write ``circuit.json``."""
        circuit.save(self.path / CIRCUIT)

    def write_record(self) -> None:
        """Write ``run.json`` as it stands."""
        with atomic_write(self.path / RECORD) as file:
            json.dump(self.record.to_json(), file, indent=1, allow_nan=False)
            file.write("\n")


def _is_part(entry: Path) -> bool:
    return _PARTS.fullmatch(entry.name) is not None and is_regular(entry)


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


def read_raw(path: Path) -> Any:
    """What a run's ``run.json`` holds, word for word.

    Raises:
        RunFolderError: it is missing or can't be read.
    """
    file = path / RECORD
    try:
        return read_plain(read_regular(file, follow=False, at_most=_MOST_BYTES))
    except OSError as error:
        raise RunFolderError(f"{path} is not a run folder: can't read {file}: {error.strerror}.") from error
    except ValueError as error:
        raise RunFolderError(f"{file} is not JSON ({error}).") from error


def record_of(path: Path, raw: Any) -> Record:
    """The record of a run, of what its ``run.json`` holds. Raises :class:`RunFolderError`."""
    try:
        return Record.from_json(raw)
    except ValueError as error:
        raise RunFolderError(f"{path / RECORD} is not the record of a run: {error}.") from error


def read_record(path: Path) -> Record:
    """The record of a run.

    Raises:
        RunFolderError: it is missing, can't be read, or isn't the record of a run.
    """
    return record_of(path, read_raw(path))


def earlier_run(path: Path) -> Record | None:
    """The record of the run in a folder, if there is one. Raises :class:`RunFolderError` for a damaged one."""
    if not is_regular(path / RECORD):
        return None
    check_files(path)
    return read_record(path)


def is_finished(path: Path) -> bool:
    """Whether a folder holds a run that has ended."""
    try:
        return read_record(path).finished
    except RunFolderError:
        return False


def refuse_differences(path: Path, earlier: Record, now: Record) -> None:
    """Raise :class:`RunFolderError` unless two records are of the same run; says what differs."""
    found = differences(earlier.request.to_json(), now.request.to_json(), directory=earlier.directory)
    before, after = earlier.hashes, now.hashes
    # A hash that an older version didn't take can't have changed.
    found += [f"the {key} changed" for key in sorted(before) if before[key] != after.get(key)]
    refuse(path, found)


def refuse(path: Path, found: list[str]) -> None:
    """Raise :class:`RunFolderError` for differences, if there are any."""
    if found:
        raise RunFolderError(
            f"{path} holds a run with other settings: {'; '.join(found)}. "
            "Resume with the same ones, or choose another folder with `out`."
        )


def _gone_on_with(path: Path, earlier: Record, now: Record) -> Record:
    """The record of a run that goes on: today's, with what is of its beginning."""
    return replace(
        now,
        started=earlier.started,
        seconds=earlier.seconds,
        directory=earlier.directory,
        asked=earlier.asked or now.asked,
        request=earlier.request.over(now.request),
        earlier_versions=_earlier_versions(path, earlier, now),
        search=earlier.search,
        further=earlier.further,
    )


def _earlier_versions(path: Path, earlier: Record, now: Record) -> list[Any]:
    """The versions under which a run's decisions were made so far; warns if today's are others."""
    known = list(earlier.earlier_versions)
    before, after = earlier.versions, now.versions
    if before == after:
        return known
    differences = ", ".join(
        f"{name} was {before.get(name, 'absent')} and is {after.get(name, 'absent')}"
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    )
    warn(f"{path} was begun under other versions: {differences}; decisions may differ from those of one whole run.")
    return [*known, before]
