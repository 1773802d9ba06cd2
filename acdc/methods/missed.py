"""How many of the edges that were dropped untried should have been tried: a bound, by restoring random sets of them.

Kramar et al. 2024 (AtP*, arXiv 2403.00745) patch random subsets of what attribution ranked low. Here random sets
of the dropped edges are put back into the final circuit, and each is run exactly. Say that R of the n dropped edges
change the metric by more than tau. A random set of s of them holds none with the chance ``C(n - R, s) / C(n, s)``.
So R is too large where as few sets as were seen to change the metric by more than tau would be less likely than the
risk. A set that changes it without such an edge in it, by many small ones, only makes the bound larger. Sizes are
halved until no set of a size has an effect, and a last time to one edge; each size takes its share of the risk.

A larger set shows what one of its edges does, unless others in it undo that: the bound supposes that they don't.
That of single edges supposes nothing, and is wider.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

#: How sure the bound is, and how many sets of each size are run.
CONFIDENCE, SETS = 0.95, 20


@dataclass(frozen=True)
class SizeTest:
    """Sets of one size.

    Attributes:
        size: edges of a set.
        sets: that were restored, each drawn by itself.
        over: those of them that changed the metric by more than the threshold.
    """

    size: int
    sets: int
    over: int

    def to_json(self) -> dict[str, int]:
        """As a record has it."""
        return {"size": self.size, "sets": self.sets, "over": self.over}


@dataclass(frozen=True)
class Missed:
    """What is known of the edges that were dropped untried.

    Attributes:
        edges: how many were.
        threshold: the change of the metric that counts.
        at_most: so many of them, with 95 % confidence, change it by more, unless edges restored together undo each
            other's effects.
        at_most_alone: likewise, by sets of one edge, without that condition.
        tests: what was run.
    """

    edges: int
    threshold: float
    at_most: int
    at_most_alone: int
    tests: tuple[SizeTest, ...]

    def to_json(self) -> dict[str, Any]:
        """As a record has it."""
        return {
            "edges": self.edges,
            "threshold": self.threshold,
            "confidence": CONFIDENCE,
            "at_most": self.at_most,
            "at_most_alone": self.at_most_alone,
            "tests": [test.to_json() for test in self.tests],
        }


def missed(
    metrics: Callable[[Iterable[np.ndarray]], Sequence[float]],
    circuit: np.ndarray,
    dropped: np.ndarray,
    threshold: float,
    seed: int,
    at: Callable[[int], None] = lambda done: None,
) -> Missed:
    """Bound how many dropped edges change the metric of a circuit by more than a threshold when they are restored.

    Args:
        metrics: runs circuits, ``[n_edges]`` bool each.
        circuit: ``[n_edges]`` bool.
        dropped: numbers of the edges that were dropped untried.
        threshold: the change that counts.
        seed: of the sets.
        at: is told how many circuits were run.
    """
    n, sizes = len(dropped), halvings(len(dropped))
    if not n:
        return Missed(0, threshold, 0, 0, ())
    draws, before = np.random.default_rng(seed), metrics([circuit])[0]
    tests: list[SizeTest] = []
    for number, size in enumerate(sizes):
        if size > 1 and tests and not tests[-1].over:
            continue  # smaller sets without an effect tell less
        sets = []
        for _ in range(SETS):
            restored = circuit.copy()
            restored[draws.choice(dropped, size, replace=False)] = True
            sets.append(restored)
        over = sum(abs(value - before) > threshold for value in metrics(sets))
        tests.append(SizeTest(size, SETS, over))
        at((number + 1) * SETS)
    risk = 1 - CONFIDENCE
    of_sizes = [at_most(n, test, risk / len(sizes)) for test in tests]
    return Missed(n, threshold, min(of_sizes), at_most(n, tests[-1], risk), tuple(tests))


def halvings(n: int) -> list[int]:
    """Sizes of sets of `n` edges: the half, the half of it, and so on to 1; of one edge, itself."""
    sizes = []
    while n > 1:
        n //= 2
        sizes.append(n)
    return sizes or [n]


def at_most(n: int, test: SizeTest, risk: float) -> int:
    """The most edges with an effect among `n` that a test leaves possible at a risk of being wrong."""
    low, high = 0, n  # of R, `high` isn't refused or is all there is
    while low < high:
        middle = (low + high) // 2
        if _chance_of_so_few(n, middle + 1, test) <= risk:
            high = middle
        else:
            low = middle + 1
    return low


def _chance_of_so_few(n: int, effective: int, test: SizeTest) -> float:
    """The chance that no more sets than were seen hold one of the effective edges."""
    clean = _chance_of_none(n, effective, test.size)
    chances = (
        math.comb(test.sets, over) * (1 - clean) ** over * clean ** (test.sets - over) for over in range(test.over + 1)
    )
    return math.fsum(chances)


def _chance_of_none(n: int, effective: int, size: int) -> float:
    """The chance that a set of `size` of `n` edges holds none of the effective ones."""
    if effective + size > n:
        return 0.0

    def log_choices(k: int) -> float:
        return math.lgamma(n - k + 1) - math.lgamma(size + 1) - math.lgamma(n - k - size + 1)

    return math.exp(log_choices(effective) - log_choices(0))
