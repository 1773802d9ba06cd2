"""``acdc analyse``, as typed."""

import csv
import json

import numpy as np
import pytest
from tiny import pairs

from acdc.analysis.registry import ANALYSES

DEFAULT = [name for name, analysis in ANALYSES.items() if analysis.by_default]


@pytest.fixture
def run(call, file, gpt2_folder):
    return lambda *options: call("analyse", file(*pairs(6)), "--model", gpt2_folder, *options)


def read(path):
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def test_every_look_is_told_and_written(run, tmp_path):
    code, out, err = run("--out", "looks", "--n", 3)
    assert code == 0, err
    assert "3 prompts" in out
    assert all(f"\n{name}: " in out for name in DEFAULT)
    assert out.splitlines()[-1] == "looks"
    assert {path.name for path in (tmp_path / "looks").iterdir()} == {
        f"{name}.{kind}" for name in DEFAULT for kind in ("csv", "svg")
    }
    assert all((tmp_path / "looks" / f"{name}.svg").read_bytes().startswith(b"<?xml") for name in DEFAULT)
    rows = read(tmp_path / "looks" / "direct.csv")
    assert [row["node"] for row in rows[:3]] == ["input", "a0.h0", "a0.h1"]


def test_files_of_others_are_never_written_over(run, refused, file, gpt2_folder, tmp_path):
    assert run("--only", "direct", "--out", "looks")[0] == 0
    task = file(*pairs(6))
    said = refused("analyse", task, "--model", gpt2_folder, "--only", "lens,direct", "--out", "looks")
    assert said == "looks/direct.csv exists already; choose another folder with --out."
    assert run("--only", "lens", "--out", "looks")[0] == 0  # beside it
    (tmp_path / "taken").write_text("dear")
    said = refused("analyse", task, "--model", gpt2_folder, "--out", "taken")
    assert said == "can't write into taken: it is a file; choose another folder with --out."


def test_json_has_whole_tables_and_marks_what_is_in_a_run(run, finished):
    code, out, err = run("--json", "--only", "direct,detectors", "--run", finished)
    assert code == 0, err
    found = json.loads(out)
    assert found["n_prompts"] == 6
    assert list(found["looks"]) == ["direct", "detectors"]
    columns, rows = (found["looks"]["direct"][key] for key in ("columns", "rows"))
    assert columns[-1] == "in circuit"
    marked = {row[0] for row in rows if row[-1] == "yes"}
    assert marked == set(found["circuit"]) - {"logits"}
    assert 0 < len(marked) < len(rows) - 1
    assert found["left_out"] == {}


def test_the_strongest_come_first_and_as_many_as_asked_for(run):
    out = run("--only", "direct", "--top", 3)[1]
    rows = [line.split("│")[1:-1] for line in out.splitlines() if line.startswith("│")]
    assert len(rows) == 3
    sizes = [abs(float(row[1])) for row in rows]
    assert sizes == sorted(sizes, reverse=True)


def test_heads_are_those_that_are_named(run):
    found = json.loads(run("--json", "--only", "patterns", "--heads", "a1.h1, a0.h0")[1])
    assert {row[0] for row in found["looks"]["patterns"]["rows"]} == {"a0.h0", "a1.h1"}


def test_without_answers_what_needs_them_is_left_out_and_said(call, file, gpt2_folder):
    answers = ("answer_token", "wrong_answer_token")
    lines = [{key: value for key, value in line.items() if key not in answers} for line in pairs(4)]
    options = (file(*lines), "--model", gpt2_folder)
    code, out, err = call("analyse", *options)
    assert code == 0, err
    assert "direct was left out: " in err
    assert "\ndirect: " not in out
    assert "\nlens: " in out
    assert "\npatterns: " in out  # of heads that nothing chose


def test_the_prompts_are_those_asked_for(run):
    def clean(*options):
        code, out, err = run("--json", "--only", "tokens", *options)
        assert code == 0, err
        return {row[0] for row in json.loads(out)["looks"]["tokens"]["rows"]}, json.loads(out)

    assert clean("--n", 2)[0] == {0, 1}
    assert clean("--n", 2)[1] != clean("--n", 2, "--split", "test")[1]
    assert clean("--n", 2, "--seed", 5)[1] != clean("--n", 2)[1]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--only", "direkt"], "unknown look 'direkt': did you mean direct?"),
        (["--only", ""], "--only is empty; give names of lens, "),
        (["--only", ","], "--only is empty"),
        (["--only", "direct,"], "--only has a comma with no name beside it"),
        (["--heads", ""], "--heads is empty; name at least one"),
        (["--heads", "a0.h0,"], "--heads has a comma with no name beside it"),
        (["--out", "pairs.jsonl/looks/all"], "can't write into pairs.jsonl/looks/all: pairs.jsonl is no folder"),
        (["--heads", "a0.h9"], "'a0.h9' is out of range: this model's layers are 0 to 1"),
        (["--heads", "m0"], "m0 is no head"),
        (["--heads", "a0.h"], "unknown node 'a0.h'"),
        (["--run", "nowhere"], "nowhere"),
        (["--n", 0], "n must be at least 1"),
        (["--split", "both"], "--split must be train or test"),
        (["--corruption", "no"], "unknown corruption 'no'"),
        (["--threads", 0], "--threads must be a whole number"),
        (["--dtype", "float8"], "float8"),
    ],
)
def test_bad_input_is_one_sentence(refused, file, gpt2_folder, options, said):
    assert said in refused("analyse", file(*pairs(4)), "--model", gpt2_folder, *options)


def test_another_models_circuit_is_refused(refused, file, gpt2_folder, tmp_path):
    from acdc.circuit import Circuit
    from acdc.graph import Graph

    graph = Graph.from_config(3, 2, 16)
    Circuit(graph, np.ones(graph.n_edges, dtype=bool), np.ones(graph.n_edges)).save(tmp_path / "other.json")
    said = refused("analyse", file(*pairs(4)), "--model", gpt2_folder, "--run", "other.json", "--only", "direct")
    assert "other.json is a circuit of another model" in said
    assert "n_layers 3 against 2" in said


def test_help_names_every_look(call, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    out = call("analyse", "-h")[1]
    assert max(map(len, out.splitlines())) <= 80
    assert all(f" {name} " in out for name in ANALYSES)
