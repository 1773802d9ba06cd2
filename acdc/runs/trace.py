"""``trace.jsonl``: a line a decision, in order; it is also the checkpoint of a run."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import get_type_hints

from acdc.decision import Decision
from acdc.errors import RunFolderError
from acdc.jsondata import check, parse

_FIELDS = get_type_hints(Decision)


def read_trace(path: Path) -> list[Decision]:
    """Read a trace; a last line that a kill tore is left out.

    Raises:
        RunFolderError: the file can't be read, or a line before the last isn't a decision.
    """
    return _whole_lines(path)[0]


def _whole_lines(path: Path) -> tuple[list[Decision], int]:
    """The decisions of a trace and how many bytes they take."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return [], 0
    except OSError as error:
        raise RunFolderError(f"can't read {path}: {error.strerror}.") from error
    end = content.rfind(b"\n") + 1  # a line counts once its newline is there
    decisions = []
    for number, line in enumerate(content[:end].splitlines(), 1):
        try:
            decisions.append(_decision(line))
        except ValueError as error:
            raise RunFolderError(f"{path}, line {number} is not a decision ({error}); the run can't go on.") from error
    return decisions, end


def _decision(line: bytes) -> Decision:
    fields = parse(lambda: json.loads(line))
    check(fields, _FIELDS, "")
    if unknown := sorted(fields.keys() - _FIELDS.keys()):
        raise ValueError(f"{unknown[0]} is unknown")
    return Decision(**fields)


class TraceWriter:
    """Appends decisions to a trace, cutting off a torn last line first.

    Every line is handed to the operating system at once, so that a killed process loses
    none; :meth:`sync` makes them safe from a power cut too.
    """

    def __init__(self, path: Path) -> None:
        """Open a trace for appending.

        Raises:
            RunFolderError: it can't be written, or another process is writing it.
        """
        self.past, end = _whole_lines(path)
        try:
            self._file = path.open("ab")
            _lock(self._file.fileno(), path)
            self._file.truncate(end)
        except OSError as error:
            raise RunFolderError(f"can't write {path}: {error.strerror}.") from error

    def close(self) -> None:
        """Make the trace safe and let go of it."""
        self.sync()
        self._file.close()

    def append(self, decision: Decision) -> None:
        """Add a decision. Raises :class:`RunFolderError`, e.g. on a full disk."""
        try:
            self._file.write(json.dumps(asdict(decision)).encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise RunFolderError(f"can't write {self._file.name}: {error.strerror}.") from error

    def sync(self) -> None:
        """Wait until all lines are on the disk. Raises :class:`RunFolderError`, e.g. on a full one."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise RunFolderError(f"can't write {self._file.name}: {error.strerror}.") from error


def _lock(handle: int, path: Path) -> None:
    """Keep a second process from writing the same trace, where the system can."""
    try:
        import fcntl
    except ImportError:  # Windows
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RunFolderError(
            f"another process is writing {path.parent}; wait for it or choose another folder."
        ) from None
