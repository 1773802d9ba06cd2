"""The fast engine: the decisions of the reference, at a small part of its cost.

It uses that slots are visited from the output back, so that what never changes
(:mod:`acdc.engine.fast.baseline`) gives a slot's input and only nodes behind it are recomputed
(:mod:`acdc.engine.fast.recomputing`) from the circuit's present values
(:mod:`acdc.engine.fast.present`); that most nodes matter at few positions
(:mod:`acdc.engine.fast.downstream`, :mod:`acdc.engine.fast.places`); and that it shows beforehand
which edges will stay: a chain of removals is evaluated in one batch, as far as that is likely to be right
(:mod:`acdc.engine.fast.chains`).
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace

import numpy as np
import torch

from acdc.engine.base import Outcome, Path, PruningEngine
from acdc.engine.fast.alone import Alone
from acdc.engine.fast.anew import Anew
from acdc.engine.fast.baseline import run_clean
from acdc.engine.fast.begun import run_circuit
from acdc.engine.fast.chains import LONGEST_CHAIN, Expected, KeepRates
from acdc.engine.fast.cost import machine_kind, run_cost
from acdc.engine.fast.downstream import Downstream, plan_downstream
from acdc.engine.fast.heads import LayerHeads
from acdc.engine.fast.mlps import LayerMlp
from acdc.engine.fast.present import Layers, Present
from acdc.engine.fast.recomputing import Recomputing
from acdc.engine.fast.scores import make_scorer
from acdc.engine.fast.scratch import Scratch
from acdc.engine.fast.tactics import Tactics
from acdc.engine.fast.trial import Trial
from acdc.engine.once import anew
from acdc.engine.setting import Setting
from acdc.graph import Slot
from acdc.metrics import Metric
from acdc.models.attention import spans_heads
from acdc.models.model import Model
from acdc.pruning.shrinking import Groups

_EVERYTHING = Tactics()


class FastEngine(PruningEngine):
    """Computes only what a removal changes; see :class:`acdc.pruning.protocol.Pruning`."""

    #: As users write it.
    name = "fast"

    @torch.no_grad()
    def __init__(self, setting: Setting, measure: Metric, tactics: Tactics = _EVERYTHING) -> None:
        """Begin with the whole graph.

        Args:
            setting: model, prompts and cached values.
            measure: the metric to report.
            tactics: what is saved; no decision depends on it.
        """
        super().__init__(setting, measure)
        self._anew = Anew(setting, measure)
        graph, model = setting.graph, setting.model
        self._reads = np.zeros((len(graph.slots), graph.n_sources), dtype=bool)  # the kept edges, slot by source
        for slot in graph.slots:
            self._reads[slot.index, : slot.n_parents] = True
        self._tactics = tactics
        self._scratch = Scratch()
        self._is_shared = setting.once is not anew
        self._baseline, clean = setting.once(("whole model", tactics), lambda: run_clean(setting, tactics))
        #: Live places and answers that lengths of chains are reckoned by: those of its prompts, unless it is told
        #: others, so that engines on parts of the prompts compute equally far ahead.
        self.places = len(self._baseline.live), len(self._baseline.answers)
        self._layers = layers = [
            LayerHeads(attention, model.table(layer, setting.tokens), setting.tokens.filled)
            for layer, attention in enumerate(model.attention)
        ]
        read, live = clean.read_by_heads, self._baseline.live
        vectors = Layers(lambda layer: layers[layer].vectors(read[layer], live))
        if model.device.type != "cpu":
            vectors.make_now(range(len(layers)))
        n_mlps = len(clean.mlp_outputs)
        self._mlps = [LayerMlp(model, layer, self._scratch, keeps_copies=True) for layer in range(n_mlps)]
        #: Removals in a batch, at most. Where a batch costs as much as many runs, only memory bounds it.
        longest = LONGEST_CHAIN if machine_kind(model.device) == "cpu" else graph.n_sources
        self._longest = longest if tactics.chains else 1
        self._scorer = make_scorer(setting, measure, self._anew.noise_floor)
        self._alone: Alone | None = None
        self._begin(Present(self._baseline, vectors, list(clean.mlp_outputs)))

    def _begin(self, present: Present) -> None:
        """Begin with a circuit's values."""
        self._present = present
        self._recomputing = Recomputing(
            self._baseline, present, self._layers, self._mlps, self._scorer, self._scratch, self._tactics
        )
        present.metric = float(self._scorer.score(present.input(self.graph.slots[-1], whole=False)[None])[0])
        self._plan: tuple[int, Downstream] | None = None  # of a node
        self._pending: list[tuple[Slot, np.ndarray]] = []
        self._tried: dict[bytes, tuple[Trial, int]] = {}  # the last runs, by the edges removed in them
        self._rates = KeepRates()

    @torch.no_grad()
    def begin_again(self) -> None:
        """See :meth:`acdc.pruning.protocol.Pruning.begin_again`."""
        super().begin_again()
        kept = self._circuit.kept
        for slot in self.graph.slots:
            self._reads[slot.index, : slot.n_parents] = kept[slot.edges]
        self._tried, self._alone = {}, None
        self._scratch.clear()
        if self._is_shared:  # whose differences other engines need
            self._baseline = replace(self._baseline, difference=torch.empty_like(self._baseline.difference))
            self._is_shared = False
        self._baseline, run = run_circuit(self._baseline, self._layers, kept)
        self._begin(Present(self._baseline, dict(enumerate(run.vectors)), run.mlp_outputs, run.inputs))

    @torch.no_grad()
    def _effects(self, slot: Slot) -> np.ndarray:
        if self._alone is None:
            self._alone = Alone(self._baseline, self._present.vectors, self._layers, self._mlps, self._scorer)
        values = self._alone.values(slot, self._present.metric)
        if (bad := np.flatnonzero(~np.isfinite(values))).size:
            kept = self.kept
            kept[slot.first_edge + bad[:1]] = False
            self.refuse(kept)
        return values - self._present.metric

    @staticmethod
    def serves(model: Model) -> bool:
        """Whether it runs a model.

        Not in half precision, where sums of many differences would be rounded at every step.
        Not where heads share a norm behind their sum *and* there is an output bias, whose
        share of the norm would change with every head. Nor where a LayerNorm spans the
        queries or keys of all heads. Nor where patterns or norms are frozen.
        """
        if model.frozen:
            return False
        if torch.finfo(model.dtype).bits < 32:
            return False
        for attention in model.attention:
            if attention.post_norm.kind != "none" and attention.b_O is not None:
                return False
            for letter in "qk":
                weight, _, norm, _ = attention.parts(letter)
                if norm.kind == "layer" and spans_heads(norm, weight):
                    return False
        return True

    def metric(self) -> float:
        """The metric of the present circuit."""
        self._commit()
        return self._present.metric

    def metric_of(self, kept: np.ndarray) -> float:
        """The metric of any circuit, run from the beginning; what the last batches took is freed for it."""
        self._tried = {}
        self._scratch.clear()
        return self._anew.metric_of(kept)

    def noise_floor(self) -> float:
        """See :meth:`acdc.engine.reference.ReferenceEngine.noise_floor`."""
        return self._anew.noise_floor()

    def _removed(self, slot: Slot, edges: np.ndarray) -> None:
        self._pending.append((slot, edges))

    @torch.no_grad()
    def ahead(self, groups: Groups) -> Generator[Path, Outcome, None]:
        """A batch for each path, as long as is likely to be right; see :meth:`acdc.engine.base.PruningEngine.ahead`."""
        self._commit()
        slot, sources = groups.slot, groups.sources()
        down = self._reached(slot)
        if down is None:
            n = len(groups)
            while n:
                n -= len((yield Path([self._present.metric] * n, [False] * n)).stayed)
            return
        expected = Expected(self._rates, slot, [[self.graph.nodes[source] for source in own] for own in sources])
        cost = run_cost(self.setting, slot, down, *self.places, self._scorer.outputs)
        gone, left, x = b"", int(self._reads[slot.index].sum()), None  # key of what went so far, and what that leaves
        while (at := expected.at) < len(groups):
            stay = expected.path(cost, self._longest)
            trial, run = self._tried.get(gone, (None, 0))
            self._tried = {} if trial is None else {gone: (trial.only(run), 0)}  # which the next batch spoils
            inputs = self._recomputing.chain(slot, down, left, sources[at : at + len(stay)], stay, x)
            trial = self._recomputing.run(slot, down, inputs)
            trial.values = trial.values.cpu()  # the only time that the host waits for the device
            keys = _keys(groups, at, stay, gone)
            self._tried |= {key: (trial, run) for run, key in enumerate(keys)}
            outcome = yield Path(trial.values.tolist(), stay)
            expected.learn(outcome)
            went = [i for i, stayed in enumerate(outcome.stayed) if not stayed]
            if went:
                gone, x = keys[went[-1]], inputs[went[-1]].clone()
                left -= sum(len(sources[at + i]) for i in went)

    def _reached(self, slot: Slot) -> Downstream | None:
        """What a slot's node reaches, or those that share a norm with it; ``None`` if that is nothing."""
        is_read = slot.name == "logits" or bool(self._reads[:, slot.node.index].any())
        if not is_read and self.drops_are_free:
            return None
        down = self._downstream(slot)
        return down if is_read or down.first else None

    def _downstream(self, slot: Slot) -> Downstream:
        if slot.name == "logits":
            return Downstream(first=(), whole=False)
        if self._plan is None or self._plan[0] != slot.node.index:
            down = plan_downstream(
                self.graph,
                self._reads,
                slot.node,
                tied_heads=self.setting.model.tied_heads,
                answers_only=self._tactics.answers_only,
            )
            self._plan = (slot.node.index, down)
        return self._plan[1]

    @torch.no_grad()
    def _commit(self) -> None:
        """Make the removals that were accepted the cache, a slot at a time in the order of their visits."""
        pending: dict[int, list[np.ndarray]] = {}
        for slot, edges in self._pending:
            pending.setdefault(slot.index, []).append(edges)
        self._pending = []
        for number, parts in pending.items():
            slot, edges = self.graph.slots[number], np.concatenate(parts)
            left = int(self._reads[number].sum())
            sources = edges - slot.first_edge
            self._reads[number, sources] = False
            if self._plan is not None and self._plan[0] != slot.node.index:
                self._plan = None  # it may have gone through this slot
            down = self._reached(slot)
            if down is None:
                continue
            trial, run = self._tried.get(edges.tobytes(), (None, 0))
            if trial is None or not self._tactics.runs_reused:
                value = None if trial is None else trial.values[run]
                inputs = self._recomputing.chain(slot, down, left, [sources.tolist()])
                trial, run = self._recomputing.run(slot, down, inputs, score=value is None), 0
                if value is not None:
                    trial.values[0] = value
            self._present.take(trial, run)
            self._tried = {}


def _keys(groups: Groups, at: int, stay: Sequence[bool], gone: bytes) -> list[bytes]:
    """What is removed in each run of a path that begins at a group, behind what has gone."""
    found = []
    for i, stays in enumerate(stay, start=at):
        found.append(gone + groups[i].tobytes())
        gone = gone if stays else found[-1]
    return found
