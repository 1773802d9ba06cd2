"""Every metric against its equation, written out in numpy."""

import numpy as np
import pytest
import torch

from acdc.errors import PromptError, UnknownNameError
from acdc.metrics import METRICS, AnswerTokens, find_metric
from acdc.pairs import PromptSet, TokenPair

#: Logits of the model and of a circuit, ``[prediction, vocab]``.
MODEL = np.array([[2.0, -1.0, 0.5, 0.0, 1.0], [0.1, 0.2, -3.0, 4.0, 0.3], [1.0, 1.0, 1.0, 1.0, 1.0]])
CIRCUIT = np.array([[0.5, 1.5, -0.5, 0.0, 2.0], [1.0, -2.0, 0.0, 0.5, 0.2], [3.0, 0.0, -1.0, 2.0, 0.0]])
#: Several right and wrong answers, and fewer in some predictions than in others.
RIGHT = [[0, 2], [3], [1, 4]]
WRONG = [[1], [0, 2, 4], [3]]


def padded(lists):
    width = max(map(len, lists))
    return torch.tensor([ids + [-1] * (width - len(ids)) for ids in lists])


def softmax(x):
    return np.exp(x) / np.exp(x).sum()


def kl(f, h, right, wrong):
    p, q = softmax(f), softmax(h)
    return sum(p[v] * (np.log(p[v]) - np.log(q[v])) for v in range(len(p)))


def logit_diff(f, h, right, wrong):
    def d(x):
        return max(x[a] for a in right) - max(x[w] for w in wrong)

    return d(f) - d(h)


def prob_diff(f, h, right, wrong):
    def e(x):
        return sum(softmax(x)[a] for a in right) - sum(softmax(x)[w] for w in wrong)

    return e(f) - e(h)


def answer_logprob(f, h, right, wrong):
    return np.log(sum(softmax(f)[a] for a in right)) - np.log(sum(softmax(h)[a] for a in right))


def l2(f, h, right, wrong):
    return sum((f[v] - h[v]) ** 2 for v in range(len(f)))


EQUATIONS = {"kl": kl, "logit-diff": logit_diff, "prob-diff": prob_diff, "answer-logprob": answer_logprob, "l2": l2}


def value(name, circuit, right=RIGHT, wrong=WRONG):
    answers = AnswerTokens(padded(right), padded(wrong))
    return find_metric(name).per_prediction(torch.from_numpy(circuit), torch.from_numpy(MODEL), answers).numpy()


def test_every_metric_has_an_equation_here():
    assert METRICS.keys() == EQUATIONS.keys()
    assert all(metric.name == name for name, metric in METRICS.items())


@pytest.mark.parametrize("name", EQUATIONS)
def test_a_metric_is_its_equation(name):
    expected = [EQUATIONS[name](*row) for row in zip(MODEL, CIRCUIT, RIGHT, WRONG, strict=True)]
    np.testing.assert_allclose(value(name, CIRCUIT), expected, rtol=1e-12)


@pytest.mark.parametrize("name", EQUATIONS)
def test_the_model_itself_has_zero(name):
    np.testing.assert_allclose(value(name, MODEL), 0, atol=1e-15)


@pytest.mark.parametrize("name", EQUATIONS)
def test_padding_of_answers_counts_for_nothing(name):
    more = [[*row, -1, -1] for row in RIGHT], [[*row, -1] for row in WRONG]
    np.testing.assert_array_equal(value(name, CIRCUIT, *more), value(name, CIRCUIT))


@pytest.mark.parametrize("name", ["kl", "logit-diff", "prob-diff", "answer-logprob"])
def test_a_shift_of_all_logits_changes_no_prediction(name):
    np.testing.assert_allclose(value(name, CIRCUIT + 7), value(name, CIRCUIT), rtol=1e-12)


def test_a_circuit_that_does_better_has_a_negative_value():
    better = MODEL.copy()
    for row, right in zip(better, RIGHT, strict=True):
        row[right] += 2
    for name in ("logit-diff", "prob-diff", "answer-logprob"):
        assert (value(name, better) < 0).all()
    assert (value("kl", better) > 0).all()


def test_improbable_answers_stay_finite():
    extreme = np.array(MODEL)
    extreme[:, 3] += 2000
    for name in EQUATIONS:
        assert np.isfinite(value(name, extreme)).all()


def prompt_set(right, wrong):
    def pair(with_right, with_wrong):
        return TokenPair((1, 2), (1, 3), (1,), ((4,),) if with_right else (), ((5,),) if with_wrong else ())

    return PromptSet(tuple(pair(*row) for row in zip(right, wrong, strict=True)), "mine")


@pytest.mark.filterwarnings("ignore:mine. .*answers on:acdc.AcdcWarning")
@pytest.mark.parametrize(
    ("name", "what"),
    [("logit-diff", "right and wrong answers"), ("prob-diff", "right and wrong answers"), ("answer-logprob", "right")],
)
def test_a_metric_says_which_answers_it_needs(name, what):
    for right, wrong in (([False, False], [False, False]), ([True, False], [True, True])):
        with pytest.raises(
            PromptError, match=f"^mine: the metric {name} needs {what}.*; add them, or use .*kl.* or l2"
        ):
            find_metric(name).check(prompt_set(right, wrong))
    find_metric(name).check(prompt_set([True, True], [True, True]))


@pytest.mark.filterwarnings("ignore:mine. .*answers on:acdc.AcdcWarning")
@pytest.mark.parametrize("name", ["logit-diff", "prob-diff"])
def test_wrong_answers_are_needed_for_every_pair(name):
    with pytest.raises(PromptError, match="needs right and wrong answers for every prompt pair"):
        find_metric(name).check(prompt_set([True, True], [True, False]))


def test_an_answer_s_log_probability_needs_no_wrong_one():
    find_metric("answer-logprob").check(prompt_set([True, True], [False, False]))


@pytest.mark.parametrize("name", ["kl", "l2"])
def test_the_others_need_no_answers(name):
    find_metric(name).check(prompt_set([False], [False]))


def test_an_unknown_metric_names_the_nearest():
    with pytest.raises(UnknownNameError, match=r"^unknown metric 'logit-dif': did you mean logit-diff"):
        find_metric("logit-dif")
