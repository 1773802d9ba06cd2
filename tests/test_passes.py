"""ACDC in several passes: the kept edges tried again in the circuit that they make, until nothing more goes."""

import numpy as np
import pytest
from test_acdc import GRAPH, Additive, costs
from test_patching import set_up
from tiny import pairs, write_pairs

import acdc
from acdc.engine.choice import make_engine
from acdc.errors import RunFolderError, RunInterrupted, SettingsError
from acdc.methods import Acdc as Method
from acdc.metrics import METRICS
from acdc.pruning.pruner import Acdc, AcdcSettings
from acdc.runs.run import Run

pytestmark = [pytest.mark.random_models, pytest.mark.drawn]

FAMILIES = ["gpt2", "llama", "gpt-neox-parallel", "gemma2", "olmo2"]


class Backup(Additive):
    """The first edge tried is dear as long as the last one is there."""

    def metric_of(self, kept):
        last = GRAPH.edge("input->m0").number
        return super().metric_of(kept) + 5.0 * (kept[last] and not kept[GRAPH.edge("m1->logits").number])

    def begin_again(self):
        """Nothing is kept between runs."""


def prune(engine, passes, past=(), **options):
    pruner = Acdc(engine, AcdcSettings(0.5, passes=passes, **options), past=past)
    return pruner, list(pruner.decisions())


def test_a_second_pass_takes_what_the_first_could_not():
    price = np.abs(costs()) + 1.0
    price[[GRAPH.edge(name).number for name in ("m1->logits", "input->m0")]] = 0.1
    (once, first), (twice, both) = (prune(Backup(GRAPH, price), passes) for passes in (1, 2))
    assert both[: len(first)] == first
    assert once.kept[GRAPH.edge("m1->logits").number]
    assert not twice.kept[GRAPH.edge("m1->logits").number]
    assert twice.scores[GRAPH.edge("m1->logits").number] == pytest.approx(0.1)
    assert twice.n_settled == twice.n_to_settle == once.kept.sum()


def test_a_pass_that_takes_nothing_away_is_the_last():
    price = np.ones(GRAPH.n_edges)
    pruner, decisions = prune(Backup(GRAPH, price), 50)
    assert pruner.n_passes == 1
    assert len(decisions) == GRAPH.n_edges
    gone = GRAPH.edge("input->m0").number
    price[gone] = 0.1
    engine = Additive(GRAPH, price)
    engine.begin_again = lambda: None
    pruner, decisions = prune(engine, 50)
    assert pruner.n_passes == 2
    assert len(decisions) == 2 * GRAPH.n_edges - 1
    assert np.flatnonzero(~pruner.kept).tolist() == [gone]


@pytest.mark.parametrize("order", ["default", "random"])
@pytest.mark.parametrize("gates", [False, True])
def test_a_run_of_passes_goes_on_from_any_point(order, gates):
    price = costs()
    whole, decisions = prune(Backup(GRAPH, price), 4, order=order, gates=gates)
    assert whole.n_passes > 1
    for cut in range(0, len(decisions) + 1, 5):
        rest, later = prune(Backup(GRAPH, price), 4, decisions[:cut], order=order, gates=gates)
        assert decisions[:cut] + later == decisions
        np.testing.assert_array_equal(rest.kept, whole.kept)
        np.testing.assert_array_equal(rest.scores, whole.scores)
        assert rest.n_passes == whole.n_passes


@pytest.mark.parametrize("family", FAMILIES)
def test_engines_agree_in_every_pass_and_leave_a_circuit_of_which_nothing_goes(family):
    setting = set_up(family)
    measure = METRICS["logit-diff"]
    made = []
    for name in ("fast", "reference"):
        pruner = Acdc(make_engine(name, setting, measure), AcdcSettings(0.01, passes=6))
        made.append((pruner, list(pruner.decisions())))
    (fast, one), (slow, other) = made
    assert [decision.edge for decision in one] == [decision.edge for decision in other]
    assert [decision.kept for decision in one] == [decision.kept for decision in other]
    for quick, exact in zip(one, other, strict=True):
        assert (quick.before, quick.after) == pytest.approx((exact.before, exact.after), abs=1e-10)
    assert fast.n_passes == slow.n_passes > 1
    engine = make_engine("reference", setting, measure)
    before = engine.metric_of(fast.kept)
    for edge in np.flatnonzero(fast.kept):
        without = fast.kept.copy()
        without[edge] = False
        assert engine.metric_of(without) - before >= 0.01 - 1e-10
        assert fast.scores[edge] == pytest.approx(engine.metric_of(without) - before, abs=1e-10)


def test_an_engine_that_begins_again_has_the_circuit_s_metric_and_effects_of_its_edges():
    setting = set_up("gemma2")
    engine, slow = (make_engine(name, setting, METRICS["kl"]) for name in ("fast", "reference"))
    going = np.random.default_rng(0).choice(setting.graph.n_edges, setting.graph.n_edges // 2, replace=False)
    for each in (engine, slow):
        each.remove(np.sort(going))
        each.begin_again()
    assert engine.metric() == pytest.approx(slow.metric(), rel=1e-10)
    for slot in reversed(setting.graph.slots):
        left = slot.first_edge + np.flatnonzero(engine.kept[slot.edges])
        groups = [np.array([edge]) for edge in left]
        np.testing.assert_allclose([*engine.removals(groups)], [*slow.removals(groups)], rtol=1e-8, atol=1e-12)
        for each in (engine, slow):
            each.remove(left[::2])


def test_one_pass_makes_the_files_that_there_were(gpt2_model, tmp_path):
    task = write_pairs(tmp_path / "pairs.jsonl", pairs(8))
    run = acdc.discover(gpt2_model, task, n=4, out=tmp_path / "run", progress=False)
    assert "passes" not in run.record.to_json()["request"]
    assert "budget" not in run.record.to_json()["request"]
    assert run.record.passes is None
    assert "passes" not in (run.circuit.found.options or {})


def killed_at(monkeypatch, n):
    from acdc.discovery.progress import RunLog

    decide, count = RunLog.decide, [0]

    def counted(self, decision):
        decide(self, decision)
        count[0] += 1
        if count[0] == n:
            raise KeyboardInterrupt

    monkeypatch.setattr(RunLog, "decide", counted)


@pytest.mark.parametrize("order", ["default", "attribution"])
def test_a_killed_run_of_passes_ends_as_a_whole_one_and_its_trace_is_replayed(gpt2_model, tmp_path, monkeypatch, order):
    task = write_pairs(tmp_path / "pairs.jsonl", pairs(8))
    asked = {"n": 4, "threshold": 0.003, "passes": 5, "order": order, "progress": False}
    whole = acdc.discover(gpt2_model, task, out=tmp_path / "whole", **asked)
    assert whole.record.passes > 1
    first = len(acdc.discover(gpt2_model, task, **{**asked, "passes": 1}).decisions)
    for place in {1, first - 1, first, first + 1, len(whole.decisions) - 1}:
        folder = tmp_path / f"run{place}"
        with monkeypatch.context() as patched:
            killed_at(patched, place)
            with pytest.raises(RunInterrupted):
                acdc.discover(gpt2_model, task, out=folder, **asked)
        resumed = acdc.discover(gpt2_model, task, out=folder, resume=True, **asked)
        # What is run after a kill is batched otherwise, and float32 rounds.
        assert [(one.edge, one.kept) for one in resumed.decisions] == [(one.edge, one.kept) for one in whole.decisions]
        np.testing.assert_allclose(resumed.circuit.scores, whole.circuit.scores, atol=1e-6)
        assert list(Run.load(folder).circuit) == list(whole.circuit)
    loaded = Run.load(tmp_path / "whole")
    assert loaded.record.passes == whole.record.passes
    (tmp_path / "whole" / "circuit.json").unlink()
    with pytest.warns(acdc.errors.AcdcWarning, match="rebuilt from"):
        again = Run.load(tmp_path / "whole")
    np.testing.assert_array_equal(again.circuit.in_graph, whole.circuit.in_graph)
    trace = tmp_path / "whole" / "trace.jsonl"
    trace.write_bytes(b"".join(trace.read_bytes().splitlines(keepends=True)[:first]))
    with pytest.raises(RunFolderError, match=r"it ends (where|before)"):
        Run.load(tmp_path / "whole")


@pytest.mark.parametrize("passes", [0, -1])
def test_a_number_of_passes_that_makes_no_sense(passes):
    with pytest.raises(SettingsError, match=f"`passes` must be at least 1, not {passes}"):
        Method(passes=passes)
