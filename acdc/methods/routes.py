"""What each source adds to what a slot reads, by the L1 norm."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from acdc.engine.setting import Setting
from acdc.methods.base import Log
from acdc.models.backwards import Layers
from acdc.models.torchstate import own_torch_state


@own_torch_state()
@torch.no_grad()
def information_flow(setting: Setting, log: Log | None) -> np.ndarray:
    """Scores of all edges, ``[n_edges]``; see :class:`acdc.methods.ifr.Ifr`."""
    graph, given, log = setting.graph, setting.contributions, log or Log()
    log.begin(len(given.chunks), "run")
    scores = np.zeros(graph.n_edges)
    for done, rows in enumerate(given.chunks, 1):
        tokens, written = setting.tokens[rows], given.clean(rows)
        layers = Layers(setting.model, graph, tokens)
        x = written[: graph.n_inputs].sum(0)
        filled = tokens.filled.to(x.dtype)
        places = filled / filled.sum(1, keepdim=True) / len(setting.prompts)  # weights, [prompt, pos]
        for step in range(layers.n_steps):
            parts = layers.run(step, x)
            slots = [slot for part in parts for slot in part.slots]
            shares = _shares(x, written[: slots[0].n_parents], places)
            for slot in slots:
                scores[slot.edges] += shares
            x = x + sum(part.total for part in parts)
        last = graph.slots[-1]
        scores[last.edges] += _shares(x, written[: last.n_parents], places)
        log.at(done)
    return scores


def _shares(x: Tensor, written: Tensor, places: Tensor) -> np.ndarray:
    """The share of each source in what is read, ``[n_parents]``: at every place, and then the weighted sum of these."""
    whole = x.abs().sum(-1)
    near = torch.stack([whole - (x - source).abs().sum(-1) for source in written])  # [source, prompt, pos]
    near.clamp_(min=0)
    total = near.sum(0)
    shares = torch.where(total > 0, near / total, 0.0)
    return (shares * places).sum((1, 2)).double().cpu().numpy()
