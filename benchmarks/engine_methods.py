"""What methods of scores take at GPT-2 small's shape, for engine.py."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from shapes import Stopwatch, gpt2_small, quickest

from acdc.engine.fast.engine import FastEngine
from acdc.engine.memory import held_memory
from acdc.engine.setting import Setting, prepare
from acdc.methods.registry import find_method
from acdc.metrics import Metric
from acdc.runs.environment import versions

#: Those that take minutes (masks, activations one by one) are timed by their names alone.
TIMED = ("eap", "eap-ig", "conductance", "clean-corrupted", "relp", "gim", "ifr", "hisp", "patching")
#: Layers whose slots are timed for patching, of each letter one; what lies between is interpolated.
_LAYERS = (1, 6, 10, 11)


@contextmanager
def most_held(device: torch.device) -> Iterator[list[int]]:
    """The most memory that the process holds in the meantime beyond what it does now, in bytes, looked at all along."""
    before, done = held_memory(device) or 0, threading.Event()
    peak = [0]

    def look() -> None:
        while not done.wait(0.01):
            peak[0] = max(peak[0], (held_memory(device) or 0) - before)

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()


def measure_methods(names: Sequence[str]) -> dict[str, Any]:
    """What methods of scores take at GPT-2 small's shape, in plain forwards of the same prompts, on one thread."""
    torch.set_num_threads(1)
    linear = Metric("first logits", "", "nothing", lambda circuit, model, answers: (model - circuit)[:, :2] @ _SIGNS)
    with tempfile.TemporaryDirectory() as folder:
        model, prompts = gpt2_small(Path(folder))
        setting = prepare(model, prompts)
        plain = quickest(lambda: model.own_logits(setting.tokens))
        rows = []
        for name in names:
            if name == "patching":
                rows.append({"method": name, **_patching(setting, linear, plain)})
                continue
            method = find_method(name)
            with most_held(model.device) as peak:
                watch = Stopwatch()
                found = method.find(setting, linear)
                seconds = watch.seconds().cpu
            conservation = found.measured.get("conservation") or {}
            rows.append(
                {
                    "method": name,
                    "cpu_s": seconds,
                    "plain_forwards": seconds / plain,
                    "memory_bytes": peak[0],
                    "residual": conservation.get("residual"),
                    "cost": found.measured.get("cost"),
                }
            )
    return {"plain_forward_s": plain, "rows": rows, "versions": versions()}


#: The metric of random models: a difference of two logits, which has a gradient everywhere.
_SIGNS = torch.tensor([1.0, -1.0], dtype=torch.float64)


def methods_table(figures: dict[str, Any]) -> str:
    """Those figures as text."""
    lines = [
        f"GPT-2 small's shape, 10 prompts of 16 tokens, one thread; a plain forward {figures['plain_forward_s']:.2f} s",
        f"{'method':20}{'CPU s':>10}{'forwards':>10}{'GB more':>9}{'residual':>10}",
    ]
    for row in figures["rows"]:
        residual = "" if row["residual"] is None else f"{row['residual']:.2g}"
        lines.append(
            f"{row['method']:20}{row['cpu_s']:>10.1f}{row['plain_forwards']:>10.1f}"
            f"{row['memory_bytes'] / 1e9:>9.2f}{residual:>10}"
        )
    return "\n".join(lines)


def _patching(setting: Setting, metric: Metric, plain: float) -> dict[str, Any]:
    """All edges one by one, scaled up from some slots: of a layer's heads one, and the MLP."""
    graph = setting.graph
    with most_held(setting.model.device) as peak:
        engine = FastEngine(setting, metric)
        engine.effects(graph.slot("a1.h2<q>"))  # what is made once
        timed = {
            kind: [_an_edge(engine, kind.format(layer=layer)) for layer in _LAYERS]
            for kind in ("a{layer}.h3<q>", "a{layer}.h3<k>", "a{layer}.h3<v>", "m{layer}")
        }
        seconds = _an_edge(engine, "logits") * graph.slot("logits").n_parents
    for slot in graph.slots[:-1]:
        kind = "m{layer}" if slot.letter is None else f"a{{layer}}.h3<{slot.letter}>"
        seconds += float(np.interp(slot.node.layer or 0, _LAYERS, timed[kind])) * slot.n_parents
    return {
        "cpu_s": seconds,
        "plain_forwards": seconds / plain,
        "memory_bytes": peak[0],
        "residual": None,
        "cost": {"forwards": graph.n_edges},
    }


def _an_edge(engine: FastEngine, slot: str) -> float:
    """Seconds of the processor for an edge into a slot."""
    found = engine.graph.slot(slot)
    watch = Stopwatch()
    engine.effects(found)
    return watch.seconds().cpu / found.n_parents
