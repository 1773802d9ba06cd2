"""What a run of the fast engine costs, and what each of its ideas is worth.

    python benchmarks/engine.py --out out/engine
    python benchmarks/engine.py --shape smollm2-135m
    python benchmarks/engine.py --shape gpt2-small-ioi --against c2daaf4
    python benchmarks/engine.py --circuits
    python benchmarks/engine.py --methods

A whole run is timed, as a user has it: a process of its own opens the model, finds a circuit and judges it, on one
thread. What it takes is told by stages, in plain forwards of the same prompts, and beside the matrix products that no
order avoids. With `--against` the same run with the code of an earlier commit goes side by side with it, in turns of
two seconds, and decisions, values and reported numbers are compared.

The reference and the fast engine without each of its ideas are timed on `--points` stretches of the decisions, spread
evenly over the run, and scaled up; the fast engine is timed on the same stretches, so that ratios compare like with
like, side by side.

With `--circuits` whole circuits are timed in place of decisions, on both shapes: many random ones of the bundled model
at once and one by one, and one of GPT-2 small's size beside a plain forward. With `--methods` all methods of scores are
timed, at GPT-2 small's shape, on prompts that have run already.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import click
import torch
from engine_circuits import circuits_table, measure_circuits
from engine_commits import ROOT, earlier
from engine_loads import LOADS, Load, Made
from engine_methods import TIMED, measure_methods, methods_table
from engine_runs import Code, whole_runs
from engine_whole import against_table, compared, figures_of, floor_of, whole_table
from shapes import Seconds, Stopwatch
from tqdm import tqdm

from acdc.cli.main import main
from acdc.cli.printing import say
from acdc.decision import TraceLine
from acdc.engine.fast.engine import FastEngine
from acdc.engine.fast.tactics import Tactics
from acdc.engine.reference import ReferenceEngine
from acdc.engine.setting import Setting, prepare
from acdc.errors import SettingsError
from acdc.files import atomic_write
from acdc.metrics import find_metric
from acdc.pruning.protocol import Pruning
from acdc.pruning.pruner import Acdc, AcdcSettings
from acdc.runs.environment import versions
from acdc.runs.trace import read_trace

#: Decisions of a stretch; the reference gets fewer, as every one costs it the same.
STRETCH, REFERENCE_STRETCH = 48, 3


@dataclass(frozen=True)
class Row:
    """One engine on all stretches.

    Attributes:
        name: what is shown.
        seconds: of a whole run, scaled up from the stretches, on the processor.
    """

    name: str
    seconds: float


def stretches(n_decisions: int, n: int) -> list[int]:
    """Where stretches begin, spread evenly over a run: the middle of each of `n` parts."""
    n = min(n, n_decisions)
    return [int((i + 0.5) * n_decisions / n) for i in range(n)]


def time_stretch(engine: Pruning, threshold: float, decisions: Sequence[TraceLine], start: int, length: int) -> Seconds:
    """What an engine takes for some decisions in the middle of a run, the ones before being replayed."""
    pruner = Acdc(engine, AcdcSettings(threshold), past=decisions[:start])
    found = pruner.decisions()
    next(found)  # everything before is caught up with here
    watch = Stopwatch()
    for _ in zip(range(length), found, strict=False):
        pass
    return watch.seconds()


def measure_ideas(setting: Setting, threshold: float, decisions: Sequence[TraceLine], points: int) -> list[Row]:
    """The engine, it without each of its ideas, and the reference, on the same stretches of a run."""
    kl = find_metric("kl")
    starts = stretches(len(decisions), points)
    everything = Tactics()
    rows: list[Row] = []
    variants: list[tuple[str, Tactics | None]] = [("fast", everything)]
    variants += [
        (f"without {f.name.replace('_', ' ')}", replace(everything, **{f.name: False})) for f in fields(everything)
    ]
    variants.append(("reference", None))
    with tqdm(total=len(variants) * len(starts), unit="stretch", leave=False) as bar:
        for name, tactics in variants:
            seconds = 0.0
            for start in starts:
                engine: Pruning
                if tactics is None:
                    engine, length = ReferenceEngine(setting, kl), REFERENCE_STRETCH
                else:
                    engine, length = FastEngine(setting, kl, tactics), STRETCH
                length = min(length, len(decisions) - start - 1)
                part = len(decisions) / len(starts)
                if length > 0:
                    seconds += time_stretch(engine, threshold, decisions, start, length).cpu * part / length
                bar.update()
            rows.append(Row(name, seconds))
    return rows


def measure(load: Load, made: Made, threshold: float, points: int, repeat: int, scratch: Path) -> dict[str, Any]:
    """All figures of a load: of a whole run, and of stretches of it."""
    (run,) = whole_runs([Code("this checkout", ROOT)], made, threshold, scratch / "runs", repeat)
    setting = prepare(made.model, made.used)
    whole = figures_of(run) | {"floor": floor_of(run, setting)}
    decisions = run.decisions
    rows = []
    if points:
        rows = measure_ideas(setting, threshold, read_trace(run.folder / "trace.jsonl"), points)
    return {
        "about": f"{len(made.used)} prompts {load.about}",
        "threshold": threshold,
        **whole,
        "decisions_per_s": whole["tried"] / decisions.cpu,
        "edges_per_s": whole["edges"] / decisions.cpu,
        "rows": [{"name": row.name, "cpu_s": row.seconds, "ratio": row.seconds / rows[0].seconds} for row in rows],
        "versions": versions(),
    }


def measure_against(
    old_code: Code, load: Load, made: Made, threshold: float, repeat: int, scratch: Path
) -> dict[str, Any]:
    """A whole run beside one with the code of an earlier commit."""
    codes = [old_code, Code("this checkout", ROOT)]
    old, new = whole_runs(codes, made, threshold, scratch / "runs", repeat)
    about = {"about": f"{len(made.used)} prompts {load.about}", "threshold": threshold}
    floor = floor_of(new, prepare(made.model, made.used))
    return {
        "against": old_code.name,
        "old": about | figures_of(old),
        "new": about | figures_of(new) | {"floor": floor},
        **compared(old, new),
        "versions": versions(),
    }


def table(figures: dict[str, Any]) -> str:
    """The figures of a load as text."""
    speed = f"{figures['decisions_per_s']:.0f} decisions a second, {figures['edges_per_s']:.0f} edges a second"
    lines = [whole_table(figures), speed]
    if figures["rows"]:
        lines += ["", f"{'scaled up from stretches':28}{'CPU s':>10}{'to fast':>10}"]
    lines += [f"{row['name']:28}{row['cpu_s']:>10.4g}{row['ratio']:>10.2f}" for row in figures["rows"]]
    return "\n".join(lines)


@click.command()
@click.option("--shape", type=click.Choice(list(LOADS)), default="tiny-tasks", show_default=True, help="The load.")
@click.option("--threshold", type=float, help="In KL.  [default: the load's]")
@click.option("--points", type=click.IntRange(min=0), help="Stretches; 0 for none.  [default: the load's]")
@click.option("--n", type=click.IntRange(min=1), help="Prompt pairs.  [default: the load's]")
@click.option("--against", metavar="COMMIT", help="Time whole runs of an earlier commit's code side by side.")
@click.option(
    "--repeat", type=click.IntRange(min=1), default=1, show_default=True, help="Whole runs; the quickest counts."
)
@click.option("--circuits", "whole_circuits", is_flag=True, help="Time whole circuits, on both shapes.")
@click.option("--methods", is_flag=True, help="Time every method that scores edges, at GPT-2 small's shape.")
@click.option("--method", "chosen", multiple=True, help="With --methods: only these.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder for engine.json.")
def command(
    shape: str,
    threshold: float | None,
    points: int | None,
    n: int | None,
    against: str | None,
    repeat: int,
    whole_circuits: bool,
    methods: bool,
    chosen: tuple[str, ...],
    out: Path | None,
) -> None:
    """Time whole runs of the fast engine, the reference, and the fast engine without each idea; or methods of scores.

    docs/speed.md tells the loads.
    """
    if against is not None and (points or whole_circuits or methods):
        other = "points" if points else "circuits" if whole_circuits else "methods"
        raise SettingsError(f"`against` times whole runs alone; leave `{other}` out.")
    if methods and whole_circuits:
        raise SettingsError("`circuits` and `methods` are measured one at a time; leave one out.")
    if chosen and not methods:
        raise SettingsError("`method` chooses among `methods`; give both.")
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)  # that it can't be is to be known before the time is spent
    write: Callable[[dict[str, Any]], str] = table
    if methods:
        write, figures = methods_table, measure_methods(chosen or TIMED)
    elif whole_circuits:
        write, figures = circuits_table, measure_circuits(sorted({10, 100 if n is None else n}))
    else:
        torch.set_num_threads(1)
        load = LOADS[shape]
        threshold = load.threshold if threshold is None else threshold
        AcdcSettings(threshold)  # refuses what is none
        with tempfile.TemporaryDirectory(prefix="acdc-engine-") as name:
            scratch = Path(name)
            old = None if against is None else earlier(against, scratch)
            made = load.make(scratch, load.n if n is None else n)
            if old is None:
                points = load.points if points is None else points
                figures = measure(load, made, threshold, points, repeat, scratch)
            else:
                write, figures = against_table, measure_against(old, load, made, threshold, repeat, scratch)
    for line in write(figures).splitlines():
        say(line)
    if out is not None:
        with atomic_write(out / "engine.json") as file:
            json.dump(figures, file, indent=1)
        say(out / "engine.json")


def run() -> None:
    """Run the command and end the process, as ``acdc`` does."""
    main(command, "engine")


if __name__ == "__main__":
    run()
