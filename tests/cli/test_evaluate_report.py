"""What ``acdc evaluate`` prints: in 80 columns, with every row told apart and nothing shown that is noise."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from tiny import gpt2, pairs

import acdc
from acdc import Circuit, Graph, PromptPair
from acdc.cli.evaluation_tables import print_report
from acdc.evaluation.verdicts import verdict_of


def random_pairs(n, **options):
    return [
        PromptPair(tuple(row["clean_tokens"]), tuple(row["corrupted_tokens"]), ((row["answer_token"],),), **options)
        for row in pairs(n, vocab=18)
    ]


@pytest.fixture(scope="module")
def model():
    return acdc.load_model(gpt2())


def part_of(model, share=0.6):
    graph = Graph(model.graph_config)
    return Circuit(graph, np.random.default_rng(0).random(graph.n_edges) < share, np.zeros(graph.n_edges))


def evaluate(circuits, model, task, **options):
    return acdc.evaluate(circuits, model, task, split="train", progress=False, **{"worst": 0} | options)


def test_a_file_given_twice_stands_in_two_rows(call, finished):
    code, out, err = call("evaluate", finished, f"{finished}/", "--split", "train", "--json")
    assert code == 0, err
    assert [one["circuit"] for one in json.loads(out)["judgements"]] == [str(finished), f"{finished} #2"]


def test_an_empty_name_is_said(refused):
    assert refused("evaluate", "") == "the circuit's path is empty; give a run folder or a file."


def test_it_fits_eighty_columns_where_there_is_no_terminal(call, finished):
    code, out, err = call("evaluate", finished, finished, "--convention", "eap-ig", "--bos", "auto")
    assert code == 0, err
    assert max(map(len, out.splitlines())) <= 80


def test_the_convention_without_a_bos_is_named(refused, finished):
    said = refused("evaluate", finished, "--convention", "eap-ig")
    assert said.startswith("--convention eap-ig puts a BOS before every prompt, but ")
    assert said.endswith("give --bos auto too.")


def test_no_faithfulness_of_groups_that_are_too_small(model, capsys):
    tagged = [replace(pair, tags={"template": "few" if i < 4 else "many"}) for i, pair in enumerate(random_pairs(10))]
    print_report(evaluate(part_of(model), model, tagged), groups=True)
    out = capsys.readouterr().out
    few, many = (next(line for line in out.splitlines() if line.startswith(name)) for name in ("few ", "many "))
    assert many.rstrip().endswith(("%", "defined"))
    assert few.count("%") == many.count("%") - 1
    assert "no faithfulness on fewer than 5 prompts, where it is noise" in " ".join(out.split())


def test_the_corrupted_row_has_no_interval_that_is_rounding(model):
    (one,) = evaluate(part_of(model), model, random_pairs(8))
    assert one.evaluation.share("corrupted") == pytest.approx(0, abs=1e-5)
    assert one.intervals.of_faithfulness("corrupted").why == "it is the same on every draw"
    assert one.intervals.of_faithfulness().why is None


def test_it_ends_with_a_verdict_as_a_run_does(call, finished):
    code, out, err = call("evaluate", finished, "--worst", "0")
    assert code == 0, err
    found = [sentence for one in acdc.evaluate(finished, progress=False).verdict for sentence in one.sentences]
    assert " ".join(out.split()).endswith(" ".join(" ".join(found).split()))
    code, out, err = call("evaluate", finished, "--json")
    (verdict,) = json.loads(out)["verdict"]
    assert verdict["sentences"] == found
    assert verdict["circuit"] == str(finished)


def test_what_is_left_without_a_bad_circuit_is_said(model):
    whole = part_of(model, 2)
    bare = replace(whole, in_graph=whole.in_graph.copy())
    bare.in_graph[:] = False
    bare.in_graph[bare.graph.edge("input->logits").number] = True
    report = evaluate([bare, whole], model, random_pairs(8), metric="kl", bos="auto")
    bad, all_of_it = report.verdict
    assert "On the train prompts what is left without the circuit keeps" in str(bad)
    assert "less than 80%. A larger circuit keeps more." in str(bad)
    assert all_of_it.sentences == (
        "Every one of the 46 edges is in the circuit, which says nothing. Give one of fewer.",
    )


def test_each_circuit_and_task_has_a_verdict(model):
    tasks = [acdc.find_task(random_pairs(6)), acdc.find_task(random_pairs(5))]
    report = evaluate([part_of(model), part_of(model, 0.7)], model, tasks)
    assert [(one.circuit, one.task) for one in report.verdict] == [
        (f"circuit {i}", "prompt pairs") for i in (1, 1, 2, 2)
    ]
    assert all(one.sentences for one in report.verdict)


def test_several_circuits_on_several_tasks_begin_with_a_matrix(model, capsys):
    tasks = [acdc.find_task(random_pairs(n)) for n in (6, 5)]
    circuits = [part_of(model), part_of(model, 0.7)]
    report = evaluate(circuits, model, tasks)
    print_report(report, groups=False)
    out = capsys.readouterr().out
    assert out.startswith("circuits by tasks")
    lines = out.splitlines()
    for number, (first, second) in ((1, report[:2]), (2, report[2:])):
        place = next(i for i, line in enumerate(lines) if line.startswith(f"circuit {number} ("))
        for one in (first, second):
            assert f" {one.evaluation.faithfulness:.1%}" in lines[place]
            assert f" {one.evaluation.circuit.metrics['kl']:.3g} kl" in lines[place + 1]
    print_report(evaluate(circuits, model, tasks[0]), groups=False)
    assert "by tasks" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("gone.json",), "can't read gone.json: No such file or directory."),
        ((".",), "is not a run folder"),
        (("edges.txt", "--task", "ioii"), "unknown task 'ioii'"),
        (("edges.txt", "--task", "gone.jsonl"), "gone.jsonl"),
        (("edges.txt", "--metric", "kll"), "unknown metric 'kll'"),
        (("edges.txt", "--ablation", "noise"), "unknown ablation 'noise'"),
    ],
)
def test_what_is_missing_is_told_before_torch_is_imported(tmp_path, more, said):
    (tmp_path / "edges.txt").write_text("input->logits\n")
    code = "import sys\nfrom acdc.cli.main import main\ntry:\n    main()\nfinally:\n    print('torch' in sys.modules)\n"
    done = subprocess.run(
        [sys.executable, "-c", code, "evaluate", *more, "--model", "tiny-tasks"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stdout.strip() == "False"


def test_a_model_that_a_bos_makes_worse_is_told_as_such(model):
    (one,) = evaluate(part_of(model), model, random_pairs(8))
    half = replace(one.evaluation, model=replace(one.evaluation.model, accuracy=0.8))
    theirs = replace(one, evaluation=half, convention="eap-ig", bos="yes")
    said = "The model itself is right on 80% of the predictions only, with the BOS before every prompt that"
    assert said in str(verdict_of([theirs]))
    assert "The model itself" not in str(verdict_of([replace(theirs, bos="auto")]))
