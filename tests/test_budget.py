"""ACDC to a budget: the threshold that leaves so many edges, found over one setting."""

import numpy as np
import pytest
from tiny import pairs, write_pairs

import acdc
from acdc.discovery.progress import RunLog
from acdc.discovery.setting_up import set_up
from acdc.errors import AcdcWarning, RunFolderError, RunInterrupted, SettingsError
from acdc.methods import Acdc, Log
from acdc.methods.budget import Trial, search
from acdc.metrics import METRICS
from acdc.runs.run import Run

pytestmark = [pytest.mark.random_models, pytest.mark.drawn]


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    return write_pairs(tmp_path_factory.mktemp("task") / "pairs.jsonl", pairs(8))


def steps(rises):
    """A run in which an edge goes where its rise is below the threshold; notes the thresholds."""
    tried = []

    def run(threshold):
        tried.append(threshold)
        kept = [rise for rise in rises if rise >= threshold]
        gone = [rise for rise in rises if rise < threshold]
        return Trial(threshold, len(kept), max(gone, default=-np.inf), min(kept, default=np.inf))

    return run, tried


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("budget", [1, 7, 100, 199, 200])
def test_every_size_that_can_be_had_is_hit(budget, seed):
    rises = np.random.default_rng(seed).lognormal(-6, 3, 200)
    run, tried = steps(rises)
    found = search(run, budget, 0.01, least=1e-12)
    assert found.edges == budget
    assert len(tried) < 30
    assert len(set(tried)) == len(tried)


def test_where_sizes_jump_it_is_the_largest_below_the_budget():
    run, tried = steps([0.5] * 3 + [0.2] * 10 + [0.1] * 4)
    assert search(run, 12, 0.01, least=1e-12).edges == 3
    assert search(run, 16, 0.01, least=1e-12).edges == 13
    assert search(run, 2, 0.01, least=1e-12).edges == 0
    assert search(run, 40, 0.01, least=1e-12).edges == 17
    assert len(tried) < 40


def test_edges_that_cost_nothing_end_the_search():
    run, tried = steps([0.0] * 10 + [0.5] * 3)
    assert search(run, 5, 0.01, least=1e-9).edges == 3
    assert len(tried) < 20


def test_a_search_goes_on_after_what_it_knows():
    rises = np.random.default_rng(0).lognormal(-6, 3, 200)
    run, tried = steps(rises)
    whole = search(run, 77, 0.01, least=1e-12)
    made = [steps(rises)[0](threshold) for threshold in tried]
    for cut in range(len(made) + 1):
        rest, later = steps(rises)
        again = [Trial.from_json(trial.to_json()) for trial in made[:cut]]
        assert search(rest, 77, 0.01, known=again, least=1e-12) == whole
        assert [*tried[:cut], *later] == tried


@pytest.mark.parametrize("budget", [3, 10, 25])
def test_a_budget_finds_the_threshold_whose_run_it_is(gpt2_model, task, tmp_path, budget):
    run = acdc.discover(gpt2_model, task, n=4, budget=budget, out=tmp_path / "run", progress=False)
    record = run.record
    assert run.circuit.n_edges <= budget
    assert any(trial["edges"] == run.circuit.n_edges for trial in record.search)
    assert run.circuit.n_edges == max(trial["edges"] for trial in record.search if trial["edges"] <= budget)
    plain = acdc.discover(gpt2_model, task, n=4, threshold=record.found_threshold, progress=False)
    np.testing.assert_array_equal(plain.circuit.in_graph, run.circuit.in_graph)
    np.testing.assert_array_equal(plain.circuit.scores, run.circuit.scores)
    assert list(plain.decisions) == list(run.decisions)
    assert run.circuit.found.threshold == record.found_threshold == record.threshold
    loaded = Run.load(tmp_path / "run")
    assert list(loaded.circuit) == list(run.circuit)
    again = acdc.discover(gpt2_model, task, n=4, budget=budget, out=tmp_path / "run", resume=True, progress=False)
    assert again.record.fingerprint == record.fingerprint
    (tmp_path / "run" / "circuit.json").unlink()
    with pytest.warns(acdc.errors.AcdcWarning, match="rebuilt from"):
        assert list(Run.load(tmp_path / "run").circuit) == list(run.circuit)


def test_a_size_that_no_threshold_leaves_is_said(gpt2_model, task):
    setting = set_up(gpt2_model, task, n=4)
    found = Acdc(budget=10).find(setting, METRICS["kl"])
    sizes = {trial["edges"] for trial in found.measured["search"]}
    missing = next(n for n in range(1, 200) if n not in sizes and n < max(sizes))
    if setting.graph.on_path(found.kept).sum() != 10:
        missing = 10
    kept = Acdc(budget=missing).find(setting, METRICS["kl"]).kept
    assert setting.graph.on_path(kept).sum() <= missing


def killing(name, count):
    """A method of the run's log that is killed when it has been called so often."""
    usual, done = getattr(RunLog, name), []

    def kill(self, *given):
        usual(self, *given)
        done.append(given)
        if len(done) == count:
            raise KeyboardInterrupt

    return kill


def watched(noted):
    """The log's note, which tells of each."""
    usual = RunLog.note

    def note(self, *given):
        noted.append(given)
        usual(self, *given)

    return note


def test_a_search_that_was_killed_goes_on_without_running_anything_twice(gpt2_model, task, tmp_path, monkeypatch):
    asked = {"n": 4, "budget": 12, "progress": False}
    whole = acdc.discover(gpt2_model, task, out=tmp_path / "whole", **asked)
    n_trials, n_decisions = len(whole.record.search), len(whole.decisions)
    assert n_trials > 2
    for name, count in (("note", 1), ("note", n_trials), ("decide", 1), ("decide", n_decisions - 1)):
        folder, noted = tmp_path / f"{name}{count}", []
        with monkeypatch.context() as patched:
            patched.setattr(RunLog, name, killing(name, count))
            with pytest.raises(RunInterrupted):
                acdc.discover(gpt2_model, task, out=folder, **asked)
        with monkeypatch.context() as patched:
            patched.setattr(RunLog, "note", watched(noted))
            resumed = acdc.discover(gpt2_model, task, out=folder, resume=True, **asked)
        assert len(noted) == (n_trials - count if name == "note" else 0)
        assert list(resumed.record.search) == list(whole.record.search)
        # What is run after a kill is batched otherwise, and float32 rounds.
        assert [(one.edge, one.kept) for one in resumed.decisions] == [(one.edge, one.kept) for one in whole.decisions]
        assert list(resumed.circuit) == list(whole.circuit)
        assert list(Run.load(folder).circuit) == list(whole.circuit)


def test_a_budget_and_a_threshold_contradict_each_other(gpt2_model, task):
    with pytest.raises(SettingsError, match="`budget` searches for the threshold that leaves so many edges; leave"):
        Acdc(threshold=0.1, budget=5)
    with pytest.raises(SettingsError, match="`budget` must be at least 1 edge, or 0 for no budget, not -1"):
        Acdc(budget=-1)
    with pytest.raises(SettingsError, match=r"is to leave 1,000,000 edges, and the graph has \d+; ask for fewer"):
        acdc.discover(gpt2_model, task, budget=10**6, progress=False)


def test_decisions_of_a_search_are_not_the_run_s(gpt2_model, task):
    class Kept(Log):
        def decide(self, decision):
            decided.append(decision)

    decided = []
    found = Acdc(budget=12).find(set_up(gpt2_model, task, n=4), METRICS["kl"], Kept())
    assert decided == list(found.decisions)


@pytest.mark.parametrize(
    ("trial", "said"),
    [
        ({"threshold": "x"}, "search.threshold must be a number"),
        ({"edges": -7}, "search.edges must be 0 or more, not -7"),
        ({"threshold": -1.0}, "search.threshold must be 0 or more, not -1.0"),
        (None, "search must be an object, not 5"),
    ],
)
def test_a_search_that_was_changed_is_not_gone_on_with(gpt2_model, task, trial, said):
    log = Log()
    log.noted = {"search": [5 if trial is None else {"threshold": 0.1, "edges": 9, "from": None, "to": None} | trial]}
    with pytest.raises(RunFolderError, match=said):
        Acdc(budget=9).find(set_up(gpt2_model, task, n=2), METRICS["kl"], log)


def test_a_search_that_says_other_edges_is_doubted(gpt2_model, task):
    log = Log()
    log.noted = {"search": [{"threshold": 1e6, "edges": 9, "from": None, "to": None}]}
    with pytest.warns(AcdcWarning, match=r"says that the threshold 1e\+06 leaves 9 edges, and it leaves 0"):
        Acdc(budget=9).find(set_up(gpt2_model, task, n=2), METRICS["kl"], log)
