"""Runs of a method that scores edges: nothing is decided, so that scores and selection must give the circuit again."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from tiny import pairs, write_pairs

import acdc
from acdc import Circuit, Run, discover
from acdc.cli.tables import print_summary
from acdc.errors import RunFolderError
from acdc.methods import EapIg
from acdc.runs.folder import RunFolder
from acdc.selection import Above, Greedy, Top, select

pytestmark = pytest.mark.random_models


@pytest.fixture(scope="module")
def settings(gpt2_model, tmp_path_factory):
    task = write_pairs(tmp_path_factory.mktemp("task") / "pairs.jsonl", pairs(8))
    return {"model": gpt2_model, "task": task, "method": "eap-ig", "select": Top(12), "n": 4, "progress": False}


@pytest.fixture(scope="module")
def whole(settings, tmp_path_factory):
    """A run that no test changes."""
    return discover(**settings, out=tmp_path_factory.mktemp("runs") / "whole")


@pytest.fixture
def copy(whole, tmp_path):
    return shutil.copytree(whole.folder, tmp_path / "run")


def change(folder, name, path, value):
    data = json.loads((folder / name).read_text())
    *keys, last = path
    inner = data
    for key in keys:
        inner = inner[key]
    inner[last] = value
    (folder / name).write_text(json.dumps(data))


def test_the_folder_gives_back_what_the_run_found(whole):
    assert {path.name for path in whole.folder.iterdir()} == {"run.json", "trace.jsonl", "circuit.json"}
    assert (whole.folder / "trace.jsonl").read_bytes() == b""  # the lock of whoever writes; nothing was decided
    loaded = Run.load(whole.folder)
    assert loaded.decisions == ()
    assert loaded.record == whole.record
    assert loaded.circuit.found == whole.circuit.found
    assert loaded.circuit.figures is not None
    np.testing.assert_array_equal(loaded.circuit.scores, whole.circuit.scores)
    print_summary(loaded)


def test_the_record_and_the_provenance_say_how_it_was_found(whole, settings):
    request = json.loads((whole.folder / "run.json").read_text())["request"]
    assert (request["method"], request["steps"]) == ("eap-ig", 5)
    assert request["selection"] == {"top": 12, "by": "magnitude"}
    assert not {"threshold", "order", "gates"} & request.keys()
    found = Circuit.load(whole.folder / "circuit.json").found
    assert (found.method, found.options, found.selection) == ("eap-ig", {"steps": 5}, request["selection"])
    assert (found.n, found.seed, found.split, found.corruption, found.bos) == (4, 0, "train", "file", "auto")
    assert found.model_sha256 == settings["model"].sha256
    assert found.data_sha256 == whole.record.hashes["data"]
    assert whole.record.cost == {"forwards": 5, "backwards": 5}
    assert whole.record.metric_ablated == pytest.approx(whole.used.ablated.metrics["kl"])


@pytest.mark.parametrize("rule", [Top(5, by="value"), Above(0.01), Greedy(20), Greedy(20, by="value")])
def test_every_selection_is_kept_and_checked(settings, tmp_path, rule):
    run = discover(**settings | {"select": rule}, out=tmp_path / "run")
    loaded = Run.load(tmp_path / "run")
    np.testing.assert_array_equal(loaded.circuit.in_graph, select(run.circuit.graph, run.circuit.scores, rule))
    assert loaded.circuit.found.selection == rule.to_json()


@pytest.mark.parametrize("metric", ["kl", "logit-diff"])
def test_the_figures_are_those_of_the_selected_edges(settings, metric):
    run = discover(**settings | {"metric": metric, "select": Top(40)})
    from acdc.discovery.setting_up import set_up
    from acdc.engine.reference import ReferenceEngine
    from acdc.metrics import METRICS

    engine = ReferenceEngine(set_up(settings["model"], settings["task"], n=4), METRICS[metric])
    assert run.circuit.found.metric_circuit == pytest.approx(engine.metric_of(run.circuit.in_graph), rel=1e-5)


def test_a_finished_run_is_handed_back(settings, whole):
    before = {path.name: path.read_bytes() for path in whole.folder.iterdir()}
    again = discover(**settings, out=whole.folder, resume=True)
    assert again.record == whole.record
    assert {path.name: path.read_bytes() for path in whole.folder.iterdir()} == before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"steps": 6}, "steps was 5 and is 6"),
        ({"select": Top(13)}, "selection was top 12 by magnitude and is top 13 by magnitude"),
        ({"select": Above(0.5)}, "selection was top 12 by magnitude and is above 0.5 by magnitude"),
        ({"method": "acdc", "select": None}, "method was 'eap-ig' and is 'acdc'; selection was top 12"),
        ({"method": EapIg(3)}, "steps was 5 and is 3"),
    ],
)
def test_other_options_are_refused_by_name(settings, whole, options, said):
    with pytest.raises(RunFolderError) as caught:
        discover(**settings | options, out=whole.folder, resume=True)
    assert said in str(caught.value)


def test_an_interrupted_run_begins_anew(settings, whole, tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(EapIg, "find", interrupted)
        with pytest.raises(KeyboardInterrupt):
            discover(**settings, out=tmp_path / "run")
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "running"
    said = []
    run = discover(**settings, out=tmp_path / "run", resume=True, announce=said.append)
    assert any("had nothing to keep yet; it begins anew" in line for line in said)
    np.testing.assert_array_equal(run.circuit.scores, whole.circuit.scores)
    assert (tmp_path / "run" / "circuit.json").read_bytes() == (whole.folder / "circuit.json").read_bytes()


def test_a_run_that_died_while_it_was_judged_goes_on_too(settings, whole, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(acdc.discovery.stages, "evaluate", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            discover(**settings, out=tmp_path / "run")
    run = discover(**settings, out=tmp_path / "run", resume=True)
    np.testing.assert_array_equal(run.circuit.in_graph, whole.circuit.in_graph)


def test_an_edited_circuit_is_no_error_but_said(copy, whole):
    edge = next(whole.circuit.edges()).name
    change(copy, "circuit.json", ("edges", edge, "in_graph"), False)
    circuit = Run.load(copy).circuit
    assert circuit.n_edges == whole.circuit.n_edges - 1
    assert circuit.doubt == "edited since it was measured"
    print_summary(Run.load(copy))


@pytest.mark.parametrize("found", [None, {}, {"task": "ioi"}])
def test_a_circuit_robbed_of_its_figures_has_them_again_where_it_is_the_one_that_was_measured(copy, whole, found):
    change(copy, "circuit.json", ("found",), found)
    assert Run.load(copy).circuit.figures == whole.circuit.found
    edge = next(whole.circuit.edges()).name
    change(copy, "circuit.json", ("edges", edge, "score"), 99.0)
    assert Run.load(copy).circuit.doubt == "edited since it was measured"


def test_scores_and_selection_that_do_not_give_the_circuit_are_found(copy, whole):
    """As a program that measures anew would write it: the circuit vouches for itself, and isn't the run's."""
    circuit = Run.load(copy).circuit
    kept = circuit.in_graph.copy()
    kept[kept.argmax()] = False
    replace(circuit, in_graph=kept).measured().save(copy / "circuit.json")
    with pytest.raises(RunFolderError, match=r"its scores and the selection of .*run\.json don't give its edges"):
        Run.load(copy)
    replace(circuit, scores=2 * circuit.scores).measured().save(copy / "circuit.json")
    with pytest.raises(RunFolderError, match=r"circuit\.json is not the circuit that .*run\.json has the results of"):
        Run.load(copy)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("request", "selection"), None, "is not the circuit that"),
        (("request", "selection"), {}, "must name one rule"),
        (("request", "selection"), {"top": 12, "above": 1}, "must name one rule"),
        (("request", "selection"), {"top": 12, "colour": 1}, "must name one rule"),
        (("request", "selection"), {"top": "12"}, "`n` must be a whole number"),
        (("request", "selection"), {"top": 12, "by": "size"}, "unknown ranking 'size'"),
        (("request", "selection"), {"top": 10**9}, "circuit.json"),
        (("request", "selection"), [12], "request.selection must be an object"),
        (("request", "selection"), {"top": 3, "by": "magnitude"}, "don't give its edges"),
        (("request", "selection"), {"greedy": 12, "by": "magnitude"}, r"run.json"),
        (("request", "steps"), 6, "run.json"),
        (("request", "method"), "acdc", "it lacks noise_floor"),
        (("request", "method"), "eap", "run.json"),
        (("request", "method"), 5, "request.method must be text"),
        (("cost",), {"forwards": 1, "backwards": 1}, "was changed after the run"),
        (("results", "used", "circuit", "metrics", "kl"), 0.0, "run.json"),
        (("circuit",), None, "run.json"),
        (("cfg", "n_layers"), 3, "is of another graph"),
        (("verdict",), ["All is well."], "was changed after the run"),
        (("task_sha256",), "0" * 64, "was changed after the run"),
    ],
)
def test_an_edited_record_is_found(copy, path, value, said):
    change(copy, "run.json", path, value)
    with pytest.raises(RunFolderError) as caught:
        Run.load(copy)
    assert said in str(caught.value)


def test_an_unsealed_record_of_such_a_run_is_none(copy):
    record = json.loads((copy / "run.json").read_text())
    del record["fingerprint"]
    (copy / "run.json").write_text(json.dumps(record))
    with pytest.raises(RunFolderError, match="it lacks fingerprint"):
        Run.load(copy)


def test_a_trace_of_decisions_is_another_run_s(copy):
    line = {"edge": "m1->logits", "before": 0, "after": 1, "kept": True}
    (copy / "trace.jsonl").write_text(json.dumps(line) + "\n")
    with pytest.raises(RunFolderError, match=r"trace\.jsonl, line 1: a run of eap-ig decides on no edge"):
        Run.load(copy)


def test_a_lost_circuit_is_a_sentence_since_nothing_else_has_its_scores(copy):
    (copy / "circuit.json").write_text("{")
    with pytest.raises(RunFolderError, match="The scores of eap-ig stand nowhere else; put the file back, or run it"):
        Run.load(copy)
    (copy / "circuit.json").unlink()
    with pytest.raises(RunFolderError, match=r"can't read .*circuit\.json"):
        Run.load(copy)


def test_a_lost_trace_loses_nothing(copy, whole):
    (copy / "trace.jsonl").unlink()
    assert Run.load(copy).circuit.found == whole.circuit.found


def test_a_run_holds_its_folder(settings, tmp_path, monkeypatch):
    find = EapIg.find

    def finding(self, *args):
        with pytest.raises(RunFolderError, match="another process is writing"):
            discover(**settings, out=tmp_path / "run", resume=True)
        return find(self, *args)

    held = []
    enter = RunFolder.__enter__
    monkeypatch.setattr(RunFolder, "__enter__", lambda folder: held.append(folder) or enter(folder))
    with monkeypatch.context() as patched:
        patched.setattr(EapIg, "find", finding)
        discover(**settings, out=tmp_path / "run")
    assert len(held) == 1


def test_an_empty_circuit_and_a_whole_one_have_a_verdict_that_speaks_of_selections(settings):
    empty = discover(**settings | {"select": Above(1e9)})
    assert empty.circuit.n_edges == 0
    assert "Select more edges." in empty.verdict[0]
    every = discover(**settings | {"select": Top(empty.circuit.graph.n_edges)})
    assert "Select fewer." in every.verdict[0]
    assert not any("threshold" in sentence for run in (empty, every) for sentence in run.verdict)
