"""Circuits held against each other: overlap, scores, what they were found by."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

import acdc.comparison.comparison
from acdc.circuit import Circuit, Provenance
from acdc.comparing import compare
from acdc.comparison import Overlap
from acdc.errors import AcdcWarning, CircuitFileError, SettingsError
from acdc.graph import Graph

GRAPH = Graph.from_config(2, 2)
OPTIONS = {"threshold": 0.01, "order": "default"}
FOUND = Provenance(task="ioi", model="gpt2", method="acdc", metric="kl", options=OPTIONS)
ONE = ("input->a0.h0<v>", "a0.h0->m1", "m1->logits", "input->logits")
OTHER = ("input->a0.h0<v>", "a0.h0->a1.h1<k>", "a1.h1->logits", "input->logits", "m0->m1")


def circuit(*names, graph=GRAPH, scores=None, found=FOUND):
    """A circuit of edges by name, each with a score of its own unless some are given, by name."""
    mask = np.zeros(graph.n_edges, dtype=bool)
    mask[[graph.edge(name).number for name in names]] = True
    values = np.arange(1.0, graph.n_edges + 1) if scores is None else np.zeros(graph.n_edges)
    for name, score in (scores or {}).items():
        values[graph.edge(name).number] = score
    return Circuit(graph, mask, values, found)


def drawn(share, seed, graph=GRAPH):
    rng = np.random.default_rng(seed)
    return Circuit(graph, rng.random(graph.n_edges) < share, rng.normal(size=graph.n_edges), FOUND)


def named(edges):
    return [edge.name for edge in edges]


def test_edges_and_nodes_by_hand():
    pair = compare(circuit(*ONE), circuit(*OTHER)).pair
    assert pair.edges == Overlap(first=4, second=5, both=2)
    assert (pair.edges.only_first, pair.edges.only_second) == (2, 3)
    assert pair.edges.jaccard == 2 / 7
    assert (pair.edges.share_of_first, pair.edges.share_of_second) == (2 / 4, 2 / 5)
    # input, a0.h0, m1, logits against input, a0.h0, m0, a1.h1, m1, logits
    assert pair.nodes == Overlap(first=4, second=6, both=4)
    assert pair.by_layer == {"logits": Overlap(2, 2, 1), "layer 1": Overlap(1, 2, 0), "layer 0": Overlap(1, 1, 1)}
    assert list(pair.by_layer) == ["logits", "layer 1", "layer 0"]
    assert pair.by_kind == {
        "input->v": Overlap(1, 1, 1),
        "input->logits": Overlap(1, 1, 1),
        "head->k": Overlap(0, 1, 0),
        "head->mlp": Overlap(1, 0, 0),
        "head->logits": Overlap(0, 1, 0),
        "mlp->mlp": Overlap(0, 1, 0),
        "mlp->logits": Overlap(1, 0, 0),
    }


@pytest.mark.parametrize("options", [{}, {"parallel_attn_mlp": True}, {"attn_only": True}, {"split_input": True}])
def test_counts_are_those_of_sets_of_names(options):
    graph = Graph.from_config(3, 4, **options)
    first, second = drawn(0.3, 0, graph), drawn(0.5, 1, graph)
    pair = compare(first, second).pair
    a, b = set(named(first.edges())), set(named(second.edges()))
    assert pair.edges == Overlap(len(a), len(b), len(a & b))
    assert set(named(pair.only_first())) == a - b
    assert set(named(pair.only_second())) == b - a
    assert set(named(pair.both())) == a & b

    def by(key, of):
        return [edge.name for edge in of.edges() if key(edge)]

    for name, overlap in pair.by_layer.items():
        layer = None if name == "logits" else int(name.removeprefix("layer "))
        a, b = (set(by(lambda edge, layer=layer: edge.slot.node.layer == layer, one)) for one in (first, second))
        assert overlap == Overlap(len(a), len(b), len(a & b))
    for name, overlap in pair.by_kind.items():
        source, slot = name.split("->")

        def of_kind(edge, source=source, slot=slot):
            return edge.source.kind == source and (edge.slot.letter or edge.slot.node.kind) == slot

        a, b = (set(by(of_kind, one)) for one in (first, second))
        assert overlap == Overlap(len(a), len(b), len(a & b))
    for groups in (pair.by_layer, pair.by_kind):
        assert sum(overlap.first for overlap in groups.values()) == first.n_edges
        assert sum(overlap.both for overlap in groups.values()) == pair.edges.both


def test_a_circuit_with_itself_is_the_same_in_everything():
    one = drawn(0.3, 0)
    found = compare(one, one)
    assert found.pair.edges.jaccard == found.pair.nodes.jaccard == 1
    assert not found.differences
    assert (found.pair.scores.spearman, found.pair.scores.kendall) == (pytest.approx(1), pytest.approx(1))
    assert found.sentences()[0] == f"A and B keep the same {one.n_edges} edges."


def test_an_empty_circuit_shares_nothing_and_two_have_no_jaccard():
    empty, full = circuit(), circuit(*ONE)
    found = compare(empty, full)
    assert found.pair.edges.jaccard == 0
    assert found.pair.edges.share_of_first is None
    assert found.sentences() == ["A keeps 0 edges, B 4; 0 in both: Jaccard 0."]
    both = compare(empty, empty)
    assert both.pair.edges.jaccard is None
    assert both.pair.by_layer == both.pair.by_kind == {}
    assert both.sentences() == ["A and B keep no edge; only their scores can be compared."]
    assert np.isnan(both.edge_jaccard).all()
    assert compare(empty, empty, empty).sentences() == [
        "3 circuits keep 0 edges; 0 in all of them, 0 in any: they keep no edge."
    ]


def test_what_is_nearly_the_same_is_not_called_so():
    graph = Graph.from_config(4, 4)
    every = np.ones(graph.n_edges, dtype=bool)
    one = Circuit(graph, every, np.zeros(graph.n_edges))
    other = Circuit(graph, np.arange(graph.n_edges) > 0, np.zeros(graph.n_edges))
    assert compare(one, other).sentences()[0].endswith("Jaccard >0.99.")


def test_the_strongest_come_first_and_unknown_scores_last():
    one = circuit(*ONE, scores={"m1->logits": 0.1, "a0.h0->m1": -0.3, "input->logits": np.nan, "input->a0.h0<v>": 9})
    pair = compare(one, circuit("input->a0.h0<v>")).pair
    assert named(pair.only_first()) == ["a0.h0->m1", "m1->logits", "input->logits"]
    assert named(pair.only_first(1)) == ["a0.h0->m1"]
    assert pair.only_second() == []


def test_scores_are_ranked_over_the_edges_that_both_scored():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, GRAPH.n_edges)).round(1)  # with equal ones
    a[:5] = b[:5] = 0  # tried by neither
    a[5], b[6], a[7], b[8] = np.nan, np.inf, 0, 0
    used = np.arange(GRAPH.n_edges) > 6
    used &= (a != 0) | (b != 0)
    one = circuit(*ONE)
    scores = compare(replace(one, scores=a), replace(one, scores=b)).pair.scores
    assert scores.n_edges == used.sum()
    assert scores.spearman == stats.spearmanr(a[used], b[used]).statistic
    assert scores.kendall == stats.kendalltau(a[used], b[used]).statistic
    assert scores.why is None


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (1.0, "the scores of the second are all alike"),
        (np.nan, "fewer than 3 edges have scores in both"),
        (np.inf, "fewer than 3 edges have scores in both"),
        (0.0, "the scores of the second are all alike"),
    ],
)
def test_scores_that_rank_nothing_have_no_correlation_and_it_is_said_why(value, why):
    one = circuit(*ONE)
    scores = compare(one, replace(one, scores=np.full(GRAPH.n_edges, value))).pair.scores
    assert (scores.spearman, scores.kendall, scores.why) == (None, None, why)
    unscored = replace(one, scores=np.zeros(GRAPH.n_edges))
    assert compare(unscored, unscored).pair.scores.n_edges == 0


def test_what_they_were_found_by_is_told_as_far_as_it_differs():
    other = replace(FOUND, task="greater-than", options={"threshold": 0.1}, metric_circuit=0.5, further={"mine": 3})
    found = compare(circuit(*ONE), circuit(*OTHER, found=other), circuit(*ONE))
    assert found.differences == {
        "task": ["ioi", "greater-than", "ioi"],
        "threshold": [0.01, 0.1, 0.01],
    }
    assert found.known_of_some == ["order"]


def test_a_method_s_seed_is_not_that_of_the_prompts():
    random = replace(FOUND, seed=1, options={"order": "random", "seed": 7})
    found = compare(circuit(*ONE, found=random), circuit(*ONE, found=replace(random, options={"seed": 8})))
    assert found.differences == {"seed of the method": [7, 8]}
    found = compare(circuit(*ONE, found=random), circuit(*ONE, found=replace(random, seed=2, selection={"top": 3})))
    assert found.differences == {"seed": [1, 2]}
    assert found.known_of_some == ["selection"]
    assert found.nothing_known_of == []
    bare = compare(circuit(*ONE), circuit(*ONE, found=Provenance()), reference=circuit(*ONE, found=Provenance()))
    assert (bare.known_of_some, bare.nothing_known_of) == ([], ["B", "reference"])
    found = compare(circuit(*ONE, found=replace(random, seed=None)), circuit(*ONE, found=replace(FOUND, seed=2)))
    assert found.differences == {"order": ["random", "default"]}


def test_files_of_the_older_layout_are_compared_with_newer_ones():
    old = Provenance.from_json({"task": "ioi", "threshold": 0.01, "order": "default", "gates": False})
    found = compare(circuit(*ONE, found=old), circuit(*ONE, found=replace(FOUND, bos="yes")))
    assert found.differences == {}
    assert sorted(found.known_of_some) == ["bos", "gates", "method", "metric", "model"]


def test_many_have_a_matrix():
    circuits = [drawn(share, seed) for seed, share in enumerate((0.1, 0.4, 0.4, 0.9))]
    found = compare(*circuits)
    assert found.pair is None
    masks = np.array([one.in_graph for one in circuits])
    assert found.edge_jaccard == pytest.approx(
        np.array([[(a & b).sum() / (a | b).sum() for a in masks] for b in masks])
    )
    for i, j in ((0, 1), (2, 3), (1, 1)):
        assert found.node_jaccard[i, j] == compare(circuits[i], circuits[j]).pair.nodes.jaccard
    assert found.score_spearman == pytest.approx(
        np.array([[stats.spearmanr(a.scores, b.scores).statistic for a in circuits] for b in circuits])
    )
    unscored = compare(circuits[0], circuits[1], replace(circuits[2], scores=np.full(GRAPH.n_edges, np.nan)))
    assert np.isnan(unscored.score_spearman[2]).all()
    assert unscored.score_spearman[0, 0] == 1
    assert found.in_all.sum() == masks.all(0).sum()
    assert found.in_any.sum() == masks.any(0).sum()
    low, high = (f"{value:.2f}" for value in np.sort(found.edge_jaccard[np.triu_indices(4, 1)])[[0, -1]])
    assert found.sentences()[0].endswith(f": Jaccard of two {low} to {high}.")


def test_letters_go_on_after_z():
    assert [acdc.comparison.comparison.label(i) for i in (0, 25, 26, 51, 52, 26 * 27)] == [
        *("A", "Z", "AA", "AZ", "BA", "AAA")
    ]


def test_edges_on_no_path_are_counted_and_said():
    found = compare(circuit(*ONE), circuit(*OTHER))
    assert found.off_path == [0, 1]  # m0 is fed by nothing
    assert found.sentences()[1:] == [
        "B keeps 1 edge on no path from the input to the logits, counted here as the others are."
    ]


def test_a_reference_gives_precision_recall_and_areas():
    reference = circuit(*ONE)
    ranked = circuit(*OTHER, scores={"input->a0.h0<v>": 3, "a0.h0->m1": -2, "m1->logits": 1, "input->logits": 0.5})
    found = compare(circuit(*OTHER), ranked, reference=reference)
    assert found.agreements[0] == found.agreements[1]
    assert (found.agreements[0].precision, found.agreements[0].recall) == (2 / 5, 2 / 4)
    outside = GRAPH.n_edges - 4
    assert found.area == pytest.approx(1 / 2 * (1 - 3 / outside))
    assert found.score_areas[1] == 1
    assert 0 < found.score_areas[0] < 1
    assert found.mib_areas[1] > found.mib_areas[0]  # straight lines, from the first circuit on
    assert [one["mib_area"] for one in found.to_json()["reference"]["circuits"]] == found.mib_areas
    alike = compare(circuit(*OTHER, scores={}), reference=reference)
    assert alike.score_areas == alike.mib_areas == [None]
    assert alike.pair.edges == Overlap(5, 4, 2)  # the only one against the reference


def test_others_than_two_of_one_graph_are_refused():
    one = circuit(*ONE)
    with pytest.raises(SettingsError, match="there is nothing to compare; give two circuits"):
        compare()
    with pytest.raises(SettingsError, match="one circuit alone can't be compared; give two circuits or more, or one"):
        compare(one)
    wider = Graph.from_config(2, 2, d_model=64)
    assert compare(one, circuit(*ONE, graph=wider)).pair.edges.jaccard == 1  # a checkpoint of another width
    for options in ({"n_layers": 3}, {"n_heads": 3}, {"parallel_attn_mlp": True}, {"split_input": True}):
        other = Graph.from_config(**{"n_layers": 2, "n_heads": 2, **options})
        name, value = next(iter(options.items()))
        every = Circuit(other, np.arange(other.n_edges) > 3, np.zeros(other.n_edges))
        with pytest.raises(SettingsError, match=rf"A and C are of different graphs: {name} .* against {value}; "):
            compare(one, one, every)
        with pytest.raises(SettingsError, match=rf"reference circuit is of another graph: {name} {value} against"):
            compare(one, reference=every)


def test_a_number_is_no_circuit_below_either():
    with pytest.raises(SettingsError, match="a circuit is wanted, not 3"):
        acdc.comparison.compare([circuit(*ONE), 3])


@pytest.mark.parametrize("given", [3, None, ["a", "b"], {"circuit": 1}, np.zeros(3)])
def test_what_is_no_circuit_is_refused(given):
    with pytest.raises(SettingsError, match="a circuit or a run is wanted, not "):
        compare(circuit(*ONE), given)


def test_files_are_opened_and_named(tmp_path):
    paths = [tmp_path / name for name in ("one.json", "other.json")]
    for path, names in zip(paths, (ONE, OTHER), strict=True):
        circuit(*names).save(path)
    found = compare(paths[0], str(paths[1]), circuit(*OTHER))
    assert found.sources == (str(paths[0]), str(paths[1]), None)
    assert repr(found).splitlines()[:3] == [
        "Comparison of 3 circuits",
        f"  A ({str(paths[0])!r}): 4 edges, 4 nodes",
        f"  B ({str(paths[1])!r}): 5 edges, 6 nodes",
    ]
    with pytest.raises(CircuitFileError, match="can't read"):
        compare(paths[0], tmp_path / "none.json")


def test_a_file_given_twice_is_said_and_compared_all_the_same(tmp_path, monkeypatch):
    circuit(*ONE).save(tmp_path / "one.json")
    monkeypatch.chdir(tmp_path)
    with pytest.warns(AcdcWarning, match=r"A and B are the same file, 'one.json'\."):
        assert compare(tmp_path / "one.json", "one.json").pair.edges.jaccard == 1
    with pytest.warns(AcdcWarning, match="A and the reference are the same file"):
        compare("one.json", circuit(*OTHER), reference="one.json")


def test_json_holds_all_of_it_and_names_who_keeps_each_edge():
    one, other = circuit(*ONE), circuit(*OTHER, scores={"m0->m1": np.nan})
    found = compare(one, other)
    data = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert data["edges"] == {
        name: [letter for letter, names in (("A", ONE), ("B", OTHER)) if name in names]
        for name in [edge.name for edge in GRAPH.edges(one.in_graph | other.in_graph)]
    }
    (pair,) = data["pairs"]
    assert (pair["first"], pair["second"], pair["edges"]["jaccard"]) == ("A", "B", 2 / 7)
    assert pair["by_kind"]["head->k"]["second"] == 1
    assert data["jaccard"]["edges"] == [[1, 2 / 7], [2 / 7, 1]]
    assert data["circuits"][1]["off_path"] == 1
    assert data["circuits"][0]["found"] == {"task": "ioi", "model": "gpt2", "method": "acdc", "metric": "kl"} | {
        "options": OPTIONS
    }
    assert data["reference"] is None
    empty = compare(circuit(), circuit(), circuit(*ONE), reference=one).to_json()
    assert json.loads(json.dumps(empty, allow_nan=False))["jaccard"]["edges"][0] == [None, None, 0]
    assert empty["reference"]["circuits"][2]["f1"] == 1
    assert empty["reference"]["circuits"][0]["precision"] is None


def test_a_hostile_name_stays_text():
    found = compare(circuit(*ONE), circuit(*OTHER))
    evil = replace(found, sources=("a\x1b[31m\nB", None))
    assert "\x1b" not in repr(evil)
    assert len(repr(evil).splitlines()) == len(repr(found).splitlines())
