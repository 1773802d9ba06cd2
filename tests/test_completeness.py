"""Nodes taken out of a circuit and of its model: completeness and minimality after Wang et al."""

import numpy as np
import pytest
import torch
from families import random_model
from naive_circuits import Oracle, prompt_pairs, telling

import acdc
from acdc import Circuit, Graph
from acdc.evaluation import completeness as room
from acdc.planted import planted

pytestmark = [pytest.mark.random_models, pytest.mark.drawn]
OPTIONS = {"split": "train", "progress": False, "worst": 0, "completeness": True}
PLANTED = "planted-random-L2-H2-D32-E8-S0"


@pytest.fixture(scope="module", params=["gpt2", "gpt-neox-parallel", "gemma3"])
def drawn(request):
    model = acdc.load_model(random_model(request.param, torch.float64))
    return model, Graph(model.graph_config), telling(model, prompt_pairs(4))


def judged(model, graph, pairs, mask):
    circuit = Circuit(graph, mask, np.zeros(graph.n_edges))
    (found,) = acdc.evaluate(circuit, model, pairs, bos="auto", **OPTIONS)
    return found.completeness


def without(graph, mask, nodes):
    """A mask without all edges from or into some nodes."""
    touched = [edge.source.name in nodes or edge.slot.node.name in nodes for edge in graph.edges()]
    return mask & ~np.array(touched)


def test_the_whole_graph_is_complete_whatever_is_taken_out(drawn):
    model, graph, pairs = drawn
    found = judged(model, graph, pairs, np.ones(graph.n_edges, bool))
    assert [one.incompleteness for one in found.knockouts] == [0] * len(found.knockouts)
    assert max(abs(one.model) for one in found.knockouts) > 1e-3  # something was taken out
    assert found.knockouts[-1].nodes == ()  # nothing sets them apart


def test_every_knockout_is_that_of_whole_patched_runs(drawn):
    model, graph, pairs = drawn
    kept = graph.on_path(np.random.default_rng(0).random(graph.n_edges) < 0.4)
    found, oracle = judged(model, graph, pairs, kept), Oracle(model, pairs)
    whole = np.ones(graph.n_edges, bool)

    def worse(mask):
        return (oracle.differences(whole) - oracle.differences(mask)).mean()

    assert found.behaviour == pytest.approx(worse(~whole), abs=1e-6)
    assert [one.name for one in found.knockouts] == ["none", *(f"random {i}" for i in range(1, 11)), "greedy"]
    for one in (*found.knockouts[:2], found.knockouts[-1]):
        assert one.circuit == pytest.approx(worse(without(graph, kept, one.nodes)), abs=1e-6)
        assert one.model == pytest.approx(worse(without(graph, whole, one.nodes)), abs=1e-6)
        assert one.incompleteness == abs(one.circuit - one.model)
    first, greedy = found.knockouts[0], found.knockouts[-1]
    assert greedy.incompleteness >= first.incompleteness
    nodes = [node.name for node, is_live in zip(graph.nodes, graph.live_nodes(kept), strict=True) if is_live][1:-1]
    for node in nodes[::4]:  # one node after the other, the best first
        single = abs(worse(without(graph, kept, [node])) - worse(without(graph, whole, [node])))
        assert max(greedy.incompleteness, first.incompleteness) >= single - 1e-9
    sets = {one.name: set(one.nodes) for one in found.knockouts[:-1]}
    assert {one.node for one in found.minimality} == set(nodes)
    for one in found.minimality[:2]:
        changes = {
            name: abs(worse(without(graph, kept, out | {one.node})) - worse(without(graph, kept, out - {one.node})))
            for name, out in sets.items()
        }
        assert one.value == pytest.approx(max(changes.values()), abs=1e-6)
        assert changes[one.without] == pytest.approx(one.value, abs=1e-6)
    values = [one.value for one in found.minimality]
    assert values == sorted(values)


def test_a_redundant_node_has_minimality_0_and_a_true_one_has_not():
    made = planted(PLANTED)
    graph, true = made.circuit.graph, made.circuit.in_graph
    spare = next(node for node in graph.sources if node.index and not graph.live_nodes(true)[node.index])
    circuit = made.circuit.with_edges(f"input->{graph.slots_of(spare)[0].name}", f"{spare.name}->logits")
    settings = made.settings
    (found,) = acdc.evaluate(circuit, PLANTED, settings.task, corruption=settings.corruption, n=10, **OPTIONS)
    values = {one.node: one.value for one in found.completeness.minimality}
    assert values.pop(spare.name) == pytest.approx(0, abs=1e-6)
    assert values
    assert min(values.values()) > 1e-3
    assert max(one.incompleteness for one in found.completeness.knockouts) < 1e-4  # the true circuit is complete


def test_roles_of_a_published_circuit_are_taken_out_together(monkeypatch):
    model = acdc.load_model("tiny-tasks")
    graph = Graph(model.graph_config)
    kept = Circuit(graph, np.ones(graph.n_edges, bool), np.zeros(graph.n_edges)).without_nodes("a0.h1")

    class Published:
        circuit = kept
        roles = {"early": ("a0.h0", "a0.h1"), "late": ("a1.h0",), "none of it": ("a0.h1",)}  # noqa: RUF012

    monkeypatch.setattr(room, "reference", lambda name: Published)
    (found,) = acdc.evaluate(kept, model, "ioi", n=3, **OPTIONS)
    groups = {one.name: one.nodes for one in found.completeness.knockouts if not one.name.startswith("random")}
    assert list(groups) == ["none", "early", "late", "greedy"]
    assert (groups["early"], groups["late"]) == (("a0.h0",), ("a1.h0",))


def test_of_another_model_s_published_circuit_nothing_is_taken():
    model = acdc.load_model("tiny-tasks")
    graph = Graph(model.graph_config)
    circuit = Circuit(graph, np.ones(graph.n_edges, bool), np.zeros(graph.n_edges))
    (found,) = acdc.evaluate(circuit, model, "ioi", n=3, **OPTIONS)
    assert {one.name.split()[0] for one in found.completeness.knockouts} == {"none", "random", "greedy"}
