"""What a batch of changed inputs makes of the present circuit's values.

Everything in front of the slot that is visited still computes clean values, so its input is
the clean residual stream minus a difference a removed edge. Behind it, only nodes that the
change reaches through kept edges are recomputed.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from acdc.engine.fast.baseline import Baseline
from acdc.engine.fast.changes import Changes, MixtureChange
from acdc.engine.fast.cost import BATCH_BYTES, machine_kind
from acdc.engine.fast.downstream import Downstream, HeadStep, MlpStep, Reads
from acdc.engine.fast.heads import LayerHeads
from acdc.engine.fast.indices import index
from acdc.engine.fast.mlps import LayerMlp
from acdc.engine.fast.present import AtPlaces, Present, changed_input_bytes
from acdc.engine.fast.scores import KlScorer, Scorer
from acdc.engine.fast.scratch import Scratch
from acdc.engine.fast.tactics import Tactics
from acdc.engine.fast.trial import NewInputs, NewMlpOutput, NewVectors, Trial
from acdc.engine.sizes import Sizes
from acdc.graph import Letter, Slot

#: By letter, places among a step's heads and the new inputs of their slots,
#: ``[slot, run, live place or answer, d_model]``.
_NewHeadInputs = dict[Letter, tuple[list[int], Tensor]]


class Recomputing:
    """Runs many changed inputs of one slot at once; what it finds is for the caller to accept."""

    def __init__(
        self,
        baseline: Baseline,
        present: Present,
        layers: Sequence[LayerHeads],
        mlps: Sequence[LayerMlp],
        scorer: Scorer,
        scratch: Scratch,
        tactics: Tactics,
    ) -> None:
        """Put the parts together.

        Args:
            baseline: what never changes.
            present: the present circuit's values; only read.
            layers: weights of attention, by layer.
            mlps: likewise.
            scorer: the metric.
            scratch: room for changes; what is in it is of no use after the next batch.
            tactics: what is saved.
        """
        self._baseline, self._present = baseline, present
        self._layers, self._mlps = layers, mlps
        self._scorer, self._scratch, self._tactics = scorer, scratch, tactics
        self._graph = baseline.setting.graph

    def chain(
        self, slot: Slot, down: Downstream, left: int, groups: Sequence[Sequence[int]], x: AtPlaces | None = None
    ) -> Float[Tensor, "run place d_model"]:
        """Inputs of a slot after each of some removals.

        Args:
            slot: the slot.
            down: what its node's change reaches.
            left: edges that it still reads before them.
            groups: sources of the edges to remove, one group after another.
            x: its input before them, if it isn't the present one.
        """
        whole = down.whole or slot.letter in ("k", "v")
        differences = self._baseline.differences(whole=whole)
        x = self._present.input(slot, whole=whole) if x is None else x
        inputs = x.new_empty(len(groups), *x.shape)
        for i, sources in enumerate(groups):
            left -= len(sources)
            if left == 0:
                inputs[i] = self._baseline.ablated(slot, whole=whole)
            elif len(sources) == 1:
                torch.sub(x, differences[sources[0]], out=inputs[i])
            else:
                inputs[i] = x
                for source in sources:  # in the order of single removals: so rounds a run that is resumed
                    inputs[i] -= differences[source]
            x = inputs[i]
        return inputs

    def run(
        self, slot: Slot, down: Downstream, inputs: Float[Tensor, "run place d_model"], *, score: bool = True
    ) -> Trial:
        """Run a slot's node and all behind it on several inputs.

        Args:
            slot: the slot.
            down: what its node's change reaches.
            inputs: at live places, or at the answers.
            score: without it, the values are the present metric, for a run that is only to be committed.
        """
        trial = Trial(torch.full((len(inputs),), self._present.metric, dtype=torch.float64))
        trial.effects.append(NewInputs((slot,), inputs[None]))
        if slot.name == "logits":
            if score:
                trial.values = self._scorer.score(inputs)
            return trial
        live, answers = len(self._baseline.live), self._baseline.answer_places
        changes = Changes(down, len(inputs), live, answers, inputs, self._scratch)
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
                given: _NewHeadInputs = {}
                for letter, reads in step.reads.items():
                    places = [step.heads.index(found.node.head or 0) for found in reads.slots]
                    given[letter] = (places, self._changed_inputs(reads, changes, trial))
                self._run_heads(step, given, changes, trial)
        if down.final.any():
            final = Reads((self._graph.slots[-1],), False, down.final[None])
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
        now = self._present.input(self._graph.slots[-1], whole=False)
        return scorer.score_heads(now, residual, heads)

    def _changed_inputs(self, reads: Reads, changes: Changes, trial: Trial) -> Tensor:
        """Inputs of slots behind a change, ``[slot, run, live place or answer, d_model]``."""
        now = [self._present.input(slot, whole=reads.whole) for slot in reads.slots]
        total = changes.read(reads, now)
        trial.effects.append(NewInputs(reads.slots, total))
        return total

    def _run_mlp(
        self, slot: Slot, x: Tensor, whole: bool, heads: list[MixtureChange] | None, changes: Changes, trial: Trial
    ) -> None:
        """Recompute an MLP from ``[run, live place or answer, d_model]``; `heads` if nothing else changed."""
        layer = slot.node.layer or 0
        mlp = self._mlps[layer]
        short = self._tactics.short_mlps and x.device.type == "cpu" and heads is not None
        if heads is not None and short and mlp.is_worth(len(heads), heads[0].weight.shape[0]):
            out = mlp.run_changed(x, self._present.first_products(slot, mlp, whole=whole), heads)
        else:
            out = mlp.run(x)
        trial.effects.append(NewMlpOutput(layer, out))
        torch.sub(out, self._present.mlp_output(layer, whole=whole), out=changes.room(1, whole)[0])
        changes.fill(1, whole)

    def _run_heads(self, step: HeadStep, given: _NewHeadInputs, changes: Changes, trial: Trial) -> None:
        """Recompute heads and note how what they write changes.

        Args:
            step: which heads.
            given: what their slots read.
            changes: where the changes go.
            trial: where they are noted for a commit.
        """
        layer, heads = self._layers[step.layer], list(step.heads)
        z = self._mixtures(step, given, trial)  # [head, run, place, d_head]
        now = self._present.vectors[step.layer]["z"]  # of all heads
        before = now if step.whole else self._baseline.at_answers(now)
        own = index(heads, z.device)
        change = z - before[own][:, None]
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
            changes.note_mixture(MixtureChange(source, weight, mixture), step.whole)

    def _mixtures(self, step: HeadStep, given: _NewHeadInputs, trial: Trial) -> Tensor:
        """What heads mix, ``[head, run, place, d_head]``, where some of their slots read other inputs."""
        layer, heads, now = self._layers[step.layer], list(step.heads), self._present.vectors[step.layer]
        places = self._baseline.live if step.whole else self._baseline.answers
        own = index(heads, now["q"].device)
        q, k, v = now["q"][own], now["k"][own], now["v"][own]
        q = q if step.whole else self._baseline.at_answers(q)
        vectors: dict[Letter, Tensor] = {"q": q[:, None], "k": k[:, None], "v": v[:, None]}  # one run for all
        for letter, (chosen, x) in given.items():
            changed = tuple(heads[i] for i in chosen)
            new = layer.project(letter, list(changed), x, places if letter == "q" else self._baseline.live)
            vectors[letter] = self._replaced(letter, vectors[letter], chosen, new)
            trial.effects.append(NewVectors(step.layer, letter, changed, new, step.whole))
        z = layer.mix(heads, vectors["q"], vectors["k"], vectors["v"], places)
        trial.effects.append(NewVectors(step.layer, "z", step.heads, z, step.whole))
        return z

    def _replaced(self, letter: Letter, now: Tensor, chosen: list[int], new: Tensor) -> Tensor:
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
            self._baseline.live.put(new, all_runs)
        else:
            for i, place in enumerate(chosen):
                self._baseline.live.put(new[i], all_runs[place])
        return all_runs

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
        start = self._graph.node(f"a{step.layer}.h0").index
        written = index([source - start for source in step.writes], raw.device)
        return new[written] - old[written][:, None]


def batch_bytes(sizes: Sizes, changed: float, device: torch.device) -> int:
    """Of two batches' inputs, which are held at a time, and of the changes of one.

    Args:
        sizes: of the run.
        changed: share of the slots, and of the nodes, that are behind a change.
        device: where it runs.
    """
    inputs = max(BATCH_BYTES[machine_kind(device)], changed_input_bytes(sizes, changed))
    return 2 * inputs + int(changed * sizes.n_sources * sizes.live * sizes.stream)
