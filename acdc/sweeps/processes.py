"""Worker processes as the process that starts them has them.

They are started as a command of their own, not by :mod:`multiprocessing`: that would run a caller's script once more
in each of them, and a notebook's cells not at all.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import IO, TYPE_CHECKING, Any

from acdc.sweeps.worker import receive, send

if TYPE_CHECKING:
    from acdc.sweeps.options import RunnerOptions

#: The first lines of a worker; Ctrl-C is ignored before anything is imported.
_BEGINNING = (
    "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); "
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from acdc.sweeps.worker import serve; serve()"
)


class Process:
    """A worker process.

    Args:
        options: of its runner.
        processes: how many of them share the cores.
        heard: is called with each message of it, and with ``None`` once it has ended, from a thread of its own.
    """

    def __init__(self, options: RunnerOptions, processes: int, heard: Callable[[Any], None]) -> None:
        # -I: neither the working directory nor the environment puts other modules before the caller's.
        command = [sys.executable, "-I", "-c", _BEGINNING, json.dumps(sys.path)]
        with _without_interrupts():
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._heard = heard
        threading.Thread(target=self._listen, args=(self._process.stdout,), daemon=True).start()
        self.send((options, processes))

    def send(self, message: Any) -> None:
        """Tell it something; if it has died, its end is heard of anyway."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            send(self._process.stdin, message)

    def end(self) -> None:
        """End it, whatever it is at, and wait until it has."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()

    def how(self) -> int:
        """How it ended: its exit code, or the signal that killed it as a negative number."""
        return self._process.wait()

    def _listen(self, answers: IO[bytes]) -> None:
        try:
            while True:
                self._heard(receive(answers))
        except (EOFError, OSError, ValueError):  # it has ended, or been ended here
            self._heard(None)


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """Let a process that is started here not hear of Ctrl-C before it can ignore it; this one hears of it later."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
