"""The values of a circuit that the fast engine begins with, where it isn't the whole model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from acdc.engine.fast.baseline import Baseline
from acdc.engine.fast.heads import HeadVectors, LayerHeads
from acdc.engine.fast.places import Places
from acdc.graph import Letter, Slot
from acdc.models.patched import run_patched


@dataclass(frozen=True)
class CircuitRun:
    """What a circuit's values are.

    Attributes:
        inputs: by slot, what it reads at live places.
        vectors: by layer, its heads' queries, keys, values and mixtures.
        mlp_outputs: by layer, at live places; none without MLPs.
    """

    inputs: dict[int, Float[Tensor, "live d_model"]]
    vectors: list[HeadVectors]
    mlp_outputs: list[Float[Tensor, "live d_model"]]


def run_circuit(baseline: Baseline, layers: Sequence[LayerHeads], kept: np.ndarray) -> tuple[Baseline, CircuitRun]:
    """Run a circuit once, so that a slot's edges can be removed from it: a chunk of prompts at a time.

    In front of a slot that is visited the circuit's values stand as they are now, so that what the removal of an
    edge takes is what its source writes *now* less what it carries when it is removed.

    Args:
        baseline: of the whole model, or of a circuit before; its differences are written over.
        layers: weights of attention, by layer.
        kept: ``[n_edges]`` bool.

    Returns:
        The baseline with the circuit's differences, and the circuit's values.
    """
    setting, live = baseline.setting, baseline.live
    graph, difference = setting.graph, baseline.difference
    inputs = {slot.index: torch.empty_like(difference[0]) for slot in graph.slots if kept[slot.edges].any()}
    mlps = [] if graph.cfg.attn_only else [graph.node(f"m{layer}").index for layer in range(graph.cfg.n_layers)]
    mlp_outputs = [torch.empty_like(difference[0]) for _ in mlps]
    parts: list[dict[Letter, list[Tensor]]] = [{"k": [], "v": []} for _ in layers]  # of each chunk
    mask = torch.from_numpy(kept)
    for rows in setting.contributions.chunks:
        places = live.of_prompts(rows)
        at = live.prompt[places] - rows.start, live.position[places]

        def watch(slots: Sequence[Slot], total: Tensor, rows: slice = rows, places: slice = places) -> Tensor:
            for slot, x in zip(slots, total, strict=True):
                if slot.index in inputs:
                    inputs[slot.index][places] = x[live.prompt[places] - rows.start, live.position[places]]
            if slots[0].letter is not None:
                layer = slots[0].node.layer or 0
                for letter, x in zip(get_args(Letter), total.chunk(3), strict=True):
                    if letter != "q":
                        parts[layer][letter].append(_everywhere(layers[layer], letter, x, rows.start))
            return total

        ablated = setting.contributions.ablated(rows)
        given = setting.contributions.inputs[:, rows]
        written, _ = run_patched(setting.model, graph, setting.tokens[rows], given, mask, ablated, edit=watch)
        for source in range(graph.n_sources):  # one by one, for the sake of memory
            torch.sub(written[source][at], ablated[source][at], out=difference[source, places])
        for output, source in zip(mlp_outputs, mlps, strict=True):
            output[places] = written[source][at]
    for slot in graph.slots:
        inputs.setdefault(slot.index, baseline.ablated(slot, whole=True))
    vectors = [_vectors(baseline, layer, heads, inputs, parts[layer]) for layer, heads in enumerate(layers)]
    begun = replace(baseline, answer_difference=difference[:, baseline.answer_places])
    return begun, CircuitRun(inputs, vectors, mlp_outputs)


def _everywhere(heads: LayerHeads, letter: Letter, x: Tensor, first: int) -> Tensor:
    """Keys or values at every position of some prompts, `first` and those behind it, ``[head, batch, pos, d_head]``."""
    _, batch, length, _ = x.shape
    every = Places.of([range(length)] * batch, x.device)
    every = replace(every, prompt=every.prompt + first)
    found = heads.project(letter, list(range(len(x))), x.flatten(1, 2)[:, None], every)
    return found[:, 0].unflatten(1, (batch, length))


def _vectors(
    baseline: Baseline, layer: int, heads: LayerHeads, inputs: dict[int, Tensor], parts: dict[Letter, list[Tensor]]
) -> HeadVectors:
    """All of a layer's heads' vectors, each from what its own slots read."""
    graph, every = baseline.setting.graph, list(range(heads.attention.n_heads))
    read = torch.stack([inputs[graph.slot(f"a{layer}.h{head}<q>").index] for head in every])
    k, v = torch.cat(parts["k"], 1), torch.cat(parts["v"], 1)
    q = heads.project("q", every, read[:, None], baseline.live)
    z = heads.mix(every, q, k[:, None], v[:, None], baseline.live)[:, 0]
    return {"q": q[:, 0], "k": k, "v": v, "z": z}
