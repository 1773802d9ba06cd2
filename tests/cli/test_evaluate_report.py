"""What ``acdc evaluate`` prints: in 80 columns, with every row told apart and nothing shown that is noise."""

import json
from dataclasses import replace

import numpy as np
import pytest
from tiny import gpt2, pairs

import acdc
from acdc import Circuit, Graph, PromptPair
from acdc.cli.evaluation_tables import print_report


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
