"""A prompt gives the same beside others of any length as alone: in logits, decisions and means, whole or in chunks."""

import numpy as np
import pytest
import torch
from families import random_model

import acdc
from acdc.engine.agreement import check_prompts
from acdc.engine.fast.engine import FastEngine
from acdc.engine.reference import ReferenceEngine
from acdc.engine.setting import prepare
from acdc.metrics import METRICS
from acdc.models.positions import forget_lengths
from acdc.models.tokens import Tokens
from acdc.pairs import PromptSet, TokenPair
from acdc.pruning.pruner import Acdc, AcdcSettings

pytestmark = pytest.mark.drawn

#: What a layer does with a position depends on the prompt's length (LongRoPE, dynamic NTK) or on the position alone.
FAMILIES = ["phi3-longrope", "llama-dynamic", "llama4", "ministral3", "gpt-oss", "mpt"]


def pair(length, seed):
    """Random ids with the answer at the end and in the middle."""
    generator = torch.Generator().manual_seed(seed)
    clean, corrupted = (tuple(torch.randint(50, (length,), generator=generator).tolist()) for _ in range(2))
    return TokenPair(clean, corrupted, (length // 2, length - 1))


def drawn(*lengths):
    """Pairs of these lengths; the families' tables change at 8 tokens."""
    return PromptSet(tuple(pair(length, seed) for seed, length in enumerate(lengths)), "random")


@pytest.fixture(scope="module", params=FAMILIES)
def opened(request):
    theirs = random_model(request.param, torch.float64)
    return request.param, theirs, acdc.load_model(theirs)


def test_logits_beside_other_prompts_are_those_of_the_model_on_each_alone(opened):
    _, theirs, model = opened
    prompts = drawn(6, 14, 7, 11)
    setting = prepare(model, prompts)
    for i, one in enumerate(prompts.pairs):
        forget_lengths(theirs)
        with torch.no_grad():
            own = theirs(torch.tensor([one.clean])).logits[0, list(one.answer_positions)].double()
        assert (setting.model_logits[2 * i : 2 * i + 2] - own).abs().max() < 1e-5
    assert check_prompts(setting).passed


def test_logits_at_some_positions_are_among_those_at_all(opened):
    _, _, model = opened
    tokens = Tokens.of([drawn(8).pairs[0].clean, drawn(8).pairs[0].corrupted], model.device)
    rows, columns = torch.tensor([0, 1, 1]), torch.tensor([7, 2, 5])
    at = model.without_infinity(model.own_logits_at(tokens, rows, columns))
    assert (at - model.without_infinity(model.own_logits(tokens)[rows, columns])).abs().max() < 1e-12


def test_a_short_prompt_is_not_what_the_long_ones_table_makes_of_it():
    """Else the other tests say nothing."""
    model = acdc.load_model(random_model("phi3-longrope", torch.float64))
    short, long = (model.table(0, Tokens.of([(1,) * length])).rotary for length in (6, 14))
    assert (short.cos - long.cos[:6]).abs().max() > 0.1
    together = model.table(0, Tokens.of([(1,) * 6, (1,) * 14])).rotary
    assert together.cos.shape[0] == 2
    usual = acdc.load_model(random_model("llama"))
    assert usual.table(0, Tokens.of([(1,) * 6, (1,) * 14])) is usual.table(0, Tokens.of([(1,) * 14]))


@pytest.mark.parametrize("ablation", ["corrupted", "mean"])
def test_decisions_on_both_engines_and_in_chunks_are_the_same(opened, ablation):
    _, _, model = opened
    prompts = drawn(6, 14, 7)
    whole, chunks = (prepare(model, prompts, ablation=ablation, batch_size=n) for n in (None, 1))
    settings = AcdcSettings(0.02, gates=True)
    runs = [
        list(Acdc(engine, settings).decisions())
        for engine in (
            ReferenceEngine(whole, METRICS["kl"]),
            FastEngine(whole, METRICS["kl"]),
            FastEngine(chunks, METRICS["kl"]),
        )
    ]
    for others in runs[1:]:
        assert [(d.edge, d.kept) for d in others] == [(d.edge, d.kept) for d in runs[0]]
        assert np.allclose([d.after for d in others], [d.after for d in runs[0]], atol=1e-8)


def test_the_metric_of_any_circuit_is_the_mean_over_prompts_run_alone(opened):
    _, _, model = opened
    prompts = drawn(6, 14, 7)
    together = ReferenceEngine(prepare(model, prompts), METRICS["kl"])
    half = together.kept.copy()
    half[::3] = False
    alone = [
        ReferenceEngine(prepare(model, PromptSet((one,), "one")), METRICS["kl"]).metric_of(half)
        for one in prompts.pairs
    ]
    assert together.metric_of(half) == pytest.approx(np.mean(alone), abs=1e-7)


def test_dynamic_rotations_forget_longer_prompts():
    """In transformers a long prompt decides the frequencies of shorter ones that come after it."""
    theirs = random_model("llama-dynamic", torch.float64)
    ids = torch.randint(50, (1, 10), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        first = theirs(ids).logits
        theirs(ids.repeat(1, 3))
        assert (theirs(ids).logits - first).abs().max() > 1e-4
    model = acdc.load_model(theirs)
    tokens = Tokens.of([tuple(ids[0].tolist())])
    model.own_logits(Tokens.of([tuple(ids[0].tolist()) * 3]))
    assert (model.own_logits(tokens) - first).abs().max() < 1e-6
