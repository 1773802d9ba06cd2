"""Cells on several workers: each once, within memory, and whatever becomes of the workers."""

from contextlib import nullcontext

import pytest
from made_up import GB, Machine, cells, folder_of

from acdc.errors import AcdcWarning, RunFolderError, SettingsError
from acdc.sweeps.local import run_on
from acdc.sweeps.outcome import FAILED, FINISHED
from acdc.sweeps.worker import Full, Prepare, RunCell


@pytest.fixture
def run(tmp_path):
    """Run cells on a machine; gives how each ended, in order, by its name."""

    def run(machine, some, jobs=2, **options):
        ended = list(run_on(machine.start, some, folder_of(tmp_path, some), jobs=jobs, **options))
        assert not any(worker.alive for worker in machine.workers)
        assert len({cell.name for cell, _ in ended}) == len(ended)
        return {cell.name: outcome for cell, outcome in ended}

    return run


def test_every_cell_ends_once_and_a_worker_prepares_a_setting_once(run):
    machine, some = Machine(), cells("ab", seeds=3)
    began = []
    ended = run(machine, some, began=began.append)
    assert ended.keys() == {cell.name for cell in some}
    assert sorted(cell.name for cell in began) == sorted(machine.ran) == sorted(ended)
    prepared = [(number, command.cell.set_up) for number, command in machine.told if isinstance(command, Prepare)]
    assert len(prepared) == len(set(prepared)) <= 6 + 1  # of six settings; a worker may help another in the end


def test_a_cell_that_kills_its_process_once_runs_in_another_when_nothing_else_does(run):
    machine, some = Machine(dies={"a-0-1": 1}), cells()
    ended = run(machine, some)
    assert {outcome.status for outcome in ended.values()} == {FINISHED}
    assert machine.ran.count("a-0-1") == 2
    assert list(ended)[-1] == "a-0-1"
    first, last = [
        number for number, command in machine.told if getattr(command, "out", None) and command.cell.name == "a-0-1"
    ]
    assert last > first
    assert [command.cell.name for number, command in machine.told if number == last] == ["a-0-1"] * 2


def test_a_cell_that_kills_its_process_twice_has_its_sentence_and_the_others_go_on(run):
    machine, some = Machine(dies={"a-0-1": 9, "a-1-0.1": 9}), cells()
    ended = run(machine, some)
    assert [name for name, outcome in ended.items() if outcome.status == FAILED] == ["a-0-1", "a-1-0.1"]
    assert ended["a-0-1"].sentence == (
        "its process was killed (signal 9, SIGKILL) twice, perhaps for want of memory; lower `n` or `batch_size`."
    )
    assert machine.ran.count("a-0-1") == machine.ran.count("a-1-0.1") == 2


def test_processes_that_end_as_they_start_end_the_sweep(run):
    with pytest.raises(SettingsError, match=r"end as they start \(signal 9, SIGKILL\); .* by `jobs=0`"):
        run(Machine(starts=[False] * 9), cells())


@pytest.mark.parametrize("starts", [[False], [True, False], [False, True], [False, False, True][1:]])
def test_one_process_that_starts_does_all(run, starts):
    assert len(run(Machine(starts=starts), cells())) == 4


def test_a_system_that_starts_no_process_ends_the_sweep_unless_one_runs(run):
    machine = Machine()
    start, left = machine.start, [1]

    def few(heard):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(11, "Resource temporarily unavailable")
        return start(heard)

    machine.start = few
    assert len(run(machine, cells())) == 4
    with pytest.raises(SettingsError, match=r"can't start a process \(Resource temporarily unavailable\)"):
        run(machine, cells())


def test_a_full_disk_ends_the_sweep_and_its_workers(run, tmp_path):
    machine = Machine()
    machine.answers["a-0-0.1"] = Full("can't write x: No space left on device.")
    with pytest.raises(RunFolderError, match="No space left"):
        run(machine, cells())
    assert not any(worker.alive for worker in machine.workers)


def test_whoever_stops_listening_ends_the_workers(tmp_path):
    machine, some = Machine(), cells()
    running = run_on(machine.start, some, folder_of(tmp_path, some), jobs=2)
    next(running)
    running.close()
    assert not any(worker.alive for worker in machine.workers)


class Slow(Machine):
    """A machine whose cells end when the test says so, and which keeps how much runs at a time."""

    def start(self, heard):
        worker = super().start(lambda message: heard(message))
        send = worker.send

        def later(command):
            if isinstance(command, RunCell):
                self.running.append((worker, command))
                self.most = max(self.most, sum(self.needs[one.cell.settings["model"]] for _, one in self.running))
                self.pending.append(lambda: (self.running.remove((worker, command)), send(command)))
            else:
                send(command)

        worker.send = later
        return worker

    def __init__(self, **given):
        super().__init__(**given)
        self.running, self.pending, self.most = [], [], 0


def run_slowly(machine, some, tmp_path, monkeypatch, **options):
    """Let a cell end only when all workers wait to be heard."""
    from queue import SimpleQueue

    class Inbox(SimpleQueue):
        def get(self, timeout=None):
            if self.empty() and machine.pending:
                machine.pending.pop(0)()
            return super().get(timeout=timeout)

    monkeypatch.setattr("acdc.sweeps.local.SimpleQueue", Inbox)
    return [cell.name for cell, _ in run_on(machine.start, some, folder_of(tmp_path, some), **options)]


@pytest.mark.parametrize(
    ("needs", "memory", "most"),
    [
        ({"a": 2 * GB, "b": 2 * GB}, None, 4 * GB),
        ({"a": 2 * GB, "b": 2 * GB}, 5 * GB, 4 * GB),
        ({"a": 2 * GB, "b": 2 * GB}, 3 * GB, 2 * GB),
        ({"a": 9 * GB, "b": 2 * GB}, 3 * GB, 9 * GB),  # alone, it may
        ({"a": 9 * GB, "b": 9 * GB}, 3 * GB, 9 * GB),
    ],
)
def test_never_more_runs_at_a_time_than_fits(tmp_path, monkeypatch, needs, memory, most):
    machine, some = Slow(needs=needs), cells("ab")
    too_large = memory is not None and max(needs.values()) > memory
    with (
        pytest.warns(AcdcWarning, match=r"may need 9\.0 GB, and 3\.0 GB are to be had") if too_large else nullcontext()
    ):
        ended = run_slowly(machine, some, tmp_path, monkeypatch, jobs=2, memory=memory)
    assert sorted(ended) == sorted(cell.name for cell in some)
    assert machine.most == most


def test_what_waits_gives_way_where_it_holds_what_those_at_work_need(tmp_path, monkeypatch):
    machine, some = Slow(needs={"a": 3 * GB, "b": 3 * GB}, held=GB), cells("ab")
    ended = run_slowly(machine, some, tmp_path, monkeypatch, jobs=2, memory=int(3.5 * GB))
    assert sorted(ended) == sorted(cell.name for cell in some)
    assert machine.most == 3 * GB
    assert {number for number, command in machine.told if isinstance(command, RunCell)} == {0}
