"""Cells on a Ray cluster: workers are Ray's actors, which hold what cells share; Ray places them where there is room.

A worker asks Ray for CPUs and GPUs. What memory the cells of a setting take is known once the worker has opened what
they run on; it is reserved on the worker's machine, by a placement group, before the first of them runs.
"""

from __future__ import annotations

import contextlib
import secrets
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_DOWN, Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acdc.cluster.connection import connected, imported_ray, why_ended
from acdc.errors import ClusterError, RunFolderError, SettingsError
from acdc.files import atomic_write
from acdc.sweeps.cells import Cell
from acdc.sweeps.folder import SweepFolder
from acdc.sweeps.outcome import FAILED, Outcome
from acdc.sweeps.parcels import Parcel, parcels_of, put
from acdc.sweeps.queue import Queue, kind
from acdc.sweeps.raymessages import Home, Lacking, Prepared, Returned, Sent
from acdc.sweeps.rayworker import Worker, forget
from acdc.sweeps.worker import Full
from acdc.wording import counted, first_line

if TYPE_CHECKING:
    from acdc.sweeps.options import RunnerOptions

_INCOMING = ".incoming"
_MOST_DEATHS = 2  # of workers on a cell
_MOST_LOST = 3  # workers that end before they have done anything, one after another
_SECONDS = 1.0  # after which is looked whether Ctrl-C was pressed, where the system doesn't say so
_SMALLEST = 0.0001  # part of a CPU or GPU
_GRACE = 10.0  # seconds that workers have to remove what they unpacked


def run_ray(
    cells: Sequence[Cell],
    folder: SweepFolder,
    options: RunnerOptions,
    *,
    cluster: str = "ray",
    cpus: float | None = None,
    gpus: float | None = None,
    began: Callable[[Cell], None] = lambda cell: None,
    announce: Callable[[str], None] = lambda line: None,
) -> Generator[tuple[Cell, Outcome], None, None]:
    """Run cells on a cluster; gives each with how it ended, as soon as it has.

    Args:
        cells: to run.
        folder: the sweep's. Workers write into it where they see it; else their files come back, and are written here.
        options: the same for all cells.
        cluster: see :func:`acdc.cluster.connection.connected`.
        cpus: that a worker, which runs one cell at a time, asks Ray for; 1 by default. Torch computes with as many
            threads.
        gpus: likewise; by default none, and the worker sees none.
        began: is called with each cell that begins.
        announce: takes a line on the cluster.

    Raises:
        SettingsError: a part of several CPUs or GPUs is asked for, or too small a part of one.
        ClusterError: the cluster can't be reached, has no machine with as much, or is lost.
        RunFolderError: nothing more can be written, here or where a worker writes.
    """
    asked = {
        "num_cpus": _part("cpus", 1.0 if cpus is None else cpus),
        "num_gpus": _part("gpus", 0.0 if gpus is None else gpus),
    }
    if options.threads is None:
        options = replace(options, threads=max(1, int(asked["num_cpus"])))
    with connected(cluster) as found, _marked(folder.path) as home:
        crew = _Crew(cells, folder, home, began)
        n = crew.ask_for(options, asked)
        announce(
            f"{counted(found.nodes, 'machine')}, {counted(found.cpus, 'CPU')}, {counted(found.gpus, 'GPU')}: "
            f"{counted(n, 'cell')} at a time"
        )
        try:
            yield from crew.outcomes(n)
        except (ConnectionError, imported_ray().exceptions.RayError) as error:
            raise ClusterError(
                f"the cluster {cluster} is lost: {first_line(error).rstrip('.')}; ask for the same again to go on."
            ) from error
        finally:
            crew.dismiss()


def _part(name: str, n: float) -> float:
    """What Ray takes for a number of CPUs or GPUs: a third is 0.3333, so that three have room on one."""
    if n > 1 and n != int(n):
        raise SettingsError(f"`{name}` is {n:g}; Ray gives parts of one, or whole numbers.")
    if 0 < n < _SMALLEST:
        raise SettingsError(f"`{name}` is {n:g}; the smallest part that Ray gives is {_SMALLEST:g}.")
    return n if n >= 1 else float(Decimal(repr(n)).quantize(Decimal(str(_SMALLEST)), ROUND_DOWN))


@contextlib.contextmanager
def _marked(folder: Path) -> Iterator[Home]:
    """Put a file into a folder, by which workers see whether they share it."""
    name = secrets.token_hex(8)
    mark = folder / f".shared.{name}.part"  # of a form that is cleared away if this process is killed
    with atomic_write(mark) as file:
        file.write(name)
    try:
        yield Home.here(folder, (mark.name, name), name)
    finally:
        mark.unlink(missing_ok=True)


@dataclass(eq=False)
class _Member:
    """A worker as the driver knows it.

    Attributes:
        actor: Ray's handle.
        node: the machine, once it has begun.
        cell: what it is on.
        opened: the kind of cell that it has told the needs of.
        held: memory that is reserved for it, in bytes.
        group: by what.
    """

    actor: Any
    node: str | None = None
    cell: Cell | None = None
    opened: str | None = None
    held: int = 0
    group: Any = None


class _Crew:
    """The workers of a sweep, what each is on, and the answers that are waited for."""

    def __init__(self, cells: Sequence[Cell], folder: SweepFolder, home: Home, began: Callable[[Cell], None]) -> None:
        self._ray = imported_ray()
        self._folder, self._home, self._began = folder, home, began
        self._queue, self._again = Queue(cells), list[Cell]()  # those whose worker died, in the end
        self._deaths, self._lost = Counter[str](), 0
        self._sent: dict[Parcel, Sent] = {}
        self._waited: dict[Any, _Member] = {}  # by Ray's reference to the answer
        self._strange: set[str] = set()  # machines that don't see the folder, which keep files of their own

    def ask_for(self, options: RunnerOptions, asked: dict[str, float]) -> int:
        """Say what workers need; gives how many there is room for. Raises :class:`ClusterError`: for none."""
        kinds = {"CPU": asked["num_cpus"], "GPU": asked["num_gpus"]}
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        fits = [int(min(node.get(name, 0) / n for name, n in kinds.items() if n)) for node in nodes]
        if not any(fits):
            most = ", ".join(f"{max(node.get(name, 0) for node in nodes):g} {name}s" for name in kinds)
            raise ClusterError(
                f"no machine of the cluster has {kinds['CPU']:g} CPUs and {kinds['GPU']:g} GPUs for a cell (the most "
                f"that one has: {most}); ask for fewer with `cpus` and `gpus`."
            )
        made = self._ray.remote(Worker).options(max_restarts=0, max_task_retries=0, **asked)
        self._hire = lambda: made.remote(options, self._home)
        return min(sum(fits), len(self._queue))

    def outcomes(self, n: int) -> Iterator[tuple[Cell, Outcome]]:
        """Run all cells, at first with `n` workers."""
        for _ in range(n):
            self._start()
        while self._is_left or self._at_work:
            if self._is_left and all(member.node for member in self._waited.values()):
                self._start()  # in place of one that was lost, or where the cluster has grown: Ray finds the room
            ready, _ = self._ray.wait(list(self._waited), num_returns=1, timeout=_SECONDS)
            for reference in ready:
                yield from self._heard(self._waited.pop(reference), reference)
            if not ready:
                yield from self._stranded()

    @property
    def _is_left(self) -> bool:
        return bool(len(self._queue) or self._again)

    @property
    def _at_work(self) -> bool:
        return any(member.cell is not None for member in self._waited.values())

    def dismiss(self) -> None:
        """End all workers, give back what is reserved for them, and have machines remove what they unpacked."""
        for member in self._waited.values():
            self._end(member)
        self._waited.clear()
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy as Place

        with contextlib.suppress(Exception):  # the cluster is lost
            forgetting = self._ray.remote(forget)
            going = [
                forgetting.options(num_cpus=0, max_retries=0, scheduling_strategy=Place(node, soft=False)).remote(
                    self._home.sweep
                )
                for node in self._strange
            ]
            self._ray.wait(going, num_returns=len(going), timeout=_GRACE) if going else None

    def _start(self) -> None:
        member = _Member(self._hire())
        self._waited[member.actor.node.remote()] = member

    def _end(self, member: _Member) -> None:
        self._queue.leave(member)
        self._release(member)
        with contextlib.suppress(Exception):  # it is dead already, or the cluster is
            self._ray.kill(member.actor)

    def _release(self, member: _Member) -> None:
        if member.group is not None:
            with contextlib.suppress(Exception):
                self._ray.util.remove_placement_group(member.group)
        member.held, member.group = 0, None

    def _heard(self, member: _Member, reference: Any) -> Iterator[tuple[Cell, Outcome]]:
        """Go on with what a worker has answered; gives a cell that has ended."""
        errors = self._ray.exceptions
        try:
            said = self._ray.get(reference)
        except errors.RayTaskError as error:  # no worker raises anything on purpose
            yield from self._failed(member, error)
            return
        except errors.RayError as error:
            yield from self._died(member, error)
            return
        cell = member.cell
        if isinstance(said, Full):
            raise RunFolderError(said.sentence)
        if cell is None:  # it has begun
            member.node, is_home = said
            if not is_home:
                self._strange.add(said[0])
            self._lost = 0
            self._next(member)
        elif isinstance(said, Lacking):
            self._send(member, cell, said)
        elif isinstance(said, Prepared):
            self._reserve(member, cell, said)
        elif isinstance(said, Returned):
            if said.files is not None:
                put(said.files, self._folder.run_folder(cell), self._folder.path / _INCOMING)
            member.cell = None
            self._next(member)
            yield cell, said.outcome
        else:  # the reservation
            self._run(member, cell)

    def _next(self, member: _Member) -> None:
        """Give a worker its next cell; without one it ends, so that others have its place."""
        cell = self._queue.take(member)
        if cell is None and self._again:
            cell = self._again.pop()
        member.cell = cell
        if cell is None:
            self._end(member)
        elif member.opened == kind(cell):
            self._run(member, cell)
        else:
            self._prepare(member, cell, {})

    def _prepare(self, member: _Member, cell: Cell, sent: dict[Parcel, Sent]) -> None:
        self._waited[member.actor.prepare.remote(cell, parcels_of(cell), sent)] = member

    def _send(self, member: _Member, cell: Cell, lacking: Lacking) -> None:
        """Put files where workers can take them, each once."""
        for parcel in lacking.parcels:
            if parcel not in self._sent:
                try:
                    files = [Path(parcel.root, part.name) for part in parcel.parts]
                    references = [self._ray.put(file.read_bytes()) for file in files]
                    self._sent[parcel] = Sent(parcel.digests, references)
                except OSError as error:
                    raise ClusterError(f"{parcel.given} can't be sent to a worker: {error.strerror}.") from error
        self._strange.add(member.node or "")
        self._prepare(member, cell, {parcel: self._sent[parcel] for parcel in lacking.parcels})

    def _reserve(self, member: _Member, cell: Cell, ready: Prepared) -> None:
        """Reserve the memory that a kind of cell takes on the worker's machine, and go on once it is free."""
        member.opened = kind(cell)
        node = next(node for node in self._ray.nodes() if node["NodeID"] == member.node)["Resources"]
        where = next((name for name in node if name.startswith("node:") and "internal" not in name), None)
        wanted = int(min(ready.memory_bytes or 0, node.get("memory", 0)))  # one alone may always run
        if wanted <= member.held or where is None:
            self._run(member, cell)
            return
        self._release(member)  # who waits for more holds nothing that others wait for
        member.held = wanted
        member.group = self._ray.util.placement_group([{"memory": wanted, where: 0.001}])
        self._waited[member.group.ready()] = member

    def _stranded(self) -> Iterator[tuple[Cell, Outcome]]:
        """Go on without workers whose machine is gone: Ray would look for ever for memory to reserve there."""
        alive = {node["NodeID"] for node in self._ray.nodes() if node["Alive"]}
        for reference, member in list(self._waited.items()):
            if member.group is not None and member.node not in alive:
                del self._waited[reference]
                yield from self._died(member, self._ray.exceptions.NodeDiedError("its machine is gone"))

    def _run(self, member: _Member, cell: Cell) -> None:
        self._began(cell)
        self._waited[member.actor.run.remote(cell, parcels_of(cell))] = member

    def _failed(self, member: _Member, error: Any) -> Iterator[tuple[Cell, Outcome]]:
        """A worker couldn't do what it was told, for a mistake of acdc's or of the cluster's setting up."""
        said = first_line(error.cause if error.cause is not None else error)
        self._end(member)
        if member.cell is None:
            raise ClusterError(
                f"the cluster's workers can't run acdc: {said.rstrip('.')}; see that they have all of it."
            )
        yield member.cell, Outcome(FAILED, f"acdc made a mistake: {type(error.cause).__name__}: {said}")

    def _died(self, member: _Member, error: Exception) -> Iterator[tuple[Cell, Outcome]]:
        """A worker has died, or its machine: another does what it was on, unless that killed one before."""
        self._end(member)
        cell = member.cell
        if cell is None:
            self._lost += 1
            if self._lost >= _MOST_LOST:
                raise ClusterError(f"the cluster's workers end as they begin ({why_ended(error)}); see its logs there.")
            return
        self._deaths[cell.name] += 1
        if self._deaths[cell.name] < _MOST_DEATHS:
            self._again.append(cell)
            return
        yield (
            cell,
            Outcome(
                FAILED,
                f"its worker on the cluster died twice ({why_ended(error)}), perhaps for want of memory; lower `n` or "
                "`batch_size`.",
            ),
        )
