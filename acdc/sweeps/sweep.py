"""``sweep``: run the cells of a grid, each once, and keep one table of what came out."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from acdc import asked, machine
from acdc.cluster.connection import checked_cluster
from acdc.errors import RunFolderError, SettingsError, SweepInterrupted
from acdc.runs.environment import working_directory
from acdc.sweeps.cells import Cell
from acdc.sweeps.folder import SweepFolder, is_sweep
from acdc.sweeps.grid import Grid
from acdc.sweeps.here import run_here
from acdc.sweeps.local import default_jobs, run_local
from acdc.sweeps.options import RunnerOptions
from acdc.sweeps.outcome import FAILED, Outcome
from acdc.sweeps.progress import SweepBar
from acdc.sweeps.reference import reference_circuit
from acdc.sweeps.swept import Sweep
from acdc.sweeps.table import Table
from acdc.sweeps.unchanged import check_unchanged
from acdc.wording import counted, some

#: What runs cells: gives each with how it ended, as soon as it has; ``began`` is called with each that begins.
Executor = Callable[..., Generator[tuple[Cell, Outcome], None, None]]
_MOST_JOBS = 1024


def sweep(
    axes: Mapping[str, Any] | Grid | str | Path,
    *,
    out: str | Path,
    jobs: int | None = None,
    memory: float | None = None,
    cluster: str | None = None,
    cpus: float | None = None,
    gpus: float | None = None,
    curve: bool = False,
    reference: str | Path | None = None,
    resume: bool = True,
    progress: bool = True,
    announce: Callable[[str], None] | None = None,
) -> Sweep:
    """Find a circuit for every cell of a grid.

        >>> axes = {"task": "ioi", "model": "tiny-tasks", "threshold": "0.01:1:5log"}  # doctest: +SKIP
        >>> found = acdc.sweep(axes, out="sweeps/mine")  # doctest: +SKIP
        >>> found.rows[0]["kl_held_out"]  # doctest: +SKIP

    A cell that fails has its sentence in the table, and the others go on. Whatever ends a sweep, the same call goes on
    with it: finished cells are recognised before any work, failed ones are tried again, and a run that was cut off
    goes on where it was.

    Args:
        axes: what is crossed, see :meth:`acdc.sweeps.grid.Grid.of`, or a TOML file of it.
        out: folder to write, or to go on in.
        jobs: processes; as many as there are cores by default, or one where torch would take a GPU; 0 runs the cells
            in this process.
        memory: GB that all processes may hold together; by default what is free. One alone may always run.
        cluster: run the cells on a Ray cluster: ``ray`` for the one here, or ``ray://host:port``.
        cpus: of a cell on a cluster.
        gpus: of a cell on a cluster.
        curve: also measure curves over sizes, of methods whose scores rank edges.
        reference: circuit to compare all with: a file, or a published circuit's name.
        resume: go on with the same sweep in that folder.
        progress: show a bar.
        announce: takes lines on what the sweep works on.

    Raises:
        AcdcError: bad axes or settings, a folder that can't be had, a full disk.
        SweepInterrupted: Ctrl-C.
    """
    say = announce or (lambda line: None)
    execute = _executor(jobs, memory, cluster, cpus, gpus, say)
    grid = Grid.of(axes)
    named = _named(reference)
    holding = SweepFolder.held(
        asked.path("out", out),
        grid,
        resume=asked.flag("resume", resume),
        curve=asked.flag("curve", curve),
        reference=named,
    )
    with holding as folder:
        check_unchanged(folder)
        _run(folder, execute, progress=asked.flag("progress", progress), say=say)
        return Sweep(folder)


def check(
    grid: Grid,
    *,
    out: Path,
    jobs: int | None = None,
    memory: float | None = None,
    cluster: str | None = None,
    cpus: float | None = None,
    gpus: float | None = None,
    curve: bool = False,
    reference: str | Path | None = None,
    resume: bool = True,
) -> None:
    """Raise what :func:`sweep` would refuse before any work; takes the same, and writes nothing."""
    _executor(jobs, memory, cluster, cpus, gpus, lambda line: None)
    _named(reference)
    SweepFolder.check(out, grid, resume=resume, curve=curve)
    if is_sweep(out):
        check_unchanged(SweepFolder.load(out))


def go_on(
    path: Path,
    *,
    cluster: str | None = None,
    progress: bool = True,
    announce: Callable[[str], None] | None = None,
) -> Sweep:
    """Go on with a sweep, knowing nothing but its folder; relative paths begin where they began.

    Args:
        path: the folder.
        cluster: that it goes on on; by default it is this machine.
        progress: show a bar.
        announce: takes lines on what the sweep works on.

    Raises:
        AcdcError: as by :func:`sweep`.
    """
    earlier = SweepFolder.load(path)
    moves = earlier.directory not in (None, working_directory())
    place = Path(os.path.abspath(path)) if moves else path  # noqa: PTH100 - a link stays one
    with _inside(earlier.directory):
        sweep(
            earlier.grid,
            out=place,
            curve=earlier.curve,
            reference=earlier.reference,
            cluster=cluster,
            progress=progress,
            announce=announce,
        )
    return Sweep.load(path)


def _run(folder: SweepFolder, execute: Executor, *, progress: bool, say: Callable[[str], None]) -> None:
    """Run what is left of a sweep."""
    cells, n = folder.left, len(folder.grid.cells)
    for note in folder.grid.notes:
        say(note)
    say(_told(folder, len(cells)))
    try:
        with Table(folder) as table, SweepBar(n, n - len(cells), shown=progress and bool(cells)) as bar:
            if not cells:
                return
            with closing(execute(cells, folder, RunnerOptions(curve=folder.curve), began=bar.began)) as running:
                for cell, outcome in running:
                    folder.ended(cell, outcome)
                    table.add(cell, outcome)
                    bar.ended(cell, outcome)
    except KeyboardInterrupt as interrupt:  # a run's own way of saying so, too
        raise SweepInterrupted(folder.path, n - len(folder.left), n) from interrupt
    except RunFolderError as error:
        raise RunFolderError(
            f"{str(error).rstrip('.')}; the sweep ends with {n - len(folder.left)} of {counted(n, 'cell')} finished in "
            f"{folder.path}, and goes on, once that is mended, when the same is asked for."
        ) from error


def _named(reference: str | Path | None) -> str | None:
    """A reference as a sweep's folder has it. Raises :class:`AcdcError`: it can't be opened."""
    if reference is None:
        return None
    named = str(asked.path("reference", reference))
    reference_circuit(named)  # so that it is refused before any work
    return named


def _told(folder: SweepFolder, left: int) -> str:
    """What the sweep has to do."""
    n = len(folder.grid.cells)
    failed = [name for name, outcome in folder.outcomes.items() if outcome.status == FAILED]
    if left == n and not failed:
        return counted(n, "cell")
    again = f"; {counted(len(failed), 'cell')} that failed will be tried again ({some(failed)})" if failed else ""
    return f"{n - left} of {counted(n, 'cell')} {'is' if n - left == 1 else 'are'} finished already{again}"


def _executor(
    jobs: int | None,
    memory: float | None,
    cluster: str | None,
    cpus: float | None,
    gpus: float | None,
    say: Callable[[str], None],
) -> Executor:
    """What runs the cells. Raises :class:`SettingsError` for settings that make no sense, or not together."""
    if cluster is not None:
        for name, value in (("jobs", jobs), ("memory", memory)):
            if value is not None:
                raise SettingsError(f"`{name}` is of processes on this machine; leave it out with `cluster`.")
        from acdc.sweeps.ray import run_ray

        given, gpus = _positive("cpus", cpus), _positive("gpus", gpus, zero=True)
        return partial(run_ray, cluster=checked_cluster(cluster), cpus=given, gpus=gpus, announce=say)
    for name, value in (("cpus", cpus), ("gpus", gpus)):
        if value is not None:
            raise SettingsError(f"`{name}` is of cells on a cluster; leave it out without `cluster`.")
    if jobs is not None and not 0 <= asked.whole("jobs", jobs) <= _MOST_JOBS:
        raise SettingsError(f"`jobs` must be from 0 to {_MOST_JOBS}, not {asked.shown(jobs)}.")
    gigabytes = _positive("memory", memory)
    if jobs == 0:
        if memory is not None:
            raise SettingsError("`memory` is shared by processes; leave it out with `jobs=0`.")
        return run_here
    most = machine.free_memory() if gigabytes is None else int(gigabytes * 1e9)
    return partial(run_local, jobs=default_jobs() if jobs is None else asked.whole("jobs", jobs), memory=most)


def _positive(name: str, value: float | None, *, zero: bool = False) -> float | None:
    if value is None:
        return None
    found = asked.real(name, value)
    if not (0 < found < float("inf") or (zero and found == 0)):
        raise SettingsError(f"`{name}` must be a number over 0, not {asked.shown(value)}.")
    return found


@contextmanager
def _inside(directory: str | None) -> Iterator[None]:
    """Work in a directory, where it is there."""
    before = Path.cwd()
    with suppress(OSError, ValueError):
        os.chdir(directory or before)
    try:
        yield
    finally:
        os.chdir(before)
