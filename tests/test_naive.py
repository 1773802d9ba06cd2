"""The pruner keeps exactly the edges of a second, naive implementation."""

import naive
import pytest
import torch
from families import random_model

import acdc
from acdc.engine.reference import ReferenceEngine
from acdc.engine.setting import prepare
from acdc.metrics import METRICS
from acdc.pairs import PromptSet, TokenPair
from acdc.pruning.pruner import Acdc, AcdcSettings

NAIVE = {"gpt2": naive.NaiveGpt2, "llama": naive.NaiveLlama}
THRESHOLDS = {"kl": [0.001, 0.005, 0.02], "logit-diff": [0.003, 0.03, 0.1]}


def drawn(family):
    """A naive model, the same opened by acdc's own ways, and random prompts for both."""
    theirs = random_model(family, torch.float64)
    generator = torch.Generator().manual_seed(3)
    clean, corrupted = torch.randint(50, (2, 4, 7), generator=generator)
    right, wrong = torch.randint(50, (2, 4), generator=generator)
    pairs = PromptSet(
        tuple(
            TokenPair(tuple(c), tuple(x), (6,), ((r,),), ((w,),))
            for c, x, r, w in zip(*(t.tolist() for t in (clean, corrupted, right, wrong)), strict=True)
        ),
        "random",
    )
    second = NAIVE[family](theirs)
    with torch.no_grad():
        logits, _ = naive.run(second, clean, set(), {})
        assert (logits - theirs(clean).logits[:, -1]).abs().max() < 1e-5  # the naive one is that model
    return second, acdc.load_model(theirs), pairs, (clean, corrupted, right, wrong)


def both_keep(family, metric, thresholds, ablation="corrupted"):
    """How many edges each threshold keeps; the same edges by both implementations."""
    second, model, pairs, (clean, corrupted, right, wrong) = drawn(family)
    setting = prepare(model, pairs, ablation=ablation)
    measure = {"kl": naive.kl, "logit-diff": naive.logit_diff}[metric]
    sizes = [setting.graph.n_edges]
    for threshold in thresholds:
        run = Acdc(ReferenceEngine(setting, METRICS[metric]), AcdcSettings(threshold))
        list(run.decisions())
        kept = {edge.name for edge in setting.graph.edges(run.kept)}
        with torch.no_grad():
            assert kept == naive.acdc(second, clean, corrupted, measure, threshold, right, wrong, ablation)
        sizes.append(len(kept))
    return sizes


@pytest.mark.drawn
@pytest.mark.parametrize("family", NAIVE)
@pytest.mark.parametrize("metric", THRESHOLDS)
def test_same_edges_as_a_whole_forward_for_every_edge(family, metric):
    sizes = both_keep(family, metric, THRESHOLDS[metric])
    assert sizes[0] > sizes[1] > sizes[2] > sizes[3] > 0  # the thresholds tell something apart


@pytest.mark.parametrize("ablation", ["zero", "mean"])
def test_same_edges_with_other_ablations(ablation):
    sizes = both_keep("gpt2", "kl", [0.01], ablation)
    assert sizes[0] > sizes[1] > 0
