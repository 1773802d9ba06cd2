"""What never changes while a circuit shrinks: what slots read in the whole model, and what each edge takes with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from acdc.engine.fast.places import Places, live_positions
from acdc.engine.fast.tactics import Tactics
from acdc.engine.setting import Setting
from acdc.engine.sizes import Sizes
from acdc.graph import Slot


@dataclass(frozen=True)
class Baseline:
    """The whole model's values, and those with every edge removed, at the places that matter.

    What a slot reads depends on its number of parents alone, ``n_parents``: it is the residual
    stream after so many nodes have written.

    Attributes:
        setting: model, prompts and their values.
        live: the places where a removal can change something.
        answers: the places that are scored, in the order of ``setting.rows``.
        answer_places: which live place each of them is.
        difference: clean minus ablated: what an edge's removal takes.
        answer_difference: likewise at the answers.
        clean_inputs: by number of parents.
        ablated_inputs: likewise, with every edge removed.
    """

    setting: Setting
    live: Places
    answers: Places
    answer_places: Int[Tensor, " answer"]
    difference: Float[Tensor, "n_sources live d_model"]
    answer_difference: Float[Tensor, "n_sources answer d_model"]
    clean_inputs: dict[int, Float[Tensor, "live d_model"]]
    ablated_inputs: dict[int, Float[Tensor, "live d_model"]]

    def at_answers(self, x: Float[Tensor, "*any live d"]) -> Float[Tensor, "*any answer d"]:
        """Of values at live places those at the answers."""
        return x[..., self.answer_places, :]

    def clean(self, slot: Slot, *, whole: bool) -> Float[Tensor, "place d_model"]:
        """What a slot reads in the whole model, at live places or at the answers."""
        clean = self.clean_inputs[slot.n_parents]
        return clean if whole else self.at_answers(clean)

    def ablated(self, slot: Slot, *, whole: bool) -> Float[Tensor, "place d_model"]:
        """What it reads with all its edges removed, without the rounding of many differences."""
        ablated = self.ablated_inputs[slot.n_parents]
        return ablated if whole else self.at_answers(ablated)

    def differences(self, *, whole: bool) -> Float[Tensor, "n_sources place d_model"]:
        """What edges take, at live places or at the answers."""
        return self.difference if whole else self.answer_difference


@dataclass(frozen=True)
class CleanRun:
    """What the present circuit's values begin with.

    Attributes:
        read_by_heads: by layer, what its heads read at every position.
        mlp_outputs: by layer, at live places; none without MLPs.
    """

    read_by_heads: list[Float[Tensor, "batch pos d_model"]]
    mlp_outputs: list[Float[Tensor, "live d_model"]]


def run_clean(setting: Setting, tactics: Tactics) -> tuple[Baseline, CleanRun]:
    """Note what each slot reads, and what the removal of each edge takes, a chunk of prompts at a time."""
    graph, model, like = setting.graph, setting.model, setting.contributions.inputs
    answers = Places.of([pair.answer_positions for pair in setting.prompts.pairs], model.device)
    live = Places.of(live_positions(model, setting.prompts, setting.ablation, tactics), model.device)
    number = {place: i for i, place in enumerate(_pairs(live))}
    answer_places = torch.tensor([number[place] for place in _pairs(answers)], device=model.device)

    def room() -> Tensor:
        return like.new_empty(len(live), graph.cfg.d_model)

    difference = like.new_empty(graph.n_sources, len(live), graph.cfg.d_model)
    clean_inputs = {slot.n_parents: room() for slot in graph.slots}
    ablated_inputs = {n_parents: room() for n_parents in clean_inputs}
    layers = range(graph.cfg.n_layers)
    first = CleanRun([torch.empty_like(like[0]) for _ in layers], [room() for _ in layers if not graph.cfg.attn_only])
    read_by_heads = {graph.slot(f"a{layer}.h0<q>").n_parents: x for layer, x in enumerate(first.read_by_heads)}
    for rows in setting.contributions.chunks:
        places = live.of_prompts(rows)
        at = live.prompt[places] - rows.start, live.position[places]
        clean, ablated = setting.contributions.clean(rows), setting.contributions.ablated(rows)
        flat = at[0] * clean.shape[2] + at[1]
        for source in range(graph.n_sources):  # one by one, for the sake of memory
            taken = torch.index_select(clean[source].flatten(0, 1), 0, flat, out=difference[source, places])
            taken -= ablated[source].flatten(0, 1)[flat]
        both = zip(_streams(setting, clean, ...), _streams(setting, ablated, at), strict=True)
        for (n_written, x), (_, bare) in both:
            if n_written in clean_inputs:
                clean_inputs[n_written][places] = x[at]
                ablated_inputs[n_written][places] = bare
            if n_written in read_by_heads:
                read_by_heads[n_written][rows] = x
        for layer, output in enumerate(first.mlp_outputs):
            output[places] = clean[graph.node(f"m{layer}").index][at]
    baseline = Baseline(
        setting, live, answers, answer_places, difference, difference[:, answer_places], clean_inputs, ablated_inputs
    )
    return baseline, first


def _streams(setting: Setting, written: Tensor, at: Any) -> Iterator[tuple[int, Tensor]]:
    """The residual stream at some places, behind the input and behind each layer's heads and MLP.

    Args:
        setting: the model's shape.
        written: contributions, ``[n_sources, prompt, pos, d_model]``.
        at: an index of ``[prompt, pos, d_model]``.

    Yields:
        How many nodes have written, and the sum.
    """
    cfg, n = setting.graph.cfg, setting.graph.n_inputs
    x = written[:n].sum(0)[at]
    yield n, x
    for attention in setting.model.attention:
        x, n = x + written[n : n + cfg.n_heads].sum(0)[at], n + cfg.n_heads
        _, rest = attention.contributions(x.new_zeros(cfg.n_heads, 1, x.shape[-1]))
        if rest is not None:  # [d_model]; what belongs to no node is in the clean and in the ablated run
            x = x + rest
        yield n, x
        if not cfg.attn_only:
            x, n = x + written[n][at], n + 1
            yield n, x


def _pairs(places: Places) -> Iterator[tuple[int, int]]:
    """Prompt and position of each place."""
    return zip(places.prompt.tolist(), places.position.tolist(), strict=True)


def baseline_bytes(sizes: Sizes) -> int:
    """Differences, what is read (by an MLP and by heads, clean and ablated), and the clean run's inputs of heads."""
    differences = sizes.n_sources * (sizes.live + sizes.predictions)
    return sizes.stream * (differences + sizes.n_layers * (sizes.tokens + 4 * sizes.live))
