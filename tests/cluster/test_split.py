"""A run whose prompts are split makes one process's decisions, whatever the model, the parts and who holds them."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from test_fast import draw_model, draw_prompts

from acdc import methods
from acdc.cluster.split import Part, Question, SplitEngine, Team, split_rows
from acdc.cluster.workers import packed, unpacked
from acdc.engine.choice import make_engine
from acdc.engine.setting import prepare
from acdc.errors import NumericsError, SettingsError
from acdc.graph import Graph
from acdc.metrics import METRICS, Metric
from acdc.pairs import PromptSet
from acdc.pruning.pruner import Acdc, AcdcSettings


class Here(Team):
    """Parts in this process, sent and received as workers' are."""

    def __init__(self, setting, measure, n_parts, batch_size=None):
        super().__init__(setting, n_parts)
        self.questions = []
        self._sent = [packed(setting.part(rows)) for rows in self.rows]
        self._new = lambda data: Part(unpacked(data, setting.model, batch_size), measure)
        self.parts = [self._new(data) for data in self._sent]

    def answers(self, question):
        found = [part.answer(question) for part in self.parts]
        self.questions.append((question, found))
        return found

    def replace(self, i):
        """Another takes a part."""
        self.parts[i] = self._new(self._sent[i])
        for told in self.past.questions():
            self.parts[i].answer(told)


def split(setting, measure, n_parts=2, batch_size=None):
    """An engine whose parts are here."""
    return SplitEngine(setting, measure, Here(setting, measure, n_parts, batch_size))


def more_prompts(draws, n=2):
    """Drawn prompts, of which there are several."""
    return PromptSet(tuple(pair for _ in range(n) for pair in draw_prompts(draws).pairs), "drawn")


def near(threshold, decisions, worst):
    """Decisions before the first that rounding may turn."""
    tie = max(1e-9 * worst, 1e-13)
    at = [abs(d.after - d.before - threshold) < tie for d in decisions]
    return at.index(True) if any(at) else len(decisions)


@pytest.fixture(scope="module", params=range(2))
def drawn(request, tmp_path_factory):
    """A model of few edges, and what draws the rest."""
    draws = np.random.default_rng([16, request.param])
    while True:
        kind, model = draw_model(draws, tmp_path_factory.mktemp("model"))
        if Graph(model.graph_config).n_edges < 80:
            return kind, model, draws


@pytest.mark.parametrize(
    ("engine", "ablation", "n_parts", "batch_size"),
    [("fast", "corrupted", 2, None), ("fast", "mean", 3, 1), ("reference", "zero", 4, 2)],
)
def test_the_decisions_are_those_of_one_process(drawn, engine, ablation, n_parts, batch_size):
    kind, model, draws = drawn
    metric = METRICS[str(draws.choice(list(METRICS)))]
    setting = replace(prepare(model, more_prompts(draws), ablation=ablation), engine=engine)
    one, many = make_engine(engine, setting, metric), split(setting, metric, n_parts, batch_size)
    worst = abs(one.metric_of(~one.kept)) + 1e-6
    assert many.name == one.name
    assert many.metric_of(~one.kept) == pytest.approx(one.metric_of(~one.kept), abs=1e-9 * worst)
    threshold = worst * float(draws.choice([1e-4, 1e-3, 1e-2, 0.1]))
    settings = AcdcSettings(threshold, gates=bool(draws.random() < 0.3), passes=1 + n_parts % 2)
    alone, together = Acdc(one, settings), Acdc(many, settings)
    most = 12 if engine == "reference" else None  # it takes a whole run for each
    expected, found = (list(islice(each.decisions(), most)) for each in (alone, together))
    upto = near(threshold, expected, worst)
    assert [(d.edge, d.kept) for d in found[:upto]] == [(d.edge, d.kept) for d in expected[:upto]], kind
    np.testing.assert_allclose([d.after for d in found[:upto]], [d.after for d in expected[:upto]], atol=1e-8 * worst)
    if upto == len(expected) and most is None:
        assert np.array_equal(alone.kept, together.kept)
        assert many.metric() == pytest.approx(one.metric(), abs=1e-8 * worst)


@pytest.fixture(scope="module")
def setting(tmp_path_factory):
    _, model = draw_model(np.random.default_rng(6), tmp_path_factory.mktemp("model"))
    return prepare(model, more_prompts(np.random.default_rng(3)))


def test_prompts_are_dealt_evenly():
    assert [rows.stop - rows.start for rows in split_rows(10, 4)] == [2, 3, 3, 2]
    assert split_rows(2, 5) == [slice(0, 1), slice(1, 2)]


def test_a_chain_costs_a_question_and_parts_run_equally_far_ahead(setting):
    metric, settings = METRICS["kl"], AcdcSettings(0.01)
    engine = split(setting, metric, 3)
    decisions = list(Acdc(engine, settings).decisions())
    team = engine._team
    chains = [found for question, found in team.questions if question.what == "chain"]
    kept, slots = sum(d.kept for d in decisions), len({d.slot for d in decisions})
    assert len(chains) < min(len(decisions), kept + 3 * slots)
    assert {question.what for question, _ in team.questions} == {"begin", "reckon", "metric", "chain"}
    assert [question.what for question, _ in team.questions].count("metric") <= 1
    paths = [{(start, tuple(path.stay)) for start, path in found} for found in chains]
    assert all(len(of_parts) == 1 for of_parts in paths)
    assert any(any(stay) for of_parts in paths for _, stay in of_parts)


def test_effects_and_the_noise_floor_are_those_of_all_prompts(setting):
    one, many = make_engine("fast", setting, METRICS["kl"]), split(setting, METRICS["kl"], 3)
    for slot in one.graph.slots:
        np.testing.assert_allclose(many.effects(slot), one.effects(slot), atol=1e-10)
    assert one.noise_floor() / 3 < many.noise_floor() < 3 * one.noise_floor()
    many.remove(np.array([one.graph.n_edges - 1]))
    with pytest.raises(SettingsError, match="effects are those of an edge of the whole graph"):
        many.effects(one.graph.slots[0])


@pytest.mark.parametrize("passes", [1, 3])
def test_another_goes_on_where_a_part_was_lost(setting, passes):
    metric, settings = METRICS["kl"], AcdcSettings(0.005, passes=passes)
    whole = list(Acdc(make_engine("fast", setting, metric), settings).decisions())
    engine = split(setting, metric)
    team, found = engine._team, []
    for decision in Acdc(engine, settings).decisions():
        found.append(decision)
        if len(found) in (3, 4, 20, 45):  # in the middle of chains, too
            team.replace(len(found) % 2)
    assert [(d.edge, d.kept) for d in found] == [(d.edge, d.kept) for d in whole]
    np.testing.assert_allclose([d.after for d in found], [d.after for d in whole], atol=1e-10)


def test_a_run_goes_on_with_its_prompts_split_or_no_longer(setting):
    metric, settings = METRICS["kl"], AcdcSettings(0.005)
    whole = list(Acdc(make_engine("fast", setting, metric), settings).decisions())
    cut = len(whole) // 2
    for engine in (split(setting, metric), make_engine("fast", setting, metric)):
        rest = Acdc(engine, settings, past=whole[:cut], noise=1e-15)
        assert [(d.edge, d.kept) for d in rest.decisions()] == [(d.edge, d.kept) for d in whole[cut:]]


def test_a_part_whose_metric_is_no_number_names_its_prompt(setting):
    last = setting.prompts.pairs[-1].where

    def odd(circuit, model, answers):
        """No number for the last prediction, once the circuit isn't the model."""
        values = (circuit - model).square().sum(-1)
        is_last = (model - setting.model_logits[-1]).abs().amax(-1) < 1e-6
        values[is_last & (values > 1e-6)] = float("nan")
        return values

    engine = split(setting, Metric("odd", "odd", "nothing", odd))
    logits = engine.graph.slots[-1]
    with pytest.raises(NumericsError, match=f"{last}: the odd of a patched run is NaN or infinite"):
        list(engine.removals([np.array([logits.first_edge + i]) for i in range(logits.n_parents)]))


@pytest.mark.parametrize(
    "method",
    [methods.Acdc(0.01, order="attribution"), methods.Acdc(budget=12), methods.Hybrid(0.01), methods.Patching()],
)
def test_every_method_that_tries_edges_finds_the_same(setting, method):
    here = replace(setting, split=lambda measure: split(setting, measure))
    alone, together = (method.find(each, METRICS["kl"]) for each in (setting, here))
    np.testing.assert_allclose(together.scores, alone.scores, atol=1e-10)
    assert (alone.kept is None and together.kept is None) or np.array_equal(alone.kept, together.kept)


def test_the_setting_makes_the_engine(setting):
    here = replace(setting, split=lambda measure: split(setting, measure))
    assert isinstance(make_engine("fast", here, METRICS["kl"]), SplitEngine)
    assert here.part(slice(0, 1)).split is None
    assert Question("metric").removed == ()
