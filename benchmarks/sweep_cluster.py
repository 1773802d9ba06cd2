"""Does a sweep on a Ray cluster give the table of one on this machine, with a worker killed in the middle?

    python benchmarks/sweep_cluster.py

It runs 108 cells on the bundled model (tasks x methods x thresholds x seeds) by two local jobs and on a cluster of two
CPUs that is started for it, where the first worker process that is seen once a third of the cells has ended is killed
by SIGKILL. It prints how long both took, and in what the tables differ but for times and memory.
"""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import acdc

AXES = {
    "model": "tiny-tasks",
    "task": ["ioi", "pronouns", "plural"],
    "method": ["acdc", "eap-ig"],
    "threshold": "0.1:3:6log",
    "seed": "0:3",
    "n": 4,
}
#: Columns that no two runs share.
UNLIKE = ("seconds", "memory", "started", "forward", "backward", "warned")
KILLED_AFTER = 1 / 3


def main() -> None:
    """Run both, and print."""
    with tempfile.TemporaryDirectory(prefix="acdc-sweep-cluster-") as scratch:
        os.chdir(scratch)
        tables = {}
        for name, how in (("two jobs", {"jobs": 2}), ("a cluster, a worker killed", {"cluster": "ray"})):
            out = Path(scratch) / name.replace(" ", "-")
            killing = threading.Thread(target=_kill_one, args=(out,), daemon=True)
            if "cluster" in how:
                killing.start()
            begun = time.monotonic()
            found = acdc.sweep(AXES, out=out, progress=False, **how)
            seconds = time.monotonic() - begun
            failed = [row["sentence"] for row in found.rows if row["sentence"]]
            print(f"{name}: {len(found.rows)} cells in {seconds:.0f} s, {len(failed)} failed {failed[:2]}")
            tables[name] = found.rows
    first, second = tables.values()
    print(f"tables: {_differences(first, second) or 'equal but for times and memory'}")


def _kill_one(out: Path) -> None:
    """Kill a worker process of this sweep once it is well on its way."""
    while not (ended := list(out.glob("ended/*.json"))) or len(ended) < KILLED_AFTER * 108:
        time.sleep(0.2)
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            is_worker = (folder / "cmdline").read_bytes().startswith(b"ray::Worker")
            if is_worker and (folder / "cwd").readlink() == Path.cwd():  # workers are where the sweep is driven from
                os.kill(int(folder.name), signal.SIGKILL)
                print(f"killed worker {folder.name} after {len(ended)} cells")
                return


def _differences(rows: list[dict[str, Any]], others: list[dict[str, Any]]) -> list[str]:
    """Where two tables differ."""
    if [row["cell"] for row in rows] != [row["cell"] for row in others]:
        return ["the cells are others"]
    return [
        f"{row['cell']} {column}: {row[column]} and {other[column]}"
        for row, other in zip(rows, others, strict=True)
        for column in row
        if not any(word in column for word in UNLIKE) and row[column] != other[column]
    ]


if __name__ == "__main__":
    main()
