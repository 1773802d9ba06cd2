"""The present circuit's values, and what a batch of changed inputs makes of them.

Everything in front of the slot that is visited still computes clean values, so its input is
the clean residual stream minus a difference a removed edge. Behind it, only nodes that the
change reaches through kept edges are recomputed; the rest is cached here, and an accepted
run becomes the cache.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from acdc.engine.fast.changes import Changes, MixtureChange
from acdc.engine.fast.downstream import Downstream, HeadStep, MlpStep, Reads
from acdc.engine.fast.heads import LayerHeads
from acdc.engine.fast.indices import index
from acdc.engine.fast.mlps import LayerMlp
from acdc.engine.fast.places import Places, live_positions
from acdc.engine.fast.scores import KlScorer, make_scorer
from acdc.engine.fast.scratch import Scratch
from acdc.engine.fast.tactics import Tactics
from acdc.engine.setting import Setting
from acdc.graph import Slot
from acdc.metrics import Metric


@dataclass
class Trial:
    """What a batch of patched runs found.

    Attributes:
        values: ``[run]`` float64, the metric of each.
        effects: what makes a run the present circuit's values: functions of its number.
    """

    values: Tensor
    effects: list[Callable[[int], None]] = field(default_factory=list)

    def commit(self, run: int) -> None:
        """Make a run the cache."""
        for effect in self.effects:
            effect(run)


class State:
    """Cached values of the present circuit, at first of the whole model.

    Attributes:
        setting: model, prompts and their values.
        live: the places where a removal can change something.
        answers: the places that are scored, in the order of ``setting.rows``.
        metric: the metric of the present circuit.
    """

    def __init__(self, setting: Setting, measure: Metric, tactics: Tactics) -> None:
        self.setting, self._tactics = setting, tactics
        graph, model = setting.graph, setting.model
        device = model.device
        self.answers = Places.of([pair.answer_positions for pair in setting.prompts.pairs], device)
        self.live = Places.of(live_positions(model, setting.prompts, setting.ablation, tactics), device)
        index = {place: i for i, place in enumerate(zip(*_lists(self.live), strict=True))}
        self._answers = torch.tensor([index[place] for place in zip(*_lists(self.answers), strict=True)], device=device)
        self._scorer = make_scorer(setting, measure)
        self._scratch = Scratch()
        n_mlps = 0 if graph.cfg.attn_only else graph.cfg.n_layers
        self._mlps = [LayerMlp(model, layer, self._scratch) for layer in range(n_mlps)]
        given = setting.contributions
        like, width = given.inputs, graph.cfg.d_model
        self._difference = like.new_empty(graph.n_sources, len(self.live), width)
        self._clean_inputs: dict[str, Tensor] = {}  # "a3", "m3", "logits": what is read there, [live place, d_model]
        self._ablated_inputs: dict[str, Tensor] = {}  # likewise, with every edge removed
        self._mlp_outputs: dict[int, Tensor] = {}  # by source, [live place or answer, d_model]
        read_by_heads = [torch.empty_like(like[0]) for _ in model.attention]  # [batch, pos, d_model], clean
        for rows in given.chunks:
            self._note_contributions(rows, read_by_heads)
        self._answer_difference = self._difference[:, self._answers]  # [n_sources, answer, d_model]
        tokens = setting.tokens
        self._layers = [
            LayerHeads(attention, model.table(layer, tokens), tokens.filled, x, self.live)
            for layer, (attention, x) in enumerate(zip(model.attention, read_by_heads, strict=True))
        ]
        self._inputs: dict[int, Tensor] = {}  # of slots that have changed, likewise
        self._first_products: dict[int, list[Tensor]] = {}  # of MLPs by slot, [live place or answer, d_mlp] each
        self.metric = float(self._scorer.score(self._input(graph.slots[-1], whole=False)[None])[0])

    def _note_contributions(self, rows: slice, read_by_heads: list[Tensor]) -> None:
        """Note what each slot reads, and what the removal of each edge takes, on a chunk of prompts.

        Args:
            rows: the prompts.
            read_by_heads: what each layer's heads read in the clean run, ``[batch, pos, d_model]``; filled here.
        """
        graph, given = self.setting.graph, self.setting.contributions
        places = self.live.of_prompts(rows)
        prompt, position = self.live.prompt[places] - rows.start, self.live.position[places]
        clean, ablated = given.clean(rows), given.ablated(rows)  # [n_sources, prompt, pos, d_model]

        def pick(x: Tensor) -> Tensor:  # [prompt, pos, d_model] to [place, d_model]
            return x[prompt, position]

        def note(kept: dict[Any, Tensor], key: object, x: Tensor) -> None:
            if key not in kept:
                kept[key] = x.new_empty(len(self.live), x.shape[-1])
            kept[key][places] = x

        for source in range(graph.n_sources):  # one by one, for the sake of memory
            torch.sub(pick(clean[source]), pick(ablated[source]), out=self._difference[source, places])
        source = graph.n_inputs
        x, bare = clean[:source].sum(0), pick(ablated[:source].sum(0))  # bare: with every edge removed

        def add(n: int) -> None:
            nonlocal x, bare, source
            x, bare = x + clean[source : source + n].sum(0), bare + pick(ablated[source : source + n].sum(0))
            source += n

        for layer, attention in enumerate(self.setting.model.attention):
            read_by_heads[layer][rows] = x
            note(self._clean_inputs, f"a{layer}", pick(x))
            note(self._ablated_inputs, f"a{layer}", bare)
            before = x, bare
            add(graph.cfg.n_heads)
            _, rest = attention.contributions(x.new_zeros(graph.cfg.n_heads, 1, x.shape[-1]))
            if rest is not None:  # [d_model]; what belongs to no node is in the clean and in the ablated run
                x, bare = x + rest, bare + rest
            if not graph.cfg.attn_only:
                seen = before if graph.cfg.parallel_attn_mlp else (x, bare)
                note(self._clean_inputs, f"m{layer}", pick(seen[0]))
                note(self._ablated_inputs, f"m{layer}", seen[1])
                note(self._mlp_outputs, source, pick(clean[source]))
                add(1)
        note(self._clean_inputs, "logits", pick(x))
        note(self._ablated_inputs, "logits", bare)

    def free_scratch(self) -> None:
        """Free the room that batches used."""
        self._scratch.clear()

    def _at_answers(self, x: Tensor) -> Tensor:
        """``[..., live place, d]`` to ``[..., answer, d]``."""
        return x[..., self._answers, :]

    def _input(self, slot: Slot, *, whole: bool) -> Tensor:
        """What a slot reads now, ``[live place or answer, d_model]``."""
        if slot.index in self._inputs:
            return self._inputs[slot.index]
        clean = self._clean_inputs[_place(slot)]
        return clean if whole else self._at_answers(clean)

    @staticmethod
    def _reads_whole(slot: Slot, down: Downstream) -> bool:
        return down.whole or slot.letter in ("k", "v")

    def chain(
        self, slot: Slot, down: Downstream, left: int, groups: Sequence[np.ndarray], x: Tensor | None = None
    ) -> Tensor:
        """Inputs of a slot after each of some removals.

        Args:
            slot: the slot.
            down: what its node's change reaches.
            left: edges that it still reads before them.
            groups: edges to remove, one group after another.
            x: its input before them, ``[live place or answer, d_model]``, if it isn't the present one.

        Returns:
            ``[run, live place or answer, d_model]``
        """
        whole = self._reads_whole(slot, down)
        differences = self._difference if whole else self._answer_difference
        x = self._input(slot, whole=whole) if x is None else x
        inputs = x.new_empty(len(groups), *x.shape)
        for i, edges in enumerate(groups):
            sources = edges - slot.first_edge
            left -= len(edges)
            if left == 0:  # without the rounding of many differences
                ablated = self._ablated_inputs[_place(slot)]
                inputs[i] = ablated if whole else self._at_answers(ablated)
            elif len(edges) == 1:
                torch.sub(x, differences[int(sources[0])], out=inputs[i])
            else:
                inputs[i] = x
                for source in sources.tolist():  # in the order of single removals: so rounds a run that is resumed
                    inputs[i] -= differences[source]
            x = inputs[i]
        return inputs

    def try_inputs(self, slot: Slot, down: Downstream, inputs: Tensor, *, score: bool = True) -> Trial:
        """Run a slot's node and all behind it on several inputs.

        Args:
            slot: the slot.
            down: what its node's change reaches.
            inputs: ``[run, live place or answer, d_model]``.
            score: without it, the values are the present metric, for a run that is only to be committed.
        """
        trial = Trial(torch.full((len(inputs),), self.metric, dtype=torch.float64))

        def set_input(run: int) -> None:
            self._inputs[slot.index] = inputs[run].clone()

        trial.effects.append(set_input)
        if slot.name == "logits":
            if score:
                trial.values = self._scorer.score(inputs)
            return trial
        changes = Changes(down, len(inputs), len(self.live), self._answers, inputs, self._scratch)
        if slot.letter is None:
            self._run_mlp(slot, inputs, down.whole, None, changes, trial)
        else:
            own = HeadStep(slot.node.layer or 0, (slot.node.head or 0,), down.whole, {}, down.first)
            self._run_heads(own, {slot.letter: ([0], inputs[None])}, changes, trial)
        for step in down.steps:
            if isinstance(step, MlpStep):
                x = self._changed_inputs(step.reads, changes, trial)[0]
                self._run_mlp(step.reads.slots[0], x, step.whole, changes.mixtures(step.reads), changes, trial)
            else:
                given = {}
                for letter, reads in step.reads.items():
                    places = [step.heads.index(found.node.head or 0) for found in reads.slots]
                    given[letter] = (places, self._changed_inputs(reads, changes, trial))
                self._run_heads(step, given, changes, trial)
        if not down.final.any():
            return trial
        final = Reads((self.setting.graph.slots[-1],), False, down.final[None])
        residual = self._changed_inputs(final, changes, trial)[0]
        if score:
            trial.values = self._score(residual, changes.mixtures(final))
        return trial

    def _score(self, residual: Tensor, heads: list[MixtureChange] | None) -> Tensor:
        """The metric of each run, given ``[run, answer, d_model]`` and the heads if nothing else changed."""
        scorer = self._scorer
        if heads is None or not self._tactics.short_scores or not isinstance(scorer, KlScorer):
            return scorer.score(residual)
        if not scorer.is_worth(sum(head.change.shape[-1] for head in heads)):
            return scorer.score(residual)
        now = self._input(self.setting.graph.slots[-1], whole=False)
        return scorer.score_heads(now, residual, heads)

    def _changed_inputs(self, reads: Reads, changes: Changes, trial: Trial) -> Tensor:
        """Inputs of slots behind a change, ``[slot, run, live place or answer, d_model]``."""
        total = changes.read(reads, [self._input(slot, whole=reads.whole) for slot in reads.slots])

        def set_inputs(run: int) -> None:
            for i, slot in enumerate(reads.slots):
                self._inputs[slot.index] = total[i, run].clone()

        trial.effects.append(set_inputs)
        return total

    def _run_mlp(
        self, slot: Slot, x: Tensor, whole: bool, heads: list[MixtureChange] | None, changes: Changes, trial: Trial
    ) -> None:
        """Recompute an MLP from ``[run, live place or answer, d_model]``; `heads` if nothing else changed."""
        source, mlp = slot.node.index, self._mlps[slot.node.layer or 0]
        short = self._tactics.short_mlps and x.device.type == "cpu" and heads is not None
        if heads is not None and short and mlp.is_worth(len(heads), heads[0].weight.shape[0]):
            if slot.index not in self._first_products:
                self._first_products[slot.index] = mlp.first_products(self._input(slot, whole=whole))
            out = mlp.run_changed(x, self._first_products[slot.index], heads)
        else:
            out = mlp.run(x)
        before = self._mlp_outputs[source]
        if len(before) != out.shape[1]:
            before = self._mlp_outputs[source] = self._at_answers(before)

        def set_output(run: int) -> None:
            self._mlp_outputs[source] = out[run].clone()
            self._first_products.pop(slot.index, None)

        trial.effects.append(set_output)
        torch.sub(out, before, out=changes.room(1, whole)[0])
        changes.fill(1, whole)

    def _run_heads(
        self, step: HeadStep, given: dict[str, tuple[list[int], Tensor]], changes: Changes, trial: Trial
    ) -> None:
        """Recompute heads and note how what they write changes.

        Args:
            step: which heads.
            given: by letter, places in ``step.heads`` and the new inputs of their slots,
                ``[slot, run, live place or answer, d_model]``.
            changes: where the changes go.
            trial: where they are noted for a commit.
        """
        layer, heads = self._layers[step.layer], list(step.heads)
        places = self.live if step.whole else self.answers
        own = index(heads, layer.q.device)
        vectors = {"q": layer.q[own], "k": layer.k[own], "v": layer.v[own]}
        if not step.whole:
            vectors["q"] = self._at_answers(vectors["q"])
        vectors = {letter: now[:, None] for letter, now in vectors.items()}  # one run for all
        for letter, (chosen, x) in given.items():
            new = layer.project(letter, [heads[i] for i in chosen], x, places if letter == "q" else self.live)
            vectors[letter] = self._replaced(letter, vectors[letter], chosen, new)
            trial.effects.append(self._set_vectors(layer, letter, [heads[i] for i in chosen], new, step.whole))
        z = layer.mix(heads, vectors["q"], vectors["k"], vectors["v"], places)  # [head, run, place, d_head]
        before = layer.z if step.whole else self._at_answers(layer.z)  # of all heads
        change = z - before[own][:, None]
        trial.effects.append(self._set_vectors(layer, "z", heads, z, step.whole))
        weights = layer.W_O if len(heads) == len(layer.W_O) else layer.W_O[own]
        multiplier = layer.attention.multiplier
        if layer.attention.post_norm.kind != "none":
            raw = torch.bmm(change.flatten(1, 2), weights).view(*change.shape[:-1], -1)
            changes.room(len(step.writes), step.whole).copy_(self._shares_changed(step, raw, before))
            changes.fill(len(step.writes), step.whole)
            return
        room = changes.room(len(heads), step.whole)  # [head, run, place, d_model]
        torch.bmm(change.flatten(1, 2), weights, out=room.flatten(1, 2))
        if multiplier != 1.0:
            room *= multiplier
        changes.fill(len(heads), step.whole)
        for source, head, mixture in zip(step.writes, heads, change, strict=True):
            weight = layer.W_O[head] if multiplier == 1.0 else multiplier * layer.W_O[head]
            changes.note_mixture(source, MixtureChange((step.layer, head), weight, mixture), step.whole)

    def _replaced(self, letter: str, now: Tensor, chosen: list[int], new: Tensor) -> Tensor:
        """Queries, keys or values with those of some heads replaced.

        Args:
            letter: which of them; queries are at places, keys and values at every position.
            now: those of all heads of a step, ``[head, 1, ..., d_head]``.
            chosen: places among them.
            new: ``[chosen head, run, place, d_head]``.

        Returns:
            ``[head, run, ..., d_head]``
        """
        if letter == "q":
            if len(chosen) == len(now):
                return new
            all_runs = now.expand(-1, new.shape[1], *now.shape[2:]).clone()
            all_runs[index(chosen, new.device)] = new
            return all_runs
        all_runs = now.expand(-1, new.shape[1], *now.shape[2:]).clone()  # [head, run, batch, pos, d_head]
        if len(chosen) == len(now):
            self.live.put(new, all_runs)
        else:
            for i, place in enumerate(chosen):
                self.live.put(new[i], all_runs[place])
        return all_runs

    def _set_vectors(
        self, layer: LayerHeads, letter: str, heads: list[int], new: Tensor, whole: bool
    ) -> Callable[[int], None]:
        """An effect that writes ``[head, run, place, d_head]`` into a layer's cache."""

        def effect(run: int) -> None:
            for i, head in enumerate(heads):
                if letter in ("k", "v"):
                    self.live.put(new[i, run], getattr(layer, letter)[head])
                elif whole:
                    getattr(layer, letter)[head] = new[i, run]
                else:
                    getattr(layer, letter)[head, self._answers] = new[i, run]

        return effect

    def _shares_changed(self, step: HeadStep, raw: Tensor, before: Tensor) -> Tensor:
        """How heads' shares of a normed sum change, ``[written head, run, place, d_model]``.

        Args:
            step: the heads that change, and those that write.
            raw: how the outputs of the former change, ``[head, run, place, d_model]``.
            before: mixtures of all heads before, ``[head, place, d_head]``.
        """
        layer = self._layers[step.layer]
        outputs = torch.matmul(before, layer.W_O)  # [head, place, d_model]
        old, _ = layer.attention.contributions(outputs)
        everything = outputs[:, None].repeat(1, raw.shape[1], 1, 1)  # [head, run, place, d_model]
        everything[index(step.heads, raw.device)] += raw
        new, _ = layer.attention.contributions(everything)
        start = self.setting.graph.node(f"a{step.layer}.h0").index
        written = index([source - start for source in step.writes], raw.device)
        return new[written] - old[written][:, None]


def _lists(places: Places) -> tuple[list[int], list[int]]:
    return places.prompt.tolist(), places.position.tolist()


def _place(slot: Slot) -> str:
    """Slots of a layer's heads read the same clean residual stream."""
    return f"a{slot.node.layer}" if slot.letter else slot.name
