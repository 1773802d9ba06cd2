"""Worker processes: what they are told and answer, and a sweep that is stopped, killed and gone on with."""

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from made_up import cells
from tiny import pairs, write_pairs

from acdc.errors import ModelError, RunFolderError
from acdc.sweeps.options import Needs
from acdc.sweeps.outcome import FAILED, FINISHED, Outcome
from acdc.sweeps.sweep import sweep
from acdc.sweeps.swept import Sweep
from acdc.sweeps.worker import Ended, Full, Prepare, RunCell, answer, receive, send

pytestmark = pytest.mark.random_models


class MadeUp:
    def __init__(self, does):
        self.does = does

    def needs(self, cell):
        return self.run(cell, None)

    def run(self, cell, out):
        if isinstance(self.does, BaseException):
            raise self.does
        return self.does


@pytest.mark.parametrize(
    ("does", "needed"), [(Needs(7), 7), (ModelError("no such model."), None), (ZeroDivisionError(), None)]
)
def test_a_worker_says_what_a_cell_needs_where_that_can_be_told(does, needed):
    answered = answer(MadeUp(does), Prepare(cells()[0]))
    assert answered.memory_bytes == needed
    assert answered.held_bytes is None or answered.held_bytes > 2**20


@pytest.mark.parametrize(
    ("does", "answered"),
    [
        (Outcome(FINISHED, seconds=2.0), Ended(Outcome(FINISHED, seconds=2.0))),
        (RunFolderError("the disk is full."), Full("the disk is full.")),
        (ZeroDivisionError("by 0"), Ended(Outcome(FAILED, "acdc made a mistake: ZeroDivisionError: by 0."))),
    ],
)
def test_a_worker_says_how_a_cell_ended_whatever_happened(does, answered):
    assert answer(MadeUp(does), RunCell(cells()[0], Path("x"))) == answered


def test_messages_come_whole_or_not_at_all():
    stream = io.BytesIO()
    for message in (Prepare(cells()[0]), Full("x" * 100_000)):
        send(stream, message)
    whole = stream.getvalue()
    stream.seek(0)
    assert receive(stream) == Prepare(cells()[0])
    assert receive(stream) == Full("x" * 100_000)
    for cut in (0, 3, 50):
        with pytest.raises(EOFError):
            receive(io.BytesIO(whole[:cut]))


def children(pid):
    """Processes of which a process is the parent."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            if status.read_text().rpartition(")")[2].split()[1] == str(pid):
                found.append(int(status.parent.name))
        except OSError:
            continue
    return found


def until(true, seconds=120):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes as Linux shows them")


@linux
def test_workers_end_with_the_process_that_started_them_however_it_ends():
    code = (
        "import time\nfrom acdc.sweeps.processes import Process\nfrom acdc.sweeps.options import RunnerOptions\n"
        "some = [Process(RunnerOptions(), 2, lambda message: None) for _ in range(2)]\nprint(flush=True)\n"
        "time.sleep(600)"
    )
    started = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    started.stdout.readline()
    workers = children(started.pid)
    assert len(workers) == 2
    started.kill()
    started.communicate()
    until(lambda: all(map(gone, workers)))


@linux
def test_a_sweep_whose_worker_is_killed_and_that_is_stopped_then_goes_on(gpt2_folder, tmp_path):
    task, out = write_pairs(tmp_path / "pairs.jsonl", pairs(8)), tmp_path / "s"
    axes = ["--task", task, "--model", gpt2_folder, "--threshold", "0.003:0.3:6log", "--seed", "0:2", "--n", "4"]
    command = [sys.executable, "-m", "acdc", "sweep", *map(str, axes), "--out", str(out), "--jobs", "2"]
    started = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, process_group=0)
    until(lambda: list((out / "ended").glob("*.json")) or started.poll() is not None)
    workers = children(started.pid)
    os.kill(workers[0], signal.SIGKILL)
    until(lambda: set(children(started.pid)) - set(workers) or started.poll() is not None)  # another has its place
    workers += children(started.pid)
    os.killpg(started.pid, signal.SIGINT)
    said = started.communicate(timeout=60)[1]
    assert started.returncode == 130
    assert f"of 12 cells are finished in {out}. Go on with: acdc sweep" in said
    assert "Traceback" not in said
    assert all(map(gone, workers))

    before = {path: path.stat().st_mtime_ns for path in (out / "ended").iterdir()}
    found = sweep(Sweep.load(out).folder.grid, out=out, jobs=0, progress=False)
    assert [row["status"] for row in found.rows] == [FINISHED] * 12
    assert {path: path.stat().st_mtime_ns for path in before} == before
    whole = sweep(found.folder.grid, out=tmp_path / "whole", jobs=0, progress=False)
    assert [compared(row) for row in found.rows] == [compared(row) for row in whole.rows]


def compared(row):
    """A row without what differs between two runs of the same: times, memory, and warnings of those before."""
    own = ("seconds", "cell_seconds", "peak_memory_bytes", "estimated_memory_bytes", "warned")
    return {name: value for name, value in row.items() if name not in own and "seconds" not in name}
