"""Cells in several processes of this machine."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol

from acdc import machine
from acdc.errors import RunFolderError, SettingsError, warn
from acdc.sweeps.cells import Cell
from acdc.sweeps.folder import SweepFolder
from acdc.sweeps.outcome import FAILED, Outcome
from acdc.sweeps.processes import Process
from acdc.sweeps.queue import Queue, kind
from acdc.sweeps.room import PROCESS_BYTES, Room, opening_bytes
from acdc.sweeps.worker import Ended, Full, Needed, Prepare, Ready, RunCell

if TYPE_CHECKING:
    from acdc.sweeps.options import RunnerOptions

#: How often the process of a cell may die.
_MOST_DEATHS = 2
#: So often is looked whether Ctrl-C was pressed, where the system doesn't say so.
_SECONDS = 1.0


class Worker(Protocol):
    """A worker process; see :class:`acdc.sweeps.processes.Process`."""

    def send(self, message: Any) -> None:
        """Tell it something."""

    def end(self) -> None:
        """End it."""

    def how(self) -> int:
        """Its exit code, or a signal's number below zero."""


#: Starts a worker that says what it has to say to the function.
Start = Callable[[Callable[[Any], None]], Worker]


def default_jobs() -> int:
    """How many processes there are unless somebody says: one a core, or one where torch would take a GPU."""
    return 1 if machine.has_gpu() else machine.cores()


def run_local(
    cells: Sequence[Cell],
    folder: SweepFolder,
    options: RunnerOptions,
    *,
    jobs: int,
    memory: int | None = None,
    began: Callable[[Cell], None] = lambda cell: None,
) -> Generator[tuple[Cell, Outcome], None, None]:
    """Run cells; gives each with how it ended, as soon as it has.

    A process stays with a model and prompts as long as there are cells for them. Before it begins with others, it
    waits until what they need fits into `memory` beside what the others need; one alone may always begin. A cell whose
    process dies is tried once more, in the end, with nothing beside it.

    Args:
        cells: the cells.
        folder: where their runs go.
        options: of the runners.
        jobs: how many processes.
        memory: bytes that all of them may hold together; ``None``: no limit.
        began: is called with each cell that begins.

    Raises:
        RunFolderError: nothing more can be written: the disk is full.
        SettingsError: processes end as they start.
    """
    jobs = min(jobs, max(1, len(cells)), max(1, (memory or jobs * PROCESS_BYTES) // PROCESS_BYTES))

    def start(heard: Callable[[Any], None]) -> Worker:
        return Process(options, jobs, heard)

    yield from run_on(start, cells, folder, jobs=jobs, memory=memory, began=began)


def run_on(
    start: Start,
    cells: Sequence[Cell],
    folder: SweepFolder,
    *,
    jobs: int,
    memory: int | None = None,
    began: Callable[[Cell], None] = lambda cell: None,
) -> Generator[tuple[Cell, Outcome], None, None]:
    """Run cells on workers, whatever these are; see :func:`run_local`."""
    running = _Jobs(start, cells, folder, memory, began)
    try:
        yield from running.run(jobs)
    finally:
        running.end()


@dataclass
class _Job:
    """A worker and what it is at.

    Attributes:
        worker: it.
        cell: that it has.
        step: what it is told once there is room.
        ready: whether it has begun.
        opened: the model that it has opened.
        needed: the kind of cell that it has said the needs of.
    """

    worker: Worker
    cell: Cell | None = None
    step: Prepare | RunCell | None = None
    ready: bool = False
    opened: str | None = None
    needed: str | None = None


@dataclass
class _Jobs:
    """Workers, the cells that wait for them, and the room that they share."""

    start: Start
    cells: Sequence[Cell]
    folder: SweepFolder
    memory: int | None
    began: Callable[[Cell], None]
    jobs: dict[int, _Job] = field(default_factory=dict)
    deaths: Counter[str] = field(default_factory=Counter)
    again: list[Cell] = field(default_factory=list)  # whose process has died, tried with nothing beside them
    unready: int = 0  # processes in a row that ended before they had begun

    def __post_init__(self) -> None:
        self.queue, self.room = Queue(self.cells), Room(self.memory)
        self.inbox: SimpleQueue[tuple[int, Any]] = SimpleQueue()
        self.numbers = iter(range(2**31))

    def run(self, n: int) -> Iterator[tuple[Cell, Outcome]]:
        """Run everything on so many workers."""
        for _ in range(n):
            self._start()
        while self.jobs:
            number, message = self._heard()
            if number in self.jobs:
                yield from self._hear(number, message)
                self._admit()
            if not self.jobs and (self.queue or self.again):
                self._start()

    def end(self) -> None:
        """End all workers."""
        for number in list(self.jobs):
            self._end(number)

    def _start(self) -> None:
        number = next(self.numbers)
        try:
            worker = self.start(lambda message: self.inbox.put((number, message)))
        except OSError as error:
            if self.jobs:  # fewer do it too
                return
            raise SettingsError(
                f"can't start a process ({error.strerror}); close others, or run the sweep in this one by `jobs=0`."
            ) from error
        self.jobs[number] = _Job(worker)
        self.room.hold(number, PROCESS_BYTES)

    def _end(self, number: int) -> None:
        self.queue.leave(number)
        self.room.leave(number)
        self.jobs.pop(number).worker.end()

    def _heard(self) -> tuple[int, Any]:
        while True:
            try:
                return self.inbox.get(timeout=_SECONDS)
            except Empty:
                continue

    def _hear(self, number: int, message: Any) -> Iterator[tuple[Cell, Outcome]]:
        job = self.jobs[number]
        if message is None:
            yield from self._died(number)
        elif isinstance(message, Ready):
            job.ready, self.unready = True, 0
            self._next(number)
        elif isinstance(message, Needed):
            self._needs(number, message)
        elif isinstance(message, Full):
            raise RunFolderError(message.sentence)
        elif isinstance(message, Ended) and job.cell is not None:
            cell, job.cell = job.cell, None
            yield cell, message.outcome
            self._next(number)

    def _next(self, number: int) -> None:
        """Give a worker its next cell; without one it ends, so that the others have its memory."""
        job = self.jobs[number]
        job.cell = self.queue.take(number)
        if job.cell is None and self.again and len(self.jobs) == 1 and job.opened is None:
            job.cell = self.again.pop(0)
        if job.cell is None:
            self._end(number)
        elif job.needed == kind(job.cell):
            self._run(number)
        else:
            job.step = Prepare(job.cell)
            held = self.room.held(number)
            opening = 0 if job.opened == repr(job.cell.opened) else opening_bytes(job.cell)
            self.room.ask(number, max(held, opening), held)

    def _needs(self, number: int, needed: Needed) -> None:
        job = self.jobs[number]
        assert job.cell is not None
        job.opened, job.needed = repr(job.cell.opened), kind(job.cell)
        job.step = RunCell(job.cell, self.folder.run_folder(job.cell))
        held = needed.held_bytes or PROCESS_BYTES
        if self.memory is not None and (wanted := needed.memory_bytes or 0) > self.memory:
            warn(
                f"{job.cell.name} may need {wanted / 1e9:.1f} GB, and {self.memory / 1e9:.1f} GB are to be had: it runs"
                " with nothing beside it; lower `batch_size` or `n` if it can't."
            )
        self.room.ask(number, needed.memory_bytes or held, held)

    def _admit(self) -> None:
        """Let those go on for which there is room; who waits with what those at work need ends."""
        while (number := self.room.admitted()) is not None:
            self._go(number)
        for number in self.room.in_the_way():
            cell = self.jobs[number].cell
            self._end(number)
            if cell is not None:
                self.queue.give_back(cell)

    def _go(self, number: int) -> None:
        job = self.jobs[number]
        if isinstance(job.step, RunCell):
            self._run(number)
        elif job.step is not None:
            job.worker.send(job.step)

    def _run(self, number: int) -> None:
        job = self.jobs[number]
        assert job.cell is not None
        self.began(job.cell)
        job.worker.send(RunCell(job.cell, self.folder.run_folder(job.cell)))

    def _died(self, number: int) -> Iterator[tuple[Cell, Outcome]]:
        job = self.jobs[number]
        code = job.worker.how()
        self._end(number)
        if not job.ready:
            self._refuse_to_start(code)
        elif job.cell is not None:
            self.deaths[job.cell.name] += 1
            if self.deaths[job.cell.name] < _MOST_DEATHS:
                self.again.append(job.cell)
            else:
                yield job.cell, Outcome(FAILED, _killed(code))
        if self.queue and self.unready < _MOST_DEATHS:
            self._start()

    def _refuse_to_start(self, code: int) -> None:
        """Count processes that end as they start; where no other is at work, nothing would ever be done."""
        self.unready += 1
        if self.unready >= _MOST_DEATHS and not any(job.ready for job in self.jobs.values()):
            raise SettingsError(
                f"the sweep's processes end as they start ({_ending(code)}); run it in this process by `jobs=0`, which "
                "says why."
            )


def _killed(code: int) -> str:
    """Why a cell failed whose process died each time."""
    times = {2: "twice"}.get(_MOST_DEATHS, f"{_MOST_DEATHS} times")
    if code == -9:
        return (
            f"its process was killed ({_ending(code)}) {times}, perhaps for want of memory; lower `n` or `batch_size`."
        )
    how = "died" if code < 0 else "ended"
    return f"its process {how} ({_ending(code)}) {times} before the cell was done; run it alone to see why."


def _ending(code: int) -> str:
    """How a process ended, in words: ``exit code 1``, ``signal 9, SIGKILL``."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {-code}, {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
