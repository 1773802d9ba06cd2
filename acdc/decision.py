"""A decision: what a discovery method tried and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from acdc.graph import Node, Slot


@dataclass(frozen=True)
class Decision:
    """One edge (or gate) tried.

    Attributes:
        slot: the slot that the edge leads into.
        source: the node that it comes from; ``None`` for the slot as a whole, its gate.
        before: the metric of the circuit before.
        after: the metric with the edge removed.
        kept: whether the edge stayed.
    """

    slot: Slot
    source: Node | None
    before: float
    after: float
    kept: bool

    @property
    def is_gate(self) -> bool:
        """Whether a whole slot was tried."""
        return self.source is None

    @property
    def edge(self) -> str:
        """As a trace has it: ``m0->a1.h3<k>``, or ``gate:a1.h3<k>`` for a whole slot."""
        return f"gate:{self.slot.name}" if self.source is None else f"{self.source.name}->{self.slot.name}"

    @property
    def left(self) -> float:
        """The metric of the circuit afterwards."""
        return self.before if self.kept else self.after


@dataclass(frozen=True)
class TraceLine:
    """A decision as a trace has it: the edge is a name, which may be any graph's.

    Attributes:
        edge: see :attr:`Decision.edge`.
        before, after, kept: as of a :class:`Decision`.
    """

    edge: str
    before: float
    after: float
    kept: bool

    @classmethod
    def of(cls, decision: Decision) -> TraceLine:
        """The line of a decision."""
        return cls(decision.edge, decision.before, decision.after, decision.kept)
