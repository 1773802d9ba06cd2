"""Standard output and errors that take every character, and outlive whoever reads them.

A reader that goes away (``acdc discover ... | head``) must not take an hour's run along, a
terminal that knows few letters must not end it, and a closed stream must not hand its number
to the file that is opened next. Everything that writes gets these streams: the commands, tqdm,
and the libraries below.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

#: The reader has gone; what is still to be said is said to nobody.
_NOBODY_READS = {errno.EPIPE, errno.ECONNRESET, errno.ESHUTDOWN}


class _Raw(io.FileIO):
    """A standard stream's bytes."""

    def __init__(self, number: int, name: str, *, forgiving: bool) -> None:
        """Write to a file descriptor that stays open.

        Args:
            number: the descriptor.
            name: for errors.
            forgiving: let nothing fail: what can't be written is lost.
        """
        super().__init__(number, "w", closefd=False)
        self._said, self._forgiving = name, forgiving

    def write(self, data: Any) -> int:
        """As any file, but for readers that have gone. Raises :class:`OSError` once, e.g. on a full disk."""
        try:
            return super().write(data)
        except BlockingIOError:
            raise
        except OSError as error:
            # What is still in a buffer is written again when the process ends, and must not fail again.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            if not self._forgiving and error.errno not in _NOBODY_READS:
                raise OSError(error.errno, error.strerror, self._said) from error
            return len(memoryview(data).cast("B"))


@contextmanager
def lasting_streams() -> Iterator[None]:
    """Standard output and errors as this module has them; put back at the end.

    What isn't a file (a notebook's output, a test's) stays as it is, but takes every character.
    """
    _open_closed_ones()
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _lasting(sys.stdout, forgiving=False), _lasting(sys.stderr, forgiving=True)
    made = [now for now, old in zip((sys.stdout, sys.stderr), before, strict=True) if now is not old]
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        for stream in made:
            with suppress(OSError):  # said already, or nobody's loss
                stream.flush()


def _open_closed_ones() -> None:
    """Let no file that is opened later be taken for standard output or errors."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            try:
                os.fstat(number)
            except OSError:
                nowhere = os.open(os.devnull, os.O_RDWR)
                if nowhere != number:
                    os.dup2(nowhere, number)
                    os.close(nowhere)
            setattr(sys, name, open(os.devnull, "w" if number else "r", encoding="utf-8"))  # noqa: PTH123, SIM115


def _lasting(stream: Any, *, forgiving: bool) -> Any:
    buffer = getattr(stream, "buffer", None)
    raw = getattr(buffer, "raw", buffer)  # with PYTHONUNBUFFERED there is no buffer
    if type(raw) is not io.FileIO or not isinstance(stream, io.TextIOWrapper):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
        return stream
    stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(_Raw(raw.fileno(), stream.name.strip("<>"), forgiving=forgiving)),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=True,
    )
