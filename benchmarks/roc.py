"""How far a found circuit agrees with a reference circuit, and the area under a ROC curve of several."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise

from acdc.circuit import Circuit
from acdc.errors import SettingsError
from acdc.export.wanted import HasCircuit, circuit_of
from acdc.graph import Graph


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


def check_reference(reference: Circuit | HasCircuit, graph: Graph) -> None:
    """Raise :class:`SettingsError` unless `reference` can be compared with circuits of `graph`."""
    reference = circuit_of(reference)
    # The width of the residual stream has no part in the edges, and files by hand may lack it.
    if replace(reference.graph.cfg, d_model=graph.cfg.d_model) != graph.cfg:
        raise SettingsError(
            f"the reference circuit is of another graph: it has {_in_words(reference.graph)}, "
            f"and the model {_in_words(graph)}."
        )
    if reference.n_edges in (0, graph.n_edges):
        kept = "no edge" if reference.n_edges == 0 else "every edge"
        raise SettingsError(f"the reference circuit keeps {kept}; there is nothing to compare with.")


def _in_words(graph: Graph) -> str:
    cfg = graph.cfg
    blocks = "attention only" if cfg.attn_only else ("parallel MLPs" if cfg.parallel_attn_mlp else "sequential MLPs")
    inputs = "split" if cfg.split_input else "one"
    return f"{graph.n_edges} edges ({cfg.n_layers} layers of {cfg.n_heads} heads, {blocks}, {inputs} input)"


def agreement(found: Circuit | HasCircuit, reference: Circuit | HasCircuit) -> Agreement:
    """Compare two circuits (or those of two runs) of one graph; see :func:`check_reference`."""
    found, reference = circuit_of(found), circuit_of(reference)
    both = int((found.in_graph & reference.in_graph).sum())
    outside = found.graph.n_edges - reference.n_edges
    return Agreement(
        precision=both / found.n_edges if found.n_edges else None,
        recall=both / reference.n_edges,
        false_positive_rate=(found.n_edges - both) / outside,
    )


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
