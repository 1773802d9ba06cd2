"""``--level nodes``, as typed: circuits of whole heads and MLPs, recorded, shown and chosen again from a file."""

import json

import pytest
from tiny import pairs

from acdc.circuit import Circuit
from acdc.runs.run import Run
from acdc.selection import Top, select

SCORED = ("--method", "eap-ig", "--steps", 2)


@pytest.fixture
def run(call, file, gpt2_folder):
    return lambda *options: call("discover", file(*pairs(8)), "--model", gpt2_folder, "--n", 4, *SCORED, *options)


def test_nodes_are_chosen_recorded_and_chosen_again(run, call, tmp_path):
    code, out, err = run("--top", 3, "--level", "nodes")
    assert code == 0, err
    assert "eap-ig steps 2 top 3 nodes by magnitude" in " ".join(out.split())
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.endswith("eap-ig-steps2-top3-nodes-n4")
    found = Run.load(folder)
    assert found.circuit.found.selection == {"top": 3, "by": "magnitude", "level": "nodes"}
    assert found.record.request.selection == {"top": 3, "by": "magnitude", "level": "nodes"}
    assert len(found.circuit.nodes()) == 5
    assert "top 3 nodes by magnitude" in " ".join(call("show", folder)[1].split())
    code, _, err = call("edit", folder, "--top", 3, "--level", "nodes", "--out", "again.json")
    assert code == 0, err
    again = Circuit.load(tmp_path / "again.json")
    assert (again.in_graph == found.circuit.in_graph).all()
    assert (again.in_graph == select(again.graph, again.scores, Top(3, level="nodes"))).all()
    assert call("evaluate", folder, "--top", 2, "--level", "nodes", "--json")[0] == 0


def test_a_damaged_record_of_a_level_is_refused(run, refused, tmp_path):
    assert run("--top", 3, "--level", "nodes", "--out", "out")[0] == 0
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    record["request"]["selection"]["level"] = "edges"
    (tmp_path / "out" / "run.json").write_text(json.dumps(record))
    assert "run.json" in refused("show", "out")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--top", 5, "--level", "node"], "unknown level 'node': did you mean nodes?"),
        (["--top", 99, "--level", "nodes"], "a selection of 99 nodes is more than the 6 heads and MLPs of the graph"),
        (
            ["--greedy", 5, "--level", "nodes"],
            "--greedy grows a circuit edge by edge; choose nodes by --top or --above.",
        ),
        (["--level", "nodes"], "--level says what --top, --above and --greedy choose; give one of them with it."),
    ],
)
def test_what_makes_no_sense_is_a_sentence(run, tmp_path, options, said):
    code, _, err = run(*options)
    assert code == 2
    assert said in err.splitlines()[-1]
    assert not (tmp_path / "runs").exists()
