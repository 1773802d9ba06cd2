"""95 % intervals by the bootstrap, over prompts; where there is none, why."""

import numpy as np
import pytest
from scipy.stats import bootstrap

from acdc.evaluation.intervals import Interval, Intervals
from acdc.results import Behaviour, Evaluation, faithfulness

DRAW = np.random.default_rng(0)


def evaluation(circuit, ablated, *, prompt_of=None, rounding=0.0):
    """One of KL values per prediction."""
    circuit, ablated = (np.asarray(values, dtype=np.float64) for values in (circuit, ablated))
    prompt_of = np.arange(len(circuit)) if prompt_of is None else np.asarray(prompt_of)
    states = [Behaviour.of({"kl": values}) for values in (np.zeros_like(circuit), ablated, circuit, ablated)]
    share = faithfulness(circuit.mean(), ablated.mean(), rounding)
    return Evaluation(
        int(prompt_of[-1]) + 1,
        *states,
        faithfulness=share,
        faithfulness_metric="kl",
        prompt_of=prompt_of,
        rounding=rounding,
    )


def test_an_interval_is_scipys_on_one_prediction_a_prompt():
    values = DRAW.exponential(size=60)
    found = Intervals(evaluation(values, values + 3)).of("circuit", "kl")
    theirs = bootstrap((values,), np.mean, method="percentile", n_resamples=20000, rng=np.random.default_rng(5))
    low, high = theirs.confidence_interval
    assert (found.low, found.high) == (pytest.approx(low, abs=0.02), pytest.approx(high, abs=0.02))
    assert found.why is None
    assert Intervals(evaluation(values, values + 3)).of("circuit", "kl") == found  # seeded


def test_prompts_are_drawn_and_not_predictions():
    """Eight predictions that all say the same are no more evidence than one."""
    values = DRAW.exponential(size=30)
    one = Intervals(evaluation(values, values + 3)).of("circuit", "kl")
    eight = evaluation(values.repeat(8), values.repeat(8) + 3, prompt_of=np.arange(30).repeat(8))
    assert Intervals(eight).of("circuit", "kl").low == pytest.approx(one.low)
    assert Intervals(eight).of("circuit", "kl").high == pytest.approx(one.high)


def test_a_mean_is_over_predictions_also_where_prompts_have_different_numbers_of_them():
    prompt_of = np.array([0, 1, 1, 1, 2, 2])
    values = np.array([6.0, 1, 1, 1, 2, 2])
    found = Intervals(evaluation(values, values + 3, prompt_of=prompt_of)).of("circuit", "kl")
    means = []  # all 27 draws of three prompts, by hand
    for draw in np.ndindex(3, 3, 3):
        drawn = np.concatenate([values[prompt_of == prompt] for prompt in draw])
        means.append(drawn.mean())
    assert (found.low, found.high) == pytest.approx(np.quantile(means * 1000, [0.025, 0.975]), abs=0.05)


def test_faithfulness_is_a_ratio_of_means_on_the_same_draws():
    ablated = DRAW.exponential(size=50) + 1
    found = Intervals(evaluation(0.25 * ablated, ablated)).of_faithfulness()
    assert found == Interval(why="it is the same on every draw") or found.high - found.low < 1e-12  # always 0.75
    circuit = ablated * DRAW.random(50)
    found = Intervals(evaluation(circuit, ablated)).of_faithfulness()
    theirs = bootstrap(
        (circuit, ablated),
        lambda c, a, axis: 1 - c.mean(axis) / a.mean(axis),
        paired=True,
        method="percentile",
        n_resamples=20000,
        rng=np.random.default_rng(5),
    ).confidence_interval
    assert (found.low, found.high) == (pytest.approx(theirs.low, abs=0.02), pytest.approx(theirs.high, abs=0.02))


def test_where_there_is_no_interval_it_says_why():
    values = DRAW.exponential(size=20)
    alone = Intervals(evaluation([0.3], [3.0]))
    assert alone.of("circuit", "kl") == alone.of_faithfulness() == Interval(why="there is one prompt")
    alone = Intervals(evaluation([0.3, 0.4], [3.0, 3.1], prompt_of=[0, 0]))
    assert alone.of("circuit", "kl").why == "there is one prompt"
    found = Intervals(evaluation(values, values + 3))
    assert found.of("model", "kl") == Interval(why="it is the same on every prompt")
    assert found.of("complement", "kl") == found.of("circuit", "l2") == Interval(why="it wasn't measured")
    assert found.of_faithfulness("model").why == found.of_faithfulness("ablated").why == "it is so by definition"
    undefined = Intervals(evaluation(values, np.full(20, 1e-12), rounding=1e-9))
    assert undefined.of_faithfulness() == Interval(why="it is not defined")
    turning = Intervals(evaluation(values, np.r_[np.full(10, 1.0), np.full(10, -0.9)]))
    assert turning.of_faithfulness().why == ("in some resamples the model and the ablated model are too close by kl")
    old = Evaluation(3, *(Behaviour(None, None, None, {"kl": 1.0}) for _ in range(4)), 0.5, "kl")
    assert Intervals(old).of("circuit", "kl").why == "values per prediction aren't kept"


@pytest.mark.filterwarnings("error")
def test_many_prompts_and_constant_values_make_no_noise():
    values = DRAW.random(3000)
    found = Intervals(evaluation(values, np.ones(3000)))
    assert found.of("circuit", "kl").high - found.of("circuit", "kl").low < 0.03
    assert found.of("ablated", "kl").why == "it is the same on every prompt"
