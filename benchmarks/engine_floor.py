"""The matrix products of a run that no order avoids, and what they take here, for engine.py."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from shapes import Stopwatch

from acdc.decision import TraceLine
from acdc.engine.fast.cost import run_cost
from acdc.engine.fast.downstream import Downstream, plan_downstream
from acdc.engine.fast.places import live_positions
from acdc.engine.fast.tactics import Tactics
from acdc.engine.setting import Setting
from acdc.models.products import product


def floor_flops(setting: Setting, decisions: Sequence[TraceLine]) -> float:
    """Arithmetic of one run for each decision, at the places that matter, behind its slot: what no order avoids."""
    graph, tactics = setting.graph, Tactics()
    live = sum(len(found) for found in live_positions(setting.model, setting.prompts, setting.ablation, tactics))
    reads = np.zeros((len(graph.slots), graph.n_sources), dtype=bool)
    for slot in graph.slots:
        reads[slot.index, : slot.n_parents] = True
    by_slot: dict[str, list[TraceLine]] = {}
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
            total += len(tried) * run_cost(setting, slot, down, live, len(setting.rows), setting.model.n_outputs).flops
        names = graph.edge_names(slot)
        reads[slot.index, : slot.n_parents] = [name in stays for name in names]
    return total


def matmul_speed(device: torch.device) -> float:
    """Arithmetic a second of a large matrix product here, as the engine makes it, in float32."""
    a, b = torch.randn(512, 768, device=device), torch.randn(768, 3072, device=device)
    best = 0.0
    for _ in range(12):
        watch = Stopwatch()
        for _ in range(4):
            product(a, b)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds = watch.seconds()
        best = max(best, 4 * 2 * a.numel() * b.shape[1] / (seconds.wall if device.type == "cuda" else seconds.cpu))
    return best
