"""``acdc edit``, and ``acdc export`` for EAP-IG."""

import json
import shutil

import numpy as np
import pytest
import torch

from acdc import Circuit, Graph, Provenance, Run
from acdc.provenance import EDITED

GRAPH = Graph.from_config(2, 2, 8)
EDGES = ("input->a0.h1<q>", "input->a0.h1<k>", "a0.h1->m1", "m1->logits")


def circuit_of(*names, **found):
    mask = np.zeros(GRAPH.n_edges, dtype=bool)
    mask[[GRAPH.edge(name).number for name in names]] = True
    found = {"task": "ioi", "model": "gpt2", "method": "acdc", "options": {"threshold": 0.1}} | found
    return Circuit(GRAPH, mask, np.linspace(-1, 1, GRAPH.n_edges), Provenance(**found))


@pytest.fixture
def file(tmp_path):
    """A measured circuit's file."""
    circuit_of(*EDGES).measured(metric_circuit=0.5).save(tmp_path / "c.json")
    return tmp_path / "c.json"


def names(path):
    return {edge.name for edge in Circuit.load(path)}


def test_an_edit_is_a_new_file_that_says_what_it_was_made_from(call, file, tmp_path):
    before = file.read_bytes()
    code, out, err = call(
        "edit", "c.json", "--remove", "a0.h1<q>", "--add", "input->m1", "--add", "m0->*", "--out", "e.json"
    )
    assert (code, err) == (0, "")
    assert out.splitlines() == ["1 edge removed, 9 added; 8 kept edges are on no path", "e.json"]
    made = Circuit.load(tmp_path / "e.json")
    assert names(tmp_path / "e.json") == {
        *(name for name in EDGES if name != "input->a0.h1<q>"),
        "input->m1",
        *(edge.name for edge in GRAPH.edges() if edge.source.name == "m0"),
    }
    assert (made.found.has_figures, made.found.threshold) == (False, 0.1)
    assert made.found.edited_from == {
        "file": str(file),  # wherever it is read
        "fingerprint": Circuit.load(file).found.fingerprint,
        "edits": ["removed a0.h1<q> (1 edge)", "added input->m1 (1 edge)", "added m0->* (8 edges)"],
    }
    assert file.read_bytes() == before
    code, out, _ = call("edit", "e.json", "--on-path", "--out", "f.json")
    assert (code, out.splitlines()) == (0, ["8 edges removed, 0 added", "f.json"])
    again = Circuit.load(tmp_path / "f.json").found.edited_from
    assert (again["file"], again["edits"][-1]) == (str(file), "dropped edges on no path (8 edges)")


def test_circuits_are_combined_also_with_lists_and_tensors(call, file, tmp_path):
    (tmp_path / "more.txt").write_text("input->logits  # direct\nm1->logits\n")
    assert call("edit", "c.json", "--or", "more.txt", "--out", "or.json")[0] == 0
    assert names(tmp_path / "or.json") == {*EDGES, "input->logits"}
    assert call("edit", "c.json", "--minus", "more.txt", "--out", "minus.json")[0] == 0
    assert names(tmp_path / "minus.json") == set(EDGES) - {"m1->logits"}
    assert call("export", "or.json", "--format", "eap-ig", "--out", "or.pt")[0] == 0
    assert call("edit", "c.json", "--and", "or.pt", "--or", "or.pt", "--out", "and.json")[0] == 0
    assert names(tmp_path / "and.json") == {*EDGES, "input->logits"}
    assert call("edit", "or.pt", "--add-node", "m0", "--out", "node.json")[0] == 0
    assert names(tmp_path / "node.json") == {
        *(*EDGES, "input->logits"),
        *("input->m0", "a0.h1->m0", "m0->m1", "m0->logits"),
    }


def test_a_further_circuit_s_edges_need_no_path_of_their_own(call, file, tmp_path):
    (tmp_path / "one.txt").write_text("input->m0\n")
    assert call("edit", "c.json", "--or", "one.txt", "--minus", "one.txt", "--out", "e.json")[::2] == (0, "")


def test_a_circuit_is_made_of_scores_alone(call, refused, file, tmp_path):
    data = json.loads(file.read_text())
    for edge in data["edges"].values():
        del edge["in_graph"]
    (tmp_path / "scores.json").write_text(json.dumps(data))
    says = refused("edit", "scores.json", "--on-path", "--out", "e.json")
    assert "--top or --above of acdc evaluate, compare and edit" in says
    code, out, err = call("edit", "scores.json", "--top", "9", "--by", "value", "--out", "e.json")
    assert (code, err) == (0, "")
    made = Circuit.load(tmp_path / "e.json")
    assert made.found.selection == {"top": 9, "by": "value"}
    assert (len(made), made.n_astray) == (1, 0)
    assert out.splitlines()[0] == "1 edge chosen (top 9 by value)"
    assert "acdc edit --top or --above" in refused("show", "scores.json")


def test_what_is_known_of_a_file_is_shown(call, file):
    first = call("show", "c.json")[1].splitlines()[0]
    assert first == "ioi on gpt2: 4 of 46 edges, method acdc, threshold 0.1, metric 0.5"
    assert call("edit", "c.json", "--remove", "a0.h1<k>", "--out", "e.json")[0] == 0
    assert "edited: removed a0.h1<k> (1 edge)" in call("show", "e.json")[1]


def test_eap_ig_s_tensors_are_shown(call, file, tmp_path):
    assert call("export", "c.json", "--out", "theirs.pt")[0] == 0
    code, out, _ = call("show", "theirs.pt", "--csv")
    assert (code, len(out.splitlines())) == (0, 1 + len(EDGES))


def test_a_run_s_folder_is_edited_too(call, finished, tmp_path):
    code, out, _ = call("edit", finished, "--remove", "logits", "--add", "input->logits", "--out", "e.json")
    assert code == 0
    assert names(tmp_path / "e.json") >= {"input->logits"}
    assert Circuit.load(tmp_path / "e.json").figures is None
    assert "removed" in out


def test_an_edit_put_into_the_run_s_folder_is_shown_as_one(call, finished, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    assert call("edit", "run", "--add", "input->logits", "--remove", "m0", "--out", "e.json")[0] == 0
    (tmp_path / "e.json").replace(tmp_path / "run" / "circuit.json")
    circuit = Run.load(tmp_path / "run").circuit
    assert (circuit.figures, circuit.doubt) == (None, EDITED)
    assert circuit.found.edited_from["edits"][0].startswith("removed m0 (")
    assert call("show", "run")[0] == 0


def test_what_does_nothing_is_warned_of(call, file):
    code, out, err = call("edit", "c.json", "--remove", "m0", "--add", "m1->logits", "--out", "e.json")
    assert (code, out.splitlines()[0]) == (0, "no edge changed")
    assert Circuit.load(file.parent / "e.json").figures.metric_circuit == 0.5
    assert "no edge of m0 is in the circuit: nothing to remove" in err
    assert "m1->logits is in the circuit already: nothing to add" in err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--out", "e.json"], "say what to change"),
        (["--remove", "a0.h7", "--out", "e.json"], "unknown node 'a0.h7': did you mean a0.h"),
        (["--add", "m1->m0", "--out", "e.json"], "there is no edge m1->m0"),
        (["--add-node", "m7", "--out", "e.json"], "unknown node 'm7'"),
        (["--remove", "logits", "--remove", "*->*", "--out", "e.json"], "nothing is left of c.json"),
        (["--on-path", "--out", "c.json"], "c.json exists already; choose another file with --out"),
        (["--on-path", "--out", "e.pt"], "e.pt ends in .pt, and an edited circuit is written as JSON"),
        (["--on-path", "--out", "e.SVG"], "written as JSON"),
        (["--by", "value", "--on-path", "--out", "e.json"], "--by says what --top, --above and --greedy rank by"),
        (["--top", "3", "--above", "1", "--out", "e.json"], "--top and --above contradict each other"),
        (["--on-path", "--out", "nowhere/e.json"], "there is no folder nowhere; choose another with --out"),
        (["--nodes", "--on-path", "--out", "e.json"], "nothing here is a list of nodes; leave out --nodes"),
        (["--or", "missing.json", "--out", "e.json"], "can't read missing.json"),
        (["--or", "other.json", "--out", "e.json"], "other.json is a circuit of another model: n_layers 3 against 2"),
        (["--and", "list.txt", "--out", "e.json"], "list.txt, line 2: unknown node 'm8'"),
        (["--on-path"], "--out"),
    ],
)
def test_an_edit_that_can_not_be_meant_is_refused(refused, file, tmp_path, words, says):
    graph = Graph.from_config(3, 2, 8)
    Circuit(graph, np.ones(graph.n_edges, dtype=bool), np.zeros(graph.n_edges)).save(tmp_path / "other.json")
    (tmp_path / "list.txt").write_text("m1->logits\nm8->logits\n")
    assert says in refused("edit", "c.json", *words)


def test_files_that_are_no_circuits_are_refused(refused, tmp_path):
    torch.save({"weight": torch.ones(2)}, tmp_path / "w.pt")
    assert "w.pt isn't a circuit: it lacks cfg" in refused("edit", "w.pt", "--on-path", "--out", "e.json")
    (tmp_path / "edges.txt").write_text("m0->logits\n")
    assert refused("edit", "edges.txt", "--on-path", "--out", "e.json") == (
        "edges.txt is a list of edges by name, which doesn't say of what model; give the --model that it is of."
    )


@pytest.mark.parametrize("command", [("show",), ("export", "--out", "x.svg")])
def test_a_list_is_said_to_become_a_file_by_edit(refused, tmp_path, command):
    (tmp_path / "my edges.txt").write_text("m0->logits\n")
    assert refused(command[0], "my edges.txt", *command[1:]) == (
        "my edges.txt is a list of edges by name, which doesn't say of what model; make a circuit's file of it by "
        "acdc edit 'my edges.txt' --model NAME --out FILE.json."
    )


def test_a_list_of_names_becomes_a_circuit_of_its_model(call, gpt2_folder, tmp_path):
    (tmp_path / "edges.txt").write_text("input->m0\nm0->logits\n")
    (tmp_path / "nodes.txt").write_text("m0\n")
    code, out, err = call("edit", "edges.txt", "--model", gpt2_folder, "--out", "e.json")
    assert (code, out, err) == (0, "2 edges listed\ne.json\n", "")
    found = Circuit.load(tmp_path / "e.json").found
    assert (found.model, found.directory, found.edited_from) == (str(gpt2_folder), str(tmp_path), None)
    assert call("show", "e.json")[0] == 0
    code, out, err = call(
        "edit", "nodes.txt", "--nodes", "--model", gpt2_folder, "--remove", "input->m0", "--out", "n.json"
    )
    assert (code, err) == (0, "")
    assert out.splitlines() == ["3 edges listed, 1 edge removed, 0 added; 1 kept edge is on no path", "n.json"]
    assert names(tmp_path / "n.json") == {"m0->logits", "input->logits"}
    assert call("edit", "e.json", "--or", "nodes.txt", "--nodes", "--out", "o.json")[0] == 0
    assert names(tmp_path / "o.json") == {"input->m0", "m0->logits", "input->logits"}


def test_eap_ig_s_files_are_exported(call, refused, file, tmp_path):
    code, out, _ = call("export", "c.json", "--out", "theirs.pt")
    assert (code, out.split()) == (0, ["theirs.pt"])
    assert torch.load(tmp_path / "theirs.pt", weights_only=True)["edges_in_graph"].sum() == 4
    assert call("export", "c.json", "--format", "eap-ig", "--out", "theirs.json")[0] == 0
    assert json.loads((tmp_path / "theirs.json").read_text())["edges"]["m1->logits"]["in_graph"]
    assert call("export", "c.json", "--format", "eap-ig")[0] == 0
    assert (tmp_path / "c.pt").exists()
    assert call("export", "c.pt", "--out", "ours.json")[0] == 0
    assert names(tmp_path / "ours.json") == set(EDGES)
    assert call("export", "c.pt", "--format", "eap-ig")[:2] == (0, "c.pt\n")
    assert "ends as svg does" in refused("export", "c.json", "--format", "eap-ig", "--out", "x.svg")
    assert "holds the whole circuit; leave out --top" in refused("export", "c.json", "--out", "y.pt", "--top", "3")


def test_what_is_not_written_is_not_spoken_of(refused, file):
    data = json.loads(file.read_text())
    data["edges"]["m1->logits"]["score"] = None
    for name in ("input->m0", "m0->m1"):
        data["edges"][name]["score"] = 0.0
    file.write_text(json.dumps(data))
    says = refused("export", "c.json", "--out", "x.pt")
    assert "1 of 46 scores are no finite numbers" in says
    assert "share" not in says


def test_a_sweep_ranks(call, refused, file, tmp_path):
    circuit_of("m1->logits", "input->m1", options={"threshold": 0.5}).save(tmp_path / "d.json")
    code, _, err = call("export", "c.json", "--sweep", "d.json", "--out", "ranked.pt")
    assert code == 0
    assert "46 of 46 edges share their score with others, 41 of them the score 0" in err
    scores = torch.load(tmp_path / "ranked.pt", weights_only=True)["edges_scores"]
    assert sorted(scores[scores != 0].tolist()) == pytest.approx([0.1, 0.1, 0.1, 0.5, 0.5])
    circuit_of("m1->logits", options={"threshold": 0.2}).save(tmp_path / "c2.json")
    assert "ranked.pt exists already" in refused("export", "c.json", "--sweep", "c2.json", "--out", "ranked.pt")
    circuit_of("m1->logits", options={"threshold": 0.2}, task="acronyms").save(tmp_path / "o.json")
    says = refused("export", "c.json", "--sweep", "o.json", "--out", "no.pt")
    assert "circuits 1 and 2 don't belong together: task 'ioi' against 'acronyms'" in says
    assert "leave out --sweep, which is for eap-ig" in refused(
        "export", "c.json", "--sweep", "d.json", "--out", "no.svg"
    )
