"""Circuits written for EAP-IG and MIB: an independent reader of their format finds what was written."""

import numpy as np
import pytest
from eap_ig_reader import all_edges, read_json, read_pt

from acdc import Circuit, Graph, Provenance, export_circuit
from acdc.errors import SettingsError
from acdc.export.eap_ig import ties, write_eap_ig
from acdc.interchange import open_circuit, ranking

READERS = {".json": read_json, ".pt": read_pt}


def drawn(graph, seed=0, found=None, share=0.2):
    """A random circuit without ties, all of it on paths."""
    rng = np.random.default_rng(seed)
    in_graph = graph.on_path(rng.random(graph.n_edges) < share)
    assert in_graph.any()
    return Circuit(graph, in_graph, rng.standard_normal(graph.n_edges), found or Provenance())


@pytest.mark.parametrize("ending", READERS)
@pytest.mark.parametrize("options", [{}, {"parallel_attn_mlp": True}])
def test_an_independent_reader_finds_the_circuit(tmp_path, ending, options):
    circuit = drawn(Graph.from_config(3, 4, 16, **options))
    edges, nodes = READERS[ending](write_eap_ig(circuit, tmp_path / f"c{ending}"))
    assert edges.keys() == {edge.name for edge in circuit.graph.edges()}
    for edge in circuit.graph.edges():
        score, kept = edges[edge.name]
        assert kept == circuit.in_graph[edge.number]
        assert score == np.float32(circuit.scores[edge.number])
    assert nodes | {"logits"} == {node.name for node in circuit.nodes()}


@pytest.mark.parametrize("ending", READERS)
def test_what_is_written_opens_again(tmp_path, ending):
    circuit = drawn(Graph.from_config(2, 3, 8, parallel_attn_mlp=True))
    again = open_circuit(export_circuit(circuit, "eap-ig", tmp_path / f"c{ending}"))
    assert again.graph == circuit.graph
    np.testing.assert_array_equal(again.in_graph, circuit.in_graph)
    np.testing.assert_array_equal(again.scores.astype(np.float32), circuit.scores.astype(np.float32))


@pytest.mark.parametrize("ending", READERS)
@pytest.mark.parametrize(
    ("options", "says"),
    [({"split_input": True}, "one node for the input"), ({"attn_only": True}, "gives every layer an MLP")],
)
def test_what_eap_ig_would_misread_is_refused_with_the_reason(tmp_path, ending, options, says):
    with pytest.raises(SettingsError, match=says):
        write_eap_ig(drawn(Graph.from_config(2, 3, 8, **options)), tmp_path / f"c{ending}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ending", READERS)
@pytest.mark.parametrize("score", [np.nan, np.inf, -np.inf, 1e39])
def test_a_score_that_it_can_not_read_is_refused_and_named(tmp_path, ending, score):
    circuit = drawn(Graph.from_config(2, 3, 8))
    circuit.scores[circuit.graph.edge("m0->logits").number] = score
    with pytest.raises(SettingsError, match=r"1 of \d+ scores are no finite numbers .*m0->logits: "):
        write_eap_ig(circuit, tmp_path / f"c{ending}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ending", READERS)
def test_unknown_scores_are_written_as_ties(tmp_path, ending):
    circuit = drawn(Graph.from_config(2, 3, 8))
    circuit.scores[:] = np.nan
    edges, _ = READERS[ending](write_eap_ig(circuit, tmp_path / f"c{ending}"))
    assert {name for name, (_, kept) in edges.items() if kept} == {edge.name for edge in circuit}
    assert {score for score, _ in edges.values()} == {0.0}
    assert ties(circuit).startswith("75 of 75 edges share their score with others, 75 of them the score 0: ")


def test_ties_at_zero_are_counted_also_those_of_single_precision():
    circuit = drawn(Graph.from_config(2, 3, 8))
    circuit.scores[:5] = 0, 0, 0, 1e-60, -1e-60
    assert ties(circuit).startswith("5 of 75 edges share their score with others, 5 of them the score 0: ")
    circuit.scores[1:5] = 1, 2, 3, 4
    assert ties(circuit) is None


def test_the_same_circuit_gives_the_same_file(tmp_path):
    circuit = drawn(Graph.from_config(2, 3, 8))
    for ending in READERS:
        one, other = (write_eap_ig(circuit, tmp_path / f"{name}{ending}").read_bytes() for name in "ab")
        assert one == other


def acdc_at(threshold, *kept, **changes):
    graph = changes.pop("graph", Graph.from_config(2, 2, 8))
    options = {"threshold": threshold, "order": "default", "gates": False, "seed": 0} | changes.pop("options", {})
    fields = {"task": "ioi", "model": "gpt2", "method": "acdc", "metric": "kl", "ablation": "corrupted", "n_prompts": 9}
    mask = np.zeros(graph.n_edges, dtype=bool)
    mask[[graph.edge(name).number for name in kept]] = True
    return Circuit(graph, mask, np.zeros(graph.n_edges), Provenance(**fields | changes, options=options))


LOOSE = ("input->m0", "m0->logits", "input->logits")


def test_a_ranking_scores_edges_by_the_largest_threshold_that_keeps_them(tmp_path):
    sweep = [
        acdc_at(0.01, *LOOSE),
        acdc_at(0.1, "input->logits"),
        acdc_at(0.05, "input->m0", "m0->logits"),  # not one inside the other: orders differ
    ]
    ranked = ranking([one.measured(metric_circuit=0.5) for one in sweep])
    scores = {edge.name: ranked.scores[edge.number] for edge in ranked.graph.edges() if ranked.scores[edge.number]}
    assert scores == {"input->m0": 0.05, "m0->logits": 0.05, "input->logits": 0.1}
    assert {edge.name for edge in ranked} == set(LOOSE)
    assert ranked.found.options == {"order": "default", "gates": False, "seed": 0, "thresholds": [0.1, 0.05, 0.01]}
    assert not ranked.found.has_figures
    assert ties(ranked).startswith("45 of 46 edges share their score with others, 43 of them the score 0 (no threshold")
    assert "more thresholds" in ties(ranked)
    assert "sweep" not in ties(ranked)  # it has been one
    edges, _ = read_pt(write_eap_ig(ranked, tmp_path / "c.pt"))
    assert edges["input->logits"] == (np.float32(0.1), True)
    ranked.save(tmp_path / "c.json")
    assert Circuit.load(tmp_path / "c.json").found == ranked.found


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (
            lambda: acdc_at(0.02, *LOOSE, graph=Graph.from_config(3, 2, 8)),
            "don't belong together: .*n_layers 2 against 3",
        ),
        (lambda: acdc_at(0.02, *LOOSE, model="pythia"), "model 'gpt2' against 'pythia'"),
        (lambda: acdc_at(0.02, *LOOSE, task="acronyms"), "task 'ioi' against 'acronyms'"),
        (lambda: acdc_at(0.02, *LOOSE, metric="l2"), "metric 'kl' against 'l2'"),
        (lambda: acdc_at(0.02, *LOOSE, ablation="zero"), "ablation 'corrupted' against 'zero'"),
        (lambda: acdc_at(0.02, *LOOSE, n_prompts=8), "n_prompts 9 against 8"),
        (lambda: acdc_at(0.02, *LOOSE, bos="yes"), "bos None against 'yes'"),
        (lambda: acdc_at(0.02, *LOOSE, data_sha256="ab"), "data_sha256 None against 'ab'"),
        (lambda: acdc_at(0.02, *LOOSE, options={"order": "random"}), "order 'default' against 'random'"),
        (lambda: acdc_at(0.02, *LOOSE, options={"gates": True}), "gates False against True"),
        (lambda: acdc_at(0.02, *LOOSE, options={"seed": 3}), "seed 0 against 3"),
        (lambda: acdc_at(0.01, *LOOSE), "circuits 1 and 2 are of the same threshold, 0.01"),
        (lambda: acdc_at(0.0, *LOOSE), "circuit 2 is of the threshold 0"),
        (lambda: acdc_at(-0.1, *LOOSE), "circuit 2 is of the threshold -0.1"),
        (lambda: acdc_at(float("nan"), *LOOSE), "circuit 2 is of the threshold nan"),
        (lambda: acdc_at(None, *LOOSE), "no threshold"),
        (lambda: acdc_at(0.02, *LOOSE, method="eap-ig"), "circuit 2 is of the method 'eap-ig'"),
        (lambda: acdc_at(0.02, *LOOSE, method=None), "circuit 2 is of an unknown method"),
        (lambda: acdc_at(0.02, *LOOSE).without_edges("m0"), "circuit 2 was edited"),
        (lambda: acdc_at(0.02, *LOOSE, selection={"top": 3}), "circuit 2 was edited, or chosen anew"),
        (lambda: "circuit.json", "a circuit or a run is wanted"),
    ],
)
def test_circuits_that_do_not_belong_together_are_not_ranked(other, says):
    with pytest.raises(SettingsError, match=says):
        ranking([acdc_at(0.01, *LOOSE), other()])


def test_a_ranking_needs_a_list_of_two_or_more():
    for few in ([], [acdc_at(0.01, *LOOSE)]):
        with pytest.raises(SettingsError, match="at two thresholds or more"):
            ranking(few)
    with pytest.raises(SettingsError, match="of a list of circuits"):
        ranking(acdc_at(0.01, *LOOSE))


def test_the_readers_graph_is_ours():
    for options in ({}, {"parallel_attn_mlp": True}):
        graph = Graph.from_config(3, 2, 8, **options)
        cfg = {"n_layers": 3, "n_heads": 2, "parallel_attn_mlp": bool(options)}
        assert list(all_edges(cfg)) == [edge.name for edge in graph.edges()]
