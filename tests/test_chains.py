"""How many removals are evaluated at a time."""

import numpy as np
import pytest

from acdc.engine.fast.chains import LONGEST_CHAIN, KeepRates, chain_length
from acdc.engine.fast.cost import RunCost
from acdc.graph import Graph, GraphConfig

GRAPH = Graph(GraphConfig(n_layers=3, n_heads=2, d_model=8))


def cost(batch, run, most_runs=1000):
    """Seconds of a batch and of a run in it."""
    return RunCost(flops=0.0, batch=batch, run=run, most_runs=most_runs)


def test_a_chain_ends_at_an_edge_that_surely_stays():
    assert chain_length(cost(1.0, 1.0), np.array([0.0, 0.0, 1.0, 0.0, 0.0])) == 3
    assert chain_length(cost(1.0, 1.0), np.array([1.0, 0.0, 0.0])) == 1


def test_where_all_edges_surely_go_only_memory_and_the_longest_chain_bound_it():
    assert chain_length(cost(1.0, 1.0), np.zeros(20)) == 20
    assert chain_length(cost(1.0, 1.0, most_runs=6), np.zeros(20)) == 6
    assert chain_length(cost(1.0, 1.0), np.zeros(1000)) == LONGEST_CHAIN


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
