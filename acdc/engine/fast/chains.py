"""How many removals to evaluate at a time.

A batch reads every weight once, however many runs it holds; a run adds arithmetic. Where an
edge stays, what was run beyond it was in vain: the next edges are tried without its removal.
So a chain should end at an edge that is likely to stay. What stays is much the same from
slot to slot (values that read MLPs, say), so the last decisions about edges from the same
node, and from nodes of its kind, tell, and cost nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from acdc.engine.fast.cost import RunCost
from acdc.graph import Node, Slot

LONGEST_CHAIN = 128
#: An older decision about the same node's edges counts so much less with every newer one.
_FORGET = 0.8
#: As many decisions of its own weigh as much as those about all nodes of its kind.
_PRIOR_WEIGHT = 2.0
#: With so many decisions about a kind of node, all of them are made to count half.
_KIND_MEMORY = 100.0


class KeepRates:
    """How often edges stayed, by the kind of slot and by what they come from."""

    def __init__(self) -> None:
        self._of_kind: dict[tuple[str, str], list[float]] = {}  # stayed, tried; half of one at first
        self._of_node: dict[tuple[str, int], list[float]] = {}

    def predict(self, slot: Slot, sources: Sequence[Node]) -> np.ndarray:
        """Chance that an edge from each source into a slot stays, ``[source]``."""
        into = _kind(slot)
        found = np.empty(len(sources))
        for i, source in enumerate(sources):
            stayed, tried = self._of_kind.get((into, source.kind), (0.5, 5.0))
            own_stayed, own_tried = self._of_node.get((into, source.index), (0.0, 0.0))
            found[i] = (own_stayed + _PRIOR_WEIGHT * stayed / tried) / (own_tried + _PRIOR_WEIGHT)
        return found

    def learn(self, slot: Slot, source: Node, *, stayed: bool) -> None:
        """Count a decision."""
        into = _kind(slot)
        rate = self._of_kind.setdefault((into, source.kind), [0.5, 5.0])
        rate[0] += stayed
        rate[1] += 1
        if rate[1] > _KIND_MEMORY:
            rate[0], rate[1] = rate[0] / 2, rate[1] / 2
        rate = self._of_node.setdefault((into, source.index), [0.0, 0.0])
        rate[0] = rate[0] * _FORGET + stayed
        rate[1] = rate[1] * _FORGET + 1


def chain_length(cost: RunCost, chances: np.ndarray) -> int:
    """How many removals to evaluate at a time, so that a decision is cheapest.

    With F the cost of a batch and C that of a run, k runs cost F + k C, and decide as many
    edges as come before the first that stays, and that one.

    Args:
        cost: of batches and runs.
        chances: ``[removal]`` of each to stay, in the order of the chain; at least one.
    """
    chances = chances[: min(LONGEST_CHAIN, cost.most_runs)]
    reached = np.cumprod(np.concatenate(([1.0], 1 - chances[:-1])))  # [removal] chance that all before it go
    runs = np.arange(1, len(chances) + 1)
    return 1 + int(np.argmin((cost.batch + runs * cost.run) / np.cumsum(reached)))


def _kind(slot: Slot) -> str:
    return slot.letter or slot.node.kind
