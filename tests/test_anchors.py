"""Sums over a large vocabulary of runs that hardly differ, from a sample: as right as full passes in float64."""

import numpy as np
import pytest
import torch
import transformers as tf
from families import random_weights

import acdc
from acdc.engine.choice import make_engine
from acdc.engine.fast.anchors import Anchors
from acdc.engine.fast.gains import MixtureChange
from acdc.engine.fast.sample import serves
from acdc.engine.fast.scores import Scorer, make_scorer
from acdc.engine.fast.vocabulary import Logits
from acdc.engine.setting import prepare
from acdc.metrics import METRICS
from acdc.pairs import PromptSet, TokenPair
from acdc.pruning.pruner import Acdc, AcdcSettings

OUTPUTS, WIDTH, PREDICTIONS, RUNS = 16384, 24, 3, 40
#: Of the whole sum; a full pass in float32 leaves about as much.
CLOSE = 5e-7


@pytest.fixture
def case():
    """Weights, predictions of the model, and those of the corrupted prompts."""
    draws = torch.Generator().manual_seed(0)
    weight = torch.randn(OUTPUTS, WIDTH, generator=draws)
    logits = torch.randn(2, PREDICTIONS, WIDTH, generator=draws) @ weight.T
    return draws, weight, *logits.log_softmax(-1).float()


def exact(left, weight, log_p):
    """``[run, prediction]`` in float64."""
    return (log_p.double() + left.double() @ weight.T.double()).exp().sum(-1)


def sums_by(anchors, left, weight, log_p):
    """``[run, prediction]``"""
    logits = Logits.of_runs(left, [weight], log_p)
    return anchors.sums(logits, left, torch.zeros(RUNS, PREDICTIONS, dtype=torch.float64))


def worst(found, left, weight, log_p):
    """The largest error of a run's mean over predictions, in units of the whole."""
    right = exact(left, weight, log_p)
    return float(((found - right) / right).mean(-1).abs().max())


def test_a_chain_of_small_and_large_steps(case):
    draws, weight, log_p, corrupted = case
    anchors, passed, now = Anchors(log_p, corrupted.double(), weight, lambda: 0.0), 0.0, torch.zeros(PREDICTIONS, WIDTH)
    for _ in range(4):
        size = torch.where(torch.rand(RUNS, 1, 1, generator=draws) < 0.08, 0.03, 0.0005)
        left = now + (size * torch.randn(RUNS, PREDICTIONS, WIDTH, generator=draws)).cumsum(0)
        found = sums_by(anchors, left, weight, log_p)
        assert worst(found, left, weight, log_p) < CLOSE
        now, passed = left[-1], passed + RUNS
    assert 0 < anchors.passed < PREDICTIONS * passed / 2  # else nothing is saved


def test_large_steps_pass_over_the_vocabulary(case):
    draws, weight, log_p, corrupted = case
    anchors = Anchors(log_p, corrupted.double(), weight, lambda: 0.0)
    left = torch.randn(RUNS, PREDICTIONS, WIDTH, generator=draws) * 0.3
    found = sums_by(anchors, left, weight, log_p)
    assert worst(found, left, weight, log_p) < CLOSE
    assert anchors.passed >= RUNS * PREDICTIONS


def test_where_anchors_have_saved_nothing_they_do_later(case):
    draws, weight, log_p, corrupted = case
    anchors = Anchors(log_p, corrupted.double(), weight, lambda: 0.0)
    for size in [0.3] * 10 + [0.0003] * 30:
        left = size * torch.randn(RUNS, PREDICTIONS, WIDTH, generator=draws)
        before = anchors.passed
        assert worst(sums_by(anchors, left, weight, log_p), left, weight, log_p) < CLOSE
    assert anchors.passed - before < RUNS * PREDICTIONS / 2


@pytest.mark.parametrize("where", [slice(5, None), slice(RUNS - 1, None), slice(8, 12)])
def test_an_output_that_the_sample_has_not_and_that_becomes_likely(case, where):
    draws, weight, log_p, corrupted = case
    rare = (log_p + corrupted).amax(0).argmin()
    weight[:, 0] = 0.0
    weight[rare, 0] = 1.0  # nothing else moves with it
    anchors = Anchors(log_p, corrupted.double(), weight, lambda: 0.0)
    left = (0.0002 * torch.randn(RUNS, PREDICTIONS, WIDTH, generator=draws)).cumsum(0)
    before = exact(left, weight, log_p)
    left[where, :, 0] += -5 - log_p[:, rare]
    assert float((exact(left, weight, log_p) - before)[where].min()) > 0.006
    found = sums_by(anchors, left, weight, log_p)
    assert worst(found, left, weight, log_p) < CLOSE


def test_an_output_that_the_sample_has_not_and_that_becomes_likely_little_by_little(case):
    draws, weight, log_p, corrupted = case
    rare = (log_p + corrupted).amax(0).argmin()
    weight[:, 0] = 0.0
    weight[rare, 0] = 1.0
    anchors = Anchors(log_p, corrupted.double(), weight, lambda: 0.0)
    for _ in range(3):  # anchors are there from before
        left = (0.0002 * torch.randn(RUNS, PREDICTIONS, WIDTH, generator=draws)).cumsum(0)
        left[:, :, 0] += torch.linspace(0, 1, RUNS)[:, None] * (-5 - log_p[:, rare])
        found = sums_by(anchors, left, weight, log_p)
        assert worst(found, left, weight, log_p) < CLOSE


@pytest.mark.parametrize("outputs", [range(4), range(4, 8)])
def test_the_last_run_shows_what_the_sample_has_not(case, outputs):
    draws, weight, _, _ = case
    weight *= 0.1  # so flat that any output counts, and one in eight is in a sample
    log_p, corrupted = (torch.randn(2, PREDICTIONS, WIDTH, generator=draws) @ weight.T).log_softmax(-1)
    for rare in outputs:
        weight[:, 0] = 0.0
        weight[rare, 0] = 1.0
        anchors = Anchors(log_p, corrupted.double(), weight, lambda: 0.0)
        left = (0.0002 * torch.randn(RUNS, PREDICTIONS, WIDTH, generator=draws)).cumsum(0)
        left[5:, :, 0] += 1.5
        found = sums_by(anchors, left, weight, log_p)
        assert worst(found, left, weight, log_p) < CLOSE


@pytest.mark.parametrize("jump", [0.0, 1.0])
def test_each_group_of_runs_shows_what_the_sample_has_not(case, jump):
    draws, weight, _, _ = case
    weight *= 0.1
    weight[:, 0] = 0.0
    weight[2, 0] = 1.0  # an output that isn't in the samples
    log_p, corrupted = (torch.randn(2, PREDICTIONS, WIDTH, generator=draws) @ weight.T).log_softmax(-1)
    anchors = Anchors(log_p, corrupted.double(), weight, lambda: 0.0)
    left = (0.0002 * torch.randn(RUNS, PREDICTIONS, WIDTH, generator=draws)).cumsum(0)
    left[5:, :, 0] += 1.5
    left[14:, :, 1:] += jump * torch.randn(PREDICTIONS, WIDTH - 1, generator=draws)  # where another group begins
    left[-1, :, 1:] += torch.randn(PREDICTIONS, WIDTH - 1, generator=draws)  # the last run is far from all others
    found = sums_by(anchors, left, weight, log_p)
    assert worst(found, left, weight, log_p) < CLOSE


def test_runs_between_anchors_need_no_pass(case):
    draws, weight, log_p, corrupted = case
    anchors = Anchors(log_p, corrupted.double(), weight, lambda: 0.0)
    corners = 0.004 * torch.randn(3, PREDICTIONS, WIDTH, generator=draws)
    shares = torch.rand(RUNS, 3, generator=draws)
    left = torch.einsum("rc,cpd->rpd", shares / shares.sum(1, keepdim=True), corners)
    found = sums_by(anchors, left, weight, log_p)
    assert worst(found, left, weight, log_p) < CLOSE
    assert anchors.passed <= 7 * PREDICTIONS  # two for each corner, and the last run


def test_logits_may_come_by_a_shorter_way(case):
    draws, weight, log_p, corrupted = case
    anchors = Anchors(log_p, corrupted.double(), weight, lambda: 0.0)
    now = 0.1 * torch.randn(PREDICTIONS, WIDTH, generator=draws)  # all runs are this, scaled, and little else
    others = torch.zeros(RUNS, PREDICTIONS, dtype=torch.float64)
    for _ in range(2):  # anchors are there from before
        written = torch.randn(4, WIDTH, generator=draws)
        change = (0.0003 * torch.randn(RUNS, PREDICTIONS, 4, generator=draws)).cumsum(0)
        more = 0.01 * torch.rand(RUNS, PREDICTIONS, 1, generator=draws)
        left = (1 + more) * now + change @ written
        base, unscaled = log_p + now @ weight.T, now @ weight.T
        logits = Logits.of_runs(change, [weight @ written.T], base, more, unscaled)
        found = anchors.sums(logits, left, others)
        assert worst(found, left, weight, log_p) < CLOSE
    assert anchors.passed < RUNS * PREDICTIONS


def test_errors_may_be_a_small_part_of_what_rounding_does(case):
    draws, weight, log_p, corrupted = case
    left = (0.002 * torch.randn(RUNS, PREDICTIONS, WIDTH, generator=draws)).cumsum(0)
    passed = []
    for noise in (0.0, 1e-5):
        anchors = Anchors(log_p, corrupted.double(), weight, lambda noise=noise: noise)
        found = sums_by(anchors, left, weight, log_p)
        assert worst(found, left, weight, log_p) < max(CLOSE, 0.4 * noise)
        passed.append(anchors.passed)
    assert passed[1] < 0.8 * passed[0]


def test_only_where_a_pass_costs_and_rounding_can_be_met():
    assert serves(torch.zeros(1), OUTPUTS)
    assert not serves(torch.zeros(1), OUTPUTS - 1)
    assert not serves(torch.zeros(1, dtype=torch.float64), OUTPUTS)


def random_setting(folder, larger=1):
    """Of a random model with a large vocabulary, and embeddings so many times as large."""
    config = tf.GPT2Config(
        n_embd=16, n_layer=2, n_head=2, n_positions=8, vocab_size=OUTPUTS, bos_token_id=0, eos_token_id=0
    )
    torch.manual_seed(0)
    theirs = random_weights(tf.GPT2LMHeadModel(config), 0)
    with torch.no_grad():
        theirs.lm_head.weight *= larger
    theirs.save_pretrained(folder)
    model = acdc.load_model(folder, dtype="float32")
    draws = np.random.default_rng(0)
    pairs = [TokenPair(*(tuple(draws.integers(OUTPUTS, size=6).tolist()) for _ in range(2)), (5,)) for _ in range(4)]
    return prepare(model, PromptSet(tuple(pairs), "drawn"))


@pytest.fixture
def setting(tmp_path):
    """As it is drawn."""
    return random_setting(tmp_path)


@pytest.mark.random_models
def test_scores_of_a_chain_of_small_steps(setting):
    clean = setting.contributions.clean_residual[setting.rows, setting.columns]  # [prediction, d_model]
    steps = torch.randn(3 * RUNS, *clean.shape, generator=torch.Generator().manual_seed(0))
    runs = clean + (0.001 * clean.std() * steps).cumsum(0)
    scorer, plain = make_scorer(setting, METRICS["kl"], lambda: 0.0), Scorer(setting, METRICS["kl"])
    scorer.score(clean[None])
    found = torch.cat([scorer.score(runs[i : i + RUNS]) for i in range(0, len(runs), RUNS)])
    torch.testing.assert_close(found, plain.score(runs), rtol=0, atol=2e-7)
    assert found.max() > 1e-5
    assert scorer.outputs < OUTPUTS / 2  # of which each run passes over, on the average


@pytest.mark.random_models
def test_rounding_of_the_stream_cancels_where_few_heads_change_it(tmp_path):
    setting = random_setting(tmp_path, larger=10)  # so confident that what is likely stands for a direction
    clean = setting.contributions.clean_residual[setting.rows, setting.columns]  # [prediction, d_model]
    draws = torch.Generator().manual_seed(0)
    weight, steps = torch.randn(8, 16, generator=draws), torch.randn(RUNS, len(clean), 8, generator=draws)
    head = MixtureChange(0, weight, 1e-4 * clean.std() * steps.cumsum(0))
    runs = clean + head.change @ weight
    scorer = make_scorer(setting, METRICS["kl"], lambda: 0.0)
    scorer.score(clean[None])
    expected = scorer.score(runs)
    assert expected.max() > 1e-5
    torch.testing.assert_close(scorer.score_heads(clean, runs, [head]), expected, rtol=0, atol=5e-9)


@pytest.mark.random_models
def test_decisions_and_values_of_a_model_with_a_large_vocabulary_are_the_references(setting):
    runs = [
        list(Acdc(make_engine(engine, setting, METRICS["kl"]), AcdcSettings(0.003)).decisions())
        for engine in ("fast", "reference")
    ]
    assert [(one.edge, one.kept) for one in runs[0]] == [(one.edge, one.kept) for one in runs[1]]
    assert {one.kept for one in runs[0]} == {True, False}
    np.testing.assert_allclose([one.after for one in runs[0]], [one.after for one in runs[1]], rtol=0, atol=2e-6)
