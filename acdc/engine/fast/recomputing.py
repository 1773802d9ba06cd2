"""What a batch of changed inputs makes of the present circuit's values.

Everything in front of the slot that is visited still computes clean values, so its input is
the clean residual stream minus a difference a removed edge. Behind it, only nodes that the
change reaches through kept edges are recomputed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import get_args

import torch
from jaxtyping import Float
from torch import Tensor

from acdc.engine.fast.baseline import Baseline
from acdc.engine.fast.changes import Changes
from acdc.engine.fast.cost import BATCH_BYTES, machine_kind
from acdc.engine.fast.downstream import Downstream, HeadStep, MlpStep, Reads
from acdc.engine.fast.gains import MixtureChange
from acdc.engine.fast.heads import LayerHeads, VectorKind
from acdc.engine.fast.indices import index, rows
from acdc.engine.fast.mlps import LayerMlp
from acdc.engine.fast.narrow import Narrow, NarrowHeads, NarrowMlp
from acdc.engine.fast.present import AtPlaces, Present, changed_input_bytes
from acdc.engine.fast.scores import KlScorer, Scorer
from acdc.engine.fast.scratch import Scratch
from acdc.engine.fast.tactics import Tactics
from acdc.engine.fast.trial import NewInputs, NewMlpOutput, NewVectors, Trial
from acdc.engine.sizes import Sizes
from acdc.graph import Letter, Slot
from acdc.models.products import pairwise_products

#: On a CPU what slots read is made for a block of runs, of so many bytes, used and forgotten: to hold it all takes
#: fresh memory, which costs more than to compute it.
BLOCK_BYTES = 16 * 2**20


@dataclass(frozen=True)
class _Reading:
    """What slots read behind a change, made for some of the runs at a time.

    Attributes:
        n: slots.
        places: live places, or answers.
        width: numbers that are made at each.
        of_runs: makes it, ``[slot, run, place, d_model]``; of no use after it is asked again.
        spoils: it may be written over.
        short: how it changes, if that is narrow.
    """

    n: int
    places: int
    width: int
    of_runs: Callable[[slice], Tensor]
    spoils: bool
    short: NarrowHeads | None = None


#: By letter, places among a step's heads and what their slots read.
_Given = dict[Letter, tuple[list[int], _Reading]]


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
        self._narrow = Narrow(present, tactics)

    def chain(
        self,
        slot: Slot,
        down: Downstream,
        left: int,
        groups: Sequence[Sequence[int]],
        stay: Sequence[bool] = (False,),
        x: AtPlaces | None = None,
    ) -> Float[Tensor, "run place d_model"]:
        """Inputs of a slot after each of some removals.

        Args:
            slot: the slot.
            down: what its node's change reaches.
            left: edges that it still reads before them.
            groups: sources of the edges to remove, one group after another.
            stay: which groups are back behind their own run.
            x: its input before them, if it isn't the present one; not a part of what this has given.

        Returns:
            Them; they stand until this is called again.
        """
        whole = down.whole or slot.letter in ("k", "v")
        differences = self._baseline.differences(whole=whole)
        x = self._present.input(slot, whole=whole) if x is None else x
        inputs = self._scratch.take("chain", (len(groups), *x.shape), x)
        for new, sources, stays in zip(inputs, groups, stay, strict=True):
            if left == len(sources):
                new.copy_(self._baseline.ablated(slot, whole=whole))
            elif len(sources) == 1:
                torch.sub(x, differences[sources[0]], out=new)
            else:
                new.copy_(x)
                for source in sources:  # in the order of single removals: so rounds a run that is resumed
                    new -= differences[source]
            if not stays:
                x, left = new, left - len(sources)
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
        trial.effects.append(NewInputs((slot,), lambda run: inputs[run : run + 1].clone()))
        if slot.name == "logits":
            if score:
                trial.values = self._scorer.score(inputs)
            return trial
        live, answers = len(self._baseline.live), self._baseline.answer_places
        changes = Changes(down, len(inputs), live, answers, inputs, self._scratch)
        _, places, width = inputs.shape
        given = _Reading(1, places, width, lambda runs: inputs[None, runs], spoils=False)
        if slot.letter is None:
            self._run_mlp(slot, given, down.whole, changes, trial)
        else:
            own = HeadStep(slot.node.layer or 0, (slot.node.head or 0,), down.whole, {}, down.first)
            self._run_heads(own, {slot.letter: ([0], given)}, changes, trial)
        for step in down.steps:
            if isinstance(step, MlpStep):
                reading = self._reading(step.reads, changes, trial, "read")
                short = self._narrow.mlp(self._mlps[step.layer], step.reads, changes)
                self._run_mlp(step.reads.slots[0], reading, step.whole, changes, trial, short)
            else:
                of_letters: _Given = {}
                for letter, reads in step.reads.items():
                    chosen = [step.heads.index(found.node.head or 0) for found in reads.slots]
                    reading = self._reading(reads, changes, trial, f"read by {letter}")
                    if narrow := self._narrow.heads(letter, self._layers[step.layer], reads, changes):
                        reading = replace(reading, short=narrow, width=narrow.before.shape[-1])
                    of_letters[letter] = chosen, reading
                self._run_heads(step, of_letters, changes, trial)
        if down.final.any():
            final = Reads((self._graph.slots[-1],), False, down.final[None])
            residual = self._reading(final, changes, trial, "read").of_runs(slice(0, len(inputs)))[0]
            if score:
                trial.values = self._score(residual, changes.mixtures(final))
        return trial

    def _score(self, residual: Tensor, heads: list[MixtureChange] | None) -> Tensor:
        """The metric of each run, given ``[run, answer, d_model]`` and the heads if nothing else changed."""
        scorer = self._scorer
        if heads is None or not self._tactics.short_scores or not isinstance(scorer, KlScorer):
            return scorer.score(residual)
        if not scorer.is_worth(heads):
            return scorer.score(residual)
        now = self._present.input(self._graph.slots[-1], whole=False)
        return scorer.score_heads(now, residual, heads)

    def _reading(self, reads: Reads, changes: Changes, trial: Trial, room: str) -> _Reading:
        """What slots behind a change read, and that it is new; made in scratch room of that name."""
        now = self._present.inputs(reads)
        places, width = now[0].shape

        def of_runs(runs: slice) -> Tensor:
            out = self._scratch.take(room, (len(now), runs.stop - runs.start, places, width), now[0])
            return changes.read(reads, now, runs, out)

        trial.effects.append(NewInputs(reads.slots, lambda run: changes.read(reads, now, slice(run, run + 1))[:, 0]))
        return _Reading(len(now), places, width, of_runs, spoils=True)

    def _blocks(self, runs: int, readings: Iterable[_Reading]) -> Iterator[slice]:
        """Runs whose inputs stay in the cache; all of them, where there is none to speak of."""
        step = runs
        if self._baseline.difference.device.type == "cpu":
            read = sum(reading.n * reading.places * reading.width for reading in readings)
            step = max(1, BLOCK_BYTES // (read * self._baseline.difference.element_size()))
            step = math.ceil(runs / math.ceil(runs / step))  # of about the same size
        for start in range(0, runs, step):
            yield slice(start, min(start + step, runs))

    def _run_mlp(
        self,
        slot: Slot,
        given: _Reading,
        whole: bool,
        changes: Changes,
        trial: Trial,
        short: NarrowMlp | None = None,
    ) -> None:
        """Recompute an MLP from what it reads."""
        layer = slot.node.layer or 0
        mlp, old, new = self._mlps[layer], self._present.mlp_output(layer, whole=whole), changes.room(1, whole)[0]
        if short is None:
            for runs in self._blocks(len(new), [given]):
                torch.sub(mlp.run(given.of_runs(runs)[0], spoils_input=given.spoils), old, out=new[runs])
        else:
            torch.sub(mlp.run_changed(short.gain, short.before, short.heads), old, out=new)
        trial.effects.append(NewMlpOutput(layer, lambda run: old + new[run]))
        changes.fill(1, whole)

    def _run_heads(self, step: HeadStep, given: _Given, changes: Changes, trial: Trial) -> None:
        """Recompute heads and note how what they write changes.

        Args:
            step: which heads.
            given: what their slots read.
            changes: where the changes go.
            trial: where they are noted for a commit.
        """
        layer, heads = self._layers[step.layer], list(step.heads)
        now = self._present.vectors[step.layer]["z"]  # of all heads
        every_head = now if step.whole else self._baseline.at_answers(now)
        before = rows(every_head, heads)[:, None]
        is_tied = layer.attention.post_norm.kind != "none"
        present = self._present_vectors(step)
        found: list[dict[VectorKind, Tensor]] = []  # of each block, [head, run, place, d_head]
        for runs in self._blocks(changes.runs, [reading for _, reading in given.values()]):
            found.append(self._vectors(step, present, given, runs))
            if is_tied:
                room = changes.room(len(step.writes), step.whole)[:, runs]
                room.copy_(self._shares_changed(step, found[-1]["z"] - before, every_head))
        for kind in found[0]:
            chosen = step.heads if kind == "z" else tuple(heads[i] for i in given[kind][0])
            every = found[0][kind] if len(found) == 1 else torch.cat([part[kind] for part in found], 1)
            trial.effects.append(NewVectors(step.layer, kind, chosen, every, step.whole))
        if is_tied:
            changes.fill(len(step.writes), step.whole)
            return
        change = torch.cat([part["z"] - before for part in found], 1)  # [head, run, place, d_head]
        multiplier = layer.attention.multiplier
        weights = rows(layer.W_O, heads) if multiplier == 1.0 else multiplier * rows(layer.W_O, heads)
        mixtures = map(MixtureChange, step.writes, weights, change)
        if self._baseline.difference.device.type == "cpu":
            changes.add_mixtures(mixtures, step.whole)
            return
        room = changes.room(len(step.writes), step.whole)
        pairwise_products(change.flatten(1, 2), weights, out=room.flatten(1, 2))
        changes.fill(len(step.writes), step.whole)

    def _present_vectors(self, step: HeadStep) -> dict[Letter, Tensor]:
        """A step's heads' queries, keys and values in the present circuit, ``[head, 1, ..., d_head]``."""
        now = self._present.vectors[step.layer]
        q, k, v = (rows(now[letter], step.heads) for letter in get_args(Letter))
        q = q if step.whole else self._baseline.at_answers(q)
        return {"q": q[:, None], "k": k[:, None], "v": v[:, None]}

    def _vectors(
        self, step: HeadStep, present: dict[Letter, Tensor], given: _Given, runs: slice
    ) -> dict[VectorKind, Tensor]:
        """New queries, keys, values and mixtures, ``[head, run, place, d_head]``, in some runs.

        Mixtures are those of all heads of the step, the others of the slots that read other inputs.
        """
        layer, heads, vectors = self._layers[step.layer], list(step.heads), {**present}
        places = self._baseline.live if step.whole else self._baseline.answers
        found: dict[VectorKind, Tensor] = {}
        for letter, (chosen, reading) in given.items():
            changed = [heads[i] for i in chosen]
            at = places if letter == "q" else self._baseline.live
            if (short := reading.short) is None:
                new = layer.project(letter, changed, reading.of_runs(runs), at, spoils_input=reading.spoils)
            else:
                gain = None if short.gain is None else short.gain[:, runs]
                new = layer.project_changed(letter, changed, gain, short.before, short.change[runs], short.written, at)
            vectors[letter] = self._replaced(letter, vectors[letter], chosen, new)
            found[letter] = new
        found["z"] = layer.mix(heads, vectors["q"], vectors["k"], vectors["v"], places)
        return found

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

    def _shares_changed(self, step: HeadStep, change: Tensor, before: Tensor) -> Tensor:
        """How heads' shares of a normed sum change, ``[written head, run, place, d_model]``.

        Args:
            step: the heads that change, and those that write.
            change: how mixtures of the former change, ``[head, run, place, d_head]``.
            before: mixtures of all heads before, ``[head, place, d_head]``.
        """
        layer = self._layers[step.layer]
        outputs = torch.matmul(before, layer.W_O)  # [head, place, d_model]
        old, _ = layer.attention.contributions(outputs)
        own = index(step.heads, change.device)
        everything = outputs[:, None].repeat(1, change.shape[1], 1, 1)  # [head, run, place, d_model]
        everything[own] += torch.matmul(change, layer.W_O[own][:, None])
        new, _ = layer.attention.contributions(everything)
        start = self._graph.node(f"a{step.layer}.h0").index
        written = index([source - start for source in step.writes], change.device)
        return new[written] - old[written][:, None]


def batch_bytes(sizes: Sizes, changed: float, device: torch.device) -> int:
    """Of a batch and its changes, with rooms that others filled more of, and as much for blocks and a run that is kept.

    Args:
        sizes: of the run.
        changed: share of the slots, and of the nodes, that are behind a change.
        device: where it runs.
    """
    batch = max(BATCH_BYTES[machine_kind(device)], changed_input_bytes(sizes, changed))
    return 2 * batch + int(changed * sizes.n_sources * sizes.live * sizes.stream)
