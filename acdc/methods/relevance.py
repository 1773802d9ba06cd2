"""Edge attribution with a backward pass by rules: the relevance of slots in the place of their gradients.

One run and one way back, in the clean or in the ablated state. What the rules of RelP conserve is measured beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from acdc.engine.gradients import Pass
from acdc.engine.setting import Setting
from acdc.methods.attribution import contract, input_at
from acdc.methods.base import Log
from acdc.methods.conservation import Conservation
from acdc.metrics import Metric
from acdc.models.model import Model
from acdc.models.tokens import Tokens
from acdc.models.torchstate import own_torch_state


@own_torch_state()
def relevance_attribution(
    ruled: Setting, measure: Metric, point: float, log: Log | None = None, *, cuts: str = "none"
) -> tuple[np.ndarray, Conservation]:
    """Score edges by the change of their source's contribution, ablated less clean, times the relevance of their slot.

    Args:
        ruled: a setting whose model has rules (:meth:`acdc.models.model.Model.with_rules`).
        measure: the metric.
        point: where the way back is taken, from 0 for the ablated input to 1 for the clean one.
        log: is told of every way back.
        cuts: where the rules conserve: ``all`` cuts, that in front of the ``logits``, or ``none``.

    Returns:
        Scores, ``[n_edges]`` float64, positive where removal is expected to raise the metric; and what is conserved.
    """
    scores, account = np.zeros(ruled.graph.n_edges), _Account(ruled, measure, cuts)
    given, log = ruled.contributions, log or Log()
    log.begin(len(given.chunks), "gradient")
    for done, rows in enumerate(given.chunks, 1):
        ablated = given.ablated(rows)
        inputs = input_at(ruled, rows, ablated)(point)
        change = ablated - given.clean(rows)  # [n_sources, prompt, pos, d_model]
        del ablated
        ran = Pass(ruled, measure, rows, inputs)
        relevances: dict[int, Tensor] = {}  # by how many nodes have written

        def keep(sources: slice, relevance: Tensor, relevances: dict[int, Tensor] = relevances) -> None:
            relevances[sources.stop] = relevance

        ran.at_slots(contract(scores, change), keep if cuts != "none" else None)
        del change
        if cuts != "none":
            account.add(rows, ran.streams, relevances)
        log.at(done)
    return scores, account.conservation()


class _Account:
    """What comes back across the cuts between layers, and what must.

    A component whose rules conserve hands back as much as comes to it, less what is its biases' own: over a cut, the
    relevance of what crosses it, times that, and the share of all biases behind it add up to what was put in, the
    logits times the metric's gradient at them. For a metric that is linear in logits, that is the metric but for a
    constant (arXiv 2508.21258). The biases' share is measured by itself: it is the gradient of numbers that they are
    multiplied by.
    """

    def __init__(self, ruled: Setting, measure: Metric, cuts: str) -> None:
        self._ruled, self._measure, self._cuts = ruled, measure, cuts
        self._sums: dict[str, float] = {}
        self._expected: dict[str, float] = {}
        self._put_in = 0.0

    def add(self, rows: slice, streams: Sequence[Tensor], relevances: dict[int, Tensor]) -> None:
        """Count in some prompts.

        Args:
            rows: which.
            streams: the residual stream in front of every step, and the last.
            relevances: of what has been written, ``[prompt, pos, d_model]``, by the number of nodes that have.
        """
        graph, model, tokens = self._ruled.graph, self._ruled.model, self._ruled.tokens[rows]
        streams = streams[:: (len(streams) - 1) // graph.cfg.n_layers]  # in front of every layer, and the last
        weights = [streams[0].new_ones(()).requires_grad_() for _ in streams]
        weighed = model.with_bias_weights(weights)
        left = self._of_logits(rows, streams[-1], weighed, weights[-1])
        of_a_layer = (graph.n_sources - graph.n_inputs) // graph.cfg.n_layers
        for layer in reversed(range(graph.cfg.n_layers + 1)):
            end = graph.n_inputs + layer * of_a_layer
            name = graph.nodes[end - 1].name.partition(".")[0] if layer else "input"
            relevance, stream = relevances[end], streams[layer]
            self._sums[name] = self._sums.get(name, 0.0) + float((relevance * stream).double().sum())
            self._expected[name] = self._expected.get(name, 0.0) + left
            if self._cuts != "all":
                break
            if layer:
                with torch.enable_grad():
                    written = _written(weighed, layer - 1, streams[layer - 1], tokens)
                left -= _share(written, weights[layer - 1], relevance)

    def _of_logits(self, rows: slice, stream: Tensor, weighed: Model, weight: Tensor) -> float:
        """What is put in at the logits of some prompts, less the share of the biases behind the last layer."""
        setting, scored = replace(self._ruled, model=weighed), self._ruled.scored(rows)
        with torch.enable_grad():
            logits = setting.predictions(stream, rows)
            leaf = logits.detach().requires_grad_()
            values = self._measure.per_prediction(leaf, setting.model_logits[scored], setting.answers[scored])
            (gradient,) = torch.autograd.grad(values.sum() / len(setting.rows), leaf)
        put_in = float((leaf.detach() * gradient).sum())
        self._put_in += put_in
        return put_in - _share(logits, weight, gradient)

    def conservation(self) -> Conservation:
        """Of all prompts."""
        if self._cuts == "none":
            return Conservation("with these rules nothing is conserved", {}, {}, 0.0)
        where = "any cut" if self._cuts == "all" else "the cut in front of the logits"
        identity = (
            f"what the nodes in front of {where} write, times its relevance, adds up to the logits times the metric's "
            "gradient, less the share of the biases behind it"
        )
        cuts = reversed(self._sums)
        return Conservation(identity, {name: self._sums[name] for name in cuts}, self._expected, self._put_in)


def _written(model: Model, layer: int, x: Tensor, tokens: Tokens) -> Tensor:
    """What a layer adds to the residual stream, ``[batch, pos, d_model]`` to the same."""
    same = x.expand(model.graph_config.n_heads, *x.shape)
    heads, rest = model.heads(layer, same, same, same, tokens)
    total = heads.sum(0) if rest is None else heads.sum(0) + rest
    if model.graph_config.attn_only:
        return total
    return total + model.mlp(layer, x if model.graph_config.parallel_attn_mlp else x + total)


def _share(output: Tensor, weight: Tensor, relevance: Tensor) -> float:
    """What a weight of biases has a part in of an output's relevance; 0 where there are no biases."""
    if not output.requires_grad:
        return 0.0
    (found,) = torch.autograd.grad(output, weight, relevance, allow_unused=True)
    return 0.0 if found is None else float(found)
