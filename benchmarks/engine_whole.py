"""Figures and tables of whole runs: where the time goes, alone and beside an earlier commit, for engine.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from engine_agreement import Agreement, agreement
from engine_floor import floor_flops, matmul_speed
from engine_runs import WholeRun

from acdc.engine.setting import Setting
from acdc.runs.trace import read_trace

#: Stages of a run, and what they are called.
STAGES = {"opening": "opening", "decisions": "decisions", "rest": "the rest", "whole": "whole run"}


def figures_of(run: WholeRun) -> dict[str, Any]:
    """The figures of a run."""
    record = run.record
    return {
        "edges": record["graph"]["edges"],
        "tried": record["tried"],
        "kept": record["kept"],
        "in_circuit": record["in_circuit"],
        "device": run.device,
        "stages": {name: asdict(getattr(run, name)) for name in STAGES},
        "outside_decisions": run.outside,
        "plain_forward": asdict(run.plain_forward),
        "forwards": {name: run.forwards(getattr(run, name)) for name in STAGES},
        "peak_memory_bytes": record["peak_memory_bytes"],
        "estimated_memory_bytes": record["estimated_memory_bytes"],
        "noise_floor": record["noise_floor"],
    }


def floor_of(run: WholeRun, setting: Setting) -> dict[str, float]:
    """The products that no order avoids, and their share of the time that deciding took."""
    flops = floor_flops(setting, read_trace(run.folder / "trace.jsonl"))
    speed = matmul_speed(setting.model.device)
    fraction = flops / speed / run.count(run.decisions)
    return {"flops": flops, "matmul_flops_per_s": speed, "fraction": fraction}


def compared(old: WholeRun, new: WholeRun) -> dict[str, Any]:
    """What one run took of what an earlier one did, and how far they agree."""
    ratios = {name: new.count(getattr(new, name)) / old.count(getattr(old, name)) for name in STAGES}
    forwards = {name: new.forwards(getattr(new, name)) / old.forwards(getattr(old, name)) for name in STAGES}
    return {"ratios": ratios, "ratios_of_forwards": forwards, "agreement": asdict(agreement(old, new))}


def whole_table(figures: dict[str, Any]) -> str:
    """One run as text."""
    stages, whole = figures["stages"], figures["stages"]["whole"]
    lines = [f"{_counts(figures)}; one thread, {figures['device']}", f"{'':12}{'CPU s':>10}{'s':>10}{'CPU':>8}"]
    lines += [
        f"{said:12}{stages[name]['cpu']:>10.1f}{stages[name]['wall']:>10.1f}{stages[name]['cpu'] / whole['cpu']:>8.0%}"
        for name, said in STAGES.items()
    ]
    forwards = figures["forwards"]
    return "\n".join(
        [
            *lines,
            f"outside the decisions: {figures['outside_decisions']:.0%} of the run",
            f"a plain forward {figures['plain_forward']['cpu']:.3f} CPU s: decisions {forwards['decisions']:.0f} of "
            f"them, the whole run {forwards['whole']:.0f}",
            f"peak memory {_gigabytes(figures['peak_memory_bytes'])}, "
            f"estimated {_gigabytes(figures['estimated_memory_bytes'])}",
            _floor(figures["floor"]),
        ]
    )


def against_table(figures: dict[str, Any]) -> str:
    """Two runs side by side, as text."""
    old, new = figures["old"], figures["new"]
    name = figures["against"]

    def cpu_of(stage: str) -> Callable[[dict[str, Any]], float]:
        return lambda run: float(run["stages"][stage]["cpu"])

    stages: list[tuple[str, Callable[[dict[str, Any]], float], str]] = [
        (f"{said}, CPU s", cpu_of(stage), ".1f") for stage, said in STAGES.items()
    ]
    rows = [
        *stages,
        ("plain forward, CPU s", lambda run: run["plain_forward"]["cpu"], ".3f"),
        ("decisions, forwards", lambda run: run["forwards"]["decisions"], ".0f"),
        ("whole run, forwards", lambda run: run["forwards"]["whole"], ".0f"),
        ("outside decisions, %", lambda run: 100 * run["outside_decisions"], ".0f"),
        ("peak memory, GB", lambda run: (run["peak_memory_bytes"] or 0) / 1e9, ".2f"),
        ("estimated, GB", lambda run: run["estimated_memory_bytes"] / 1e9, ".2f"),
    ]
    lines = [
        f"{_counts(new)}; one thread each, in turns, {new['device']}",
        f"{'':22}{name:>12}{'now':>12}{'ratio':>8}",
        *(
            f"{said:22}{of(old):>12{form}}{of(new):>12{form}}" + (f"{of(new) / of(old):>8.2f}" if of(old) else "")
            for said, of, form in rows
        ),
        _floor(new["floor"]),
        *Agreement(**figures["agreement"]).sentences,
    ]
    return "\n".join(lines)


def _counts(figures: dict[str, Any]) -> str:
    return (
        f"{figures['about']}, threshold {figures['threshold']:g}: {figures['edges']:,} edges, "
        f"{figures['tried']:,} tried, {figures['kept']:,} kept"
    )


def _floor(floor: dict[str, float]) -> str:
    return (
        f"matrix products that no order avoids: {floor['flops'] / 1e9:,.1f} Gflop at "
        f"{floor['matmul_flops_per_s'] / 1e9:.0f} Gflop/s are {floor['fraction']:.0%} of the decisions' time"
    )


def _gigabytes(count: int | None) -> str:
    return "unknown" if count is None else f"{count / 1e9:.2f} GB"
