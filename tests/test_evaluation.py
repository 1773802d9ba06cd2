"""What is said of a model and a circuit: accuracy, likeliest token, logit difference, by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import pairs, write_pairs

from acdc.engine.setting import prepare
from acdc.errors import NumericsError
from acdc.evaluation.behaviour import behaviour, evaluate
from acdc.metrics import METRICS
from acdc.pairs import PromptSet, TokenPair
from acdc.pairs.finding import find_task
from acdc.results import Behaviour, Evaluation

CLEAN, CORRUPTED = (1, 2, 3, 4), (4, 3, 2, 1)


def setting(model, *answers):
    """A prompt for each pair of right and wrong answers."""
    made = tuple(
        TokenPair(CLEAN, CORRUPTED, (3,), (right,) if right else (), (wrong,) if wrong else (), f"pair {i}")
        for i, (right, wrong) in enumerate(answers)
    )
    return prepare(model, PromptSet(made, "mine"))


def logits(*rows, vocab=40):
    """A row of logits for each prompt: all 0 but for some tokens."""
    out = torch.zeros(len(rows), vocab, dtype=torch.float64)
    for row, values in zip(out, rows, strict=True):
        for token, value in values.items():
            row[token] = value
    return out


def test_right_is_above_every_wrong_answer(gpt2_model):
    found = behaviour(
        setting(gpt2_model, ((5,), (6,)), ((5,), (6, 7)), ((5, 8), (6,)), ((5,), (6,))),
        logits(
            {5: 2, 6: 1, 9: 3},  # right, though another token is likelier
            {5: 2, 6: 1, 7: 3},  # one of two wrong answers is above: wrong
            {5: 0, 8: 4, 6: 1},  # the better of two right answers counts: right, and likeliest
            {5: 2, 6: 2, 9: 1},  # equal: not right; the likeliest is the first
        ),
    )
    assert found.accuracy == 2 / 4
    assert found.top1 == 2 / 4
    assert found.logit_difference == pytest.approx((1 - 1 + 3 + 0) / 4)


def test_predictions_are_measured_alike_few_at_a_time_and_all_together(gpt2_model):
    made = setting(gpt2_model, *[((5,), (6,))] * 5)
    draws = torch.Generator().manual_seed(0)
    wide, base = torch.randn(2, 5, 70_000, generator=draws, dtype=torch.float64)  # too wide to be measured at once
    values = behaviour(replace(made, model_logits=base, corrupted_logits=base), wide).values
    for name, metric in METRICS.items():
        assert values[name] == pytest.approx(metric.per_prediction(wide, base, made.answers).numpy(), rel=1e-12)


def test_without_wrong_answers_right_is_the_likeliest_token(gpt2_model):
    found = behaviour(setting(gpt2_model, ((5,), ()), ((5, 6), ())), logits({5: 1, 7: 2}, {6: 3, 5: 1}))
    assert found.accuracy == found.top1 == 0.5
    assert found.logit_difference is None
    assert found.metrics.keys() == {"kl", "l2", "answer-logprob"}


def test_without_answers_only_the_distance_to_the_model_is_given(gpt2_model):
    found = behaviour(setting(gpt2_model, ((), ())), logits({5: 1}))
    assert found.accuracy is found.top1 is found.logit_difference is None
    assert found.metrics.keys() == {"kl", "l2"}


def test_metrics_are_means_over_predictions(gpt2_model):
    made = setting(gpt2_model, ((5,), (6,)), ((7,), (8,)))
    given = logits({5: 1, 3: 2}, {8: 1})
    found = behaviour(made, given)
    assert found.metrics.keys() == METRICS.keys()
    for name, metric in METRICS.items():
        each = metric.per_prediction(given, made.model_logits, made.answers)
        assert found.metrics[name] == pytest.approx(float(sum(each)) / 2)


def test_logits_that_are_no_numbers_are_refused_with_the_prompt(gpt2_model):
    made = setting(gpt2_model, ((5,), (6,)), ((5,), (6,)))
    with pytest.raises(NumericsError, match="pair 1: logits are NaN or infinite"):
        behaviour(made, logits({5: 1}, {9: -float("inf")}))


def test_every_answer_position_is_a_prediction(gpt2_model):
    pair = TokenPair(CLEAN, CORRUPTED, (1, 3), ((5,), (6,)), ((7,), (8,)))
    made = prepare(gpt2_model, PromptSet((pair,), "mine"))
    assert behaviour(made, logits({5: 1}, {8: 1})).accuracy == 0.5


def test_evaluation_sets_model_circuit_and_ablated_side_by_side(gpt2_model, tmp_path):
    prompts = find_task(write_pairs(tmp_path / "pairs.jsonl", pairs(5))).prompts(None)
    made = prepare(gpt2_model, prompts)
    every = np.ones(made.graph.n_edges, dtype=bool)
    found = evaluate(made, every)
    assert found.n_prompts == 5
    assert found.model.metrics == dict.fromkeys(METRICS, 0.0)
    with torch.no_grad():  # straight from the model, prompt by prompt
        own = torch.stack([gpt2_model.bridge(torch.tensor([pair.clean]))[0, -1] for pair in prompts.pairs])
        other = torch.stack([gpt2_model.bridge(torch.tensor([pair.corrupted]))[0, -1] for pair in prompts.pairs])
    right = [pair.answers[0][0] for pair in prompts.pairs]
    wrong = [pair.wrong_answers[0][0] for pair in prompts.pairs]
    rows = torch.arange(5)
    for state, said in ((found.model, own), (found.corrupted, other)):
        margins = said[rows, right] - said[rows, wrong]
        assert state.accuracy == pytest.approx(float((margins > 0).double().mean()))
        assert state.logit_difference == pytest.approx(float(margins.mean()), abs=1e-5)
    for name in METRICS:
        assert found.circuit.metrics[name] == pytest.approx(0, abs=1e-4)  # all edges: the model
        assert found.ablated.metrics[name] == pytest.approx(found.corrupted.metrics[name], abs=1e-4)
    nothing = evaluate(made, ~every)
    assert nothing.circuit == nothing.ablated


def test_faithfulness_is_of_the_first_metric_that_the_answers_allow(gpt2_model, tmp_path):
    prompts = find_task(write_pairs(tmp_path / "pairs.jsonl", pairs(5))).prompts(None)
    made = prepare(gpt2_model, prompts)
    half = np.random.default_rng(0).random(made.graph.n_edges) < 0.5
    found = evaluate(made, half, metrics=("logit-diff", "kl"))
    shown = [state.logit_difference for state in (found.model, found.circuit, found.ablated)]
    assert found.faithfulness_metric == "logit-diff"
    assert found.faithfulness == pytest.approx((shown[1] - shown[2]) / (shown[0] - shown[2]))
    found = evaluate(made, half, metrics=("unheard-of", "kl"))
    assert found.faithfulness_metric == "kl"
    assert found.faithfulness == pytest.approx(1 - found.circuit.metrics["kl"] / found.ablated.metrics["kl"])
    bare = prepare(gpt2_model, PromptSet((TokenPair(CLEAN, CORRUPTED, (3,)),), "mine"))
    assert evaluate(bare, half, metrics=("logit-diff", "l2")).faithfulness_metric == "l2"


def test_the_model_itself_keeps_all_and_nothing_keeps_none(gpt2_model, tmp_path):
    made = prepare(gpt2_model, find_task(write_pairs(tmp_path / "pairs.jsonl", pairs(5))).prompts(None))
    every = np.ones(made.graph.n_edges, dtype=bool)
    for metric in METRICS:
        assert evaluate(made, every, metrics=(metric,)).faithfulness == pytest.approx(1, abs=1e-4)
        assert evaluate(made, ~every, metrics=(metric,)).faithfulness == 0


def test_faithfulness_is_not_defined_where_ablating_changes_nothing(gpt2_model):
    """The corrupted prompt differs only where the prediction doesn't look: behind it."""
    pair = TokenPair((1, 2, 3, 4), (1, 2, 3, 5), (2,), ((5,),), ((6,),))
    made = prepare(gpt2_model, PromptSet((pair,), "mine"))
    half = np.random.default_rng(0).random(made.graph.n_edges) < 0.5
    for metric in METRICS:
        assert evaluate(made, half, metrics=(metric,)).faithfulness is None


def test_a_behaviour_and_an_evaluation_can_be_read_in_a_notebook():
    values = {"accuracy": np.array([1.0, 0.0]), "kl": np.array([0.25, 0.5])}
    found = Behaviour.of(values)
    assert repr(found) == "Behaviour(accuracy 0.5, kl 0.375, 2 predictions)"
    assert repr(replace(found, values=None)) == "Behaviour(accuracy 0.5, kl 0.375)"
    whole = Evaluation(2, found, found, found, found, 0.9, "kl", prompt_of=np.arange(2))
    assert repr(whole).splitlines()[0] == "Evaluation(on 2 prompts: faithfulness 90.0% by kl"
    assert len(repr(whole).splitlines()) == 5
    assert "array" not in repr(whole)
