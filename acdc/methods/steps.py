"""Attribution by many small changes: of the input, all nodes following, or of one node's output at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from acdc.engine.gradients import Pass, Take
from acdc.engine.setting import Setting
from acdc.graph import Slot
from acdc.methods.attribution import contract, input_at
from acdc.methods.base import Log
from acdc.metrics import Metric
from acdc.models.patched import run_unpatched
from acdc.models.torchstate import own_torch_state


@own_torch_state()
def conductance(setting: Setting, measure: Metric, log: Log | None, *, steps: int, rule: str) -> np.ndarray:
    """Scores of all edges, ``[n_edges]``; see :class:`acdc.methods.conductance.Conductance`."""
    scores, given, log = np.zeros(setting.graph.n_edges), setting.contributions, log or Log()
    log.begin(len(given.chunks) * steps, "gradient")
    done = 0
    for rows in given.chunks:
        inputs = input_at(setting, rows, given.ablated(rows))

        def written_at(point: float, rows: slice = rows, inputs: Callable[[float], Tensor] = inputs) -> Tensor:
            with torch.no_grad():
                return run_unpatched(setting.model, setting.graph, setting.tokens[rows], inputs(point))[0]

        before = written_at(0.0)
        for step in range(1, steps + 1):
            ran = Pass(setting, measure, rows, inputs((step if rule == "right" else step - 0.5) / steps))
            after = ran.written if rule == "right" else written_at(step / steps)
            ran.at_slots(contract(scores, before.sub_(after)))
            before = after
            done += 1
            log.at(done)
    return scores


@own_torch_state()
def by_activations(setting: Setting, measure: Metric, log: Log | None, *, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores by the way of each node's own output; see :class:`acdc.methods.eap_ig_activations.EapIgActivations`.

    Returns:
        ``[n_edges]`` scores; and ``[n_sources]``, what the metric changes by when all that a node feeds reads its
        ablated output.
    """
    graph, given, log = setting.graph, setting.contributions, log or Log()
    scores, exact = np.zeros(graph.n_edges), np.zeros(graph.n_sources)
    log.begin(len(given.chunks) * graph.n_sources, "node")
    done = 0
    for rows in given.chunks:
        clean = Pass(setting, measure, rows, given.inputs[:, rows])
        change = given.ablated(rows) - clean.written
        for source in range(graph.n_sources):
            own = _alone(scores, source, change[source], 1 / steps)
            for step in range(steps):
                clean.with_added(source, (step + 0.5) / steps * change[source]).at_slots(own)
            ablated = clean.with_added(source, change[source])
            exact[source] += float((ablated.values - clean.values).sum()) / len(setting.rows)
            done += 1
            log.at(done)
    return scores, exact


def _alone(scores: np.ndarray, source: int, change: Tensor, weight: float) -> Take:
    """As :func:`acdc.methods.attribution.contract`, of one source's edges."""

    def take(slots: Sequence[Slot], gradient: Tensor) -> None:
        estimates = gradient.flatten(1) @ change.flatten()
        for slot, estimate in zip(slots, estimates.tolist(), strict=True):
            scores[slot.first_edge + source] += weight * estimate

    return take
