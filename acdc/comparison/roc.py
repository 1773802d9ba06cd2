"""How far circuits agree with a reference, and areas under ROC curves: the ACDC paper's rule, and MIB's beside it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from acdc.circuit import Circuit
from acdc.comparison.areas import MIB_SHARES
from acdc.errors import SettingsError
from acdc.graph import Graph
from acdc.selection import Greedy, select


@dataclass(frozen=True)
class Agreement:
    """A found circuit, edge by edge, against a reference.

    Attributes:
        precision: share of the found edges that are in the reference; ``None`` where none was found.
        recall: share of the reference's edges that were found (true positive rate).
        false_positive_rate: share of the edges outside the reference that were found.
    """

    precision: float | None
    recall: float
    false_positive_rate: float

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall; 0 where either is 0 or nothing was found."""
        if not self.precision:
            return 0.0
        return 2 * self.precision * self.recall / (self.precision + self.recall)

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self) | {"f1": self.f1}


def check_reference(reference: Circuit, graph: Graph) -> None:
    """Raise :class:`SettingsError` unless `reference` can be compared with circuits of `graph`."""
    if differences := reference.graph.cfg.differences(graph.cfg):
        raise SettingsError(
            f"the reference circuit is of another graph: {', '.join(differences)}; give one of a model of this shape."
        )
    if reference.n_edges in (0, graph.n_edges):
        kept = "no edge" if reference.n_edges == 0 else "every edge"
        raise SettingsError(f"the reference circuit keeps {kept}; there is nothing to compare with.")


def agreement(found: Circuit, reference: Circuit) -> Agreement:
    """Compare a circuit with a reference. Raises like :func:`check_reference`."""
    check_reference(reference, found.graph)
    both = int((found.in_graph & reference.in_graph).sum())
    outside = found.graph.n_edges - reference.n_edges
    return Agreement(
        precision=both / found.n_edges if found.n_edges else None,
        recall=both / reference.n_edges,
        false_positive_rate=(found.n_edges - both) / outside,
    )


def ranking(scores: np.ndarray, reference: Circuit) -> list[tuple[float, float]]:
    """False and true positive rate at every cut of a ranking of edges by the size of their score, largest first.

    Edges of equal size are in or out together, and those without a score (NaN) come last. The sets at
    the cuts are taken as they are, without leaving out edges on no path.

    Args:
        scores: ``[n_edges]``.
        reference: a circuit that keeps some edges, not all.

    Returns:
        A point a distinct size, the smallest set first; the last one has every edge, ``(1, 1)``.

    Raises:
        SettingsError: `scores` are of another graph, or the reference keeps all edges or none.
    """
    check_reference(reference, reference.graph)
    if scores.shape != reference.in_graph.shape:
        raise SettingsError(f"scores must have shape {reference.in_graph.shape}, got {scores.shape}.")
    sizes = np.where(np.isnan(scores), -1.0, np.abs(scores))
    order = np.argsort(-sizes, kind="stable")
    sizes = sizes[order]
    last = np.flatnonzero(np.append(sizes[1:] != sizes[:-1], True))  # of each run of equals
    true = np.cumsum(reference.in_graph[order])[last] / reference.n_edges
    false = np.cumsum(~reference.in_graph[order])[last] / (len(scores) - reference.n_edges)
    return list(zip(false.tolist(), true.tolist(), strict=True))


def staircase(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Corners of the ACDC paper's ROC curve (arXiv 2304.14997) through some points.

    The end points (0, 0) and (1, 1) are added and points that another one dominates (no
    more false positives, no fewer true ones) are dropped. Between two that are left the
    curve stays at the lower one's height and rises at the end: it promises no circuit
    that wasn't found, where straight lines would promise mixtures of two.

    Args:
        points: false and true positive rate of each circuit, in any order.

    Returns:
        The corners from (0, 0) to (1, 1).
    """
    corners = [(0.0, 0.0)]
    # Of several with one false positive rate, the best comes first and the others are dominated.
    for x, y in sorted([*points, (0.0, 0.0), (1.0, 1.0)], key=lambda point: (point[0], -point[1])):
        if y > corners[-1][1]:
            corners += [(x, corners[-1][1]), (x, y)]
    if corners[-1][0] < 1:  # a circuit with all true edges: the curve goes on at the top
        corners.append((1.0, 1.0))
    return list(dict.fromkeys(corners))


def step_area(points: Iterable[tuple[float, float]]) -> float:
    """Area under :func:`staircase`.

    The trapezoid rule reads higher on the same points (the paper's indirect-object
    circuits: 0.886 in place of 0.869), so that areas by the two can't be compared.
    """
    corners = staircase(points)
    return sum((right - left) * height for (left, height), (right, _) in pairwise(corners))


def mib_points(scores: np.ndarray, reference: Circuit) -> list[tuple[float, float]]:
    """False and true positive rate of circuits of MIB's ten sizes (arXiv 2504.13151), as its code chooses them.

    They grow from the logits by the magnitude of scores, of each share of edges rounded up, and lose what is on no
    path; an edge without a score (NaN) counts as one of 0.

    Args:
        scores: ``[n_edges]``.
        reference: a circuit that keeps some edges, not all.

    Returns:
        A point a size, the smallest first; the last one has every edge, ``(1, 1)``.

    Raises:
        SettingsError: `scores` are of another graph, or the reference keeps all edges or none.
    """
    check_reference(reference, reference.graph)
    graph, kept = reference.graph, reference.in_graph
    known = np.where(np.isnan(scores), 0.0, scores)
    found = []
    for share in MIB_SHARES:
        mask = select(graph, known, Greedy(math.ceil(share * graph.n_edges), "magnitude"))
        both = int((mask & kept).sum())
        found.append(((int(mask.sum()) - both) / (graph.n_edges - reference.n_edges), both / reference.n_edges))
    return found


def mib_area(points: Sequence[tuple[float, float]]) -> float | None:
    """The area under a ROC curve as MIB's code computes it: straight lines between points in their order.

    False positive rates are divided by the last one, and no point is added, so that it isn't the area of
    :func:`step_area`: straight lines promise mixtures of circuits, and what lies before the first point is left out.

    Args:
        points: false and true positive rate of each circuit, by size.

    Returns:
        The area; ``None`` where the last point has no false positive.
    """
    if not points or not (last := points[-1][0]):
        return None
    return sum((right - left) / last * (low + high) / 2 for (left, low), (right, high) in pairwise(points))
