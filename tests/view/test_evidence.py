"""What stands behind a circuit, as tables of a page."""

import json
from dataclasses import replace

import numpy as np
import pytest
import seen_pages
from tiny import pairs, write_pairs

from acdc import Run, discover
from acdc.comparison import Pair
from acdc.explorer.comparison import comparison_tables
from acdc.explorer.evidence import evidence
from acdc.selection import Top

pytestmark = pytest.mark.random_models


@pytest.fixture(scope="module")
def run(tmp_path_factory, gpt2_model):
    task = write_pairs(tmp_path_factory.mktemp("task") / "pairs.jsonl", pairs(8))
    out = tmp_path_factory.mktemp("runs") / "run"
    return discover(model=gpt2_model, task=task, threshold=0.01, n=4, progress=False, out=out)


@pytest.fixture(scope="module")
def attributed(tmp_path_factory, gpt2_model):
    task = write_pairs(tmp_path_factory.mktemp("task") / "pairs.jsonl", pairs(4))
    return discover(model=gpt2_model, task=task, method="eap-ig", select=Top(9), n=4, progress=False)


def tables(given, **options):
    found = {one["title"]: one for one in evidence(given, **options)}
    json.dumps(found, allow_nan=False)
    return found


def rows(table):
    return {row[0]: row[1:] for row in table["rows"]}


def test_the_figures_are_those_of_the_evaluations(run):
    found = tables(run)
    used = found["On the 4 prompts used"]
    assert used["columns"] == ["", "model", "circuit", "complement", "all ablated", "corrupted"]
    states = ("model", "circuit", "complement", "ablated", "corrupted")
    assert rows(used)["worse by kl"] == [f"{run.used.states[state].metrics['kl']:.4g}" for state in states]
    assert rows(used)["right"][1] == f"{run.used.circuit.accuracy:.1%}"
    assert found["Verdict"]["rows"] == [[sentence] for sentence in run.verdict]


def test_held_out_prompts_stand_there_or_why_there_are_none(run):
    if run.held_out is None:
        assert run.record.no_held_out in tables(run)["Held-out prompts"]["rows"][0][0]
    without = Run(run.circuit, run.decisions, replace(run.record, results=replace(run.record.results, held_out=None)))
    without.record.no_held_out = "the file holds no more pairs."
    assert tables(without)["Held-out prompts"]["rows"] == [
        ["There is no result on them: the file holds no more pairs."]
    ]


def test_noise_and_what_was_left_out_are_the_records(run):
    found = tables(run)
    noise = rows(found["Noise floor"])
    assert noise["rounding alone moves the metric by"] == [f"{run.record.noise_floor:.2g}"]
    assert noise["decisions that rounding could have turned"] == [str(run.record.within_noise)]
    dead_ends = run.record.kept - run.circuit.n_edges
    said = found["What was left out"]["rows"]
    assert (f"Left out: {dead_ends} more kept" in said[0][0]) if dead_ends else said == [["Nothing."]]


def test_intervals_stand_in_a_table_of_their_own(run):
    found = tables(run, ends=lambda evaluation, state, name: (0.25, 0.5) if name == "kl" else None)
    assert found["On the 4 prompts used: 95 % intervals"]["rows"] == [["worse by kl", "0.25", "0.5"]]


def test_sums_that_are_the_furthest_off_come_first(attributed):
    told = attributed.record.conservation
    found = tables(attributed)["Conservation"]
    assert {row[0] for row in found["rows"]} <= told["parts"].keys()
    assert found["note"].startswith(told["identity"][:1].upper() + told["identity"][1:])
    parts = {f"m{i}": [1.0, 1.0 + 0.01 * i] for i in range(14)}
    record = replace(attributed.record, conservation=told | {"parts": parts})
    found = rows(tables(Run(attributed.circuit, (), record))["Conservation"])
    assert list(found) == [*(f"m{i}" for i in reversed(range(2, 14))), "and 2 more, less far off"]
    assert found["m13"] == ["1", "1.13"]


def test_parts_that_are_no_sums_are_passed_over(attributed):
    record = replace(attributed.record, conservation={"identity": "they add up", "parts": {"a0": "x", "m0": [1]}})
    found = tables(Run(attributed.circuit, (), record))
    assert found["Conservation"]["rows"] == [["They add up."]]


def test_how_it_was_found_and_in_what(run):
    found = tables(run)
    how = rows(found["How it was found"])
    assert how["threshold"] == ["0.01"]
    assert how["prompt pairs"] == ["4"]
    assert rows(found["Versions and hashes"])["model hash"] == [run.record.hashes["model"]]
    assert rows(found["What it took"])["edges tried"] == [str(run.record.tried)]


def test_a_circuit_that_was_edited_has_no_figures(run):
    edge = next(iter(run.circuit)).name
    found = tables(replace(run, circuit=run.circuit.without_edges(edge)))
    assert not any(title.startswith("On ") for title in found)
    assert found["Verdict"]["rows"] == [["It was edited, and not measured since."]]
    scores = run.circuit.scores + 1.0  # by hand in the file, which still vouches for figures
    found = tables(replace(run, circuit=replace(run.circuit, scores=scores)))
    assert not any(title.startswith("On ") for title in found)
    assert found["Verdict"]["rows"] == [["The circuit was edited since it was measured."]]


def test_of_a_circuit_alone_its_file_speaks():
    circuit = seen_pages.circuit()
    found = tables(circuit)
    assert found["What is known of it"]["rows"][0] == [f"{circuit.n_edges} of {circuit.graph.n_edges} edges."]
    assert rows(found["How it was found"])["method"] == ["eap-ig"]


def test_two_circuits_are_counted_as_they_are_compared_elsewhere():
    first, second = seen_pages.circuit(), seen_pages.circuit(1)
    word, counts, otherwise = comparison_tables(first, second)
    edges = Pair(first, second).edges
    both = (edges.first, edges.second, edges.both, edges.only_first, edges.only_second)
    assert rows(counts)["edges"][:5] == [str(count) for count in both]
    assert sum(int(row[1]) for name, row in rows(counts).items() if name.startswith("into ")) == edges.second
    assert f"{edges.both} in both" in word["rows"][0][0]
    assert "rank correlation" in word["rows"][1][0]
    assert rows(otherwise)["steps"] == ["5", "6"]


def test_alike_scores_have_no_correlation_and_it_is_said_why():
    circuit = seen_pages.circuit()
    flat = replace(circuit, scores=np.ones_like(circuit.scores))
    assert "is not defined" in comparison_tables(circuit, flat)[0]["rows"][1][0]
