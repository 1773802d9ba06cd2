"""ACDC: greedy removal of edges from the output back (Conmy et al. 2023, arXiv 2304.14997, Algorithm 1).

Slots are visited from ``logits`` back; in each, parents are tried one after another, and
with H the circuit so far an edge e goes if

    metric(H without e) - metric(H) < threshold

The difference is signed: an edge whose removal helps goes. A slot whose node has no kept
edge out is not tried; its edges go. With *gates*, as in the authors' code, each q, k and v
slot is first tried as a whole; a closed gate takes all edges into its slot along, untried.

With *passes*, the edges that are left are tried once more in the circuit that they make, from the output back, until
a pass takes nothing away: an edge that was needed while another was there may not be any more.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from acdc.asked import check_options, option
from acdc.decision import Decision, TraceLine
from acdc.errors import RunFolderError, SettingsError
from acdc.graph import Graph, Node, Slot
from acdc.pruning.orders import ORDERS, check_order, ordered_parents
from acdc.pruning.protocol import Pruning

#: How far a metric may be from that of an earlier run of the same circuit, since other machines and versions sum
#: otherwise: so many noise floors, and such a share of it or of the threshold.
_FAR, _SHARE = 10, 1e-3


@dataclass(frozen=True)
class AcdcSettings:
    """What decides the outcome, besides engine and prompts.

    Attributes:
        threshold: largest rise of the metric that a removal may cost; at least 0.
        order: see :mod:`acdc.pruning.orders`.
        gates: try each q, k and v slot as a whole before its edges.
        seed: for the random order.
        passes: how often to go through the circuit at most; a pass that takes nothing away is the last.
        budget: edges of the circuit, whose threshold is searched for; 0 for none, where the threshold is given.

    Raises:
        SettingsError: an option is of another type, or makes no sense.
        UnknownNameError: no such order.
    """

    threshold: float = option(0.01, "Largest rise of the metric for an edge.")
    order: str = option("default", f"{', '.join(ORDERS[:-1])} or {ORDERS[-1]}.")
    gates: bool = option(False, "Try each q, k and v slot as a whole first, as the original code does.")
    seed: int = option(0, "Of the random order.")
    passes: int = option(1, "Go over the kept edges until nothing more goes, at most so often.", later=True)
    budget: int = option(0, "Search for the threshold that leaves so many edges; 0: no search.", later=True)

    def __post_init__(self) -> None:
        check_options(self)
        if not (math.isfinite(self.threshold) and self.threshold >= 0):
            raise SettingsError(f"the threshold must be a number of at least 0, got {self.threshold}.")
        if self.seed < 0:
            raise SettingsError(f"the seed must be at least 0, got {self.seed}.")
        if self.passes < 1:
            raise SettingsError(f"`passes` must be at least 1, not {self.passes}.")
        if self.budget < 0:
            raise SettingsError(f"`budget` must be at least 1 edge, or 0 for no budget, not {self.budget}.")
        check_order(self.order)


def visiting_order(graph: Graph) -> Iterator[list[Slot]]:
    """Slots in the order in which they are visited: ``logits``; then, from the top, a layer's MLP and its heads.

    Each list is tried together when gates are on: all of a layer's v, k and q slots, the
    highest head first.
    """
    yield [graph.slot("logits")]
    for layer in reversed(range(graph.cfg.n_layers)):
        if not graph.cfg.attn_only:
            yield [graph.slot(f"m{layer}")]
        heads = list(reversed(range(graph.cfg.n_heads)))
        yield [graph.slot(f"a{layer}.h{head}<{letter}>") for letter in "vkq" for head in heads]


class Acdc:
    """One run of the pruner, decision by decision.

    Iterate over :meth:`decisions`; afterwards (or in between) read the attributes.

    Attributes:
        kept: ``[n_edges]`` bool, edges not removed so far.
        scores: ``[n_edges]`` float64, the metric's change when an edge was tried; else 0.
        made: the decisions so far, replayed ones too.
        n_kept: edges that stayed when they were tried, in the pass that is going on or was the last.
        n_settled: edges kept or gone for good, of those that this pass began with.
        n_to_settle: those that this pass began with.
        n_passes: passes so far, the one that is going on too.
    """

    def __init__(
        self,
        engine: Pruning,
        settings: AcdcSettings,
        *,
        attribution: np.ndarray | None = None,
        past: Iterable[Decision | TraceLine] = (),
        kept: np.ndarray | None = None,
        noise: float | None = None,
    ) -> None:
        """Set up a run.

        Args:
            engine: runs the circuits.
            settings: threshold and options.
            attribution: ``[n_edges]``, for the order of that name.
            past: decisions of an interrupted run, which are replayed, not tried again.
            kept: ``[n_edges]`` bool, the circuit that the engine begins with; by default the whole graph.
            noise: how far rounding alone moves the metric; the metric that the past decisions left is compared
                with the engine's. ``None`` to believe it, where the engine can't run anything.
        """
        self.engine = engine
        self.settings = settings
        self._attribution = attribution
        self._past = deque(past)
        self._noise = noise if self._past else None  # there is something to compare
        self.kept = np.ones(engine.graph.n_edges, dtype=bool) if kept is None else kept.copy()
        self.scores = np.zeros(engine.graph.n_edges)
        self.made: list[Decision] = []
        self.n_kept = 0
        self.n_settled = self.n_passes = 0
        self.n_to_settle = int(self.kept.sum())
        self._metric: float | None = None  # of the present circuit; None: ask the engine
        self._edges_out = np.zeros(engine.graph.n_sources, dtype=np.int64)  # kept ones, of each node

    @property
    def n_tried(self) -> int:
        """Edges and gates tried so far."""
        return len(self.made)

    def counts(self, noise: float) -> dict[str, float]:
        """What a record says of the decisions; of those within `noise`, rounding could have turned each."""
        margins = (decision.after - decision.before - self.settings.threshold for decision in self.made)
        return {
            "tried": self.n_tried,
            "kept": self.n_kept,
            "within_noise": sum(abs(margin) < noise for margin in margins),
            **({"passes": self.n_passes} if self.settings.passes > 1 else {}),
            **({"last_metric": self.made[-1].left} if self.made else {}),
        }

    def decisions(self) -> Iterator[Decision]:
        """Run to the end, yielding each new decision; replayed ones are not yielded.

        Raises:
            RunFolderError: a past decision isn't the one that this run makes; names its line in the trace.
        """
        while self.n_passes < self.settings.passes:
            if self.n_passes:
                self._begin_again()
            self.n_passes += 1
            self.n_to_settle = int(self.kept.sum())
            yield from self._pass()
            if int(self.kept.sum()) == self.n_to_settle:
                break
        if self._past:
            raise RunFolderError(
                f"line {self.n_tried + 1}: the trace goes on after the run's end, with {self._past[0].edge}; "
                "it is not of this run."
            )
        self._check_left()

    def _begin_again(self) -> None:
        """Let the kept edges be tried once more."""
        if not self._past:
            self._check_left()
        self.engine.begin_again()
        self._metric = None  # the engine has computed it anew
        self.n_kept = self.n_settled = 0
        self._edges_out[:] = 0

    def _pass(self) -> Iterator[Decision]:
        """Try each edge of the circuit once."""
        for slots in visiting_order(self.engine.graph):
            gated = self.settings.gates and slots[0].letter is not None
            if gated:
                gates = [slot for slot in slots if self._is_read(slot)]
                yield from self._gates(gates)
            for slot in slots:
                if not self._is_read(slot):
                    self._drop(slot)
                elif self.kept[slot.edges].any():
                    yield from self._edges(slot)
            for slot in slots:
                self._edges_out[: slot.n_parents] += self.kept[slot.edges]

    def _left_in(self, slot: Slot) -> np.ndarray:
        """Numbers of the edges into a slot that are left, ascending."""
        return slot.first_edge + np.flatnonzero(self.kept[slot.edges])

    def _is_read(self, slot: Slot) -> bool:
        """Whether something in the circuit reads what the slot's node writes."""
        return slot.name == "logits" or bool(self._edges_out[slot.node.index])

    def _drop(self, slot: Slot) -> None:
        edges = self._left_in(slot)
        if not edges.size:
            return
        self._take_out(edges)
        self.n_settled += len(edges)
        if not self.engine.drops_are_free:
            self._metric = None

    def _gates(self, slots: Sequence[Slot]) -> Iterator[Decision]:
        for slot in slots:
            edges = self._left_in(slot)
            if not edges.size:
                continue
            yield from self._try(slot, [None], [edges])
            if not self.kept[edges].any():
                self.n_settled += len(edges)

    def _edges(self, slot: Slot) -> Iterator[Decision]:
        parents = ordered_parents(slot, self.settings.order, self.settings.seed, self._attribution)
        parents = parents[self.kept[slot.edges][parents]]
        nodes = self.engine.graph.nodes
        groups = [np.array([slot.first_edge + parent]) for parent in parents]
        yield from self._try(slot, [nodes[parent] for parent in parents], groups)

    def _try(self, slot: Slot, sources: Sequence[Node | None], groups: list[np.ndarray]) -> Iterator[Decision]:
        """Decide on groups of a slot's edges, one after another; ``None`` is the source of all of them."""
        at = 0
        while self._past and at < len(groups):
            self._settle(self._replayed(slot, sources[at]), groups[at], commit=True)
            at += 1
        if at < len(groups):
            self._check_left()
            yield from self._decide(slot, sources[at:], groups[at:])

    def _decide(self, slot: Slot, sources: Sequence[Node | None], groups: Sequence[np.ndarray]) -> Iterator[Decision]:
        """Ask the engine about groups, and let it remove those that go."""
        if self._metric is None:
            self._metric = self.engine.metric()
        removals, kept, accepted = self.engine.removals(groups), None, []
        for source, edges in zip(sources, groups, strict=True):
            after = removals.send(kept)
            kept = self._stays(self._metric, after)
            decision = Decision(slot, source, self._metric, after, kept)
            self._settle(decision, edges, commit=False)
            if not kept:
                accepted.append(edges)
            yield decision
        with suppress(StopIteration):  # there is no other
            removals.send(kept)
        if accepted:
            self.engine.remove(np.concatenate(accepted))

    def _check_left(self) -> None:
        """Raise :class:`RunFolderError` unless the engine has the metric that the last past decision left."""
        noise, self._noise = self._noise, None
        if noise is None or self._metric is None:
            return
        now = self.engine.metric()
        size = max(abs(now), abs(self._metric), self.settings.threshold)
        if not abs(now - self._metric) <= _FAR * noise + _SHARE * size:
            raise RunFolderError(
                f"line {self.n_tried}: the trace leaves the metric at {self._metric!r}, and the rest of the model has "
                f"{now!r}; it was changed, or the metric was."
            )

    def _settle(self, decision: Decision, edges: np.ndarray, *, commit: bool) -> None:
        if not decision.is_gate:
            self.scores[edges] = decision.after - decision.before
            self.n_settled += len(edges)
            self.n_kept += decision.kept
        self.made.append(decision)
        self._metric = decision.left
        if not decision.kept:
            self.kept[edges] = False
            if commit:
                self.engine.remove(edges)

    def _take_out(self, edges: np.ndarray) -> None:
        self.kept[edges] = False
        self.engine.remove(edges)

    def _replayed(self, slot: Slot, source: Node | None) -> Decision:
        """The next past decision. Raises :class:`RunFolderError` unless this run would have made it."""
        past, line = self._past.popleft(), self.n_tried + 1
        decision = Decision(slot, source, past.before, past.after, past.kept)
        name = decision.edge
        if past.edge != name:
            raise RunFolderError(
                f"line {line}: the trace has {past.edge} where this run tries {name}; it is not of this run."
            )
        if self._metric is not None and decision.before != self._metric:
            raise RunFolderError(
                f"line {line}: the trace has {name} begin at {decision.before!r}, where the line above left "
                f"{self._metric!r}; it was changed."
            )
        if decision.kept != self._stays(decision.before, decision.after):
            raise RunFolderError(
                f"line {line}: the trace has {name} {'stay' if decision.kept else 'go'}, but from "
                f"{decision.before!r} to {decision.after!r} it {'goes' if decision.kept else 'stays'} at a threshold "
                f"of {self.settings.threshold:g}; it was changed, or is not of this run."
            )
        return decision

    def _stays(self, before: float, after: float) -> bool:
        """The decision rule."""
        return not after - before < self.settings.threshold
