"""Methods by name: their options are their fields, checked before a model is opened; each can be used alone."""

import re
import subprocess
import sys
from dataclasses import dataclass, fields

import numpy as np
import pytest
from tiny import pairs, write_pairs

import acdc
from acdc.asked import option
from acdc.decision import Decision
from acdc.discovery.setting_up import prompts, set_up
from acdc.engine.reference import ReferenceEngine
from acdc.errors import AcdcError, SettingsError, UnknownNameError
from acdc.methods import METHODS, Acdc, EapIg, Found, Log, Method, find_method
from acdc.metrics import METRICS
from acdc.runs.request import Request
from acdc.selection import Above, Greedy, Top, select

pytestmark = pytest.mark.random_models


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    return write_pairs(tmp_path_factory.mktemp("task") / "pairs.jsonl", pairs(8))


@pytest.fixture(scope="module")
def setting(gpt2_model, task):
    return set_up(gpt2_model, task, n=4)


def test_a_method_is_found_by_name_with_its_options():
    assert find_method("acdc") == Acdc(threshold=0.01, order="default", gates=False, seed=0)
    assert find_method("eap-ig", steps=np.int64(7)) == EapIg(7)
    assert type(find_method("eap-ig", steps=np.int64(7)).steps) is int
    assert find_method(EapIg(3)) == EapIg(3)
    assert repr(EapIg()) == "EapIg(steps=5, rule='left', tolerance=0.0)"


@pytest.mark.parametrize("kind", METHODS.values())
def test_every_method_says_what_it_is_and_what_its_options_mean(kind):
    assert METHODS[kind.name] is kind
    assert kind.source
    assert isinstance(kind.decides, bool)
    own = {one.name for one in fields(Request)} - {"seed"}
    for one in fields(kind):
        assert one.metadata["help"].endswith(".")
        assert one.name not in own, "it would stand in a record's request for something else"


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("eap-ig", {"threshold": 0.1}, "has no `threshold` (that is an option of acdc); it takes `steps`, "),
        ("acdc", {"steps": 5}, "has no `steps` (that is an option of eap-ig, "),
        ("acdc", {"treshold": 0.1}, "has no `treshold` (did you mean `threshold`?)"),
        ("eap-ig", {"step": 5}, "has no `step` (did you mean `steps`?); it takes `steps`, "),
        ("eap-ig", {"colour": 5}, "the method eap-ig has no `colour`; it takes `steps`, "),
        ("eap-ig", {"steps": 0}, "`steps` must be from 1 to 1000, not 0."),
        ("eap-ig", {"steps": -1}, "`steps` must be from 1 to 1000, not -1."),
        ("eap-ig", {"steps": 10**9}, "`steps` must be from 1 to 1000, not 1000000000."),
        ("eap-ig", {"steps": 10**30}, "`steps` is out of all bounds"),
        ("eap-ig", {"steps": 1.5}, "`steps` must be a whole number, not 1.5."),
        ("eap-ig", {"steps": True}, "`steps` must be a whole number, not True."),
        ("eap-ig", {"steps": "5"}, "`steps` must be a whole number, not '5'."),
        ("eap-ig", {"steps": None}, "`steps` must be a whole number, not None."),
        ("acdc", {"threshold": "0.1"}, "`threshold` must be a number, not '0.1'."),
        ("acdc", {"threshold": float("nan")}, "the threshold must be a number of at least 0, got nan."),
        ("acdc", {"gates": 1}, "`gates` must be True or False, not 1."),
        ("acdc", {"order": 5}, "`order` must be a name (text), not 5."),
        (Acdc(), {"threshold": 0.1}, "has its options already; leave out `threshold`."),
        (Acdc, {}, "`method` must be a method's name or a method, e.g. acdc.methods.EapIg(steps=5), not"),
        (None, {}, "`method` must be a method's name or a method"),
    ],
)
def test_options_that_make_no_sense(name, options, said):
    with pytest.raises(SettingsError) as caught:
        find_method(name, **options)
    assert said in str(caught.value)
    with pytest.raises(AcdcError):
        acdc.discover("no such model is opened", "ioi", method=name, **options)


@pytest.mark.parametrize("name", ["eapp", "EAP-IG", "acd", "", "eap_ig"])
def test_an_unknown_method_is_refused_by_the_nearest_names(name):
    with pytest.raises(UnknownNameError, match=r"unknown method .*(eap-ig|acdc)"):
        acdc.discover("no such model is opened", "ioi", method=name)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"method": "eap-ig"}, "gives every edge a score and leaves open which of them are the circuit; give `select`"),
        ({"method": EapIg()}, "leaves open which of them"),
        ({"select": Top(5)}, "the method acdc decides by itself which edges stay"),
        ({"method": Acdc(), "select": Above(0.1)}, "the method acdc decides by itself"),
        ({"method": "eap-ig", "select": 5}, "`select` must be Top, Above or Greedy of acdc.selection"),
        ({"method": "eap-ig", "select": Top}, "`select` must be Top, Above or Greedy of acdc.selection"),
        ({"method": "eap-ig", "select": {"top": 5}}, "`select` must be Top, Above or Greedy of acdc.selection"),
        ({"batchsize": 4}, "discover has no `batchsize`; did you mean `batch_size`?"),
        ({"ablate": 4}, "the method acdc has no `ablate`"),
        ({"method": Acdc(seed=3), "seed": 4}, "`seed` is 4, and that of the method 3; a run has one"),
    ],
)
def test_a_selection_is_given_exactly_where_it_is_needed_before_a_model_is_opened(options, said):
    with pytest.raises(SettingsError) as caught:
        acdc.discover("no such model is opened", "ioi", **options)
    assert said in str(caught.value)


def test_more_edges_than_the_graph_has_are_refused_before_prompts_are_run(gpt2_model, task, monkeypatch):
    monkeypatch.setattr("acdc.discovery.setting_up.prepare", lambda *_, **__: pytest.fail("prompts were run"))
    for rule in (Top(10**6), Greedy(10**6, by="value")):
        with pytest.raises(SettingsError, match=r"the selection (top|greedy) 1000000 by \w+ is larger than the graph"):
            acdc.discover(gpt2_model, task, method="eap-ig", select=rule, progress=False)


def test_a_method_alone_finds_what_a_run_finds(gpt2_model, task, setting):
    alone = Acdc(threshold=0.01).find(setting, METRICS["kl"])
    run = acdc.discover(gpt2_model, task, n=4, threshold=0.01, progress=False)
    assert list(alone.decisions) == list(run.decisions)
    np.testing.assert_array_equal(setting.graph.on_path(alone.kept), run.circuit.in_graph)
    np.testing.assert_array_equal(alone.scores, run.circuit.scores)
    assert alone.measured["tried"] == run.record.tried == len(run.decisions)
    assert acdc.discover(gpt2_model, task, n=4, method=Acdc(0.01), progress=False).record.request == run.record.request


def test_eap_ig_scores_are_what_a_run_s_circuit_has(gpt2_model, task, setting):
    alone = EapIg(steps=3).find(setting, METRICS["kl"])
    assert alone.kept is None
    assert alone.decisions == ()
    run = acdc.discover(gpt2_model, task, n=4, method="eap-ig", steps=3, select=Top(9), progress=False)
    np.testing.assert_array_equal(alone.scores, run.circuit.scores)
    np.testing.assert_array_equal(select(setting.graph, alone.scores, Top(9)), run.circuit.in_graph)
    assert run.record.cost == {"forwards": 3, "backwards": 3}
    assert run.decisions == ()


@pytest.mark.parametrize("method", [Acdc(threshold=1e9), EapIg(steps=50)])
def test_positive_is_what_the_metric_rises_by_without_the_edge(setting, method):
    logits = setting.graph.slot("logits").edges
    scores = method.find(setting, METRICS["kl"]).scores[logits]
    # The first edge that ACDC tries is removed from the whole graph; of estimates the largest is surest.
    chosen = len(scores) - 1 if method.decides else int(np.abs(scores).argmax())
    without = np.ones(setting.graph.n_edges, dtype=bool)
    without[logits.start + chosen] = False
    rise = ReferenceEngine(setting, METRICS["kl"]).metric_of(without)
    assert rise > 0
    assert scores[chosen] == pytest.approx(rise, rel=1e-3) if method.decides else scores[chosen] > 0


def test_the_more_steps_the_closer(setting):
    """The integral converges, so that steps are what they say."""
    scores = [EapIg(steps).find(setting, METRICS["kl"]).scores for steps in (2, 20, 200)]
    assert np.abs(scores[1] - scores[2]).max() < np.abs(scores[0] - scores[2]).max() / 3


def test_a_run_has_one_seed(gpt2_model, task):
    options = {"n": 4, "threshold": 0.5, "progress": False}
    method = Acdc(0.5, order="random", seed=3)
    by_name = acdc.discover(gpt2_model, task, order="random", seed=3, **options)
    for run in (
        acdc.discover(gpt2_model, task, method=method, n=4, progress=False),
        acdc.discover(gpt2_model, task, method=Acdc(0.5, order="random"), seed=3, n=4, progress=False),
    ):
        assert run.record.request == by_name.record.request
        assert list(run.decisions) == list(by_name.decisions)


def test_prompts_and_settings_can_be_had_alone(gpt2_model, gpt2_folder, task):
    drawn = prompts(gpt2_folder, task, n=3, seed=2)
    assert len(drawn) == 3
    assert drawn.sha256() == prompts(gpt2_model, task, n=3, seed=2).sha256()
    assert prompts(gpt2_model, task, n=3, split="test").sha256() != prompts(gpt2_model, task, n=3).sha256()
    one, other = set_up(gpt2_model, drawn, ablation="zero"), set_up(gpt2_folder, task, n=3, seed=2, ablation="zero")
    assert one.ablation == "zero"
    np.testing.assert_array_equal(one.model_logits, other.model_logits)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"ablation": "noise"}, "unknown ablation 'noise'"),
        ({"engine": "quick"}, "unknown engine 'quick'"),
        ({"metric": "kll"}, "unknown metric 'kll': did you mean kl?"),
        ({"batch_size": 0}, "the batch size must be at least 1"),
        ({"split_input": 1}, "`split_input` must be True or False"),
        ({"n": 0}, "n must be at least 1"),
        ({"split": "validation"}, "`split` must be train or test"),
        ({"seed": "1"}, "`seed` must be a whole number"),
    ],
)
def test_a_setting_that_makes_no_sense(gpt2_model, task, options, said):
    with pytest.raises(AcdcError) as caught:
        set_up(gpt2_model, task, **options)
    assert said in str(caught.value)
    with pytest.raises(SettingsError, match="`n` says how prompts are drawn, and they are given already"):
        set_up(gpt2_model, prompts(gpt2_model, task, n=2), n=2)


def test_a_corruption_that_is_no_text_is_a_sentence(gpt2_model, task):
    for make in (prompts, set_up):
        with pytest.raises(SettingsError, match=r"`corruption` must be a name \(text\), not 5"):
            make(gpt2_model, task, corruption=5)


def test_a_metric_of_the_caller_s_own_comes_along(gpt2_model, task):
    def distance(circuit, model, answers):
        return (circuit - model).square().mean(-1)

    assert set_up(gpt2_model, task, n=2, metric=distance).own_metric.name == "distance"
    with pytest.raises(SettingsError, match="must be 0 for the model itself"):
        set_up(gpt2_model, task, n=2, metric=lambda circuit, model, answers: circuit[:, 0] * 0 + 1)


def test_methods_are_listed_without_torch():
    code = "import sys, acdc.methods, acdc.discovery.discover; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_method_of_one_s_own_runs_as_any_other(gpt2_model, task, tmp_path):
    @dataclass(frozen=True)
    class Strongest(Method):
        name = "strongest"
        source = "nobody"
        decides = False
        power: float = option(2.0, "How much more.")

        def find(self, setting, metric, log=None):
            scores = np.arange(setting.graph.n_edges, dtype=float) ** self.power
            return Found(scores, measured={"colour": "blue"})

    run = acdc.discover(gpt2_model, task, method=Strongest(3.0), select=Top(20), out=tmp_path / "run", progress=False)
    assert run.record.request.options == {"power": 3.0}
    assert acdc.Run.load(tmp_path / "run").record.further == {"colour": "blue"}
    assert acdc.Run.load(tmp_path / "run").circuit.found == run.circuit.found


def a_method_that_gives(make, *, deciding=False):
    """A method of one's own, whose ``find`` is given the graph and the log."""

    @dataclass(frozen=True)
    class Mine(Method):
        name, source, decides = "mine", "nobody", deciding

        def find(self, setting, metric, log=None):
            return make(setting.graph, log)

    return Mine()


def some_decisions(graph, log):
    made = [Decision(graph.slot("logits"), source, 0.0, 0.5, True) for source in graph.nodes[:3]]
    for decision in made[len(log.past) :]:
        log.decide(decision)
    return Found(np.arange(graph.n_edges), np.ones(graph.n_edges, dtype=bool), made)


def test_the_run_of_a_method_of_one_s_own_that_decides_is_read_again(gpt2_model, task, tmp_path):
    method = a_method_that_gives(some_decisions, deciding=True)
    run = acdc.discover(gpt2_model, task, method=method, out=tmp_path / "run", progress=False)
    assert len(run.decisions) == 3
    loaded = acdc.Run.load(tmp_path / "run")
    assert loaded.decisions == tuple(run.decisions)
    assert list(loaded.circuit) == list(run.circuit)
    again = acdc.discover(gpt2_model, task, method=method, out=tmp_path / "run", resume=True, progress=False)
    assert again.record.fingerprint == run.record.fingerprint


@pytest.mark.parametrize(
    ("deciding", "make", "said"),
    [
        (False, lambda graph, log: None, "the method mine must give an acdc.methods.Found, not None."),
        (False, lambda graph, log: Found([1.0, 2.0]), "must be numbers of shape"),
        (False, lambda graph, log: Found("text"), "one for each edge, not 'text'."),
        (True, lambda graph, log: Found(np.ones(graph.n_edges)), "says that it decides, and found no `kept`"),
        (False, lambda graph, log: Found(np.ones(graph.n_edges), np.ones(graph.n_edges, bool)), "leave `kept` out"),
        (False, lambda graph, log: Found(np.ones(graph.n_edges), measured={"status": "x"}), "status is a key of"),
        (False, lambda graph, log: Found(np.ones(graph.n_edges), measured={"kept": "all"}), "kept must be a whole"),
        (False, lambda graph, log: Found(np.ones(graph.n_edges), measured={"a": np.ones(2)}), "is neither a number"),
        (True, lambda graph, log: some_decisions(graph, Log()), "found other decisions than it told its log"),
    ],
)
def test_what_a_method_of_one_s_own_finds_is_checked(deciding, make, said, gpt2_model, task):
    select = None if deciding else Top(5)
    with pytest.raises(SettingsError, match=re.escape(said)):
        acdc.discover(
            gpt2_model, task, method=a_method_that_gives(make, deciding=deciding), select=select, progress=False
        )


def test_what_is_measured_may_be_numpy_s(gpt2_model, task):
    method = a_method_that_gives(lambda graph, log: Found([1] * graph.n_edges, measured={"mine": np.float32(3)}))
    run = acdc.discover(gpt2_model, task, method=method, select=Top(5), progress=False)
    assert run.record.further == {"mine": 3.0}
    assert run.circuit.scores.dtype == np.float64


def test_an_option_of_a_type_that_no_record_has_is_refused():
    @dataclass(frozen=True)
    class Bounded(EapIg):
        bound: float | None = None

    with pytest.raises(
        SettingsError, match=r"`bound` is of the type float \| None; options are int, float, bool or str"
    ):
        Bounded()


def test_gradients_are_counted_as_they_are_taken(setting):
    class Kept(Log):
        def begin(self, total, unit):
            said.append((total, unit))

        def at(self, done, words=""):
            said.append(done)

    said = []
    EapIg(3).find(setting, METRICS["kl"], Kept())
    assert said == [(3, "gradient"), 1, 2, 3]
