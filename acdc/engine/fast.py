"""The fast engine: the decisions of the reference, at a small part of its cost.

It uses that slots are visited from the output back:

- Everything in front of the slot that is visited still computes clean values, so its input
  is the clean residual stream minus a difference a removed edge.
- Behind it, only nodes that the change reaches through kept edges are recomputed; the rest
  is cached, and an accepted removal becomes the cache.
- A node is computed at the positions that some reader needs (:mod:`acdc.engine.downstream`).
- A chain of removals is evaluated in one batch, as far as they are likely to be accepted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from acdc.engine.changes import Changes
from acdc.engine.downstream import Downstream, HeadStep, MlpStep, Reads, plan_downstream
from acdc.engine.heads import LayerHeads
from acdc.engine.reference import ReferenceEngine
from acdc.engine.scores import HeadChange, KlScorer, make_scorer
from acdc.engine.setting import Setting
from acdc.errors import NumericsError
from acdc.graph import Graph, Slot
from acdc.metrics import Metric
from acdc.models.model import Model

#: Memory that the changes of one batch of patched runs may take, in bytes.
BATCH_BYTES = 128 * 2**20
LONGEST_CHAIN = 128


class FastEngine:
    """Computes only what a removal changes; see :class:`acdc.engine.base.Engine`.

    Attributes:
        setting: model, prompts and cached values.
        measure: the metric it reports.
        kept: ``[n_edges]`` bool, the present circuit; at first all edges.
    """

    @torch.no_grad()
    def __init__(self, setting: Setting, measure: Metric) -> None:
        self._reference = ReferenceEngine(setting, measure)
        self.setting, self.measure = setting, measure
        graph, model = setting.graph, setting.model
        self.kept = np.ones(graph.n_edges, dtype=bool)
        self._reads = np.zeros((len(graph.slots), graph.n_sources), dtype=bool)  # the kept edges, slot by source
        for slot in graph.slots:
            self._reads[slot.index, : slot.n_parents] = True
        self._scorer = make_scorer(setting, measure)
        self._positions = self._scorer.positions  # [batch, answer]
        self._rows = torch.arange(len(setting.prompts), device=model.device)[:, None]
        self._answer_difference = self._at_answers(setting.clean) - self._at_answers(setting.ablated)
        self._layers: list[LayerHeads] = []
        self._mlps = [] if graph.cfg.attn_only else [self._mlp(layer) for layer in range(graph.cfg.n_layers)]
        self._clean_inputs: dict[str, Tensor] = {}  # "a3", "m3", "logits": what is read there, [batch, pos, d_model]
        self._constants: dict[str, Tensor] = {}  # likewise, what of it belongs to no node
        self._run_clean()
        self._inputs: dict[int, Tensor] = {}  # of slots that have changed, [batch, pos or answer, d_model]
        self._mlp_outputs: dict[int, Tensor] = {}  # of MLPs that have changed, likewise
        self._plan: tuple[int, Downstream] | None = None
        self._pending: list[np.ndarray] = []
        # How many removals in a row are likely to be accepted; heads' slots keep far fewer edges than others.
        self._run_lengths = {True: 8.0, False: 2.0}
        self._given: dict[bytes, float] = {}  # metrics of the last chain by the edges removed
        self._metric = float(self._scorer.score(self._input(graph.slots[-1], whole=False)[None])[0])

    #: As users write it.
    name = "fast"

    @staticmethod
    def serves(model: Model) -> bool:
        """Whether it runs a model.

        Not where heads share a norm behind their sum *and* there is an output bias, whose
        share of the norm would change with every head.
        """
        return not any(a.post_norm.kind != "none" and a.b_O is not None for a in model.attention)

    @property
    def graph(self) -> Graph:
        """The graph whose edges are removed."""
        return self.setting.graph

    @property
    def drops_are_free(self) -> bool:
        """See :class:`acdc.engine.base.Engine`."""
        return not self.setting.model.tied_heads

    def metric(self) -> float:
        """The metric of the present circuit."""
        self._commit()
        return self._metric

    def metric_of(self, kept: np.ndarray) -> float:
        """The metric of any circuit, by the reference engine."""
        return self._reference.metric_of(kept)

    def noise_floor(self) -> float:
        """See :meth:`acdc.engine.reference.ReferenceEngine.noise_floor`."""
        return self._reference.noise_floor()

    def remove(self, edges: np.ndarray) -> None:
        """Take edges out of the present circuit."""
        self.kept[edges] = False
        self._pending.append(np.asarray(edges))

    def removals(self, groups: Sequence[np.ndarray]) -> Iterator[float]:
        """The metric after removing the first group, the first two, and so on."""
        self._commit()
        slot = self.graph.edge(groups[0][0]).slot
        down = self._downstream(slot)
        whole = down.whole or slot.letter in ("k", "v")
        x = self._input(slot, whole=whole)
        most = max(1, min(LONGEST_CHAIN, BATCH_BYTES // self._bytes_per_run(slot, down)))
        at = accepted = runs = 0
        kind = slot.letter is not None
        edges, ends = np.concatenate(groups), np.cumsum([len(group) for group in groups])
        self._given.clear()
        left = int(self._reads[slot.index].sum())
        try:
            while at < len(groups):
                runs = min(most, max(1, round(self._run_lengths[kind])), len(groups) - at)
                inputs = self._chain(x, left, slot, groups[at : at + runs], whole)
                values = self._evaluate(slot, down, inputs, commit=False).tolist()
                x = inputs[-1]
                left -= sum(len(group) for group in groups[at : at + runs])
                at += runs
                for value in values:
                    accepted += 1
                    if not np.isfinite(value):
                        self._refuse(edges[: ends[accepted - 1]])
                    self._given[edges[: ends[accepted - 1]].tobytes()] = value
                    yield value
                self._run_lengths[kind] = min(2 * max(runs, self._run_lengths[kind]), LONGEST_CHAIN)
        except GeneratorExit:  # the last one given was kept: what was computed beyond it was in vain
            self._run_lengths[kind] = 0.3 * min(runs, self._run_lengths[kind]) + 0.7 * (accepted - at + runs)
            raise

    def _refuse(self, removed: np.ndarray) -> None:
        """Raise :class:`NumericsError` for a metric that is no number; the reference engine knows the prompt."""
        kept = self.kept.copy()
        kept[removed] = False
        self._reference.metric_of(kept)
        raise NumericsError(
            f"the {self.measure.name} of a patched run is NaN or infinite in the fast engine alone; "
            "use --engine reference, and please report it."
        )

    def _run_clean(self) -> None:
        """Run every layer once on clean inputs and keep what each slot reads."""
        setting, model = self.setting, self.setting.model
        x = setting.inputs.sum(0)
        constant = torch.zeros_like(x)
        filled, length = setting.tokens.filled, setting.tokens.ids.shape[1]
        for layer, attention in enumerate(model.attention):
            self._clean_inputs[f"a{layer}"], self._constants[f"a{layer}"] = x, constant
            heads = LayerHeads(attention, model.table(layer, length), filled, x)
            self._layers.append(heads)
            contributions, rest = attention.contributions(
                torch.stack([z @ w for z, w in zip(heads.z, heads.W_O, strict=True)])
            )
            after = x + contributions.sum(0)
            before, constant = constant, constant if rest is None else constant + rest
            after = after if rest is None else after + rest
            if not self.graph.cfg.attn_only:
                parallel = self.graph.cfg.parallel_attn_mlp
                self._clean_inputs[f"m{layer}"] = x if parallel else after
                self._constants[f"m{layer}"] = before if parallel else constant
                after = after + model.mlp(layer, self._clean_inputs[f"m{layer}"])
            x = after
        self._clean_inputs["logits"], self._constants["logits"] = x, constant

    def _mlp(self, layer: int) -> Callable[[Tensor], Tensor]:
        """An MLP as a function of ``[run, batch, pos, d_model]``."""
        model, plain = self.setting.model, self.setting.model.plain_mlp(layer)

        def run(x: Tensor) -> Tensor:
            y = model.mlp(layer, x.flatten(0, 1)) if plain is None else plain(x.flatten(0, 2))
            return y.view_as(x)

        return run

    def _at_answers(self, x: Tensor) -> Tensor:
        """``[..., batch, pos, d]`` to ``[..., batch, answer, d]``."""
        return x[..., self._rows, self._positions, :]

    def _input(self, slot: Slot, *, whole: bool) -> Tensor:
        """What a slot reads now, ``[batch, pos or answer, d_model]``."""
        if slot.index in self._inputs:
            return self._inputs[slot.index]
        clean = self._clean_inputs[_place(slot)]
        return clean if whole else self._at_answers(clean)

    def _ablated_input(self, slot: Slot, *, whole: bool) -> Tensor:
        """What a slot reads once all its edges are gone, without the rounding of many differences."""
        total = self._constants[_place(slot)] + self.setting.ablated[: slot.n_parents].sum(0)
        return total if whole else self._at_answers(total)

    def _chain(self, x: Tensor, left: int, slot: Slot, groups: Sequence[np.ndarray], whole: bool) -> Tensor:
        """Inputs of a slot after each removal.

        Args:
            x: its input before them, ``[batch, pos or answer, d_model]``.
            left: edges that are in `x`.
            slot: the slot.
            groups: edges to remove, one group after another.
            whole: at every position.

        Returns:
            ``[run, batch, pos or answer, d_model]``
        """
        clean, ablated = self.setting.clean, self.setting.ablated
        inputs = x.new_empty(len(groups), *x.shape)
        for i, edges in enumerate(groups):
            sources = edges - slot.first_edge
            left -= len(edges)
            if left == 0:
                inputs[i] = self._ablated_input(slot, whole=whole)
            elif len(edges) == 1:
                source = int(sources[0])
                difference = clean[source] - ablated[source] if whole else self._answer_difference[source]
                torch.sub(x, difference, out=inputs[i])
            else:
                difference = clean[sources] - ablated[sources] if whole else self._answer_difference[sources]
                torch.sub(x, difference.sum(0), out=inputs[i])
            x = inputs[i]
        return inputs

    def _downstream(self, slot: Slot) -> Downstream:
        if slot.name == "logits":
            return Downstream(first=(), whole=False)
        if self._plan is None or self._plan[0] != slot.node.index:
            down = plan_downstream(self.graph, self._reads, slot.node, self.setting.model.tied_heads)
            self._plan = (slot.node.index, down)
        return self._plan[1]

    def _bytes_per_run(self, slot: Slot, down: Downstream) -> int:
        batch, length, width = self._clean_inputs["logits"].shape
        answers = self._positions.shape[1]
        whole_heads = [len(step.heads) for step in down.steps if isinstance(step, HeadStep)]
        positions = (
            answers * len(down.changed)
            + length * len(down.changed_whole)
            + 3 * length * max([1, *whole_heads])
            + (length if slot.letter in ("k", "v") else answers)
        )
        return batch * positions * width * self._clean_inputs["logits"].element_size()

    @torch.no_grad()
    def _commit(self) -> None:
        """Make the removals that were accepted the cache, a slot at a time in the order of their visits."""
        pending: dict[int, list[np.ndarray]] = {}
        for edges in self._pending:
            pending.setdefault(self.graph.edge(edges[0]).slot.index, []).append(edges)
        self._pending = []
        for index, parts in pending.items():
            slot, edges = self.graph.slots[index], np.concatenate(parts)
            left = int(self._reads[slot.index].sum())
            self._reads[slot.index, edges - slot.first_edge] = False
            is_read = slot.name == "logits" or bool(self._reads[:, slot.node.index].any())
            if not is_read and self.drops_are_free:
                continue
            down = self._downstream(slot)
            if not is_read and not down.first:
                continue
            whole = down.whole or slot.letter in ("k", "v")
            inputs = self._chain(self._input(slot, whole=whole), left, slot, [edges], whole)
            self._inputs[slot.index] = inputs[0]
            known = self._given.get(edges.tobytes())
            values = self._evaluate(slot, down, inputs, commit=True, score=known is None)
            self._metric = float(values[0]) if known is None else known

    @torch.no_grad()
    def _evaluate(self, slot: Slot, down: Downstream, inputs: Tensor, *, commit: bool, score: bool = True) -> Tensor:
        """The metric for each of several inputs of a slot, ``[run]`` in float64.

        Args:
            slot: the slot.
            down: what its node's change reaches.
            inputs: ``[run, batch, pos or answer, d_model]``.
            commit: make what is computed the cache; for one run.
            score: without it, the present metric is given.
        """
        unscored = torch.full((len(inputs),), self._metric, dtype=torch.float64)
        if slot.name == "logits":
            return self._scorer.score(inputs) if score else unscored
        batch, length, _ = self._clean_inputs["logits"].shape
        changes = Changes(down, inputs, batch, self._positions.shape[1], length, self._at_answers)
        if slot.letter is None:
            self._run_mlp(slot, inputs, down.whole, changes, commit)
        else:
            head = slot.node.head
            own = HeadStep(slot.node.layer or 0, (head or 0,), down.whole, {}, down.first)
            self._run_heads(own, {slot.letter: ([0], inputs[None])}, changes, commit)
        for step in down.steps:
            if isinstance(step, MlpStep):
                x = self._changed_inputs(step.reads, changes, commit)[0]
                self._run_mlp(step.reads.slots[0], x, step.whole, changes, commit)
            else:
                given = {}
                for letter, reads in step.reads.items():
                    places = [step.heads.index(found.node.head or 0) for found in reads.slots]
                    given[letter] = (places, self._changed_inputs(reads, changes, commit))
                self._run_heads(step, given, changes, commit)
        if not down.final.any():
            return unscored
        last = self.graph.slots[-1]
        now = self._input(last, whole=False)
        residual = self._changed_inputs(Reads((last,), False, down.final[None]), changes, commit)[0]
        if not score:
            return unscored
        heads = [self._head_change(source, changes) for source in down.final_sources]
        if isinstance(self._scorer, KlScorer) and all(heads):
            known = [head for head in heads if head is not None]
            if self._scorer.is_worth(sum(head.change.shape[-1] for head in known)):
                return self._scorer.score_heads(now, residual, known)
        return self._scorer.score(residual)

    def _head_change(self, source: int, changes: Changes) -> HeadChange | None:
        """How a head's mixture changes, or ``None`` for a source whose change isn't one of a mixture alone."""
        node = self.graph.nodes[source]
        if node.layer is None or node.head is None or source not in changes.mixtures:
            return None
        layer = self._layers[node.layer]
        weight = layer.attention.multiplier * layer.W_O[node.head]
        return HeadChange((node.layer, node.head), weight, changes.mixtures[source])

    def _changed_inputs(self, reads: Reads, changes: Changes, commit: bool) -> Tensor:
        """Inputs of slots behind a change, ``[slot, run, batch, pos or answer, d_model]``."""
        total = changes.read(reads)
        for i, slot in enumerate(reads.slots):
            total[i] += self._input(slot, whole=reads.whole)
            if commit:
                self._inputs[slot.index] = total[i, 0].clone()
        return total

    def _run_mlp(self, slot: Slot, x: Tensor, whole: bool, changes: Changes, commit: bool) -> None:
        source, layer = slot.node.index, slot.node.layer or 0
        out = self._mlps[layer](x)
        before = self._mlp_outputs.get(source)
        if before is None:
            clean = self.setting.clean[source]
            before = clean if whole else self._at_answers(clean)
        if commit:
            self._mlp_outputs[source] = out[0].clone()
        changes.write((out - before)[None], whole)

    def _run_heads(
        self, step: HeadStep, given: dict[str, tuple[list[int], Tensor]], changes: Changes, commit: bool
    ) -> None:
        """Recompute heads and note how what they write changes.

        Args:
            step: which heads.
            given: by letter, places in ``step.heads`` and the new inputs of their slots,
                ``[slot, run, batch, pos or answer, d_model]``.
            changes: where the changes go.
            commit: make what is computed the cache.
        """
        layer, heads = self._layers[step.layer], list(step.heads)
        where = None if step.whole else self._positions
        vectors = {}
        for letter, cache in (("q", layer.q), ("k", layer.k), ("v", layer.v)):
            at_answers = letter == "q" and not step.whole
            now = cache[heads]  # [head, batch, pos, d_head]
            now = (self._at_answers(now) if at_answers else now)[:, None]  # one run for all
            if letter in given:
                places, x = given[letter]
                new = layer.project(letter, [heads[i] for i in places], x, where if at_answers else None)
                if commit:
                    self._store(cache, [heads[i] for i in places], new[:, 0], at_answers)
                if len(places) == len(heads):
                    now = new
                else:
                    now = now.expand(-1, new.shape[1], *now.shape[2:]).clone()
                    now[places] = new
            vectors[letter] = now
        z = layer.mix(vectors["q"], vectors["k"], vectors["v"], where)
        before = layer.z if step.whole else self._at_answers(layer.z)  # [head, batch, pos or answer, d_head]
        change = z - before[heads][:, None]
        raw = torch.matmul(change.flatten(1, 3), layer.W_O[heads]).view(*change.shape[:-1], -1)
        if layer.attention.post_norm.kind == "none":
            multiplier = layer.attention.multiplier
            changes.write(raw if multiplier == 1.0 else multiplier * raw, step.whole)
            for source, mixture in zip(step.writes, self._at_answers(change) if step.whole else change, strict=True):
                changes.mixtures[source] = mixture
        else:
            changes.write(self._shares_changed(step, raw, before), step.whole)
        if commit:
            self._store(layer.z, heads, z[:, 0], not step.whole)

    def _store(self, cache: Tensor, heads: list[int], new: Tensor, at_answers: bool) -> None:
        """Write ``[head, batch, pos or answer, d_head]`` into a cache of all positions."""
        if at_answers:
            index = torch.tensor(heads, device=cache.device)[:, None, None]
            cache[index, self._rows, self._positions] = new
        else:
            cache[heads] = new

    def _shares_changed(self, step: HeadStep, raw: Tensor, before: Tensor) -> Tensor:
        """How heads' shares of a normed sum change, ``[written head, run, batch, pos or answer, d_model]``.

        Args:
            step: the heads that change, and those that write.
            raw: how the outputs of the former change, ``[head, run, batch, pos or answer, d_model]``.
            before: mixtures of all heads before, ``[head, batch, pos or answer, d_head]``.
        """
        layer = self._layers[step.layer]
        outputs = torch.matmul(before.flatten(1, 2), layer.W_O).view(*before.shape[:-1], -1)
        old, _ = layer.attention.contributions(outputs)
        everything = outputs[:, None].repeat(1, raw.shape[1], 1, 1, 1)  # [head, run, batch, pos or answer, d_model]
        everything[list(step.heads)] += raw
        new, _ = layer.attention.contributions(everything)
        start = self.graph.node(f"a{step.layer}.h0").index
        written = [source - start for source in step.writes]
        return new[written] - old[written][:, None]


def _place(slot: Slot) -> str:
    """Slots of a layer's heads read the same clean residual stream."""
    return f"a{slot.node.layer}" if slot.letter else slot.name
