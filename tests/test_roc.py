"""Agreement with a reference circuit, and the area under the ROC curve by the ACDC paper's step rule."""

import json
from pathlib import Path

import numpy as np
import pytest

from acdc.circuit import Circuit
from acdc.comparison import Agreement, agreement, mib_area, mib_points, ranking, staircase, step_area
from acdc.errors import SettingsError
from acdc.graph import Graph

PUBLISHED = json.loads((Path(__file__).parent / "data" / "published_roc.json").read_text())
GRAPH = Graph.from_config(1, 1)  # of 8 edges


def test_the_curve_rises_at_each_point_and_not_before():
    assert staircase([(0.5, 0.8), (0.2, 0.6)]) == [
        (0, 0),
        (0.2, 0),
        (0.2, 0.6),
        (0.5, 0.6),
        (0.5, 0.8),
        (1, 0.8),
        (1, 1),
    ]
    # 0.2 * 0 + 0.3 * 0.6 + 0.5 * 0.8; straight lines would give 0.72.
    assert step_area([(0.5, 0.8), (0.2, 0.6)]) == pytest.approx(0.58)


def test_dominated_points_change_nothing():
    best = [(0.2, 0.6), (0.5, 0.8)]
    for worse in [(0.2, 0.5), (0.3, 0.6), (0.3, 0.1), (0.9, 0.7), (0.5, 0.8)]:
        assert staircase([*best, worse]) == staircase(best)
        assert staircase([worse, *best]) == staircase(best)


@pytest.mark.parametrize(
    ("points", "area"),
    [
        ([], 0),
        ([(0, 0)], 0),
        ([(0, 1)], 1),
        ([(0, 0.5)], 0.5),
        ([(1, 1)], 0),
        ([(1, 0.5)], 0),
        ([(0.25, 1)], 0.75),
        ([(0.5, 0.5)], 0.25),
    ],
)
def test_areas_of_few_points(points, area):
    assert step_area(points) == pytest.approx(area)


@pytest.mark.parametrize("cell", [name for name in PUBLISHED if name != "source"])
def test_areas_of_the_paper_come_out(cell):
    cell = PUBLISHED[cell]
    points = [(false / cell["false_edges"], true / cell["true_edges"]) for false, true in cell["points"]]
    assert round(step_area(points), 3) == cell["area"]


@pytest.mark.parametrize(
    ("x", "y", "area"),
    [
        ((0, 1), (0, 1), 0),
        ((0, 1 / 2, 1), (0, 1 / 2, 1), 1 / 4),
        ((0, 1 / 4, 1), (0, 1 / 4, 1), 3 / 16),
        ((0, 1 / 4, 1 / 2, 1), (0, 1 / 4, 1 / 2, 1), 5 / 16),
        ((0, 1 / 4, 3 / 4, 1), (0, 1 / 4, 1 / 2, 1), 4 / 16),
    ],
)
def test_areas_in_the_authors_own_tests_come_out(x, y, area):
    assert step_area(zip(x, y, strict=True)) == pytest.approx(area)


def test_straight_lines_read_higher_on_the_same_points():
    x = [0, 0, 0.001, 0.004, 0.01, 0.03, 0.08, 0.18, 0.49, 1]
    y = [0.05, 0.1, 0.2, 0.4, 0.55, 0.7, 0.8, 0.9, 0.97, 1]
    points = list(zip(x, y, strict=True))
    assert step_area(points) == pytest.approx(0.9028, abs=5e-5)
    assert mib_area(points) == pytest.approx(0.9311, abs=5e-5)


def circuit(*kept):
    mask = np.zeros(GRAPH.n_edges, dtype=bool)
    mask[list(kept)] = True
    return Circuit(GRAPH, mask, np.zeros(GRAPH.n_edges))


def test_agreement_by_hand():
    reference = circuit(0, 1, 2, 3)
    found = agreement(circuit(2, 3, 4), reference)
    assert (found.precision, found.recall, found.false_positive_rate) == (2 / 3, 2 / 4, 1 / 4)
    assert found.f1 == pytest.approx(4 / 7)  # twice both, over the sizes of both
    assert agreement(reference, reference) == Agreement(1, 1, 0)
    assert agreement(reference, reference).f1 == 1


def test_a_circuit_that_found_nothing_or_nothing_right_has_no_f1_to_speak_of():
    reference = circuit(0, 1, 2, 3)
    assert agreement(circuit(), reference) == Agreement(None, 0, 0)
    assert agreement(circuit(4), reference) == Agreement(0, 0, 1 / 4)
    assert agreement(circuit(), reference).f1 == agreement(circuit(4), reference).f1 == 0


def test_a_reference_of_another_graph_or_without_a_border_is_refused():
    other = Graph.from_config(3, 1)
    with pytest.raises(SettingsError, match="reference circuit is of another graph: n_layers 3 against 1"):
        agreement(circuit(1), Circuit(other, np.ones(other.n_edges, bool), np.zeros(other.n_edges)))
    for kept, words in (((), "keeps no edge"), (range(8), "keeps every edge")):
        with pytest.raises(SettingsError, match=words):
            agreement(circuit(1), circuit(*kept))


def test_a_ranking_has_a_point_a_size_and_equals_go_together():
    scores = np.array([-0.9, 0.5, 0.5, 0.0, 0.0, -0.5, 0.0, 0.0])
    assert ranking(scores, circuit(0, 1)) == [(0, 1 / 2), (2 / 6, 1), (1, 1)]
    assert step_area(ranking(scores, circuit(0, 1))) == pytest.approx(1 / 2 * 2 / 6 + 4 / 6)


def test_a_ranking_puts_edges_without_a_score_last_and_infinite_ones_first():
    scores = np.array([np.nan, -np.inf, 0.0, np.inf, 0.3, 0.0, np.nan, 0.0])
    assert ranking(scores, circuit(1, 3)) == [(0, 1), (1 / 6, 1), (4 / 6, 1), (1, 1)]
    assert ranking(np.full(8, np.nan), circuit(1, 3)) == [(1, 1)]
    assert step_area([(1, 1)]) == 0


def test_a_ranking_is_the_area_over_all_its_cuts():
    rng = np.random.default_rng(0)
    graph = Graph.from_config(3, 3)
    scores = rng.choice([0, 0.1, -0.2, 0.3, -0.4], graph.n_edges) * rng.normal(size=graph.n_edges).round(1)
    mask = rng.random(graph.n_edges) < 0.2
    reference = Circuit(graph, mask, scores)
    cuts = [Circuit(graph, np.abs(scores) >= size, scores) for size in np.unique(np.abs(scores))]
    points = [(found.false_positive_rate, found.recall) for found in (agreement(cut, reference) for cut in cuts)]
    assert np.array(sorted(ranking(scores, reference))) == pytest.approx(np.array(sorted(points)))


def test_scores_of_another_graph_are_refused():
    with pytest.raises(SettingsError, match=r"scores must have shape \(8,\), got \(7,\)"):
        ranking(np.zeros(7), circuit(1))


def test_mib_s_area_scales_the_false_positives_and_adds_no_point():
    assert mib_area([(0.25, 0.5), (0.5, 1)]) == pytest.approx(0.5 * 0.75)
    assert mib_area([(0, 0.5), (0.5, 1)]) == mib_area([(0, 0.5), (1, 1)]) == pytest.approx(0.75)
    assert mib_area([]) is mib_area([(0, 1)]) is None


def test_mib_s_circuits_grow_by_magnitude_from_the_logits_and_their_sizes_are_rounded_up():
    names = [edge.name for edge in GRAPH.edges()]
    order = ["m0->logits", "input->m0", "input->logits", "a0.h0->logits", "input->a0.h0<v>"]
    scores = np.zeros(GRAPH.n_edges)
    for rank, name in enumerate(order):
        scores[names.index(name)] = (-1) ** rank * (9 - rank)
    reference = circuit(*map(names.index, order[:2]))
    # of 8 edges: 1 seven times, which is on no path; then 2, 4 (of which 3 are on one) and 8
    assert mib_points(scores, reference) == [(0, 0)] * 7 + [(0, 1), (1 / 6, 1), (1, 1)]
    scores[names.index("input->a0.h0<q>")] = np.nan
    assert mib_points(scores, reference) == [(0, 0)] * 7 + [(0, 1), (1 / 6, 1), (1, 1)]
