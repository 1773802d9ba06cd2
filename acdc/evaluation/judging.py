"""Circuits on one set of prompts: run, judged beside the model, and shown where they are worst."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from acdc.circuit import Circuit
from acdc.engine import circuits
from acdc.engine.setting import Setting
from acdc.evaluation.behaviour import behaviour, side_by_side, usable_metrics
from acdc.evaluation.conventions import kl_scale, measures, run_mask
from acdc.evaluation.judgement import WorstPrompt
from acdc.evaluation.prompts import worst_prompts
from acdc.results import Behaviour, Evaluation


@dataclass(frozen=True)
class Asked:
    """What of a circuit is asked for on some prompts.

    Attributes:
        circuit: to judge, of the model of the setting.
        metric: by which prompts are worst.
        shares: faithfulness is of the first of these metrics that the prompts allow.
        worst: how many of the worst prompts to show.
    """

    circuit: Circuit
    metric: str
    shares: Sequence[str]
    worst: int


def judge(setting: Setting, asked: Sequence[Asked], convention: str) -> Iterator[tuple[Evaluation, list[WorstPrompt]]]:
    """Judge circuits on a setting's prompts, in order; equal masks are run once.

    Args:
        setting: model and prompts; its graph is the circuits', or theirs with the input split.
        asked: the circuits, at least one, all of one graph.
        convention: see :mod:`acdc.evaluation.conventions`.
    """
    how = measures(convention, usable_metrics(setting), setting)

    def judged(logits: Tensor) -> Behaviour:
        return behaviour(setting, logits, measures=how)

    model, corrupted = judged(setting.model_logits), judged(setting.corrupted_logits)
    graph = asked[0].circuit.graph
    masks = [np.zeros(graph.n_edges, dtype=bool)]  # every edge ablated
    masks += [mask for one in asked for mask in (one.circuit.in_graph, ~one.circuit.in_graph)]
    runs = _different(setting, [run_mask(convention, graph, mask, setting.graph) for mask in masks])
    ablated = judged(next(runs))
    for one in asked:
        logits, rest = next(runs), next(runs)
        states = {
            "model": model,
            "circuit": judged(logits),
            "complement": judged(rest),
            "ablated": ablated,
            "corrupted": corrupted,
        }
        evaluation = side_by_side(setting, states, metrics=one.shares, kl_scale=kl_scale(convention, setting))
        values = (states["circuit"].values or {})[one.metric]
        yield evaluation, worst_prompts(setting, values, logits, one.worst)


def _different(setting: Setting, masks: Sequence[np.ndarray]) -> Iterator[Tensor]:
    """The logits of each mask; equal masks are run once, and what a later one needs is kept until then."""
    keys = [mask.tobytes() for mask in masks]
    last = {key: place for place, key in enumerate(keys)}
    new = [mask for place, (key, mask) in enumerate(zip(keys, masks, strict=True)) if key not in keys[:place]]
    runs = circuits.run(setting, new)
    held: dict[bytes, Tensor] = {}
    for place, key in enumerate(keys):
        found = held.pop(key) if key in held else next(runs)
        if place < last[key]:
            held[key] = found
        yield found
