"""Damaged files of a run: refused in one sentence that names the part."""

import json
import shutil

import pytest
from tiny import pairs, write_pairs

from acdc import discover
from acdc.circuit import Circuit
from acdc.cli.tables import print_summary
from acdc.errors import CircuitFileError, RunFolderError
from acdc.runs.run import Run
from acdc.runs.trace import read_trace

pytestmark = pytest.mark.random_models
DEEP = "[" * 100_000 + "]" * 100_000
HUGE = 10**400


@pytest.fixture(scope="module")
def settings(gpt2_model, tmp_path_factory):
    task = write_pairs(tmp_path_factory.mktemp("task") / "pairs.jsonl", pairs(4))
    return {"model": gpt2_model, "task": task, "threshold": 0.1, "n": 2, "progress": False}


@pytest.fixture(scope="module")
def whole(settings, tmp_path_factory):
    return discover(**settings, out=tmp_path_factory.mktemp("runs") / "whole").folder


@pytest.fixture
def damaged(whole, tmp_path):
    """A copy of a finished run in which a value of a file is another; the path is keys with dots between them."""

    def damaged(name, path, value):
        shutil.copytree(whole, tmp_path / "run")
        data = json.loads((whole / name).read_text())
        *keys, last = path.split(".")
        inner = data
        for key in keys:
            inner = inner[key]
        inner[last] = value
        (tmp_path / "run" / name).write_text(json.dumps(data))
        return tmp_path / "run"

    return damaged


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("status", 3, "status must be text, not 3"),
        ("request", [], "request must be an object, not a list"),
        ("hashes", None, "hashes must be an object, not null"),
        ("versions", "new", 'versions must be an object, not "new"'),
        ("seconds", "long", 'seconds must be a number, not "long"'),
        ("seconds", HUGE, "seconds must be a number, not 1000"),
        ("earlier_versions", 3, "earlier_versions must be a list, not 3"),
        ("started", {}, "started must be text, not an object"),
        ("request.threshold", "low", 'request.threshold must be a number, not "low"'),
        ("request.task", 5, "request.task must be text, not 5"),
        ("kept", 1.5, "kept must be a whole number, not 1.5"),
        ("kept", True, "kept must be a whole number, not true"),
        ("results", {}, "it lacks results.used"),
        ("results.held_out", 3, "results.held_out must be an object or null, not 3"),
        ("results.used.model", None, "results.used.model must be an object, not null"),
        ("results.used.circuit.metrics", {}, "it lacks results.used.circuit.metrics.kl"),
        ("results.held_out.ablated.metrics.kl", "x", "results.held_out.ablated.metrics.kl must be a number"),
        ("results.used.ablated.accuracy", None, "results.used.ablated.accuracy must be a number, not null"),
    ],
)
def test_a_damaged_record_is_refused(damaged, path, value, said):
    folder = damaged("run.json", path, value)
    with pytest.raises(RunFolderError) as error:
        Run.load(folder)
    assert f"{folder / 'run.json'} is not the record of a run: {said}" in str(error.value)


def test_a_record_of_almost_nothing_is_refused(settings, tmp_path):
    (tmp_path / "run.json").write_text('{"status": "finished"}')
    for attempt in (lambda: Run.load(tmp_path), lambda: discover(**settings, out=tmp_path, resume=True)):
        with pytest.raises(RunFolderError, match=r"is not the record of a run: it lacks request\.$"):
            attempt()


def test_resuming_with_a_damaged_record_is_refused(settings, damaged):
    with pytest.raises(RunFolderError, match="request must be an object, not a list"):
        discover(**settings, out=damaged("run.json", "request", []), resume=True)


def test_further_keys_of_a_record_are_passed_over(damaged):
    folder = damaged("run.json", "results.colour", "blue")
    print_summary(Run.load(folder))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"after": "x"}, 'after must be a number, not "x"'),
        ({"before": None}, "before must be a number, not null"),
        ({"after": HUGE}, "after must be a number, not 1000"),
        ({"kept": 1}, "kept must be true or false, not 1"),
        ({"edge": 7}, "edge must be text, not 7"),
        ({"colour": 7}, "colour is unknown"),
    ],
)
def test_a_damaged_decision_is_refused(tmp_path, fields, said):
    line = json.dumps({"edge": "m1->logits", "before": 0, "after": 0.5, "kept": True} | fields)
    (tmp_path / "trace.jsonl").write_text(f"{line}\n")
    with pytest.raises(RunFolderError) as error:
        read_trace(tmp_path / "trace.jsonl")
    assert f"trace.jsonl, line 1 is not a decision ({said}" in str(error.value)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("found.options.threshold", "abc", 'found.options.threshold must be a number or null, not "abc"'),
        ("found.options.threshold", HUGE, "found.options.threshold must be a number or null, not 1000"),
        ("found.task", 5, "found.task must be text or null, not 5"),
        ("found.metric_circuit", "x", 'found.metric_circuit must be a number or null, not "x"'),
        ("found.options.gates", 1, "found.options.gates must be true or false or null, not 1"),
        ("found", [], "found must be an object, not a list"),
        ("cfg", 3, "cfg must be an object, not 3"),
        ("cfg.n_layers", "two", 'cfg.n_layers must be a whole number, not "two"'),
        ("cfg.split_input", "no", 'cfg.split_input must be true or false, not "no"'),
        ("edges", 3, "edges must be an object, not 3"),
        ("edges.m0->logits", 3, "m0->logits must be an object, not 3"),
        ("edges.m0->logits.score", HUGE, "m0->logits.score must be a number or null, not 1000"),
        ("edges.m0->logits.score", True, "m0->logits.score must be a number or null, not true"),
        ("edges.m0->logits.in_graph", 1, "m0->logits.in_graph must be true or false, not 1"),
    ],
)
def test_a_damaged_circuit_is_refused(damaged, path, value, said):
    folder = damaged("circuit.json", path, value)
    with pytest.raises(CircuitFileError) as error:
        Circuit.load(folder / "circuit.json")
    assert f"circuit.json isn't a circuit: {said}" in str(error.value)


def test_json_that_is_nested_too_deeply_is_refused(tmp_path):
    for name in ("circuit.json", "run.json"):
        (tmp_path / name).write_text(DEEP)
    (tmp_path / "trace.jsonl").write_text(f"{DEEP}\n")
    with pytest.raises(CircuitFileError, match=r"isn't JSON \(it is nested too deeply"):
        Circuit.load(tmp_path / "circuit.json")
    with pytest.raises(RunFolderError, match=r"is not JSON \(it is nested too deeply"):
        Run.load(tmp_path)
    with pytest.raises(RunFolderError, match=r"line 1 is not a decision \(it is nested too deeply"):
        read_trace(tmp_path / "trace.jsonl")
