"""The computational graph: counts, order, names, paths."""

import networkx as nx
import numpy as np
import pytest

from acdc.errors import SettingsError, UnknownNameError
from acdc.graph import Graph, GraphConfig


@pytest.mark.parametrize(
    ("shape", "n_edges"),
    [
        ({"n_layers": 12, "n_heads": 12}, 32_491),  # GPT-2 small
        ({"n_layers": 24, "n_heads": 14}, 179_749),  # Qwen2.5-0.5B
        ({"n_layers": 26, "n_heads": 8}, 74_218),  # Gemma-2-2B
        ({"n_layers": 32, "n_heads": 32}, 1_592_881),  # Llama-3.1-8B
    ],
)
def test_edge_counts_are_those_of_the_mib_benchmark(shape, n_edges):
    assert Graph.from_config(**shape).n_edges == n_edges


def test_gpt2_small_has_158_nodes_and_445_slots():
    graph = Graph.from_config(12, 12)
    assert len(graph.nodes) == 158
    assert len(graph.slots) == 12 * (3 * 12 + 1) + 1


def test_edges_of_one_layer_one_head_by_hand():
    graph = Graph.from_config(1, 1)
    assert [edge.name for edge in graph.edges()] == [
        "input->a0.h0<q>",
        "input->a0.h0<k>",
        "input->a0.h0<v>",
        "input->m0",
        "a0.h0->m0",
        "input->logits",
        "a0.h0->logits",
        "m0->logits",
    ]


def test_in_a_parallel_block_the_mlp_does_not_read_its_own_attention():
    sequential = Graph.from_config(3, 4)
    parallel = Graph.from_config(3, 4, parallel_attn_mlp=True)
    lost = {edge.name for edge in sequential.edges()} - {edge.name for edge in parallel.edges()}
    assert lost == {f"a{layer}.h{head}->m{layer}" for layer in range(3) for head in range(4)}
    assert parallel.n_edges == sequential.n_edges - 12
    assert parallel.edge("a0.h0->m1").slot.name == "m1"


def test_attention_only():
    graph = Graph.from_config(2, 8, attn_only=True)
    assert not [node for node in graph.nodes if node.kind == "mlp"]
    assert graph.n_edges == 8 * 3 * 1 + 8 * 3 * 9 + 17


def test_split_input_gives_every_slot_one_more_edge():
    whole, split = Graph.from_config(2, 3), Graph.from_config(2, 3, split_input=True)
    assert [node.name for node in split.nodes[:2]] == ["embed", "pos_embed"]
    assert split.n_edges == whole.n_edges + len(whole.slots)
    with pytest.raises(UnknownNameError):
        split.node("input")


@pytest.mark.parametrize("options", [{}, {"parallel_attn_mlp": True}, {"attn_only": True}, {"split_input": True}])
def test_nodes_and_slots_are_in_topological_order(options):
    graph = Graph.from_config(3, 2, **options)
    assert [node.index for node in graph.nodes] == list(range(len(graph.nodes)))
    assert [slot.index for slot in graph.slots] == list(range(len(graph.slots)))
    assert all(edge.source.index < edge.slot.node.index for edge in graph.edges())
    assert [edge.number for edge in graph.edges()] == list(range(graph.n_edges))
    assert nx.is_directed_acyclic_graph(graph.to_networkx())


def test_slots_within_a_layer_go_q_k_v_then_mlp():
    names = [slot.name for slot in Graph.from_config(2, 2).slots]
    first = ["a0.h0<q>", "a0.h1<q>", "a0.h0<k>", "a0.h1<k>", "a0.h0<v>", "a0.h1<v>", "m0"]
    assert names == first + [name.replace("0.", "1.").replace("m0", "m1") for name in first] + ["logits"]


def test_heads_of_a_layer_do_not_read_each_other():
    graph = Graph.from_config(2, 3)
    with pytest.raises(SettingsError, match=r"a1\.h0 doesn't write before a1\.h2<q> reads"):
        graph.edge("a1.h0->a1.h2<q>")


@pytest.mark.parametrize("options", [{}, {"parallel_attn_mlp": True}, {"attn_only": True}, {"split_input": True}])
def test_an_edge_is_found_by_its_name_and_its_number(options):
    graph = Graph.from_config(3, 2, **options)
    for edge in graph.edges():
        assert graph.edge(edge.name) == edge
        assert graph.edge(edge.number) == edge
        assert graph.edge(np.int64(edge.number)) == edge


def test_edge_names_are_those_of_the_edges():
    graph = Graph.from_config(2, 3)
    assert [name for slot in graph.slots for name in graph.edge_names(slot)] == [edge.name for edge in graph.edges()]


@pytest.mark.parametrize("number", [-1, 32_491, 10**9])
def test_an_edge_number_out_of_range_is_an_error(number):
    with pytest.raises(SettingsError, match=r"0 \.\. 32490"):
        Graph.from_config(12, 12).edge(number)


def test_unknown_names_come_with_the_nearest_ones():
    graph = Graph.from_config(4, 4)
    with pytest.raises(UnknownNameError, match=r"unknown node 'input0': did you mean input"):
        graph.edge("input0->m1")
    with pytest.raises(UnknownNameError, match=r"unknown slot 'a1\.h3<w>': did you mean .*a1\.h3<"):
        graph.edge("m0->a1.h3<w>")
    with pytest.raises(SettingsError, match="edges look like"):
        graph.edge("m0 to m1")


def test_a_head_has_three_slots_an_mlp_one_the_input_none():
    graph = Graph.from_config(2, 2)
    assert [slot.name for slot in graph.slots_of(graph.node("a1.h0"))] == ["a1.h0<q>", "a1.h0<k>", "a1.h0<v>"]
    assert [slot.name for slot in graph.slots_of(graph.node("m1"))] == ["m1"]
    assert graph.slots_of(graph.node("input")) == ()


def test_a_graph_of_nothing_is_an_error():
    for shape in ((0, 1), (1, 0)):
        with pytest.raises(SettingsError, match="at least 1"):
            GraphConfig(*shape)


def edges_on_a_path(graph, mask):
    """The oracle of `on_path`: networkx's reachability."""
    whole = graph.to_networkx(mask)
    whole.add_nodes_from(node.name for node in graph.nodes)
    inputs = ["embed", "pos_embed"] if graph.cfg.split_input else ["input"]
    reached = set(inputs).union(*(nx.descendants(whole, name) for name in inputs))
    useful = {"logits"} | nx.ancestors(whole, "logits")
    return {name for u, v, name in whole.edges(data="name") if u in reached and v in useful}


@pytest.mark.parametrize("options", [{}, {"parallel_attn_mlp": True}, {"attn_only": True}, {"split_input": True}])
@pytest.mark.parametrize("density", [0.02, 0.1, 0.3])
def test_on_path_agrees_with_reachability(options, density):
    graph = Graph.from_config(3, 3, **options)
    rng = np.random.default_rng(int(1000 * density))
    for _ in range(25):
        mask = rng.random(graph.n_edges) < density
        kept = graph.on_path(mask)
        assert {edge.name for edge in graph.edges(kept)} == edges_on_a_path(graph, mask)


def test_on_path_drops_dead_ends_on_both_sides():
    graph = Graph.from_config(3, 1)
    mask = np.zeros(graph.n_edges, dtype=bool)
    for name in ("input->m1", "m1->logits", "input->m0", "m0->a1.h0<q>", "m2->logits"):
        mask[graph.edge(name).number] = True
    assert [edge.name for edge in graph.edges(graph.on_path(mask))] == ["input->m1", "m1->logits"]


def test_on_path_leaves_its_argument_alone_and_keeps_a_full_graph():
    graph = Graph.from_config(2, 2)
    mask = np.ones(graph.n_edges, dtype=bool)
    assert graph.on_path(mask).all()
    alone = np.zeros(graph.n_edges, dtype=bool)
    alone[0] = True
    assert not graph.on_path(alone).any()
    assert alone[0]


@pytest.mark.parametrize("mask", [np.ones(3, dtype=bool), np.ones(8), np.ones(8, dtype=int)])
def test_a_mask_of_another_shape_or_type_is_an_error(mask):
    graph = Graph.from_config(1, 1)
    with pytest.raises(SettingsError, match=r"boolean array of shape \(8,\)"):
        graph.on_path(mask)


def test_to_networkx_names_everything():
    graph = Graph.from_config(2, 2)
    whole = graph.to_networkx()
    assert whole.number_of_nodes() == len(graph.nodes)
    assert whole.number_of_edges() == graph.n_edges
    assert whole.nodes["a1.h0"] == {"kind": "head", "layer": 1, "head": 0}
    assert whole.edges["m0", "a1.h0", "a1.h0<k>"] == {"name": "m0->a1.h0<k>", "letter": "k"}


def test_to_networkx_with_a_mask_leaves_isolated_nodes_out():
    graph = Graph.from_config(2, 2)
    mask = np.zeros(graph.n_edges, dtype=bool)
    mask[graph.edge("input->logits").number] = True
    part = graph.to_networkx(mask)
    assert set(part.nodes) == {"input", "logits"}
    assert list(part.edges(keys=True)) == [("input", "logits", "logits")]


def test_graphs_of_the_same_shape_are_equal():
    assert Graph.from_config(2, 2, 8) == Graph.from_config(2, 2, 8)
    assert len({Graph.from_config(2, 2), Graph.from_config(2, 2), Graph.from_config(2, 3)}) == 2


def test_graphs_of_other_edges_are_told_apart_by_what_differs():
    graph = Graph.from_config(2, 4, d_model=16)
    graph.check_same(Graph.from_config(2, 4, d_model=0))  # the width has no part in the edges
    with pytest.raises(SettingsError, match=r"different graphs: n_layers 2 against 4, n_heads 4 against 3\.$"):
        graph.check_same(Graph.from_config(4, 3, d_model=8))
    for option in ("parallel_attn_mlp", "attn_only", "split_input"):
        with pytest.raises(SettingsError, match=rf": {option} False against True\.$"):
            graph.check_same(Graph.from_config(2, 4, **{option: True}))
