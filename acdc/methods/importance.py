"""Importance of heads' queries, keys and values and of MLPs, by gradients of masks."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from acdc.engine.ablations import ABLATIONS, Ablation
from acdc.engine.gradients import Pass
from acdc.engine.setting import Setting
from acdc.graph import Slot
from acdc.methods.base import Log
from acdc.metrics import Metric
from acdc.models.backwards import Heads, Layers
from acdc.models.torchstate import own_torch_state

#: A layer, and q, k or v.
Vectors = dict[tuple[int, str], Tensor]


@own_torch_state()
def component_importance(setting: Setting, measure: Metric, log: Log | None) -> np.ndarray:
    """How much each component matters, ``[n_slots]``: of a head's slots its q, k and v, of an MLP's its output.

    The absolute value, for each prompt, of clean less ablated value times the gradient, summed over positions; the
    mean over prompts. Not normalized; see :class:`acdc.methods.hisp.Hisp`.
    """
    graph, given, log = setting.graph, setting.contributions, log or Log()
    log.begin(2 * len(given.chunks), "run")
    ablations: dict[tuple[int, str], Ablation] = {}
    for done, rows in enumerate(given.chunks, 1):
        for key, vectors in _vectors(setting, rows, given.inputs[:, rows]).items():
            ablations.setdefault(key, ABLATIONS[setting.ablation]()).see_clean(vectors, setting.tokens[rows].filled)
        log.at(done)
    importance = np.zeros(len(graph.slots))
    for done, rows in enumerate(given.chunks, 1):
        ablated = given.ablated(rows)
        others = _vectors(setting, rows, ablated[: graph.n_inputs]) if setting.ablation == "corrupted" else {}
        ran = Pass(setting, measure, rows, given.inputs[:, rows])

        def take_heads(heads: Heads, gradients: Mapping[str, Tensor], others: Vectors = others) -> None:
            for letter, gradient in gradients.items():
                key = (_layer(heads.slots[0]), letter)
                other = ablations[key].values(lambda key=key: others[key])  # type: ignore[misc]
                effects = ((other - heads.projected[letter].detach()) * gradient).sum((2, 3))  # [head, prompt]
                for slot, effect in zip((s for s in heads.slots if s.letter == letter), effects, strict=True):
                    importance[slot.index] += float(effect.abs().double().sum())

        def take_nodes(sources: slice, gradient: Tensor, change: Tensor = ablated - ran.written) -> None:
            if (node := graph.nodes[sources.start]).kind == "mlp":
                effects = (change[sources.start] * gradient).sum((1, 2))  # [prompt]
                importance[graph.slots_of(node)[0].index] += float(effects.abs().double().sum())

        ran.at_slots(lambda slots, gradient: None, take_nodes, take_heads)
        log.at(len(given.chunks) + done)
    return importance


@torch.no_grad()
def _vectors(setting: Setting, rows: slice, inputs: Tensor) -> Vectors:
    """What all heads project in a run of the whole model on some inputs, ``[head, prompt, pos, d_head]`` each."""
    layers, x = Layers(setting.model, setting.graph, setting.tokens[rows]), inputs.sum(0)
    found: Vectors = {}
    for step in range(layers.n_steps):
        parts = layers.run(step, x)
        for part in parts:
            if isinstance(part, Heads):
                layer = _layer(part.slots[0])
                found |= {(layer, letter): vectors.detach() for letter, vectors in part.projected.items()}
            x = x + part.total
    return found


def _layer(slot: Slot) -> int:
    assert slot.node.layer is not None  # it's a head's
    return slot.node.layer
