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
from acdc.engine.fast.changes import Changes, MixtureChange
from acdc.engine.fast.cost import BATCH_BYTES, machine_kind
from acdc.engine.fast.downstream import Downstream, HeadStep, MlpStep, Reads
from acdc.engine.fast.heads import LayerHeads, VectorKind
from acdc.engine.fast.indices import index, rows
from acdc.engine.fast.mlps import LayerMlp
from acdc.engine.fast.present import AtPlaces, Present, changed_input_bytes
from acdc.engine.fast.scores import KlScorer, Scorer
from acdc.engine.fast.scratch import Scratch
from acdc.engine.fast.tactics import Tactics
from acdc.engine.fast.trial import NewInputs, NewMlpOutput, NewVectors, Trial
from acdc.engine.sizes import Sizes
from acdc.graph import Letter, Slot

#: On a CPU what slots read is made for a block of runs, of so many bytes, used and forgotten: to hold it all takes
#: fresh memory, which costs more than to compute it.
BLOCK_BYTES = 16 * 2**20
#: Rows for each of so many dimensions of a change, to be worth it to multiply weights for it.
_LEAST_ROWS = 2


@dataclass(frozen=True)
class _Short:
    """How what heads' slots read changes, where only what a few heads write has changed: by ``change @ written``.

    Attributes:
        before: projections before the change, ``[slot, place, d_head]``.
        change: of the heads' mixtures, side by side, ``[run, place, k]``.
        written: ``W_O`` of the heads that a slot reads, else 0, ``[slot, k, d_model]``.
    """

    before: Tensor
    change: Tensor
    written: Tensor


@dataclass(frozen=True)
class _Reading:
    """What slots read behind a change, made for some of the runs at a time.

    Attributes:
        n: slots.
        places: live places, or answers.
        of_runs: makes it, ``[slot, run, place, d_model]``; of no use after it is asked again.
        spoils: it may be written over.
        short: how it changes, if that is narrow.
    """

    n: int
    places: int
    of_runs: Callable[[slice], Tensor]
    spoils: bool
    short: _Short | None = None


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
        given = _Reading(1, inputs.shape[1], lambda runs: inputs[None, runs], spoils=False)
        if slot.letter is None:
            self._run_mlp(slot, given, down.whole, None, changes, trial)
        else:
            own = HeadStep(slot.node.layer or 0, (slot.node.head or 0,), down.whole, {}, down.first)
            self._run_heads(own, {slot.letter: ([0], given)}, changes, trial)
        for step in down.steps:
            if isinstance(step, MlpStep):
                reading = self._reading(step.reads, changes, trial, "read")
                self._run_mlp(step.reads.slots[0], reading, step.whole, step.reads, changes, trial)
            else:
                of_letters: _Given = {}
                for letter, reads in step.reads.items():
                    places = [step.heads.index(found.node.head or 0) for found in reads.slots]
                    reading = self._reading(reads, changes, trial, f"read by {letter}")
                    short = self._short(letter, self._layers[step.layer], reads, changes)
                    of_letters[letter] = places, replace(reading, short=short)
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
        now = [self._present.input(slot, whole=reads.whole) for slot in reads.slots]
        shape = now[0].shape

        def of_runs(runs: slice) -> Tensor:
            out = self._scratch.take(room, (len(now), runs.stop - runs.start, *shape), now[0])
            return changes.read(reads, now, runs, out)

        trial.effects.append(NewInputs(reads.slots, lambda run: changes.read(reads, now, slice(run, run + 1))[:, 0]))
        return _Reading(len(now), len(now[0]), of_runs, spoils=True)

    def _short(self, letter: Letter, layer: LayerHeads, reads: Reads, changes: Changes) -> _Short | None:
        """How what heads' slots read changes, where that is narrow enough to gain by it."""
        if self._baseline.difference.device.type != "cpu":
            return None
        mixtures = changes.mixtures(reads) if self._tactics.short_heads and layer.is_linear(letter) else None
        if mixtures is None:
            return None
        change = mixtures[0].change if len(mixtures) == 1 else torch.cat([one.change for one in mixtures], -1)
        runs, places, k = change.shape
        if 2 * k > layer.W_O.shape[-1] or runs * places < _LEAST_ROWS * k:
            return None
        before = torch.stack([self._present.projection(slot, layer, whole=reads.whole) for slot in reads.slots])
        mask = torch.from_numpy(reads.mask[:, reads.mask.any(0)]).to(change)  # [slot, mixture]
        written = torch.cat([own[:, None, None] * one.weight for own, one in zip(mask.T, mixtures, strict=True)], 1)
        return _Short(before, change, written)

    def _blocks(self, runs: int, readings: Iterable[_Reading]) -> Iterator[slice]:
        """Runs whose inputs stay in the cache; all of them, where there is none to speak of."""
        step = runs
        if self._baseline.difference.device.type == "cpu":
            places = sum(reading.n * reading.places for reading in readings)
            step = max(1, BLOCK_BYTES // (places * self._baseline.difference[0, 0].nbytes))
            step = math.ceil(runs / math.ceil(runs / step))  # of about the same size
        for start in range(0, runs, step):
            yield slice(start, min(start + step, runs))

    def _run_mlp(
        self,
        slot: Slot,
        given: _Reading,
        whole: bool,
        reads: Reads | None,
        changes: Changes,
        trial: Trial,
    ) -> None:
        """Recompute an MLP from what is given; `reads` says which changes that has, if they are others'."""
        layer = slot.node.layer or 0
        mlp, old, new = self._mlps[layer], self._present.mlp_output(layer, whole=whole), changes.room(1, whole)[0]
        short = None
        if reads is not None and self._tactics.short_mlps and old.device.type == "cpu":
            short = changes.mixtures(reads)
        if short is not None and not mlp.is_worth(len(short), short[0].weight.shape[0]):
            short = None
        before = None if short is None else self._present.first_products(slot, mlp, whole=whole)
        for runs in self._blocks(len(new), [given]):
            x = given.of_runs(runs)[0]
            if short is None or before is None:
                out = mlp.run(x, spoils_input=given.spoils)
            else:
                out = mlp.run_changed(x, before, [head.of_runs(runs) for head in short])
            torch.sub(out, old, out=new[runs])
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
        room = changes.room(len(step.writes), step.whole)  # [head, run, place, d_model]
        before, weights = rows(every_head, heads)[:, None], rows(layer.W_O, heads)
        multiplier = layer.attention.multiplier
        is_tied = layer.attention.post_norm.kind != "none"
        present = self._present_vectors(step)
        found: list[dict[VectorKind, Tensor]] = []  # of each block, [head, run, place, d_head]
        mixtures = []
        for runs in self._blocks(room.shape[1], [reading for _, reading in given.values()]):
            found.append(self._vectors(step, present, given, runs))
            change = found[-1]["z"] - before
            mixtures.append(change)
            if is_tied:
                raw = torch.bmm(change.flatten(1, 2), weights).view(*change.shape[:-1], -1)
                room[:, runs] = self._shares_changed(step, raw, every_head)
                continue
            torch.bmm(change.flatten(1, 2), weights, out=room[:, runs].flatten(1, 2))
            if multiplier != 1.0:
                room[:, runs] *= multiplier
        changes.fill(len(step.writes), step.whole)
        for kind, values in found[0].items():
            chosen = step.heads if kind == "z" else tuple(heads[i] for i in given[kind][0])
            every = values if len(found) == 1 else torch.cat([part[kind] for part in found], 1)
            trial.effects.append(NewVectors(step.layer, kind, chosen, every, step.whole))
        if is_tied:
            return
        every = mixtures[0] if len(mixtures) == 1 else torch.cat(mixtures, 1)
        for source, head, mixture in zip(step.writes, heads, every, strict=True):
            weight = layer.W_O[head] if multiplier == 1.0 else multiplier * layer.W_O[head]
            changes.note_mixture(MixtureChange(source, weight, mixture), step.whole)

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
            x, short = reading.of_runs(runs), reading.short
            if short is None:
                new = layer.project(letter, changed, x, at, spoils_input=reading.spoils)
            else:
                new = layer.project_changed(letter, changed, x, short.before, short.change[runs], short.written, at)
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
    """Of a batch and its changes, with rooms that others filled more of, and as much for blocks and a run that is kept.

    Args:
        sizes: of the run.
        changed: share of the slots, and of the nodes, that are behind a change.
        device: where it runs.
    """
    batch = max(BATCH_BYTES[machine_kind(device)], changed_input_bytes(sizes, changed))
    return 2 * batch + int(changed * sizes.n_sources * sizes.live * sizes.stream)
