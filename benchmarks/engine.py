"""What the fast engine's ideas are worth: it against the reference, and with each idea switched off in turn.

    python benchmarks/engine.py --out out/engine
    python benchmarks/engine.py --shape gpt2-small --out out/engine-gpt2
    python benchmarks/engine.py --circuits
    python benchmarks/engine.py --methods

With `--circuits` whole circuits are timed in place of decisions, on both shapes: many random ones of the bundled model
at once and one by one, and one of GPT-2 small's size beside a plain forward. With `--methods` all methods of scores are
timed, at GPT-2 small's shape, on prompts that have run already.

A whole run of the fast engine is timed. The others are timed on stretches of its decisions,
spread evenly over the run, and scaled up; the fast engine is timed on the same stretches, so
that ratios compare like with like, side by side.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from engine_methods import TIMED, measure_methods, methods_table
from shapes import Seconds, Stopwatch, gpt2_small, quickest, timed_run
from tqdm import tqdm

from acdc.cli.main import main
from acdc.cli.printing import say
from acdc.decision import Decision
from acdc.engine import circuits
from acdc.engine.fast.cost import run_cost
from acdc.engine.fast.downstream import Downstream, plan_downstream
from acdc.engine.fast.engine import FastEngine
from acdc.engine.fast.places import live_positions
from acdc.engine.fast.tactics import Tactics
from acdc.engine.reference import ReferenceEngine
from acdc.engine.setting import Setting, prepare
from acdc.files import atomic_write
from acdc.metrics import find_metric
from acdc.models.loading import load_model
from acdc.models.model import Model
from acdc.pairs import PromptSet
from acdc.pairs.finding import find_task
from acdc.pruning.protocol import Pruning
from acdc.pruning.pruner import Acdc, AcdcSettings
from acdc.runs.environment import peak_memory_bytes, versions

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


def time_stretch(engine: Pruning, threshold: float, decisions: Sequence[Decision], start: int, length: int) -> Seconds:
    """What an engine takes for some decisions in the middle of a run, the ones before being replayed."""
    pruner = Acdc(engine, AcdcSettings(threshold), past=decisions[:start])
    found = pruner.decisions()
    next(found)  # everything before is caught up with here
    watch = Stopwatch()
    for _ in zip(range(length), found, strict=False):
        pass
    return watch.seconds()


def floor_flops(setting: Setting, decisions: Sequence[Decision]) -> float:
    """Arithmetic of one run for each decision, at the places that matter, behind its slot: what no order avoids."""
    graph, tactics = setting.graph, Tactics()
    live = sum(len(found) for found in live_positions(setting.model, setting.prompts, setting.ablation, tactics))
    reads = np.zeros((len(graph.slots), graph.n_sources), dtype=bool)
    for slot in graph.slots:
        reads[slot.index, : slot.n_parents] = True
    by_slot: dict[str, list[Decision]] = {}
    for decision in decisions:
        by_slot.setdefault(decision.edge.split("->")[1], []).append(decision)
    total = 0.0
    for slot in reversed(graph.slots):  # a slot's plan depends on slots behind it alone
        tried = by_slot.get(slot.name, [])
        stays = {decision.edge for decision in tried if decision.kept}
        if tried:
            tied = setting.model.tied_heads
            is_last = slot.name == "logits"
            down = (
                Downstream(first=(), whole=False)
                if is_last
                else plan_downstream(graph, reads, slot.node, tied_heads=tied)
            )
            total += len(tried) * run_cost(setting, slot, down, live, len(setting.rows)).flops
        names = graph.edge_names(slot)
        reads[slot.index, : slot.n_parents] = [name in stays for name in names]
    return total


def matmul_speed() -> float:
    """Arithmetic a second of a large matrix product here, in the precision of the run."""
    a, b = torch.randn(512, 768), torch.randn(768, 3072)
    best = 0.0
    for _ in range(12):
        watch = Stopwatch()
        for _ in range(4):
            a @ b
        best = max(best, 4 * 2 * a.numel() * b.shape[1] / watch.seconds().cpu)
    return best


def measure(model: Model, prompts: PromptSet, threshold: float, points: int) -> dict[str, Any]:
    """All figures of one model on its prompts."""
    kl = find_metric("kl")
    whole = timed_run(model, prompts, threshold)
    decisions = whole.decisions
    starts = stretches(len(decisions), points)
    setting = prepare(model, prompts)
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
    flops, speed = floor_flops(setting, decisions), matmul_speed()
    pruning = whole.pruning.cpu
    return {
        "edges": setting.graph.n_edges,
        "tried": len(decisions),
        "kept": len(whole.kept),
        "threshold": threshold,
        "whole_run": {"setup_cpu_s": whole.setup.cpu, "cpu_s": pruning, "wall_s": whole.pruning.wall},
        "decisions_per_s": len(decisions) / pruning,
        "edges_per_s": setting.graph.n_edges / pruning,
        "rows": [{"name": row.name, "cpu_s": row.seconds, "ratio": row.seconds / rows[0].seconds} for row in rows],
        "floor": {"flops": flops, "matmul_flops_per_s": speed, "fraction": flops / speed / pruning},
        "peak_memory_bytes": peak_memory_bytes(),
        "versions": versions(),
    }


#: Random circuits that are run at once, and the shares of the edges that they keep.
CIRCUITS, SHARES = 100, (0.5, 0.05)


def bundled_prompts(model: Model, n: int) -> PromptSet:
    """Prompt pairs of ioi for the bundled model."""
    return find_task("ioi").prompts(model.tokenizer, n, **model.limits)


def measure_many(setting: Setting, share: float) -> dict[str, float]:
    """Random circuits at once and one by one; the latter are a fifth of them, scaled up."""
    draws = np.random.default_rng(0)
    masks = list(draws.random((CIRCUITS, setting.graph.n_edges)) < share)
    some = masks[: CIRCUITS // 5]
    one_by_one = 5 * quickest(lambda: [list(circuits.run(setting, [mask])) for mask in some])
    at_once = quickest(lambda: list(circuits.run(setting, masks)))
    figures = {"prompts": len(setting.prompts), "share_kept": share, "one_by_one_s": one_by_one, "at_once_s": at_once}
    return figures | {"ratio": one_by_one / at_once}


def measure_one(setting: Setting) -> dict[str, float]:
    """One random circuit beside a plain forward of the same prompts, through the model itself."""
    mask = np.random.default_rng(0).random(setting.graph.n_edges) < SHARES[0]
    plain = quickest(lambda: setting.model.own_logits(setting.tokens))
    circuit = quickest(lambda: list(circuits.run(setting, [mask])))
    return {"plain_forward_s": plain, "circuit_s": circuit, "ratio": circuit / plain}


def measure_circuits(ns: Sequence[int]) -> dict[str, Any]:
    """Both loads of whole circuits."""
    model = load_model("tiny-tasks")
    settings = [prepare(model, bundled_prompts(model, n)) for n in ns]
    with tempfile.TemporaryDirectory() as folder:
        one = measure_one(prepare(*gpt2_small(Path(folder))))
    many = [measure_many(setting, share) for setting in settings for share in SHARES]
    return {"many": many, "one": one, "versions": versions()}


def circuits_table(figures: dict[str, Any]) -> str:
    """Those figures as text."""
    one = figures["one"]
    lines = [f"{CIRCUITS} random circuits of tiny-tasks   one by one    at once     ratio   (CPU s)"]
    lines += [
        f"{row['prompts']:>5} prompts, {row['share_kept']:>4.0%} of the edges"
        f"{row['one_by_one_s']:>17.2f}{row['at_once_s']:>11.2f}{row['ratio']:>10.1f}"
        for row in figures["many"]
    ]
    return "\n".join(
        [
            *lines,
            f"one circuit of GPT-2 small's size, 10 prompts of 16 tokens: {one['circuit_s']:.2f} CPU s, "
            f"{one['ratio']:.2f} plain forwards of {one['plain_forward_s']:.2f}",
        ]
    )


def table(figures: dict[str, Any]) -> str:
    """The figures as text."""
    floor = figures["floor"]
    lines = [
        f"{figures['edges']:,} edges, {figures['tried']:,} tried, {figures['kept']:,} kept",
        f"whole run, fast engine: {figures['whole_run']['cpu_s']:.1f} CPU s, {figures['whole_run']['wall_s']:.1f} s; "
        f"{figures['decisions_per_s']:.0f} decisions a second, {figures['edges_per_s']:.0f} edges a second",
        f"matrix products: {floor['flops'] / 1e9:,.1f} Gflop at {floor['matmul_flops_per_s'] / 1e9:.0f} Gflop/s are "
        f"{floor['fraction']:.0%} of that time",
        f"peak memory {(figures['peak_memory_bytes'] or 0) / 1e9:.1f} GB",
        "",
        f"{'scaled up from stretches':28}{'CPU s':>10}{'to fast':>10}",
    ]
    lines += [f"{row['name']:28}{row['cpu_s']:>10.4g}{row['ratio']:>10.2f}" for row in figures["rows"]]
    return "\n".join(lines)


@click.command()
@click.option("--shape", type=click.Choice(["tiny-tasks", "gpt2-small"]), default="tiny-tasks", show_default=True)
@click.option("--threshold", type=float, help="[default: 0.01, or 0.0002 for gpt2-small]")
@click.option("--points", type=click.IntRange(min=1), default=12, show_default=True, help="Stretches that are timed.")
@click.option("--n", type=int, default=100, show_default=True, help="Prompt pairs of ioi, for tiny-tasks.")
@click.option("--circuits", "whole_circuits", is_flag=True, help="Time whole circuits, on both shapes.")
@click.option("--methods", is_flag=True, help="Time every method that scores edges, at GPT-2 small's shape.")
@click.option("--method", "chosen", multiple=True, help="With --methods: only these.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for engine.json.")
def command(
    shape: str,
    threshold: float | None,
    points: int,
    n: int,
    whole_circuits: bool,
    methods: bool,
    chosen: tuple[str, ...],
    out: Path | None,
) -> None:
    """Time the fast engine, the reference, and the fast engine without each of its ideas; or methods of scores."""
    write = table
    if methods:
        write = methods_table
        figures = measure_methods(chosen or TIMED)
    elif whole_circuits:
        write = circuits_table
        figures = measure_circuits(sorted({10, n}))
    elif shape == "tiny-tasks":
        model = load_model(shape)
        figures = measure(model, bundled_prompts(model, n), 0.01 if threshold is None else threshold, points)
    else:
        with tempfile.TemporaryDirectory() as folder:
            figures = measure(*gpt2_small(Path(folder)), 0.0002 if threshold is None else threshold, points)
    for line in write(figures).splitlines():
        say(line)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        with atomic_write(out / "engine.json") as file:
            json.dump(figures, file, indent=1)
        say(out / "engine.json")


def run() -> None:
    """Run the command and end the process, as ``acdc`` does."""
    main(command, "engine")


if __name__ == "__main__":
    run()
