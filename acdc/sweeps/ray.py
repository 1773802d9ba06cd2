"""Cells on a Ray cluster: workers are Ray's actors, which hold what cells share; Ray places them where there is room.

A worker asks Ray for CPUs and GPUs. What memory the cells of a setting take is known once the worker has opened what
they run on; it is reserved on the worker's machine, by a placement group, before the first of them runs.
"""

from __future__ import annotations

import contextlib
import secrets
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from acdc.cluster.connection import connected, imported_ray
from acdc.errors import ClusterError, RunFolderError
from acdc.files import atomic_write
from acdc.sweeps.cells import Cell
from acdc.sweeps.folder import RUNS, SweepFolder
from acdc.sweeps.outcome import FAILED, Outcome
from acdc.sweeps.parcels import Parcel, parcels_of, put
from acdc.sweeps.queue import Queue
from acdc.sweeps.rayworker import Ended, Home, Lacking, Ready, Sent, Stopped, Worker
from acdc.sweeps.runner import RunnerOptions

_INCOMING = ".incoming"
_MOST_DEATHS = 2  # of workers on a cell
_MOST_LOST = 3  # workers that end before they have done anything, one after another
_SECONDS = 1.0  # after which is looked whether there is room for more workers
_GRACE = 10.0  # seconds that workers have to remove what they unpacked


def run_on_ray(
    cells: Sequence[Cell],
    folder: SweepFolder,
    options: RunnerOptions,
    *,
    cluster: str = "ray",
    cpus: float | None = None,
    gpus: float | None = None,
) -> Iterator[tuple[Cell, Outcome]]:
    """Run cells on a cluster; gives each with how it ended, as soon as it has.

    Args:
        cells: to run.
        folder: the sweep's. Workers write into it where they see it; else their files come back, and are written here.
        options: the same for all cells.
        cluster: see :func:`acdc.cluster.connection.connected`.
        cpus: that a worker, which runs one cell at a time, asks Ray for; 1 by default. Torch computes with as many
            threads.
        gpus: likewise; by default none, and the worker sees none.

    Raises:
        ClusterError: the cluster can't be reached, has no machine with as much, or loses all workers.
        RunFolderError: nothing more can be written, here or where a worker writes.
    """
    if not cells:
        return
    asked = {"num_cpus": 1.0 if cpus is None else cpus, "num_gpus": gpus or 0}
    if options.threads is None:
        options = replace(options, threads=max(1, int(asked["num_cpus"])))
    name = secrets.token_hex(8)
    mark = folder.path / f".shared.{name}.part"  # of a form that whoever goes on in the folder clears away
    with atomic_write(mark) as file:
        file.write(name)
    try:
        with connected(cluster) as found:
            _check_room(found.given, asked)
            crew = _Crew(cells, folder, options, Home.of(folder.path, (mark.name, name), name), asked)
            try:
                yield from crew.outcomes()
            finally:
                crew.dismiss()
    finally:
        mark.unlink(missing_ok=True)


@dataclass
class _Member:
    """A worker as the driver knows it.

    Attributes:
        actor: Ray's handle.
        node: the machine, once it is known.
        cell: what it is on.
        held: memory that is reserved for it, in bytes, and by what.
        opened: the setting and the method that it has opened.
        fetched: whether it has had files of Ray's for the cell.
    """

    actor: Any
    node: str | None = None
    cell: Cell | None = None
    held: tuple[int, Any] | None = None
    opened: tuple[object, ...] | None = None
    done: int = 0


class _Crew:
    """The workers of a sweep, what each is on, and the answers that are waited for."""

    def __init__(
        self,
        cells: Sequence[Cell],
        folder: SweepFolder,
        options: RunnerOptions,
        home: Home,
        asked: dict[str, float],
    ) -> None:
        self._ray = imported_ray()
        self._folder, self._home = folder, home
        self._queue, self._deaths = Queue(cells), Counter[str]()
        self._parcels: dict[Hashable, tuple[Parcel, ...]] = {}
        self._sent: dict[Parcel, Sent] = {}
        self._waited: dict[Any, tuple[_Member, str]] = {}  # by Ray's reference to the answer
        self._lost = 0
        made = self._ray.remote(Worker).options(max_restarts=0, max_task_retries=0, **asked)
        self._hire = lambda: made.remote(options, home)
        self._room = _room(self._ray, asked)

    def outcomes(self) -> Iterator[tuple[Cell, Outcome]]:
        """Run all cells."""
        for _ in range(min(self._room, len(self._queue))):
            self._start()
        while len(self._queue) or any(member.cell is not None for member, _ in self._waited.values()):
            if len(self._queue) and not any(step == "start" for _, step in self._waited.values()):
                self._start()  # one more than there is room for, which Ray places when there is
            ready, _ = self._ray.wait(list(self._waited), num_returns=1, timeout=_SECONDS)
            for reference in ready:
                member, step = self._waited.pop(reference)
                if (ended := self._heard(member, step, reference)) is not None:
                    yield ended

    def dismiss(self) -> None:
        """End all workers, and what is reserved for them."""
        members = [member for member, _ in self._waited.values()]
        for member in members:
            self._release(member)
            with contextlib.suppress(Exception):
                self._ray.kill(member.actor)
        self._waited.clear()

    def _start(self) -> None:
        member = _Member(self._hire())
        self._wait_for(member, "start", member.actor.node.remote())

    def _wait_for(self, member: _Member, step: str, reference: Any) -> None:
        self._waited[reference] = member, step

    def _heard(self, member: _Member, step: str, reference: Any) -> tuple[Cell, Outcome] | None:
        """Go on with what a worker has answered; gives a cell that has ended."""
        try:
            answer = self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:  # which no worker raises on purpose
            return self._failed(member, step, error)
        except self._ray.exceptions.RayError as error:
            return self._died(member, step, error)
        self._lost = 0
        if isinstance(answer, Stopped):
            raise RunFolderError(answer.sentence)
        if step == "start":
            member.node = answer
        elif isinstance(answer, Lacking):
            self._send(member, answer)
            return None
        elif isinstance(answer, Ready):
            self._reserve(member, answer)
            return None
        elif step == "reserve":
            self._run(member)
            return None
        elif isinstance(answer, Ended):
            cell, member.cell, member.done = member.cell, None, member.done + 1
            assert_cell = cell
            if answer.files is not None:
                put(answer.files, self._folder.run_folder(assert_cell), self._folder.path / _INCOMING)
            self._next(member)
            return assert_cell, answer.outcome
        self._next(member)
        return None
