"""A decision: what a discovery method tried and what came of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Decision:
    """One edge (or gate) tried.

    Attributes:
        edge: ``m0->a1.h3<k>``, or ``gate:a1.h3<k>`` for a whole slot.
        before: the metric of the circuit before.
        after: the metric with the edge removed.
        kept: whether the edge stayed.
    """

    edge: str
    before: float
    after: float
    kept: bool
