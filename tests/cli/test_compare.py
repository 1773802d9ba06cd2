"""``acdc compare``: circuits held against each other on the command line."""

import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from acdc.circuit import Circuit, Provenance
from acdc.comparing import compare
from acdc.graph import Graph


@pytest.fixture
def other(finished, tmp_path):
    """A circuit file of the same graph as the finished run's, found on another task."""
    run = Circuit.load(finished / "circuit.json")
    kept = run.graph.on_path(run.in_graph & (np.arange(run.graph.n_edges) % 4 > 0) | (run.scores < -0.05))
    circuit = Circuit(
        run.graph, kept, run.scores[::-1].copy(), Provenance("pronouns", "gpt2", "acdc", options={"threshold": 0.5})
    )
    circuit.save(tmp_path / "other.json")
    return "other.json"


def words(out):
    return " ".join(out.replace("\N{BOX DRAWINGS LIGHT VERTICAL}", " ").split())


@pytest.fixture
def named(tmp_path):
    """A circuit file of some edges of a small graph; gives its name."""

    def named(name, *edges, found=None, **shape):
        graph = Graph.from_config(**{"n_layers": 2, "n_heads": 2, **shape})
        mask = np.zeros(graph.n_edges, dtype=bool)
        mask[[graph.edge(edge).number for edge in edges]] = True
        Circuit(graph, mask, np.arange(1.0, graph.n_edges + 1), found or Provenance()).save(tmp_path / name)
        return name

    return named


def test_two_are_told_apart_in_one_line_and_tables(call, finished, other, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, err = call("compare", finished, other)
    assert (code, err) == (0, "")
    found = compare(finished, other)
    assert out.splitlines()[0] == found.sentences()[0]
    edges, scores = found.pair.edges, found.pair.scores
    row = (edges.first, edges.second, edges.both, edges.only_first, edges.only_second)
    assert f"edges {' '.join(map(str, row))} {edges.jaccard:.2f}" in words(out)
    for name, overlap in (*found.pair.by_layer.items(), *found.pair.by_kind.items()):
        assert f"{name} {overlap.first} {overlap.second} {overlap.both} " in words(out)
    assert f"Spearman {scores.spearman:.2f}, Kendall {scores.kendall:.2f} ({scores.n_edges} edges" in words(out)
    assert "threshold 0.01 (A); 0.5 (B)" in words(out)
    assert "task '" in words(out)
    assert "only in A" in out


def test_names_names_every_edge(call, named):
    first = named("one.json", "input->m0", "m0->logits", *(f"input->a1.h{i}<{x}>" for i in (0, 1) for x in "qkv"))
    second = named("two.json", "input->m0", "input->logits", *(f"a0.h{i}->a1.h0<{x}>" for i in (0, 1) for x in "qkv"))
    out = call("compare", first, second, "--names")[1]
    for edge in ("input->m0", "m0->logits", "input->a1.h1<v>", "a0.h1->a1.h0<k>"):
        assert edge in out
    assert "1 edge in both" in out
    out = words(call("compare", first, second, first, "--names")[1])
    assert "input->m0 A B C" in out
    assert "m0->logits A C" in out


def test_only_ten_of_those_in_one_alone_are_named_else(call, named):
    many = [f"a0.h{i}->a1.h{j}<{x}>" for i in (0, 1) for j in (0, 1) for x in "qkv"]
    out = call("compare", named("one.json", *many), named("two.json", "input->logits"))[1]
    assert "the strongest 10 of 12 edges only in A" in out
    assert sum(edge in out for edge in many) == 10
    assert many[0] not in out  # its score is the lowest


def test_many_have_a_matrix(call, named):
    names = [named(f"{i}.json", "input->logits", *(["m0->logits"] if i else []), "input->m0") for i in range(3)]
    code, out, err = call("compare", *names)
    assert (code, err) == (0, "")  # that an edge is on no path is said once, below
    assert out.splitlines()[0] == "3 circuits keep 2 to 3 edges; 2 in all of them, 3 in any: Jaccard of two 0.67 to 1."
    assert "A 1 0.67 0.67" in words(out)
    assert "B 0.67 1 1" in words(out)
    assert "Spearman of scores" in out


def test_a_wide_matrix_is_cut_into_blocks_of_columns(call, named, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    names = [named(f"{i}.json", "input->logits") for i in range(28)]
    code, out, _ = call("compare", *names)
    assert code == 0
    assert "AB" in out
    assert max(map(len, out.splitlines()[1:])) <= 80
    assert "\N{HORIZONTAL ELLIPSIS}" not in out


def test_a_reference_judges_them(call, named):
    one = named("one.json", "input->logits", "m0->logits", "input->m0")
    two = named("two.json", "input->logits", "m1->logits", "input->m1")
    reference = named("reference.json", "input->logits", "m0->logits", "input->a0.h0<v>")
    code, out, err = call("compare", one, two, "--reference", reference)
    assert (code, err) == (0, "")
    assert "A 0.67 0.67 0.67 0.02" in words(out)
    assert "B 0.33 0.33 0.33" in words(out)
    assert "area under the ROC curve through all of them, by the ACDC paper's step rule: 0.65" in words(out)
    alone = words(call("compare", one, "--reference", reference)[1])
    assert "A keeps 3 edges, the reference 3; 2 in both: Jaccard 0.50." in alone


def test_json_is_all_of_it(call, finished, other, tmp_path):
    code, out, err = call("compare", finished, other, "--json", "--csv", "table.csv")
    assert (code, err) == (0, "table.csv\n")
    assert json.loads(out) == json.loads(json.dumps(compare(finished, other).to_json()))
    assert out.isascii()


def test_csv_has_a_line_an_edge_with_who_keeps_it(call, finished, other, tmp_path):
    assert call("compare", finished, other, "--reference", finished / "circuit.json", "--csv", "t.csv")[0] == 0
    rows = list(csv.DictReader((tmp_path / "t.csv").read_text().splitlines()))
    first, second = Circuit.load(finished / "circuit.json"), Circuit.load(other)
    either = first.in_graph | second.in_graph
    assert [row["edge"] for row in rows] == [edge.name for edge in first.graph.edges(either)]
    for row in rows:
        number = first.graph.edge(row["edge"]).number
        assert (row["kept_A"], row["kept_B"]) == tuple(str(int(one.in_graph[number])) for one in (first, second))
        assert (float(row["score_A"]), float(row["score_B"])) == (first.scores[number], second.scores[number])
        assert row["kept_reference"] == row["kept_A"]


@pytest.mark.parametrize("ending", ["svg", "png", "pdf", "dot"])
def test_a_diagram_is_what_its_ending_says(call, finished, other, tmp_path, ending):
    code, out, err = call("compare", finished, other, "--diagram", f"two.{ending}", "--strongest", 5)
    assert code == 0, err
    assert out.splitlines()[-1] == f"two.{ending}"
    start = {"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF", "dot": b"digraph"}[ending]
    assert (tmp_path / f"two.{ending}").read_bytes().startswith(start)


@pytest.mark.parametrize("option", ["--diagram", "--csv"])
def test_no_file_is_replaced_and_none_written_where_no_folder_is(refused, finished, other, tmp_path, option):
    (tmp_path / "mine.svg").write_text("mine")
    (tmp_path / "link.svg").symlink_to("nowhere")
    for name in ("mine.svg", "link.svg"):
        assert f"{name} exists already; choose another file with {option}." in refused(
            "compare", finished, other, option, name
        )
    assert "there is no folder none; choose another" in refused("compare", finished, other, option, "none/x.svg")


def test_options_that_make_no_sense_are_refused_before_any_work(refused, finished, other):
    both = ("compare", finished, other)
    assert "doesn't end in one of .svg, .png, .pdf, .dot" in refused(*both, "--diagram", "two.jpg")
    assert "--strongest is of a picture" in refused(*both, "--strongest", 3)
    assert refused(*both, "--strongest", 0, "--diagram", "two.svg").startswith("--strongest must be at least 1 edge")
    assert "--json names every edge anyway" in refused(*both, "--json", "--names")
    assert "name the same file" in refused(*both, "--diagram", "two.svg", "--csv", "./two.svg")
    assert "a diagram shows two circuits, not 3" in refused(*both, finished, "--diagram", "two.svg")
    assert "a diagram shows two circuits, not 1" in refused("compare", finished, "--diagram", "two.svg")


def test_inputs_that_are_no_circuits_are_one_sentence(refused, finished, other, file, tmp_path):
    assert "Missing argument" in refused("compare")
    assert refused("compare", other) == (
        "one circuit alone can't be compared; give two circuits or more, or one and a --reference."
    )
    assert "can't read none.json" in refused("compare", other, "none.json")
    assert "can't read none.json" in refused("compare", other, "--reference", "none.json")
    assert "isn't a circuit" in refused("compare", other, file("[1, 2]", name="list.json"))
    assert "isn't JSON" in refused("compare", file("no", name="text.json"), other)
    (tmp_path / "folder").mkdir()
    assert "folder" in refused("compare", "folder", other)


def test_circuits_of_other_graphs_are_refused_by_what_differs(refused, named):
    one, deeper = named("one.json", "input->logits"), named("deeper.json", "input->logits", n_layers=4)
    said = refused("compare", one, one, deeper)
    assert "A ('one.json') and C ('deeper.json') are of different graphs: n_layers 2 against 4; " in said
    said = refused("compare", one, one, "--reference", deeper)
    assert "the reference circuit is of another graph: n_layers 4 against 2; " in said
    graph = Graph.from_config(2, 2)
    every = named("every.json", *(edge.name for edge in graph.edges()), found=Provenance(method="acdc"))
    assert "the reference circuit keeps every edge" in refused("compare", one, one, "--reference", every)


def test_a_run_given_twice_is_said_and_gone_on_with(call, finished, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    code, out, err = call("compare", "run", "run/circuit.json")
    assert code == 0
    assert err == "acdc: warning: A and B are the same file, 'run/circuit.json'.\n"
    assert out.startswith("A and B keep the same ")


def test_an_edited_run_is_called_so(call, finished, tmp_path):
    data = json.loads((finished / "circuit.json").read_text())
    name = next(name for name, edge in data["edges"].items() if edge["in_graph"])
    data["edges"][name]["in_graph"] = False
    (tmp_path / "edited.json").write_text(json.dumps(data))
    out = call("compare", finished, "edited.json")[1]
    assert "B was edited since it was measured." in out


def test_an_empty_circuit_is_refused_and_unknown_scores_are_told_as_such(call, refused, named, file):
    one = named("one.json", "input->logits")
    cfg = {"n_layers": 2, "n_heads": 2}
    empty = file({"cfg": cfg, "nodes": {}, "edges": {"input->m0": {"score": 0.0, "in_graph": False}}}, name="e.json")
    assert "e.json is an empty circuit" in refused("compare", one, empty)
    edges = {"input->m0": {"score": None, "in_graph": True}, "m0->logits": {"score": None, "in_graph": True}}
    unscored = file({"cfg": cfg, "nodes": {}, "edges": edges}, name="unscored.json")
    code, out, _ = call("compare", unscored, one, "--reference", one)
    assert code == 0
    assert "unknown" in out  # of an edge only in A
    assert "nan" not in out
    assert "A 0 0 0 0.04 " in words(out)


def test_a_file_of_scores_alone_is_a_circuit_by_a_selection(call, refused, named):
    scores, one = named("scores.json"), named("one.json", "input->logits", "m1->logits", "a1.h1->logits")
    assert "--top or --above of acdc evaluate, compare and edit" in refused("compare", one, scores)
    # The scores rise with the edges' numbers: the last seven are those into the logits, and one is on a path.
    n_edges = Graph.from_config(2, 2).n_edges
    for option in (("--top", 7), ("--above", n_edges - 6)):
        code, out, err = call("compare", scores, "--reference", one, *option, "--names")
        assert (code, err) == (0, "")  # what the reference marks stands
        assert out.startswith("A keeps 1 edge, the reference 3; 1 in both")
        assert "in the reference" in out
        assert "in reference" not in out
        assert "area under" not in out
    assert call("compare", one, "--reference", scores, "--top", 7)[1].startswith(
        "A and the reference keep the same 1 edge."
    )
    for options, sentence in (
        (("--top", 0), "a selection takes at least 1 edge, not 0; ask for more."),
        (
            ("--above", -1),
            "no score's magnitude is below 0, so a threshold of -1 keeps every edge; raise it, or choose by value "
            "(--by value).",
        ),
        (("--above", "nan"), "a selection's threshold must be a finite number, not nan."),
        (("--by", "value"), "--by says what --top, --above and --greedy rank by; give one of them with it."),
        (("--top", 1, "--by", "size"), "unknown ranking 'size': known: magnitude, value."),
        (("--top", 1, "--above", 1), "--top and --above contradict each other; give one of them."),
    ):
        assert refused("compare", one, scores, *options) == sentence


def test_a_selection_chooses_whatever_a_file_marks_as_evaluate_s_does(call, refused, named, tmp_path):
    one, two = named("one.json", "input->logits", "m1->logits"), named("two.json", "input->m1", "m1->logits")
    (tmp_path / "edges.txt").write_text("input->logits\n")
    code, out, err = call("compare", one, two, "edges.txt", "--top", 9)
    assert code == 0
    assert "acdc: warning: one.json marks 2 edges as its circuit; edges are chosen by their scores instead" in err
    assert out.startswith("3 circuits keep ")
    assert "only lists of names are compared here" in refused("compare", "edges.txt", "--reference", one, "--top", 3)


def test_a_list_of_edges_is_of_the_others_graph(call, refused, named, tmp_path):
    one = named("one.json", "input->logits", "input->m1")
    (tmp_path / "edges.txt").write_text("input->logits\ninput->m0  # mine\nm0->logits\n")
    assert call("compare", "edges.txt", one)[1].startswith("A keeps 3 edges, B 2; 1 in both: Jaccard 0.25.")
    assert refused("compare", "edges.txt", "edges.txt") == (
        "edges.txt is a list of edges by name, which doesn't say of what model; compare it with a circuit that does, "
        "or make a circuit's file of it by acdc edit edges.txt --model NAME --out FILE.json."
    )
    (tmp_path / "wrong.txt").write_text("input->logits\nm7->logits\n")
    assert "m7" in refused("compare", one, "wrong.txt")


def test_a_list_of_nodes_is_all_edges_among_them(call, refused, named, tmp_path):
    one = named("one.json", "input->logits", "input->m1")
    (tmp_path / "nodes.txt").write_text("m1\n")
    assert call("compare", one, "nodes.txt", "--nodes")[1].startswith("A keeps 2 edges, B 3; 2 in both")
    assert "'m1' is a node, not an edge; for a list of nodes give --nodes." in refused("compare", one, "nodes.txt")
    assert refused("compare", one, one, "--nodes") == "nothing here is a list of nodes; leave out --nodes."


def test_what_a_file_says_of_itself_stays_text(call, named):
    evil = Provenance(task="\x1b[31mred\n[bold]", model="\u202emodel", ablation="x" * 5_000)
    one, two = (
        named("one.json", "input->logits", found=evil),
        named("two.json", "input->logits", found=Provenance(task="ioi")),
    )
    code, out, err = call("compare", one, two)
    assert code == 0, err
    assert "not known of all: model, ablation" in words(out)
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert "[bold]" in out
    assert len(out) < 5_000
    data = json.loads(call("compare", one, two, "--json")[1])
    assert data["differences"] == {"task": {"A": evil.task, "B": "ioi"}}
    assert data["circuits"][0]["found"]["model"] == evil.model


def test_what_is_said_of_how_they_were_found_can_be_read(call, named, tmp_path):
    found = Provenance("ioi", "gpt2", "acdc", options={"threshold": 0.1, "order": "default"}, n=8, seed=0)
    one = named("one.json", "input->logits", found=replace(found, data_sha256="a" * 64))
    two = named("two.json", "input->logits", found=replace(found, data_sha256="b" * 64))
    three = named("three.json", "input->logits", found=replace(found, n=9, data_sha256="c" * 64))
    out = words(call("compare", one, two)[1])
    assert "prompts other ones: A against B" in out
    out = words(call("compare", one, three)[1])
    assert "n 8 (A); 9 (B)" in out
    assert "other ones" not in out
    assert "sha256" not in out
    by_scores = Provenance("ioi", "gpt2", "eap-ig", options={"steps": 5}, selection={"top": 9, "by": "magnitude"})
    out = words(call("compare", one, named("eap.json", "input->logits", found=by_scores))[1])
    assert "method 'acdc' with threshold 0.1, order default (A); 'eap-ig' with top 9 by magnitude, steps 5 (B)" in out
    assert "not known of all: n, seed, data_sha256 in both" in out
    (tmp_path / "edges.txt").write_text("input->logits\ninput->m0\n")
    out = words(call("compare", one, "edges.txt")[1])
    assert "nothing known of B in both" in out
    assert "unknown edges.txt" in out
    assert "not known" not in out
    out = words(call("compare", one, "edges.txt", "eap.json")[1])
    assert "order default (A); 'eap-ig' with top 9 by magnitude, steps 5 (C)" in out
    assert call("edit", one, "--add", "input->m0", "--out", "edited.json")[0] == 0
    assert "edited added input->m0 (1 edge) (B)" in words(call("compare", one, "edited.json")[1])


def test_a_diagram_of_too_many_edges_is_said_to_be_one(call, named, monkeypatch):
    monkeypatch.setattr("acdc.cli.compare._LEGIBLE", 2)
    one, two = named("one.json", "input->logits", "input->m0"), named("two.json", "input->m1")
    assert call("compare", one, two, "--diagram", "both.dot")[2] == (
        "both.dot shows 3 edges, too many to follow by eye; --strongest 60 draws fewer.\n"
    )
    assert call("compare", one, two, "--diagram", "some.dot", "--strongest", 2)[2] == ""
