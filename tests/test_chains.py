"""How many removals are evaluated at a time."""

import numpy as np
import pytest

from acdc.engine.base import Outcome
from acdc.engine.fast.chains import Expected, KeepRates, chain_length
from acdc.engine.fast.cost import RunCost
from acdc.graph import Graph, GraphConfig

GRAPH = Graph(GraphConfig(n_layers=3, n_heads=2, d_model=8))


def cost(batch, run, most_runs=1000):
    """Seconds of a batch and of a run in it."""
    return RunCost(flops=0.0, batch=batch, run=run, most_runs=most_runs)


def test_a_chain_ends_at_an_edge_that_nothing_is_known_of_and_not_at_one_that_surely_stays():
    assert chain_length(cost(1.0, 1.0), np.array([0.0, 0.0, 1.0, 0.0, 0.0])) == 5
    assert chain_length(cost(1.0, 1.0), np.array([0.0, 0.0, 0.5, 0.0, 0.0])) == 3
    assert chain_length(cost(0.1, 1.0), np.array([0.5, 0.0, 0.0])) == 1


def test_where_all_edges_surely_go_only_memory_bounds_it():
    assert chain_length(cost(1.0, 1.0), np.zeros(20)) == 20
    assert chain_length(cost(1.0, 1.0, most_runs=6), np.zeros(20)) == 6


def test_the_dearer_a_run_and_the_likelier_a_stay_the_shorter_the_chain():
    even, rare = np.full(50, 0.3), np.full(50, 0.01)
    assert chain_length(cost(1.0, 100.0), even) == 1
    assert 1 < chain_length(cost(10.0, 1.0), even) < chain_length(cost(10.0, 1.0), rare)


@pytest.mark.parametrize("p", [0.02, 0.1, 0.4])
def test_no_other_length_is_cheaper(p):
    """Against a simulation's mean: decisions of a chain of k are those up to the first that stays."""
    stays = np.random.default_rng(0).random((20000, 40)) < p
    first = np.where(stays.any(1), stays.argmax(1) + 1, 40)
    prices = [(5.0 + k) / np.minimum(first, k).mean() for k in range(1, 41)]
    assert prices[chain_length(cost(5.0, 1.0), np.full(40, p)) - 1] < 1.01 * min(prices)


def test_what_stayed_is_expected_to_stay_in_other_slots_of_the_kind():
    rates = KeepRates()
    mlp, heads = GRAPH.node("m0"), [GRAPH.node("a0.h0"), GRAPH.node("a0.h1")]
    for head in (1, 0):
        for source in (mlp, *heads):
            rates.learn(GRAPH.slot(f"a2.h{head}<v>"), source, stayed=source is mlp)
    of_mlp, *of_heads = rates.predict(GRAPH.slot("a1.h1<v>"), [mlp, *heads])
    assert of_mlp > 0.5 > 0.1 > max(of_heads)
    assert rates.predict(GRAPH.slot("a1.h1<k>"), [mlp])[0] == rates.predict(GRAPH.slot("m1"), [heads[0]])[0]


def test_older_decisions_are_forgotten():
    rates, slot, source = KeepRates(), GRAPH.slot("a2.h0<q>"), GRAPH.node("m1")
    for stayed in [True] * 30 + [False] * 10:
        rates.learn(slot, source, stayed=stayed)
    assert rates.predict(slot, [source])[0] < 0.5


def test_what_was_run_in_vain_tells_what_stays():
    """Two edges by which the metric rises much: the first tells from where on they stay, and then so will the other."""
    expected = Expected(KeepRates(), GRAPH.slot("m2"), [[node] for node in GRAPH.sources[:6]])
    assert expected.path(cost(100.0, 1.0), 9) == [False] * 6
    expected.learn(Outcome([False, True], [0.1, 1.0, 1.1, 2.2, 2.3, 2.4]))
    assert expected.at == 2
    assert expected.path(cost(100.0, 1.0), 9) == [False, True, False, False]
    assert expected.path(cost(100.0, 1.0), 2) == [False, True]
    expected.learn(Outcome([False, True], [0.2, 1.2]))
    assert expected.at == 4


def test_what_would_only_seem_to_stay_is_tried_without_much_ado():
    """Rises seen in vain that mislead are believed less and less."""
    rates = KeepRates()
    rates.learn_rise(1.0, np.nan, stayed=True)
    chances = []
    for _ in range(10):
        chances.append(float(rates.sharpened(np.array([0.1]), np.array([3.0]))[0]))
        rates.learn_rise(0.1, 3.0, stayed=False)
    assert chances[0] > 0.5 > chances[-1]
    assert list(rates.sharpened(np.array([0.1, 0.2]), np.array([np.nan, 0.5]))) == [0.1, 0.2]
