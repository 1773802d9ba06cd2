"""What a sweep saves: ten thresholds of ACDC on one setting as a sweep, as runs on an open model, and as commands.

    python benchmarks/sweeps.py
    python benchmarks/sweeps.py --commands 2     # fewer of the slowest, scaled up

The three take turns, threshold by threshold, so that what else the machine does falls on all alike; processor seconds
are of this process and of the commands that it starts. The sweep opens the model itself, and its first run pays for
what all share; the runs beside it get a model that is open.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np

import acdc
from acdc.cli.main import main
from acdc.errors import AcdcError
from acdc.sweeps.cells import Cell
from acdc.sweeps.options import RunnerOptions
from acdc.sweeps.runner import Runner


@dataclass
class Taken:
    """What one way took so far.

    Attributes:
        wall: seconds.
        processor: seconds of all threads and processes.
        runs: how many.
    """

    wall: float = 0.0
    processor: float = 0.0
    runs: int = 0

    def add(self, do: Callable[[], object]) -> None:
        """Time a run."""
        wall, processor = time.monotonic(), _processor()
        do()
        self.wall += time.monotonic() - wall
        self.processor += _processor() - processor
        self.runs += 1


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--model", default="tiny-tasks", show_default=True, help="As for acdc discover.")
@click.option("--task", default="ioi", show_default=True, help="Likewise.")
@click.option("--n", default=100, show_default=True, type=click.IntRange(1), help="Prompt pairs.")
@click.option("--points", default=10, show_default=True, type=click.IntRange(2), help="Thresholds, 0.1 to 0.001.")
@click.option("--commands", type=click.IntRange(0), help="How many commands to run; by default one a threshold.")
def command(model: str, task: str, n: int, points: int, commands: int | None) -> None:
    """Time a sweep of thresholds against the same runs alone."""
    thresholds = np.geomspace(0.1, 0.001, points).tolist()
    runner, opened = Runner(RunnerOptions()), acdc.load_model(model)
    taken = {"sweep": Taken(), "discover on an open model": Taken(), "acdc discover": Taken()}
    in_sweep, alone, by_command = taken.values()
    edges = []
    with tempfile.TemporaryDirectory() as name:
        out = Path(name)
        for number, threshold in enumerate(thresholds):
            asked: dict[str, Any] = {"model": model, "task": task, "n": n, "threshold": threshold}
            cell = Cell(f"sweep{number}", asked)
            in_sweep.add(partial(runner.run, cell, out / cell.name))
            quiet: dict[str, Any] = asked | {"model": opened, "progress": False}
            alone.add(partial(acdc.discover, **quiet, out=out / f"alone{number}"))
            if commands is None or number < commands:
                by_command.add(partial(_command, asked, out / f"command{number}"))
            found = [acdc.Run.load(out / f"{way}{number}").circuit for way in ("sweep", "alone")]
            if not np.array_equal(found[0].in_graph, found[1].in_graph):
                raise AcdcError(f"at a threshold of {threshold:g} the sweep found another circuit; please report it.")
            edges.append(found[0].n_edges)
    print(f"{points} thresholds on {task}, {n} prompt pairs, {model}: circuits of {edges[0]} to {edges[-1]} edges")
    for way, one in taken.items():
        if one.runs:
            scale = points / one.runs
            wall, processor = scale * one.wall, scale * one.processor
            ratios = f"{wall / in_sweep.wall:.2f} and {processor / in_sweep.processor:.2f} times the sweep's"
            print(f"{way:<26} {wall:7.1f} s {processor:7.1f} processor seconds  {ratios}")


def _command(asked: Mapping[str, Any], out: Path) -> None:
    options = [f"--{name}={value}" for name, value in (*asked.items(), ("out", out)) if name != "task"]
    subprocess.run([sys.executable, "-m", "acdc", "discover", asked["task"], *options], check=True, capture_output=True)


def _processor() -> float:
    """Processor seconds so far, of this process and of those that it waited for."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in both)


def run() -> None:
    """Run the command and end the process, as ``acdc`` does."""
    main(command, "sweeps", interrupted="interrupted.")


if __name__ == "__main__":
    run()
