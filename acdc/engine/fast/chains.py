"""Which removals to evaluate at a time.

A batch reads every weight once, however many runs it holds; a run adds arithmetic. So a batch
follows a path: each run removes its own edge on top of all before it that are expected to go.
An edge that is expected to stay is tried, too, and is back behind its own run. Where one does
otherwise, what was run beyond it was in vain: so a path should end where that is likely.

What stays is much the same from slot to slot (values that read MLPs, say), so the last
decisions about edges from the same node, and from nodes of its kind, tell, and cost nothing.
And runs in vain tell how much the metric rises by the next edges, though on top of another
circuit: beside the largest rise of an edge that went, and the smallest of one that stayed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from acdc.engine.base import Outcome
from acdc.engine.fast.cost import RunCost
from acdc.graph import Node, Slot

#: Removals in a batch on a CPU, at most.
LONGEST_CHAIN = 128
#: An older decision about the same node's edges counts so much less with every newer one.
_FORGET = 0.8
#: As many decisions of its own weigh as much as those about all nodes of its kind.
_PRIOR_WEIGHT = 2.0
#: With so many decisions about a kind of node, all of them are made to count half.
_KIND_MEMORY = 100.0
#: Edges that stayed and that were tried, to begin with, by how a rise that was seen in vain compares: at most half of
#: the largest of an edge that went; at most that; more, but less than the smallest of one that stayed (which tells
#: nothing); less than twice that; more.
_RISES = ((0.02, 4.0), (0.4, 4.0), (2.0, 4.0), (3.2, 4.0), (3.9, 4.0))
_UNTOLD = 2


class KeepRates:
    """How often edges stayed, by the kind of slot and by what they come from."""

    def __init__(self) -> None:
        self._of_kind: dict[tuple[str, str], list[float]] = {}  # stayed, tried; half of one at first
        self._of_node: dict[tuple[str, int], list[float]] = {}
        self._of_rise = [list(rate) for rate in _RISES]
        self._went, self._stayed = -np.inf, np.inf  # the largest rise of an edge that went, the smallest of the others

    def predict(self, slot: Slot, sources: Sequence[Node]) -> np.ndarray:
        """Chance that an edge from each source into a slot stays, ``[source]``."""
        into = _kind(slot)
        found = np.empty(len(sources))
        for i, source in enumerate(sources):
            stayed, tried = self._of_kind.get((into, source.kind), (0.5, 5.0))
            own_stayed, own_tried = self._of_node.get((into, source.index), (0.0, 0.0))
            found[i] = (own_stayed + _PRIOR_WEIGHT * stayed / tried) / (own_tried + _PRIOR_WEIGHT)
        return found

    def sharpened(self, chances: np.ndarray, seen: np.ndarray) -> np.ndarray:
        """Chances to stay, ``[group]``, with what runs in vain have shown of rises, ``[group]``, NaN where nothing."""
        kinds = [self._kind_of_rise(rise) for rise in seen.tolist()]
        told = [self._of_rise[kind][0] / self._of_rise[kind][1] for kind in kinds]
        return np.where([kind == _UNTOLD for kind in kinds], chances, told)

    def learn_rise(self, rise: float, seen: float, *, stayed: bool) -> None:
        """Count a decision, with the rise of the metric and what was seen of it in vain; either may be NaN."""
        kind = self._kind_of_rise(seen)
        if kind != _UNTOLD:
            _count(self._of_rise[kind], stayed)
        if stayed:
            self._stayed = min(self._stayed, rise if rise == rise else np.inf)
        else:
            self._went = max(self._went, rise if rise == rise else -np.inf)

    def _kind_of_rise(self, seen: float) -> int:
        if not np.isfinite(seen) or self._went < seen < self._stayed:
            return _UNTOLD
        if seen <= self._went:
            return 0 if seen <= self._went / 2 else 1
        return 3 if seen < 2 * self._stayed else 4

    def learn(self, slot: Slot, source: Node, *, stayed: bool) -> None:
        """Count a decision."""
        into = _kind(slot)
        _count(self._of_kind.setdefault((into, source.kind), [0.5, 5.0]), stayed)
        rate = self._of_node.setdefault((into, source.index), [0.0, 0.0])
        rate[0] = rate[0] * _FORGET + stayed
        rate[1] = rate[1] * _FORGET + 1


class Expected:
    """What is expected of groups of a slot's edges, and what has become of those that were decided on.

    Attributes:
        at: how many were decided on.
    """

    def __init__(self, rates: KeepRates, slot: Slot, sources: Sequence[Sequence[Node]]) -> None:
        """Begin with the first group.

        Args:
            rates: what stayed before; learns.
            slot: the slot.
            sources: what the edges of each group come from.
        """
        self._rates, self._slot, self._sources = rates, slot, sources
        self.at = 0
        self._seen = np.full(len(sources), np.nan)  # [group] rise of the metric, on the last path that it was tried on
        self._before = np.nan  # the metric, as far as this knows
        self._stay: list[bool] = []  # of the last path

    def path(self, cost: RunCost, longest: int) -> list[bool]:
        """Which of the next groups to expect to stay, as many as are worth it to be tried at a time.

        Args:
            cost: of batches and runs.
            longest: at most so many.
        """
        first = [own[0] for own in self._sources[self.at : self.at + longest]]
        chances = self._rates.sharpened(self._rates.predict(self._slot, first), self._seen[self.at :][: len(first)])
        self._stay = (chances > 0.5)[: chain_length(cost, chances)].tolist()
        return self._stay

    def learn(self, outcome: Outcome) -> None:
        """Go on behind what was decided of the last path."""
        start, before = self.at, self._before
        rises = []
        for value, stays in zip(outcome.values, self._stay, strict=False):
            rises.append(value - before)
            before = before if stays else value
        for stayed, rise, value in zip(outcome.stayed, rises, outcome.values, strict=False):
            own = self._sources[self.at]
            self._rates.learn_rise(rise, self._seen[self.at], stayed=stayed)
            if len(own) == 1:
                self._rates.learn(self._slot, own[0], stayed=stayed)
            self._before = self._before if stayed else value
            self.at += 1
        self._seen[start : start + len(rises)] = rises


def chain_length(cost: RunCost, chances: np.ndarray) -> int:
    """How many removals to evaluate at a time, so that a decision is cheapest.

    With F the cost of a batch and C that of a run, k runs cost F + k C, and decide as many
    edges as come before the first that does otherwise than is likelier, and that one.

    Args:
        cost: of batches and runs.
        chances: ``[removal]`` of each to stay, in the order of the chain; at least one.
    """
    chances = chances[: cost.most_runs]
    right = np.maximum(chances, 1 - chances)
    reached = np.cumprod(np.concatenate(([1.0], right[:-1])))  # [removal] chance that all before it do as expected
    runs = np.arange(1, len(chances) + 1)
    return 1 + int(np.argmin((cost.batch + runs * cost.run) / np.cumsum(reached)))


def _count(rate: list[float], stayed: bool) -> None:
    rate[0] += stayed
    rate[1] += 1
    if rate[1] > _KIND_MEMORY:
        rate[0], rate[1] = rate[0] / 2, rate[1] / 2


def _kind(slot: Slot) -> str:
    return slot.letter or slot.node.kind
