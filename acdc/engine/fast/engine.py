"""The fast engine: the decisions of the reference, at a small part of its cost.

It uses that slots are visited from the output back (:mod:`acdc.engine.fast.state`), that most
nodes matter at few positions (:mod:`acdc.engine.fast.downstream`, :mod:`acdc.engine.fast.places`),
and that most edges go: a chain of removals is evaluated in one batch, as far as they are
likely to be accepted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from acdc.engine.fast.chains import KeepRates, chain_length
from acdc.engine.fast.cost import run_cost
from acdc.engine.fast.downstream import Downstream, plan_downstream
from acdc.engine.fast.state import State, Trial
from acdc.engine.fast.tactics import Tactics
from acdc.engine.reference import ReferenceEngine
from acdc.engine.setting import Setting
from acdc.errors import NumericsError
from acdc.graph import Graph, Node, Slot
from acdc.metrics import Metric
from acdc.models.attention import spans_heads
from acdc.models.model import Model

_EVERYTHING = Tactics()


class FastEngine:
    """Computes only what a removal changes; see :class:`acdc.pruning.protocol.Engine`.

    Attributes:
        setting: model, prompts and cached values.
        measure: the metric it reports.
        kept: ``[n_edges]`` bool, the present circuit; at first all edges.
    """

    @torch.no_grad()
    def __init__(self, setting: Setting, measure: Metric, tactics: Tactics = _EVERYTHING) -> None:
        self._reference = ReferenceEngine(setting, measure)
        self.setting, self.measure = setting, measure
        graph = setting.graph
        self.kept = np.ones(graph.n_edges, dtype=bool)
        self._reads = np.zeros((len(graph.slots), graph.n_sources), dtype=bool)  # the kept edges, slot by source
        for slot in graph.slots:
            self._reads[slot.index, : slot.n_parents] = True
        self._tactics = tactics
        self._state = State(setting, measure, tactics)
        self._plan: tuple[int, Downstream] | None = None
        self._pending: list[np.ndarray] = []
        self._tried: dict[bytes, tuple[Trial, int]] = {}  # the last runs, by the edges removed in them
        self._rates = KeepRates()

    #: As users write it.
    name = "fast"

    @staticmethod
    def serves(model: Model) -> bool:
        """Whether it runs a model.

        Not in half precision, where sums of many differences would be rounded at every step.
        Not where heads share a norm behind their sum *and* there is an output bias, whose
        share of the norm would change with every head. Nor where a LayerNorm spans the
        queries or keys of all heads.
        """
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

    @property
    def graph(self) -> Graph:
        """The graph whose edges are removed."""
        return self.setting.graph

    @property
    def drops_are_free(self) -> bool:
        """See :class:`acdc.pruning.protocol.Engine`."""
        return not self.setting.model.tied_heads

    def metric(self) -> float:
        """The metric of the present circuit."""
        self._commit()
        return self._state.metric

    def metric_of(self, kept: np.ndarray) -> float:
        """The metric of any circuit, by the reference engine; what the last batches took is freed for it."""
        self._tried = {}
        self._state.free_scratch()
        return self._reference.metric_of(kept)

    def noise_floor(self) -> float:
        """See :meth:`acdc.engine.reference.ReferenceEngine.noise_floor`."""
        return self._reference.noise_floor()

    def remove(self, edges: np.ndarray) -> None:
        """Take edges out of the present circuit."""
        self.kept[edges] = False
        self._pending.append(np.asarray(edges))

    @torch.no_grad()
    def removals(self, groups: Sequence[np.ndarray]) -> Iterator[float]:
        """The metric after removing the first group, the first two, and so on."""
        self._commit()
        slot = self.graph.edge(groups[0][0]).slot
        down = self._downstream(slot)
        cost = run_cost(self.setting, slot, down, len(self._state.live), len(self._state.answers))
        edges, ends = np.concatenate(groups), np.cumsum([len(group) for group in groups])
        left, x, at, given = int(self._reads[slot.index].sum()), None, 0, 0
        try:
            while at < len(groups):
                runs = 1
                if self._tactics.chains:
                    runs = chain_length(cost, self._rates.predict(slot, self._sources(slot, groups[at:])))
                inputs = self._state.chain(slot, down, left, groups[at : at + runs], x)
                if not at:
                    self._tried = {}  # frees an older batch before the next
                trial = self._state.try_inputs(slot, down, inputs)
                trial.values = trial.values.cpu()  # the only time that the host waits for the device
                values = trial.values.tolist()
                self._tried = dict([*self._tried.items()][-1:] if at else [])  # all given so far are one prefix
                for run, end in enumerate(ends[at : at + runs]):
                    self._tried[edges[:end].tobytes()] = trial, run
                x = inputs[-1]
                left -= sum(len(group) for group in groups[at : at + runs])
                at += runs
                for value in values:
                    if not np.isfinite(value):
                        self._refuse(edges[: ends[given]])
                    given += 1
                    yield value
                    self._learn(slot, groups[given - 1], stayed=False)
        except GeneratorExit:  # a caller that stops does so at a group that stays
            self._learn(slot, groups[given - 1], stayed=True)
            raise

    def _learn(self, slot: Slot, group: np.ndarray, *, stayed: bool) -> None:
        if len(group) == 1:
            self._rates.learn(slot, self._sources(slot, [group])[0], stayed=stayed)

    def _sources(self, slot: Slot, groups: Sequence[np.ndarray]) -> list[Node]:
        """What the first edge of each group comes from."""
        return [self.graph.sources[group[0] - slot.first_edge] for group in groups]

    def _refuse(self, removed: np.ndarray) -> None:
        """Raise :class:`NumericsError` for a metric that is no number; the reference engine knows the prompt."""
        kept = self.kept.copy()
        kept[removed] = False
        self._reference.metric_of(kept)
        raise NumericsError(
            f"the {self.measure.name} of a patched run is NaN or infinite in the fast engine alone; "
            'use `engine="reference"`, and please report it.'
        )

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
            trial, run = self._tried.get(edges.tobytes(), (None, 0))
            if trial is None or not self._tactics.runs_reused:
                value = None if trial is None else trial.values[run]
                inputs = self._state.chain(slot, down, left, [edges])
                trial, run = self._state.try_inputs(slot, down, inputs, score=value is None), 0
                if value is not None:
                    trial.values[0] = value
            trial.commit(run)
            self._state.metric = float(trial.values[run])
            self._tried = {}
