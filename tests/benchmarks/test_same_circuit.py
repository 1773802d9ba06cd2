"""Circuits held against each other across models, and the rule that chooses them."""

from types import SimpleNamespace

import chosen
import numpy as np
import pytest
from same_circuit import by_chance, heads, overlaps, renamed

from acdc.errors import AcdcError
from acdc.graph import Graph


@pytest.fixture
def graph():
    return Graph.from_config(n_layers=1, n_heads=3, split_input=True)


def mask(graph, *names):
    found = np.zeros(graph.n_edges, dtype=bool)
    found[[graph.edge(name).number for name in names]] = True
    return found


def test_every_head_has_the_same_edges_in_one_order(graph):
    found = heads(graph)
    names = [[graph.edge(number).name.replace(f"a0.h{head}", "a0.h?") for number in found[head]] for head in range(3)]
    assert names[0] == names[1] == names[2]
    assert len(set(names[0])) == len(names[0]) == 8


def test_heads_are_named_so_that_most_is_shared(graph):
    first = mask(graph, "embed->a0.h0<v>", "a0.h0->m0", "a0.h1->logits", "embed->m0")
    second = mask(graph, "embed->a0.h2<v>", "a0.h2->m0", "a0.h0->logits", "m0->logits")
    assert overlaps(graph, first, second, rename=False)[0].both == 0
    edges, nodes = overlaps(graph, first, second, rename=True)
    assert (edges.first, edges.second, edges.both) == (4, 4, 3)
    assert nodes.both == 5  # embed, two heads, the MLP, logits
    assert renamed(first, second, heads(graph)).sum() == second.sum()


def test_chance_lies_where_counting_puts_it(graph):
    size = graph.n_edges // 2
    edges, nodes = by_chance(graph, (size, size), rename=False)
    assert edges == pytest.approx(1 / 3, abs=0.02)
    assert nodes > 0.9
    assert by_chance(graph, (size, size), rename=True)[0] > edges
    assert by_chance(graph, (graph.n_edges, graph.n_edges), rename=False) == (1, 1)


def run(threshold, faithfulness):
    shares = {("circuit", "kl"): faithfulness}
    return SimpleNamespace(threshold=threshold, held_out=SimpleNamespace(share=lambda *asked: shares[asked]))


@pytest.mark.parametrize(("shares", "at"), [([0.2, None, 0.91, 0.95], 2), ([0.9], 0)])
def test_the_largest_threshold_that_is_faithful_enough(monkeypatch, shares, at):
    monkeypatch.setattr(
        chosen,
        "discover",
        lambda *_, threshold, **asked: run(threshold, shares[chosen.THRESHOLDS.index(threshold)]),
    )
    found = chosen.chosen(SimpleNamespace(name="m"), "t", 10, "c")
    assert found.threshold == chosen.THRESHOLDS[at]


def test_none_that_is_faithful_enough_is_said(monkeypatch):
    monkeypatch.setattr(chosen, "discover", lambda *_, threshold, **asked: run(threshold, 0.5))
    with pytest.raises(AcdcError, match=r"t on m: no threshold gives a circuit that is 90% faithful\."):
        chosen.chosen(SimpleNamespace(name="m"), "t", 10, "c")


def test_a_table_in_markdown():
    lines = []
    chosen.table(["a", "b"], [["1", "2"]], lines.append)
    assert lines == ["| a | b |", "| --- | --- |", "| 1 | 2 |"]
