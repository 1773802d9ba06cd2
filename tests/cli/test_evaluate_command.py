"""``acdc evaluate``: tables, JSON, CSV, files of every kind, and what goes wrong."""

import csv
import json

import numpy as np
import pytest
from tiny import gpt2, pairs, save_gpt2, write_pairs

import acdc
from acdc import Circuit, Graph
from acdc.cli.evaluation_tables import print_report
from acdc.runs.run import Run

OTHERS = ("--n", "4", "--worst", "0")


@pytest.fixture
def edges(finished, tmp_path):
    """A list of the finished run's edges, its model and its task."""
    (tmp_path / "edges.txt").write_text("".join(f"{edge.name}\n" for edge in Run.load(finished).circuit.edges()))
    asked = request_of(finished)
    return "edges.txt", "--model", asked["model"], "--task", asked["task"], *OTHERS


def request_of(run):
    """What a run was asked for, as its file says."""
    return json.loads((run / "run.json").read_text())["request"]


def figures(out):
    """The rows of the table, by section."""
    rows, section = {}, None
    for line in out.splitlines():
        if line.startswith(("4 ", "8 ", "3 ")):
            section = line.strip()
        elif section is not None and line.startswith(
            ("model ", "circuit ", "complement ", "all ablated ", "corrupted ")
        ):
            rows[section, line.split("  ")[0].strip()] = line
    return rows


def test_a_run_is_judged_on_its_own_prompts(call, finished):
    code, out, err = call("evaluate", finished)
    run = Run.load(finished)
    assert code == 0, err
    rows = figures(out)
    assert {state for _, state in rows} == {"model", "circuit", "complement", "all ablated", "corrupted"}
    sections = list(dict.fromkeys(section for section, _ in rows))
    assert sections == ["4 used of", "4 held out,"]  # and the file's name below
    assert f"{run.used.circuit.metrics['kl']:.4g}" in rows[sections[0], "circuit"]
    assert f"{run.held_out.complement.metrics['kl']:.4g}" in rows[sections[1], "complement"]
    assert "95 % interval" in out
    assert "worst of the 4 held out" in out
    assert "model says" in out


def test_json_is_all_of_it_and_nothing_else(call, finished):
    code, out, _ = call("evaluate", finished, "--json")
    used, held_out = json.loads(out)["judgements"]
    run = Run.load(finished)
    assert code == 0
    assert (used["which"], held_out["which"]) == ("used", "held out")
    assert used["values"]["circuit"]["kl"] == run.used.circuit.values["kl"].tolist()
    assert used["figures"]["circuit"]["kl"]["mean"] == run.used.circuit.metrics["kl"]
    assert used["figures"]["circuit"]["kl"]["low"] < used["figures"]["circuit"]["kl"]["high"]
    assert used["figures"]["model"]["kl"]["why"] == "it is the same on every prompt"
    assert held_out["figures"]["circuit"]["faithfulness"]["mean"] == run.held_out.faithfulness
    assert len(used["worst"][0]["model"]) == 5


def test_csv_has_a_line_a_prediction(call, refused, finished, tmp_path):
    code, out, err = call("evaluate", finished, "--csv", "figures.csv", "--split", "train")
    run = Run.load(finished)
    with (tmp_path / "figures.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert (code, out.splitlines()[-1]) == (0, "figures.csv"), err
    assert [float(row["circuit.kl"]) for row in rows] == run.used.circuit.values["kl"].tolist()
    assert [float(row["complement.kl"]) for row in rows] == run.used.complement.values["kl"].tolist()
    assert [row["prompt"] for row in rows] == ["0", "1", "2", "3"]
    assert ", line " in rows[0]["where"]
    said = refused("evaluate", finished, "--csv", "figures.csv")
    assert said == "figures.csv exists already; choose another file with --csv."
    said = refused("evaluate", finished, "--csv", "nowhere/figures.csv")
    assert said == "can't write nowhere/figures.csv: there is no folder nowhere; choose another with --csv."


def test_a_list_of_edges_is_judged_like_its_run(call, finished, edges):
    code, out, err = call("evaluate", *edges, "--json")
    run = Run.load(finished)
    assert code == 0, err
    found = json.loads(out)["judgements"][0]
    assert found["values"]["circuit"]["kl"] == run.used.circuit.values["kl"].tolist()
    assert found["which"] == "train"  # a list doesn't say what it was found on


def test_a_list_of_nodes_is_all_edges_among_them(call, edges, tmp_path):
    (tmp_path / "nodes.txt").write_text("a0.h0 m0\n")
    code, out, err = call("evaluate", "nodes.txt", "--nodes", *edges[1:], "--json")
    assert code == 0, err
    # input->a0.h0 (3), input->m0, a0.h0->m0, and all three into the logits
    assert json.loads(out)["judgements"][0]["n_edges"] == 8


def test_scores_choose_their_edges(call, refused, finished, edges):
    code, out, err = call("evaluate", finished, "--top", "12", "--json", *OTHERS)
    assert code == 0, err
    assert 0 < json.loads(out)["judgements"][0]["n_edges"] <= 12
    assert "edges are chosen by their scores instead (top 12 by magnitude)" in err
    code, out, err = call("evaluate", finished, "--above", "0.02", "--by", "value", "--json", *OTHERS)
    assert code == 0, err
    assert refused("evaluate", finished, "--top", "3", "--above", "1").startswith("--top and --above contradict")
    assert (
        refused("evaluate", finished, "--by", "value")
        == "--by says what --top, --above and --greedy rank by; give one of them with it."
    )
    said = refused("evaluate", finished, "--top", "9999", "--by", "value")
    assert said.endswith("a selection of 9,999 edges is more than the 46 of the graph; ask for fewer.")


def test_several_circuits_stand_in_one_table(call, finished, edges):
    code, out, err = call("evaluate", finished, *edges, "--split", "train")
    assert code == 0, err
    assert out.count("its complement") == 2
    assert out.count("all ablated") == 1
    assert "edges.txt (16)" in out
    assert "worst of" not in out


def test_several_tasks_stand_in_one_table(call, finished, gpt2_folder, tmp_path):
    for number, seed in enumerate((3, 4)):
        write_pairs(tmp_path / f"task{number}.jsonl", pairs(5 + number, seed=seed))
    code, out, err = call(
        *("evaluate", finished, "--task", "task0.jsonl", "--task", "task1.jsonl", "--split", "train", "--json")
    )
    assert code == 0, err
    assert [(one["task"], one["n_prompts"]) for one in json.loads(out)["judgements"]] == [
        ("task0.jsonl", 5),
        ("task1.jsonl", 6),
    ]


def test_a_table_of_each_measure_of_faithfulness_holds_all_circuits(call, finished, edges, tmp_path):
    bare = [{key: value for key, value in row.items() if "answer" not in key} for row in pairs(4, seed=5)]
    write_pairs(tmp_path / "bare.jsonl", bare)
    code, out, err = call("evaluate", finished, *edges, "--task", "bare.jsonl", "--split", "train")
    assert code == 0, err
    assert out.count("faithful by") == out.count("all ablated") == 2  # by logit-diff and by kl
    assert out.count("its complement") == 4


def test_other_answers_to_the_same_prompts_stand_apart(tmp_path, capsys):
    rows = pairs(4, vocab=30)
    path = write_pairs(tmp_path / "pairs.jsonl", [row | {"other_token": 3 + i} for i, row in enumerate(rows)])
    tasks = [acdc.find_task(path, answers) for answers in ("answer_token", "other_token")]
    model = acdc.load_model(gpt2())
    graph = Graph(model.graph_config)
    every = Circuit(graph, np.ones(graph.n_edges, bool), np.zeros(graph.n_edges))
    report = acdc.evaluate([every, every], model, tasks, split="train", worst=0, progress=False)
    print_report(report, groups=False)
    models = [line for line in capsys.readouterr().out.splitlines() if line.startswith("model  ")]
    assert len(models) == 2  # not one, with the answers of the first
    for line, one in zip(models, report[:2], strict=True):
        assert f"{one.evaluation.model.logit_difference:.3g}" in line


def test_it_fits_eighty_columns(call, finished, monkeypatch):
    monkeypatch.setattr("acdc.cli.terminal._WIDTH", 80)
    out = call("evaluate", finished)[1]
    assert max(map(len, out.splitlines())) <= 80
    assert "…" not in out


def test_options_are_named_as_the_command_has_them(refused, finished, edges, tmp_path):
    every = Circuit.load(finished / "circuit.json")
    bare = tmp_path / "bare.json"
    Circuit(every.graph, every.in_graph, every.scores).save(bare)
    assert refused("evaluate", bare) == f"{bare} doesn't say what it was found on; give --task, and the --model."
    said = refused("evaluate", finished, "--convention", "eap-ig")
    assert said.endswith("there is no tokenizer that names one; give --bos auto.") or "BOS" in said
    assert refused("evaluate", finished, "--split", "dev").startswith("unknown split 'dev'")
    assert refused("evaluate", finished, "--worst", "-1") == "--worst must be at least 0, not -1."


def test_another_models_circuit_says_which_sizes_differ(refused, finished, edges, tmp_path):
    folder = save_gpt2(tmp_path / "deeper", n_layer=3)
    said = refused("evaluate", finished, "--model", folder)
    assert "n_layers 2 against 3" in said
    assert said.endswith("give the --model that it is of.")


def test_an_empty_circuit_is_refused(refused, finished, edges, tmp_path):
    every = Circuit.load(finished / "circuit.json")
    Circuit(every.graph, every.in_graph & False, every.scores, every.found).save(tmp_path / "empty.json")
    assert "empty" in refused("evaluate", "empty.json")
    (tmp_path / "none.txt").write_text("\n")
    assert refused("evaluate", "none.txt", *edges[1:])


def test_an_edge_that_does_not_exist_names_the_nearest(refused, edges, tmp_path):
    (tmp_path / "edges.txt").write_text("input->a0.h0<q>\na0.h7->logits\n")
    said = refused("evaluate", *edges)
    assert "edges.txt" in said
    assert "a0.h" in said


def test_prompts_that_are_gone_are_said(refused, call, gpt2_folder, tmp_path):
    write_pairs(tmp_path / "pairs.jsonl", pairs(6))
    assert call("discover", "pairs.jsonl", "--model", gpt2_folder, "--n", "3", "--out", "run")[0] == 0
    (tmp_path / "pairs.jsonl").unlink()
    assert refused("evaluate", "run") == (
        "run was found on the prompts of pairs.jsonl, which is gone; put the file back, or give --task."
    )
