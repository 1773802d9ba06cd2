"""A sweep that is killed twice and gone on with, beside one that isn't; and two processes beside one. Linux only.

    OMP_NUM_THREADS=1 python benchmarks/sweep_killed.py

The sweep crosses tasks, methods, thresholds and seeds on the bundled model. It runs once in one process and once in
two; and once more in two, of which first all are killed (-9), then, of those that go on, only the one that conducts.
Printed are the times, whether every cell ended once, whether the tables are equal but for times and memory, and how
much memory was held beside what was expected.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from acdc.sweeps.swept import Sweep

AXES = {
    "task": "ioi,pronouns,subject_verb",
    "model": "tiny-tasks",
    "method": "acdc,eap-ig",
    "threshold": "0.01:1:6log",
}
#: What differs between two runs of the same.
MEASURED = ("seconds", "cell_seconds", "peak_memory_bytes", "estimated_memory_bytes", "warned", "cost")


def main() -> None:
    """Run them all and print what came of it."""
    asked = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    asked.add_argument("--seeds", type=int, default=3, help="how many, for 36 cells each")
    asked.add_argument("--n", type=int, default=20, help="prompts")
    given = asked.parse_args()
    axes = {**AXES, "seed": f"0:{given.seeds}", "n": str(given.n)}
    with tempfile.TemporaryDirectory() as folder:
        one, two, killed = (Path(folder) / name for name in ("one", "two", "killed"))
        moments = _killed(axes, killed)
        times = {}
        for jobs, out in ((1, one), (2, two)):
            times[jobs] = _whole(axes, out, jobs)
            print(f"{jobs}: {times[jobs][0]:.1f} s", file=sys.stderr)
        _print_report(one, two, killed, times, moments)


def _print_report(one: Path, two: Path, killed: Path, times: dict[int, tuple[float, int]], moments: list[int]) -> None:
    tables = [Sweep.load(path).rows for path in (one, two, killed)]
    alike = [[_compared(row) for row in rows] for rows in tables]
    names = [row["cell"] for row in tables[2]]
    print(f"cells: {len(names)}, of which {sum(row['status'] == 'finished' for row in tables[2])} finished")
    print(f"killed with {moments} cells ended; every cell once: {len(names) == len(set(names)) == len(tables[0])}")
    print(f"tables equal: two processes and one {alike[0] == alike[1]}; killed and not {alike[2] == alike[1]}")
    print(f"seconds: {times[1][0]:.1f} in one process, {times[2][0]:.1f} in two: {times[1][0] / times[2][0]:.2f} times")
    for jobs, rows in ((1, tables[0]), (2, tables[1])):
        over = [row["cell"] for row in rows if row["peak_memory_bytes"] > row["estimated_memory_bytes"]]
        expected = jobs * max(row["estimated_memory_bytes"] for row in rows)
        held = times[jobs][1]
        print(f"memory, {jobs}: {held / 1e6:.0f} MB held, {expected / 1e6:.0f} MB expected; {len(over)} cells over it")


def _compared(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in MEASURED}


def _whole(axes: dict[str, str], out: Path, jobs: int) -> tuple[float, int]:
    """Seconds of a sweep, and the bytes that its workers held at most together."""
    begun = time.monotonic()
    with _begun(axes, out, jobs) as process, _watched(process.pid) as most:
        process.wait()
    assert process.returncode == 0, process.returncode
    return time.monotonic() - begun, most[0]


def _killed(axes: dict[str, str], out: Path) -> list[int]:
    """Run a sweep that is killed twice; gives how many cells had ended each time."""
    draw, moments = random.Random(0), []
    for whole in (True, False):
        with _begun(axes, out, 2) as process:
            wanted = _ended(out) + draw.randint(10, 30)
            while process.poll() is None and _ended(out) < wanted:
                time.sleep(0.01)
            assert process.poll() is None, "it ended before it could be killed"
            workers = _children(process.pid)
            (os.killpg if whole else os.kill)(process.pid, signal.SIGKILL)
            moments.append(_ended(out))
        while any(Path(f"/proc/{worker}").exists() for worker in workers):
            time.sleep(0.01)
    kept = {path: path.stat().st_mtime_ns for path in (out / "ended").iterdir() if _is_finished(path)}
    _whole(axes, out, 2)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept, "finished cells were run again"
    return moments


@contextmanager
def _begun(axes: dict[str, str], out: Path, jobs: int) -> Iterator[subprocess.Popen[bytes]]:
    words = [f"--{name}={value}" for name, value in axes.items()]
    command = [sys.executable, "-m", "acdc", "sweep", *words, f"--out={out}", f"--jobs={jobs}"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, process_group=0) as process:
        yield process


@contextmanager
def _watched(pid: int) -> Iterator[list[int]]:
    """The most that the children of a process hold together, in bytes, as long as it is looked at."""
    most, done = [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.1):
            most[0] = max(most[0], sum(map(_held, _children(pid))))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield most
    finally:
        done.set()
        thread.join()


def _held(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


def _children(pid: int) -> list[int]:
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []


def _ended(out: Path) -> int:
    return len(list((out / "ended").glob("*.json")))


def _is_finished(path: Path) -> bool:
    return json.loads(path.read_text())["status"] == "finished"


if __name__ == "__main__":
    main()
