"""The threshold at which ACDC leaves so many edges: bisection, in which every run tells of a whole range of thresholds.

A run's decisions are those of every threshold above the largest rise of an edge that went and at most the smallest
of one that stayed. So the search never asks twice, and ends where no threshold is left between too many edges and
too few: sizes jump, as an edge that goes may take others along.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from acdc.decision import Decision
from acdc.jsondata import check

#: Steps up and down until the budget lies between two runs.
_STEP = 8.0
#: Thresholds whose ratio is as near to 1 are the same.
_SAME = 1e-9


@dataclass(frozen=True)
class Trial:
    """A run at a threshold.

    Attributes:
        threshold: of the run.
        edges: of its circuit.
        above, upto: every threshold above the one and at most the other decides as this one.
    """

    threshold: float
    edges: int
    above: float
    upto: float

    @classmethod
    def of(cls, threshold: float, edges: int, decisions: Iterable[Decision]) -> Trial:
        """That of a run's decisions."""
        above, upto = -math.inf, math.inf
        for decision in decisions:
            rise = decision.after - decision.before
            if decision.kept:
                upto = min(upto, rise)
            else:
                above = max(above, rise)
        return cls(threshold, edges, above, upto)

    def to_json(self) -> dict[str, Any]:
        """As a record has it: no bound is ``null``."""
        found = {"threshold": self.threshold, "edges": self.edges, "from": self.above, "to": self.upto}
        return {name: value if math.isfinite(value) else None for name, value in found.items()}

    @classmethod
    def from_json(cls, given: Any) -> Trial:
        """Read it. Raises :class:`ValueError`."""
        check(given, {"threshold": float, "edges": int, "from": float | None, "to": float | None}, "search")
        for name in ("threshold", "edges"):
            if given[name] < 0:
                raise ValueError(f"search.{name} must be 0 or more, not {given[name]}")
        above, upto = given["from"], given["to"]
        return cls(
            float(given["threshold"]),
            given["edges"],
            -math.inf if above is None else above,
            math.inf if upto is None else upto,
        )


def search(
    run: Callable[[float], Trial], budget: int, first: float, *, known: Sequence[Trial] = (), least: float
) -> Trial:
    """Find the threshold that leaves `budget` edges; where none does, the most edges below it.

    Sizes needn't fall with the threshold everywhere; what is found then is the crossing that bisection leads to.

    Args:
        run: runs a threshold.
        budget: edges, at least 1.
        first: threshold to begin with.
        known: runs that an interrupted search made, in order.
        least: above 0; below it, thresholds are tried no more, but for 0.
    """
    few: list[Trial] = []
    too_many: Trial | None = None  # the one of the largest threshold
    threshold: float | None = first
    made = iter(known)
    while threshold is not None:
        trial = next(made, None) or run(threshold)
        if trial.edges <= budget:
            few.append(trial)
        else:
            too_many = trial
        threshold = None if trial.edges == budget else _next(too_many, few[-1] if few else None, least)
    return max(few, key=lambda trial: (trial.edges, -trial.threshold))


def _next(too_many: Trial | None, few: Trial | None, least: float) -> float | None:
    """The threshold to try between two runs, or beyond the only one; ``None`` where there is none."""
    if few is None:
        assert too_many is not None  # there is a run
        return _STEP * max(too_many.upto, too_many.threshold, least)
    if too_many is None:
        if few.above < 0 or few.threshold == 0:  # 0 itself leaves no more
            return None
        lower = min(few.above, few.threshold) / _STEP
        return lower if lower > least else 0.0
    low, high = too_many.upto, few.above
    if not low < high or high - low <= _SAME * high:
        return None
    if low <= 0:
        return high / _STEP if high / _STEP > least else None
    middle = math.sqrt(low * high)
    return middle if low < middle else high
