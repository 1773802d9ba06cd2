"""The record: typed, told once, and the same after a way through a file; runs of version 0.1 go on."""

import json
import os
import shutil
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from tiny import pairs, write_pairs

from acdc import Circuit, Run, discover
from acdc.errors import AcdcWarning, RunFolderError
from acdc.runs.folder import read_record
from acdc.runs.record import FORMAT, Record
from acdc.runs.trace import read_trace

pytestmark = pytest.mark.random_models
OLD = Path(__file__).parent / "data" / "old_runs"  # written at 49a3945


@pytest.fixture(scope="module")
def whole(gpt2_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("record")
    task = write_pairs(folder / "pairs.jsonl", pairs(8))
    return discover(gpt2_model, task, n=4, threshold=0.05, gates=True, out=folder / "run", progress=False)


def test_a_record_is_the_same_after_a_way_through_its_file(whole):
    record = read_record(whole.folder)
    assert record == whole.record
    assert record.to_json() == json.loads((whole.folder / "run.json").read_text())
    assert Record.from_json(json.loads(json.dumps(record.to_json()))) == record
    assert record.format == FORMAT


def test_what_a_record_holds_has_types(whole):
    record = Run.load(whole.folder).record
    assert record.request.options == {"threshold": 0.05, "order": "default", "gates": True}
    assert record.request.seed == 0
    assert record.asked.n == 4
    assert record.cfg == whole.circuit.graph.cfg
    assert record.results.used.circuit.metrics["kl"] == pytest.approx(whole.circuit.found.metric_circuit)
    assert record.finished
    assert len(record.task_sha256) == 64


@pytest.mark.parametrize("state", ["complement", "circuit"])
def test_a_state_that_was_taken_out_of_a_record_is_told(whole, tmp_path, state):
    folder = shutil.copytree(whole.folder, tmp_path / "run")
    record = json.loads((folder / "run.json").read_text())
    record["results"]["used"][state] = None
    (folder / "run.json").write_text(json.dumps(record))
    with pytest.raises(RunFolderError, match=r"run\.json"):
        Run.load(folder)


def test_a_run_and_its_record_are_legible(whole):
    assert str(whole.record.request.task) in repr(whole.record)
    assert "finished: acdc on" in repr(whole.record)
    said = repr(Run.load(whole.folder))
    assert said.startswith("Run(acdc on ")
    assert f"{len(whole.decisions)} decisions" in said
    assert f"Circuit({whole.circuit.n_edges} of" in said
    assert "\n" not in said
    assert len(said) < 500


def test_keys_that_are_not_known_survive(whole, tmp_path):
    raw = json.loads((whole.folder / "run.json").read_text()) | {"colour": ["blue", {"deep": True}]}
    assert Record.from_json(raw).to_json() == raw


def test_keys_that_are_not_known_survive_going_on(whole, gpt2_model, tmp_path):
    folder = shutil.copytree(whole.folder, tmp_path / "run")
    raw = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(raw | {"status": "running", "annotation": {"by": "me"}}))
    task = whole.record.request.task
    options = {"n": 4, "threshold": 0.05, "gates": True, "progress": False}
    run = discover(gpt2_model, task, **options, out=folder, resume=True)
    assert run.record.further == {"annotation": {"by": "me"}}
    assert json.loads((folder / "run.json").read_text())["annotation"] == {"by": "me"}
    assert Run.load(folder).record == run.record


@pytest.mark.parametrize("name", [one.name for one in fields(Record) if one.name != "further"])
@pytest.mark.parametrize("wrong", [{"a": []}, [1], 1.5, "text", True, -1])
def test_every_field_is_checked_by_its_type(whole, name, wrong):
    """A wrong value is an error that names the field, or was right after all; never anything else."""
    raw = json.loads((whole.folder / "run.json").read_text()) | {name: wrong}
    try:
        made = Record.from_json(raw)
    except ValueError as caught:
        error = caught
    else:
        if not (isinstance(wrong, dict) and name in ("request", "asked")):  # objects of which nothing is needed
            assert made.to_json()[name] == wrong
        return
    assert name in str(error)


# Runs of version 0.1, with flat requests, and provenance that knows ACDC's options alone.


@pytest.fixture
def old(tmp_path, monkeypatch):
    folder = shutil.copytree(OLD, tmp_path / "old")
    monkeypatch.chdir(folder)
    for file in ("pairs.jsonl", "model/config.json", "model/model.safetensors"):
        os.utime(file, (0, 0))
    return folder


def test_an_old_finished_run_loads_and_its_figures_stand(old):
    run = Run.load("finished")
    assert run.record.format == 1
    assert run.record.request.options == {"threshold": 0.02, "order": "default", "gates": True}
    assert (run.record.request.method, run.record.request.seed) == ("acdc", 1)
    assert run.circuit.doubt is None
    assert run.circuit.figures.metric_circuit == run.used.circuit.metrics["kl"]
    assert [one.edge for one in run.decisions] == [line.edge for line in read_trace(old / "finished" / "trace.jsonl")]
    assert any(one.is_gate for one in run.decisions)
    assert run.verdict == list(run.record.verdict)


def test_an_old_finished_run_is_handed_back_with_all_its_files_as_they_were(old):
    before = {path.name: path.read_bytes() for path in (old / "finished").iterdir()}
    options = {"n": 3, "threshold": 0.02, "seed": 1, "gates": True, "progress": False}
    run = discover("model", "pairs.jsonl", **options, out="finished", resume=True)
    assert run.record.finished
    assert {path.name: path.read_bytes() for path in (old / "finished").iterdir()} == before


def test_an_old_lost_circuit_is_rebuilt_to_the_letter(old):
    before = (old / "finished" / "circuit.json").read_bytes()
    (old / "finished" / "circuit.json").unlink()
    with pytest.warns(AcdcWarning, match="The circuit is rebuilt from"):
        Run.load("finished")
    assert (old / "finished" / "circuit.json").read_bytes() == before


def test_an_old_edited_run_is_found(old):
    text = (old / "finished" / "run.json").read_text()
    (old / "finished" / "run.json").write_text(text.replace('"tried": ', '"tried": 1'))
    with pytest.raises(Exception, match=r"run\.json"):
        Run.load("finished")


def test_an_old_run_that_was_killed_goes_on_to_the_decisions_that_it_would_have_made(old):
    options = {"n": 3, "threshold": 0.02, "seed": 1, "order": "random", "progress": False}
    begun = (old / "interrupted" / "trace.jsonl").read_bytes()
    run = discover("model", "pairs.jsonl", **options, out="interrupted", resume=True)
    expected = read_trace(old / "whole_trace.jsonl")
    assert [(one.edge, one.kept) for one in run.decisions] == [(one.edge, one.kept) for one in expected]
    assert (old / "interrupted" / "trace.jsonl").read_bytes().startswith(begun)
    assert [one.after for one in run.decisions] == pytest.approx([one.after for one in expected], abs=1e-5)
    loaded = Run.load("interrupted")
    assert loaded.record.format == FORMAT
    assert loaded.circuit.found.seed == 1
    np.testing.assert_array_equal(loaded.circuit.in_graph, run.circuit.in_graph)


def test_the_circuit_of_an_old_run_loads_alone(old):
    assert Circuit.load("finished/circuit.json").figures is not None
