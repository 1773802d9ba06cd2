"""From scores to circuits: what each rule chooses, ties, pruning, and what makes no sense."""

import heapq
import json

import numpy as np
import pytest

from acdc.errors import SettingsError, UnknownNameError
from acdc.graph import Graph
from acdc.selection import Above, Greedy, Top, select

GRAPH = Graph.from_config(2, 2)


def scores_of(graph=GRAPH, **named):
    """0 for every edge but those given, by names in which ``__`` stands for ``->``."""
    scores = np.zeros(graph.n_edges)
    for name, score in named.items():
        scores[graph.edge(name.replace("__", "->").replace("_h", ".h")).number] = score
    return scores


def names(mask, graph=GRAPH):
    return [edge.name for edge in graph.edges(mask)]


def naive_greedy(graph, keys, n):
    """All edges into the circuit in one queue."""
    chosen, inside, queue = np.zeros(graph.n_edges, dtype=bool), {"logits"}, []
    into = {}
    for edge in graph.edges():
        into.setdefault(edge.slot.node.name, []).append(edge)
    for edge in into["logits"]:
        heapq.heappush(queue, (-keys[edge.number], edge.number))
    while queue and n:
        edge = graph.edge(heapq.heappop(queue)[1])
        chosen[edge.number], n = True, n - 1
        if edge.source.name not in inside:
            inside.add(edge.source.name)
            for other in into.get(edge.source.name, []):
                heapq.heappush(queue, (-keys[other.number], other.number))
    return graph.on_path(chosen)


def test_top_takes_the_largest_by_magnitude_or_value_and_prunes():
    scores = scores_of(input__m0=-3.0, m0__logits=-2.0, m1__logits=1.0, input__logits=0.5)
    assert names(select(GRAPH, scores, Top(2))) == ["input->m0", "m0->logits"]
    assert names(select(GRAPH, scores, Top(3))) == ["input->m0", "m0->logits"]  # nothing feeds m1
    assert names(select(GRAPH, scores, Top(2, by="value"))) == ["input->logits"]
    assert names(select(GRAPH, scores, Top(1))) == []


def test_above_keeps_what_acdc_keeps_at_that_threshold():
    scores = scores_of(input__m0=0.25, m0__logits=0.25, input__m1=-0.5, m1__logits=0.5)
    assert names(select(GRAPH, scores, Above(0.25))) == ["input->m0", "input->m1", "m0->logits", "m1->logits"]
    assert names(select(GRAPH, scores, Above(0.25, by="value"))) == ["input->m0", "m0->logits"]
    assert names(select(GRAPH, scores, Above(0.26, by="value"))) == []
    assert select(GRAPH, scores, Above(0)).all()
    assert select(GRAPH, scores, Above(-1, by="value")).all()


@pytest.mark.parametrize("by", ["magnitude", "value"])
@pytest.mark.parametrize("options", [{}, {"parallel_attn_mlp": True}, {"attn_only": True}, {"split_input": True}])
def test_greedy_is_the_plain_search_with_many_ties(options, by):
    graph = Graph.from_config(3, 2, **options)
    rng = np.random.default_rng(0)
    for n in (1, 3, 10, 40, graph.n_edges):
        scores = rng.integers(-3, 4, graph.n_edges).astype(float)
        keys = np.abs(scores) if by == "magnitude" else scores
        np.testing.assert_array_equal(select(graph, scores, Greedy(n, by=by)), naive_greedy(graph, keys, n))


def test_greedy_and_top_differ_where_the_best_edges_hang_in_the_air():
    scores = scores_of(input__m0=5.0, m0__m1=4.0, m1__logits=0.1, input__logits=0.2)
    assert names(select(GRAPH, scores, Top(2))) == []
    assert names(select(GRAPH, scores, Greedy(2))) == ["input->logits"]
    assert names(select(GRAPH, scores, Greedy(4))) == ["input->m0", "m0->m1", "input->logits", "m1->logits"]


def test_ties_go_to_the_lower_number():
    ones = np.ones(GRAPH.n_edges)
    for n in (1, 7, 20):
        expected = np.zeros(GRAPH.n_edges, dtype=bool)
        expected[:n] = True
        np.testing.assert_array_equal(select(GRAPH, ones, Top(n)), GRAPH.on_path(expected))
    assert names(select(GRAPH, ones, Greedy(1))) == ["input->logits"]


def test_infinite_scores_rank_and_whole_numbers_are_scores():
    scores = scores_of(input__logits=np.inf, input__m0=-np.inf, m0__logits=1.0)
    assert names(select(GRAPH, scores, Top(1, by="value"))) == ["input->logits"]
    assert select(GRAPH, np.arange(GRAPH.n_edges), Top(GRAPH.n_edges)).all()


def test_the_graph_of_an_eight_billion_model_takes_seconds():
    graph = Graph.from_config(32, 32)
    scores = np.random.default_rng(0).standard_normal(graph.n_edges)
    assert 0 < select(graph, scores, Greedy(20_000)).sum() <= 20_000
    assert select(graph, scores, Above(1.0)).any()


def test_a_file_says_the_rule():
    found = [one.to_json() for one in (Top(100), Above(0.5, by="value"), Greedy(np.int64(3)))]
    assert json.loads(json.dumps(found)) == [
        {"top": 100, "by": "magnitude"},
        {"above": 0.5, "by": "value"},
        {"greedy": 3, "by": "magnitude"},
    ]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Top(0), "a selection takes at least 1 edge, not 0"),
        (lambda: Top(-5), "at least 1 edge"),
        (lambda: Greedy(0), "at least 1 edge"),
        (lambda: Top(2.5), "`n` must be a whole number"),
        (lambda: Top(True), "`n` must be a whole number"),
        (lambda: Above("0.1"), "`threshold` must be a number"),
        (lambda: Above(float("nan")), "must be a finite number"),
        (lambda: Above(float("inf"), by="value"), "must be a finite number"),
        (lambda: Above(-0.1), "keeps every edge"),
        (lambda: Top(3, by=None), "`by` must be a name"),
        (lambda: select(GRAPH, np.zeros(GRAPH.n_edges), 100), r"Top\(100\)"),
        (lambda: select(GRAPH, np.zeros(GRAPH.n_edges), Top), r"Top\(100\)"),
        (lambda: select(GRAPH, np.zeros(3), Top(1)), r"numbers of shape \(46,\), got float64 of shape \(3,\)"),
        (lambda: select(GRAPH, np.zeros(GRAPH.n_edges, dtype=bool), Top(1)), "got bool"),
        (lambda: select(GRAPH, np.zeros((1, GRAPH.n_edges)), Top(1)), r"shape \(1, 46\)"),
        (lambda: select(GRAPH, np.full(GRAPH.n_edges, 1j), Top(1)), "got complex128"),
        (
            lambda: select(GRAPH, np.zeros(GRAPH.n_edges), Top(47)),
            "a selection of 47 edges is more than the 46 of the graph",
        ),
        (lambda: select(GRAPH, np.zeros(GRAPH.n_edges), Greedy(47)), "more than the 46"),
        (lambda: select(GRAPH, scores_of(m0__logits=np.nan), Top(1)), r"score of m0->logits is no number \(as 1 of 46"),
    ],
)
def test_what_makes_no_sense_is_refused(make, says):
    with pytest.raises(SettingsError, match=says):
        make()


def test_an_unknown_ranking_names_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean magnitude"):
        Top(3, by="magnitudes")
