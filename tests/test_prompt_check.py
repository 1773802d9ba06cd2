"""The self-check on a run's own prompts: what the nodes add up to there is what the model itself says."""

import dataclasses
import math
from pathlib import Path

import pytest
import torch
from families import random_model
from tiny import gpt2, pairs, write_pairs

from acdc import discover, load_model
from acdc.engine import own_logits
from acdc.engine.agreement import check_prompts
from acdc.engine.fast.engine import FastEngine
from acdc.engine.reference import ReferenceEngine
from acdc.engine.setting import prepare
from acdc.errors import ModelError, PromptError
from acdc.evaluation.behaviour import evaluate
from acdc.metrics import METRICS
from acdc.models.bridge import BridgeReader
from acdc.models.selfcheck import TOLERANCES, compare_logits
from acdc.pairs import PromptSet, TokenPair
from acdc.pruning.pruner import Acdc, AcdcSettings

LENGTHS = (6, 15, 9)


def prompts(*lengths, answers=False, vocab=40):
    generator = torch.Generator().manual_seed(3)

    def ids(length):
        return tuple(torch.randint(vocab, (length,), generator=generator).tolist())

    more = {"answers": ((3,), (4,)), "wrong_answers": ((5,), (6,))} if answers else {}
    found = [TokenPair(ids(n), ids(n), (1, n - 1), **more, where=f"line {i}") for i, n in enumerate(lengths, 1)]
    return PromptSet(tuple(found), "drawn")


def off_beyond(monkeypatch, length):
    """Tables of long prompts turn queries and keys wrongly, as those of LongRoPE did; short ones are right."""
    read = BridgeReader.position_tables

    def wrong(self, n):
        tables = read(self, n)
        if n <= length:
            return tables
        return [dataclasses.replace(t, rotary=dataclasses.replace(t.rotary, cos=0.9 * t.rotary.cos)) for t in tables]

    monkeypatch.setattr(BridgeReader, "position_tables", wrong)


def test_what_is_wrong_on_long_prompts_only_is_found_and_the_prompt_is_named(monkeypatch):
    off_beyond(monkeypatch, 16)
    model = load_model(random_model("llama"))  # the check at opening sees no such length
    assert check_prompts(prepare(model, prompts(*LENGTHS))).passed
    with pytest.raises(ModelError, match=r"line 2: on the clean prompt \(20 tokens\) the components of .* add up to "):
        check_prompts(prepare(model, prompts(6, 20, 9)))


def test_the_corrupted_prompts_count_too(monkeypatch):
    model = load_model(gpt2())
    setting = prepare(model, prompts(*LENGTHS))
    assert check_prompts(setting).passed
    changed = setting.corrupted_logits.clone()
    changed[2, 7] += 0.1
    with pytest.raises(ModelError, match=r"line 2: on the corrupted prompt \(15 tokens\).*by 0\.09"):
        check_prompts(dataclasses.replace(setting, corrupted_logits=changed))


def test_prompts_run_a_few_at_a_time_where_their_logits_are_large(monkeypatch):
    setting = prepare(load_model(gpt2()), prompts(6, 6, 6, 9))
    whole = check_prompts(setting)
    monkeypatch.setattr(own_logits, "_OWN_BYTES", 1)
    runs = []
    own = BridgeReader.logits_at
    monkeypatch.setattr(BridgeReader, "logits_at", lambda self, ids, *at: runs.append(ids) or own(self, ids, *at))
    assert check_prompts(setting).difference == pytest.approx(whole.difference, abs=1e-6)
    assert [ids.shape for ids in runs] == 2 * [(1, 6), (1, 6), (1, 6), (1, 9)]


@pytest.mark.random_models
def test_the_record_says_how_far_the_nodes_are_off(tmp_path):
    path = write_pairs(tmp_path / "pairs.jsonl", pairs(6))
    run = discover(load_model(gpt2()), path, n=3, threshold=0.5, out=tmp_path / "run", progress=False)
    found = run.record.self_check
    assert 0 < found["difference"] < found["tolerance"]
    assert '"self_check"' in (tmp_path / "run" / "run.json").read_text()


def test_a_run_on_prompts_that_fail_the_check_is_refused(tmp_path, monkeypatch):
    off_beyond(monkeypatch, 16)
    path = write_pairs(tmp_path / "pairs.jsonl", pairs(4, length=20))
    with pytest.raises(ModelError, match=rf"{path.name}.*20 tokens"):
        discover(load_model(random_model("llama")), path, out=Path(tmp_path / "run"), progress=False)


def rows(**changes):
    """Logits of ten tokens, the likeliest 8 above the least likely, and the same with changes by token."""
    own = torch.linspace(-3, 5, 10).repeat(3, 1).double()
    found = own.clone()
    for token, change in changes.items():
        found[1, int(token[1:])] += change
    return found, own


def test_the_tolerance_is_of_logits_that_matter():
    found, own = rows(t4=1e-3)
    plain = compare_logits(found, own, torch.float32)
    assert not plain.passed
    assert plain.tolerance == pytest.approx(4 * TOLERANCES[torch.float32])
    assert plain.difference == pytest.approx(1e-3, rel=0.15)
    for dead in (-1e4, -1e9, -math.inf):
        for moved in (0.0, 300.0, -1e4):  # what all logits have in common widens nothing
            a, b = found + moved, own + moved
            a[:, 0] = b[:, 0] = dead
            if dead == -math.inf:
                a[:, 0] = torch.finfo(torch.float32).min / 2  # as nodes give it
            seen = compare_logits(a, b, torch.float64)
            assert not seen.passed, (dead, moved)
            assert seen.tolerance < 1e-3


@pytest.mark.parametrize("moved", [0.0, 1e2, 1e4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rounding_of_large_logits_is_allowed(moved, dtype):
    _, own = rows()
    own = (own + moved).to(dtype)
    off = torch.randn(own.shape, generator=torch.Generator().manual_seed(0)).to(dtype)
    assert compare_logits(own + 2 * torch.finfo(dtype).eps * own.abs() * off, own, dtype).passed


def test_a_token_that_cant_be_predicted_must_be_so_on_both_sides():
    found, own = rows()
    own[:, 0] = -math.inf
    assert not compare_logits(found, own, torch.float64).passed
    own[:, 0], found[:, 0] = -1e4, -1.001e4
    assert not compare_logits(found, own, torch.float64).passed
    found[:, 0] = -1e4 - 1e-3
    assert compare_logits(found, own, torch.float64).passed
    for bad in (math.nan, math.inf):
        wrong = found.clone()
        wrong[1, 5] = bad
        assert math.isinf(compare_logits(wrong, own, torch.float64).difference)
        assert math.isinf(compare_logits(found, wrong, torch.float64).difference)
    shifted = compare_logits(found + 0.1, own, torch.float64)
    assert not shifted.passed


def with_dead_tokens(value, dead=30):
    """A GPT-2 whose last tokens, padding of the vocabulary, have a bias of `value`."""
    model = gpt2(tie_word_embeddings=False)
    bias = torch.zeros(40)
    bias[dead:] = value
    model.lm_head.bias = torch.nn.Parameter(bias)
    return model


@pytest.mark.parametrize("value", [-1e4, -1e9, -math.inf])
def test_dead_vocabulary_doesnt_disarm_the_check_at_opening(value, monkeypatch):
    load_model(with_dead_tokens(value))
    read = BridgeReader.attention

    def wrong(self, layer):
        attention = read(self, layer)
        return dataclasses.replace(attention, W_O=1.02 * attention.W_O)

    monkeypatch.setattr(BridgeReader, "attention", wrong)
    with pytest.raises(ModelError, match="failed its self-check"):
        load_model(with_dead_tokens(value))


@pytest.mark.parametrize(
    ("value", "metric"),
    [(-math.inf, metric) for metric in METRICS] + [(-1e4, metric) for metric in METRICS if metric != "l2"],
)  # l2 counts the logit of every token
def test_dead_vocabulary_changes_no_decision(value, metric):
    """With the last tokens gone the model is the same one with fewer outputs."""
    chosen = prompts(6, 9, answers=True, vocab=30)
    fewer = gpt2(tie_word_embeddings=False).double()
    fewer.lm_head.weight = torch.nn.Parameter(fewer.lm_head.weight[:30].detach().clone())
    fewer.lm_head.out_features = 30
    dead = prepare(load_model(with_dead_tokens(value).double()), chosen)
    alive = prepare(load_model(fewer), chosen)
    assert check_prompts(dead).passed
    for engine in (ReferenceEngine, FastEngine):
        with_dead, without = (
            list(Acdc(engine(setting, METRICS[metric]), AcdcSettings(0.01)).decisions()) for setting in (dead, alive)
        )
        assert [(d.edge, d.kept) for d in with_dead] == [(d.edge, d.kept) for d in without]
        assert all(abs(a.after - b.after) < 1e-8 for a, b in zip(with_dead, without, strict=True))
    found = evaluate(dead, ReferenceEngine(dead, METRICS["kl"]).kept)
    assert all(math.isfinite(value) for value in found.ablated.metrics.values())


def test_an_answer_that_cant_be_given_is_an_error():
    model = load_model(with_dead_tokens(-math.inf, dead=4))
    with pytest.raises(PromptError, match="line 1: this model's logit of the answer token 4 is minus infinity"):
        prepare(model, prompts(6, answers=True))


def test_every_row_counts_however_many_are_compared_at_a_time():
    own = torch.randn(5, 70_000, generator=torch.Generator().manual_seed(0))
    assert compare_logits(own, own, torch.float32).difference == 0
    for row in range(5):
        found = own.clone()
        found[row, 7] += 1
        assert compare_logits(found, own, torch.float32).difference == pytest.approx(1, rel=0.02)
    own[4, 0] = 40
    assert compare_logits(own, own, torch.float32).tolerance > 20 * TOLERANCES[torch.float32]  # by the widest row
