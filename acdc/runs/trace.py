"""``trace.jsonl``: a line a decision, in order; it is also the checkpoint of a run."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import get_type_hints

from acdc.decision import Decision, TraceLine
from acdc.errors import RunFolderError
from acdc.jsondata import check, read_plain, shown
from acdc.reading import open_regular, read_regular

_FIELDS = get_type_hints(TraceLine)
_BEGINNING = b'{"edge": "'  # of every line
_LONGEST_NAME = 100  # of an edge


def read_trace(path: Path) -> list[TraceLine]:
    """Read a trace; a last line that a kill tore is left out.

    Raises:
        RunFolderError: the file can't be read, or a line before the last isn't a decision.
    """
    try:
        content = read_regular(path, follow=False)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunFolderError(f"can't read {path}: {error.strerror}.") from error
    return _whole_lines(path, content)[0]


def _whole_lines(path: Path, content: bytes) -> tuple[list[TraceLine], int]:
    """The decisions of a trace and how many bytes they take."""
    end = content.rfind(b"\n") + 1  # a line counts once its newline is there
    decisions = []
    for number, line in enumerate(content[:end].split(b"\n")[:-1], 1):
        try:
            decisions.append(_decision(line))
        except ValueError as error:
            raise RunFolderError(f"{path}, line {number} is not a decision ({error}); the run can't go on.") from error
    if not _is_torn(content[end:]):
        raise RunFolderError(
            f"{path} ends, after line {len(decisions)}, in something that is no beginning of a decision; it is not a "
            "run's trace."
        )
    return decisions, end


def _is_torn(rest: bytes) -> bool:
    """Whether what stands after the last newline is the beginning of a decision; a power cut leaves zeros."""
    begun = rest.rstrip(b"\0")
    return begun[: len(_BEGINNING)] == _BEGINNING[: len(begun)]


def _decision(line: bytes) -> TraceLine:
    fields = read_plain(line)
    check(fields, _FIELDS, "")
    if unknown := sorted(fields.keys() - _FIELDS.keys()):
        raise ValueError(f"{shown(unknown[0])[1:-1]} is unknown")
    if len(fields["edge"]) > _LONGEST_NAME:
        raise ValueError(f"no edge is called {shown(fields['edge'])}")
    return TraceLine(**fields)


def line_of(decision: Decision | TraceLine) -> bytes:
    """A decision as the trace has it, with its newline."""
    return json.dumps({name: getattr(decision, name) for name in _FIELDS}).encode() + b"\n"


class TraceWriter:
    """Appends decisions to a trace, cutting off a torn last line first.

    Every line is handed to the operating system at once, so that a killed process loses
    none; :meth:`sync` makes them safe from a power cut too. While it is open, no other process
    can write the trace, or the folder that it is in.

    Attributes:
        past: the decisions that were there.
    """

    def __init__(self, path: Path) -> None:
        """Open a trace for appending.

        Raises:
            RunFolderError: it can't be written, or read as a trace, or another process is writing it.
        """
        try:
            handle = open_regular(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, follow=False)
        except OSError as error:
            raise RunFolderError(f"can't write {path}: {error.strerror}.") from error
        self._path, self._file = path, os.fdopen(handle, "r+b")
        try:
            if os.fstat(handle).st_nlink > 1:
                raise RunFolderError(
                    f"{path} has a second name elsewhere (a hard link), which would be written too; copy the folder."
                )
            if not lock(handle):
                raise RunFolderError(f"another process is writing {path.parent}; wait for it or choose another folder.")
            self.past, end = _whole_lines(path, self._file.read())
            self._file.seek(end)  # appending doesn't need it, but a buffered file must know where it is
            self._file.truncate(end)
        except OSError as error:
            raise RunFolderError(f"can't write {path}: {error.strerror}.") from error
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Make the trace safe and let go of it."""
        try:
            if not self._file.closed:
                self.sync()
        finally:
            with contextlib.suppress(OSError):  # said by sync
                self._file.close()

    def append(self, decision: Decision | TraceLine) -> None:
        """Add a decision. Raises :class:`RunFolderError`, e.g. on a full disk."""
        try:
            self._file.write(line_of(decision))
            self._file.flush()
        except OSError as error:
            raise RunFolderError(f"can't write {self._path}: {error.strerror}.") from error

    def sync(self) -> None:
        """Wait until all lines are on the disk. Raises :class:`RunFolderError`, e.g. on a full one."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise RunFolderError(f"can't write {self._path}: {error.strerror}.") from error


def lock(handle: int) -> bool:
    """Keep other processes from writing a trace, as long as this one has it open; false if another was faster.

    Where the system knows no such locks, nothing is kept and the answer is true.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
