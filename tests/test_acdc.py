"""The decision rule by itself, on an engine whose metric is a plain function of the edges."""

import numpy as np
import pytest

from acdc.decision import TraceLine
from acdc.errors import AcdcError, RunFolderError, SettingsError, UnknownNameError
from acdc.graph import Graph
from acdc.pruning.orders import ORDERS, ordered_parents
from acdc.pruning.pruner import Acdc, AcdcSettings


class Additive:
    """An engine whose metric is the sum of what each removed edge into a node that is read costs."""

    drops_are_free = True

    def __init__(self, graph, costs):
        self.graph, self.costs = graph, costs
        self.kept = np.ones(graph.n_edges, dtype=bool)

    def metric_of(self, kept):
        read = np.zeros(len(self.graph.nodes), dtype=bool)
        read[-1] = True
        for slot in self.graph.slots:
            read[: slot.n_parents] |= kept[slot.edges]
        return float(
            sum(self.costs[slot.edges][~kept[slot.edges]].sum() for slot in self.graph.slots if read[slot.node.index])
        )

    def metric(self):
        return self.metric_of(self.kept)

    def removals(self, groups):
        kept = self.kept.copy()
        for edges in groups:
            kept[edges] = False
            kept[edges] = bool((yield self.metric_of(kept)))

    def remove(self, edges):
        self.kept[edges] = False

    def noise_floor(self):
        return 0.0


GRAPH = Graph.from_config(2, 2)


def costs(seed=0):
    return np.random.default_rng(seed).normal(0.0, 1.0, GRAPH.n_edges)


def run(threshold, seed=0, past=(), **options):
    engine = Additive(GRAPH, costs(seed))
    pruner = Acdc(engine, AcdcSettings(threshold, **options), past=past)
    return pruner, list(pruner.decisions()), engine


def test_an_edge_goes_if_its_removal_raises_the_metric_by_less_than_the_threshold():
    pruner, decisions, _ = run(0.5)
    assert decisions
    for decision in decisions:
        cost = costs()[GRAPH.edge(decision.edge).number]
        assert decision.after - decision.before == pytest.approx(cost)
        assert decision.kept == (cost >= 0.5)
        assert pruner.scores[GRAPH.edge(decision.edge).number] == pytest.approx(cost)


def test_before_is_the_metric_of_the_circuit_so_far():
    _, decisions, engine = run(0.5)
    metric = 0.0
    for decision in decisions:
        assert decision.before == pytest.approx(metric)
        metric = decision.before if decision.kept else decision.after
    assert metric == pytest.approx(engine.metric())


def test_a_removal_that_costs_exactly_the_threshold_is_not_made():
    engine = Additive(GRAPH, np.full(GRAPH.n_edges, 0.0))
    pruner = Acdc(engine, AcdcSettings(0.0))
    list(pruner.decisions())
    assert pruner.kept.all()


def test_a_slot_whose_node_nothing_reads_is_not_tried_and_its_edges_go():
    price = np.zeros(GRAPH.n_edges)
    price[GRAPH.edge("a0.h1->logits").number] = 1.0
    engine = Additive(GRAPH, price)
    pruner = Acdc(engine, AcdcSettings(0.5))
    tried = [decision.edge for decision in pruner.decisions()]
    assert tried[: GRAPH.n_sources] == [f"{node.name}->logits" for node in reversed(GRAPH.sources)]
    assert tried[GRAPH.n_sources :] == ["input->a0.h1<v>", "input->a0.h1<k>", "input->a0.h1<q>"]
    assert [edge.name for edge in GRAPH.edges(pruner.kept)] == ["a0.h1->logits"]
    assert np.array_equal(engine.kept, pruner.kept)
    assert not GRAPH.on_path(pruner.kept).any()
    assert pruner.n_settled == GRAPH.n_edges


def test_slots_are_visited_from_the_output_back_v_then_k_then_q_highest_head_first():
    engine = Additive(GRAPH, np.ones(GRAPH.n_edges))
    slots = list(dict.fromkeys(d.edge.partition("->")[2] for d in Acdc(engine, AcdcSettings(0.5)).decisions()))
    heads = [f"h{h}<{x}>" for x in "vkq" for h in (1, 0)]
    assert slots == ["logits", "m1", *(f"a1.{h}" for h in heads), "m0", *(f"a0.{h}" for h in heads)]


def test_gates_are_tried_before_the_edges_of_their_layer_and_a_closed_one_takes_its_edges_along():
    price = np.ones(GRAPH.n_edges)
    price[GRAPH.slot("a1.h0<k>").edges] = 0.01
    engine = Additive(GRAPH, price)
    pruner = Acdc(engine, AcdcSettings(0.5, gates=True))
    tried = [decision.edge for decision in pruner.decisions()]
    at = tried.index("gate:a1.h1<v>")
    gates = [f"gate:a1.h{h}<{x}>" for x in "vkq" for h in (1, 0)]
    assert tried[at : at + 6] == gates
    assert tried[at + 6] == "m0->a1.h1<v>"
    assert not any(name.endswith("->a1.h0<k>") for name in tried)
    assert not pruner.kept[GRAPH.slot("a1.h0<k>").edges].any()
    assert pruner.n_settled == GRAPH.n_edges
    assert not any(name.startswith("gate:m") or name == "gate:logits" for name in tried)


@pytest.mark.parametrize("order", ["default", "increasing", "random"])
@pytest.mark.parametrize("gates", [False, True])
def test_a_run_that_goes_on_from_any_point_makes_the_same_decisions(order, gates):
    whole, decisions, _ = run(0.5, order=order, gates=gates, seed=2)
    for cut in (0, 1, 7, len(decisions) // 2, len(decisions) - 1, len(decisions)):
        rest, later, engine = run(0.5, order=order, gates=gates, seed=2, past=decisions[:cut])
        assert decisions[:cut] + later == decisions
        assert np.array_equal(rest.kept, whole.kept)
        assert np.array_equal(engine.kept, whole.kept)
        assert np.array_equal(rest.scores, whole.scores)
        assert (rest.n_tried, rest.n_kept, rest.n_settled) == (whole.n_tried, whole.n_kept, whole.n_settled)


def test_a_trace_of_another_run_is_refused():
    _, decisions, _ = run(0.5)
    with pytest.raises(RunFolderError, match="not of this run"):
        run(0.5, order="increasing", past=decisions)
    with pytest.raises(RunFolderError, match="after the run's end"):
        run(0.5, past=[*decisions, TraceLine("m0->logits", 0, 0, True)])


def test_orders_are_permutations_and_differ():
    slot = GRAPH.slot("logits")
    scores = np.random.default_rng(0).normal(size=GRAPH.n_edges)
    orders = {order: ordered_parents(slot, order, 0, scores).tolist() for order in ORDERS}
    assert all(sorted(order) == list(range(slot.n_parents)) for order in orders.values())
    assert orders["increasing"] == orders["default"][::-1] == list(range(slot.n_parents))
    assert orders["random"] != ordered_parents(slot, "random", 1).tolist()
    by_score = scores[slot.edges][orders["attribution"]]
    assert (np.diff(by_score) >= 0).all()


def test_the_order_changes_which_edges_stay():
    """An OR of two edges: whichever is tried first goes."""
    first, second = (GRAPH.edge(name).number for name in ("m1->logits", "m0->logits"))

    class Either(Additive):
        def metric_of(self, kept):
            return 0.0 if kept[first] or kept[second] else 1.0

    def kept_by(order):
        pruner = Acdc(Either(GRAPH, costs()), AcdcSettings(0.5, order=order))
        list(pruner.decisions())
        return {edge.name for edge in GRAPH.edges(pruner.kept)}

    assert kept_by("default") & {"m1->logits", "m0->logits"} == {"m0->logits"}
    assert kept_by("increasing") & {"m1->logits", "m0->logits"} == {"m1->logits"}


@pytest.mark.parametrize("threshold", [-0.1, float("nan"), float("inf")])
def test_a_threshold_that_makes_no_sense_is_refused(threshold):
    with pytest.raises(SettingsError, match="threshold"):
        AcdcSettings(threshold)


def test_an_unknown_order_is_refused_with_the_nearest():
    with pytest.raises(UnknownNameError, match="increasing"):
        AcdcSettings(0.1, order="incraesing")


def test_attribution_order_without_scores_is_refused():
    with pytest.raises(AcdcError, match="attribution"):
        run(0.5, order="attribution")
