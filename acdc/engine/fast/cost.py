"""What patched runs cost, roughly: for the length of chains, and so that memory stays bounded.

A batch reads every weight once, however many runs it holds; a run adds arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from acdc.engine.fast.downstream import Downstream, HeadStep, MlpStep
from acdc.engine.setting import Setting
from acdc.graph import Slot
from acdc.models.products import uses_onednn

#: Memory that one batch may take, in bytes, unless a single run takes more.
BATCH_BYTES = {"cpu": 384 * 2**20, "cuda": 2 * 2**30}


@dataclass(frozen=True)
class _Machine:
    """Orders of magnitude: arithmetic a second, bytes a second, and seconds to set one step of a batch going.

    Those of a GPU are an H100's, measured on SmolLM2-135M in float32: a step is what the host takes to launch it.
    """

    flops: float
    bandwidth: float
    step: float


_MACHINES = {
    "cpu": _Machine(8.5e10, 8e9, 3e-4),
    "cpu with oneDNN": _Machine(2e11, 8e9, 3e-4),
    "cuda": _Machine(5e13, 2e12, 1e-3),
}


@dataclass(frozen=True)
class RunCost:
    """Of evaluating removals from one slot.

    Attributes:
        flops: arithmetic of a run, multiplications and additions.
        batch, run: seconds of any batch, and of each run in it.
        most_runs: runs whose changes fit in memory at a time.
    """

    flops: float
    batch: float
    run: float
    most_runs: int


def machine_kind(device: torch.device) -> str:
    """``cpu``, or ``cuda`` for any accelerator: the key of what is sized for either."""
    return "cpu" if device.type == "cpu" else "cuda"


def run_cost(setting: Setting, slot: Slot, down: Downstream, live: int, answers: int, outputs: int) -> RunCost:
    """Estimate what a slot's patched runs cost.

    Args:
        setting: the model's shapes.
        slot: whose edges are removed.
        down: what it reaches.
        live: places that are computed for nodes that are needed everywhere.
        answers: for all others.
        outputs: with which each answer of a run is multiplied.
    """
    cfg, model = setting.graph.cfg, setting.model
    d_model, d_head = cfg.d_model, model.attention[0].W_V.shape[-1]
    d_mlp, n_products = model.mlp_products
    mlp_size = n_products * d_model * d_mlp
    element = setting.contributions.inputs.element_size()
    kind = machine_kind(model.device)
    machine = _MACHINES["cpu with oneDNN" if kind == "cpu" and element == 4 and uses_onednn() else kind]
    flops = weights = 0.0
    inner = 0 if kind == "cpu" else n_products * d_mlp  # numbers between an MLP's products, which a CPU has in blocks
    width = live if down.whole else answers
    read, held = 0, width * d_model  # numbers in what one step reads, and in what stands until the batch is over
    for step in down.steps:
        places = live if step.whole else answers
        if isinstance(step, MlpStep):
            size = mlp_size
            read = max(read, places * (2 * d_model + inner))
        else:
            size = 4 * len(step.heads) * d_model * d_head
            slots = sum(len(reads.slots) * (live if reads.whole else places) for reads in step.reads.values())
            read = max(read, slots * d_model)
            held += _attention_numbers(setting, len(step.heads), places, d_head)
        flops += 2 * size * places
        weights += size
    if slot.letter is None and slot.name != "logits":
        flops += 2 * mlp_size * width
        weights += mlp_size
        read = max(read, width * inner)
    if slot.letter is not None:
        flops += 4 * d_model * d_head * width
        held += _attention_numbers(setting, 1, width, d_head)
    only_heads = all(isinstance(step, HeadStep) for step in down.steps) and slot.letter is not None
    scored = min(d_model, d_head * len(down.final_sources)) if only_heads else d_model
    if down.final.any() or slot.name == "logits":
        flops += 2 * scored * outputs * answers
        weights += scored * model.n_outputs
    changed = len(down.changed) * answers + len(down.changed_whole) * live
    memory = (changed * d_model + read + held) * element
    return RunCost(
        flops=flops,
        batch=(2 + len(down.steps)) * machine.step + weights * element / machine.bandwidth,
        run=flops / machine.flops,
        most_runs=max(1, int(BATCH_BYTES[kind] // memory)),
    )


def _attention_numbers(setting: Setting, n_heads: int, places: int, d_head: int) -> int:
    """Numbers that heads hold in a run: keys and values at every position, mixtures, patterns."""
    batch, length = setting.tokens.ids.shape
    return n_heads * (2 * batch * length * d_head + 4 * places * d_head + 3 * places * length)
