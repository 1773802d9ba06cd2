"""A process that runs cells for another: what is said between the two, and the process itself.

Messages are pickled, over the process' standard input and output; only the two ever write them. Nothing here imports
torch before the process has begun.
"""

from __future__ import annotations

import os
import pickle
import signal
import struct
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any

from acdc.errors import RunFolderError
from acdc.machine import held_memory
from acdc.sweeps.cells import Cell
from acdc.sweeps.outcome import FAILED, Outcome
from acdc.wording import first_line

_LENGTH = struct.Struct("!Q")  # stands before every message


@dataclass(frozen=True)
class Prepare:
    """To a worker: open what a cell runs on, and say what it will need. It answers by :class:`Needed`."""

    cell: Cell


@dataclass(frozen=True)
class RunCell:
    """To a worker: run a cell. It answers by :class:`Ended` or :class:`Full`."""

    cell: Cell
    out: Path


@dataclass(frozen=True)
class Ready:
    """From a worker: it has begun."""


@dataclass(frozen=True)
class Needed:
    """From a worker: what a cell needs.

    Attributes:
        memory_bytes: that the process holds at most, with what it holds already; ``None`` where nothing is known.
        held_bytes: what the process holds now; ``None`` where it can't be told.
    """

    memory_bytes: int | None
    held_bytes: int | None


@dataclass(frozen=True)
class Ended:
    """From a worker: how a cell ended."""

    outcome: Outcome


@dataclass(frozen=True)
class Full:
    """From a worker: nothing more can be written; it says why, in a sentence."""

    sentence: str


def send(stream: IO[bytes], message: Any) -> None:
    """Send a message. Raises :class:`OSError`: nobody reads any more."""
    content = pickle.dumps(message)
    stream.write(_LENGTH.pack(len(content)) + content)
    stream.flush()


def receive(stream: IO[bytes]) -> Any:
    """The next message. Raises :class:`EOFError`: there won't be one."""
    content = _exactly(stream, _LENGTH.unpack(_exactly(stream, _LENGTH.size))[0])
    return pickle.loads(content)


def _exactly(stream: IO[bytes], n: int) -> bytes:
    content = stream.read(n)
    if len(content) < n:
        raise EOFError
    return content


def serve() -> None:
    """Be a worker: run the cells that standard input brings, until it ends.

    It ends when the process that wrote it does, however that happens: a run goes on from its trace.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process; the first one ends the others
    commands, answers = _own_streams()
    options, processes = receive(commands)
    inbox: SimpleQueue[Any] = SimpleQueue()
    threading.Thread(target=_listen, args=(commands, inbox), daemon=True).start()
    from acdc.models.threads import share_cores
    from acdc.sweeps.runner import Runner

    share_cores(processes)
    runner = Runner(options)
    send(answers, Ready())
    while True:
        send(answers, answer(runner, inbox.get()))


def answer(runner: Any, command: Prepare | RunCell) -> Needed | Ended | Full:
    """Do what a worker is told, and say what came of it."""
    if isinstance(command, Prepare):
        return Needed(_needs(runner, command.cell), held_memory())
    try:
        return Ended(runner.run(command.cell, command.out))
    except RunFolderError as error:
        return Full(str(error))
    except Exception as error:  # the runner takes all that can be expected
        return Ended(Outcome(FAILED, f"acdc made a mistake: {type(error).__name__}: {first_line(error)}"))


def _needs(runner: Any, cell: Cell) -> int | None:
    """What a cell needs; where opening what it runs on fails, it says why as it runs."""
    try:
        return runner.needs(cell).memory_bytes
    except Exception:
        return None


def _listen(commands: IO[bytes], inbox: SimpleQueue[Any]) -> None:
    """Hand on commands; when there won't be any more, end the process whatever it is at."""
    try:
        while True:
            inbox.put(receive(commands))
    except (EOFError, OSError):
        os._exit(0)


def _own_streams() -> tuple[IO[bytes], IO[bytes]]:
    """Commands and answers; what a library prints goes to standard error."""
    sys.stdout.flush()
    commands, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)
    os.dup2(2, 1)
    os.close(nowhere)
    return commands, answers
