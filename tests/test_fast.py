"""The fast engine makes the reference's decisions: drawn models, prompts and options, in float64.

``ACDC_CASES=2000 scripts/test tests/test_fast.py`` draws more.
"""

import copy
import os
from dataclasses import fields

import numpy as np
import pytest
import torch
import transformers as tf
from families import random_weights
from tiny import save_toy

import acdc
from acdc.engine.choice import make_engine
from acdc.engine.fast import narrow, recomputing, scores, vocabulary
from acdc.engine.fast.chains import KeepRates
from acdc.engine.fast.engine import FastEngine
from acdc.engine.fast.tactics import Tactics
from acdc.engine.reference import ReferenceEngine
from acdc.engine.setting import prepare
from acdc.metrics import METRICS
from acdc.pairs import PromptSet, TokenPair
from acdc.pruning.pruner import Acdc, AcdcSettings

CASES = int(os.environ.get("ACDC_CASES", "200"))
VOCABULARY = 30


def gpt2_config(layers, heads):
    """A small GPT-2."""
    shape = {"n_embd": 16, "n_layer": layers, "n_head": heads, "n_positions": 16, "vocab_size": VOCABULARY}
    return tf.GPT2Config(**shape, bos_token_id=0, eos_token_id=0)


def draw_model(draws, tmp_path):
    """A random small model of a drawn architecture and shape."""
    kind = draws.choice(["gpt2", "neox", "llama", "gemma2", "attention-only", "bidirectional"])
    layers, heads = int(draws.integers(1, 4)), int(draws.choice([1, 2, 4]))
    if kind in ("attention-only", "bidirectional"):
        own = {"n_layers": layers, "n_heads": heads, "d_vocab": VOCABULARY, "d_vocab_out": VOCABULARY}
        own |= {"d_model": 32, "d_head": 4}  # so narrow that several heads together take less than the stream
        if kind == "bidirectional":
            own |= {"attention_dir": "bidirectional", "attn_only": False, "d_mlp": 12, "act_fn": "relu"}
        folder = save_toy(tmp_path / "model", int(draws.integers(1000)), **own)
        return kind, acdc.load_model(folder, dtype="float64")
    shape = {
        "hidden_size": 16,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": 24,
        "max_position_embeddings": 16,
        "vocab_size": VOCABULARY,
    }
    groups = {"num_key_value_heads": int(draws.choice([g for g in (1, 2, 4) if heads % g == 0]))}
    if kind == "gpt2":
        config = gpt2_config(layers, heads)
    elif kind == "neox":
        config = tf.GPTNeoXConfig(**shape)
    elif kind == "llama":
        config = tf.LlamaConfig(**shape | {"hidden_size": 32}, **groups, head_dim=4)
    else:
        config = tf.Gemma2Config(
            **shape, **groups, head_dim=4, sliding_window=3, attn_logit_softcapping=2.0, final_logit_softcapping=3.0
        )
    model = tf.AutoModelForCausalLM.from_config(config, attn_implementation="eager").double()
    return kind, acdc.load_model(random_weights(model, int(draws.integers(1000))))


def draw_prompts(draws):
    """Pairs of unequal length, with one or several answer positions each."""
    pairs = []
    for _ in range(int(draws.integers(1, 5))):
        length = int(draws.integers(2, 9))
        clean, corrupted = (tuple(draws.integers(VOCABULARY, size=length).tolist()) for _ in range(2))
        shared = int(draws.integers(0, length))  # an answer may lie where nothing differs yet
        corrupted = (*clean[:shared], (clean[shared] + 1) % VOCABULARY, *corrupted[shared + 1 :])
        n = int(draws.integers(1, min(3, length) + 1))
        positions = tuple(sorted(draws.choice(length, size=n, replace=False).tolist()))
        right, wrong = (
            tuple(tuple(draws.integers(VOCABULARY, size=int(draws.integers(1, 3))).tolist()) for _ in positions)
            for _ in range(2)
        )
        pairs.append(TokenPair(clean, corrupted, positions, right, wrong))
    return PromptSet(tuple(pairs), "drawn")


@pytest.mark.drawn
@pytest.mark.parametrize("block", range(10))
def test_the_fast_engine_makes_the_references_decisions(block, tmp_path, monkeypatch):
    monkeypatch.setattr(scores, "LEAST_SAVED", 0)  # else only large models take that way
    monkeypatch.setattr(narrow, "_LEAST_ROWS", 0)
    cases = CASES // 10
    for case in range(cases):
        draws = np.random.default_rng([block, case])
        if case % 4 == 0:  # opening a model costs more than a run
            folder = tmp_path / str(case)
            folder.mkdir()
            kind, model = draw_model(draws, folder)
        # The default has the most ways to be quick.
        metric = METRICS["kl" if draws.random() < 0.5 else str(draws.choice(list(METRICS)))]
        options = {
            "order": str(draws.choice(["default", "increasing", "random"])),
            "gates": bool(draws.random() < 0.3),
            "seed": case,
        }
        ablation = str(draws.choice(["corrupted", "zero", "mean"]))
        split = kind in ("gpt2", "attention-only", "bidirectional") and bool(draws.random() < 0.3)
        prompts = draw_prompts(draws)
        setting = prepare(model, prompts, ablation=ablation, split_input=split)
        together = int(draws.integers(1, len(prompts) + 1))  # nor do chunks of prompts decide anything
        in_chunks = prepare(model, prompts, ablation=ablation, split_input=split, batch_size=together)
        reference = ReferenceEngine(setting, metric)
        worst = abs(reference.metric_of(~reference.kept)) + 1e-6
        # From keep-all (an effect is hardly ever exactly 0) to keep-none.
        threshold = worst * float(draws.choice([0.0, 1e-4, 1e-3, 1e-2, 0.1, 100.0]))
        settings = AcdcSettings(threshold, **options)
        tactics = Tactics(*(draws.random(len(fields(Tactics))) < 0.8).tolist())  # none decides anything
        # Large models are scored in blocks of columns and runs; so are these.
        monkeypatch.setitem(vocabulary.BLOCK_OUTPUTS, "cpu", int(draws.choice([3, 1024])))
        monkeypatch.setitem(vocabulary.BLOCK_BYTES, "cpu", int(draws.choice([200, 2**22])))
        monkeypatch.setattr(recomputing, "BLOCK_BYTES", (1, 2**24)[case % 2])  # and what slots read is made in blocks
        slow, quick = Acdc(reference, settings), Acdc(FastEngine(in_chunks, metric, tactics), settings)
        expected, found = list(slow.decisions()), list(quick.decisions())
        what = (block, case, kind, metric.name, ablation, options, split, threshold, tactics, together)
        # An effect of exactly the threshold may fall either way by rounding; with a threshold
        # of 0 that is every edge that does nothing.
        tie = max(1e-9 * worst, 1e-13)  # the floor is for answers that no removal can change
        near = [abs(d.after - d.before - threshold) < tie for d in expected]
        if any(near):
            first = near.index(True)
            expected, found = expected[:first], found[:first]
        else:
            assert np.array_equal(slow.kept, quick.kept), what
            assert abs(quick.engine.metric() - reference.metric()) < 1e-8 * max(1.0, worst), what
        assert [(d.edge, d.kept) for d in found] == [(d.edge, d.kept) for d in expected], what
        for a, b in zip(expected, found, strict=True):
            assert abs(a.after - b.after) < 1e-8 * max(1.0, worst), what


def test_a_resumed_fast_run_goes_on_as_it_was():
    theirs = random_weights(tf.GPT2LMHeadModel(gpt2_config(2, 4)).double())
    setting = prepare(acdc.load_model(theirs), draw_prompts(np.random.default_rng(5)))
    settings = AcdcSettings(0.002)
    whole = Acdc(FastEngine(setting, METRICS["kl"]), settings)
    decisions = list(whole.decisions())
    for cut in (1, len(decisions) // 3, len(decisions) - 2):
        rest = Acdc(FastEngine(setting, METRICS["kl"]), settings, past=decisions[:cut])
        later = list(rest.decisions())
        assert np.array_equal(rest.kept, whole.kept)
        for a, b in zip(decisions[cut:], later, strict=True):
            assert (a.edge, a.kept) == (b.edge, b.kept)
            assert abs(a.after - b.after) < 1e-12


def test_what_stays_teaches_how_far_to_run_ahead(monkeypatch):
    """Every decision is learnt from once, as it was made."""
    learnt = []
    monkeypatch.setattr(KeepRates, "learn", lambda self, slot, source, *, stayed: learnt.append((slot, source, stayed)))
    theirs = random_weights(tf.GPT2LMHeadModel(gpt2_config(2, 4)).double())
    setting = prepare(acdc.load_model(theirs), draw_prompts(np.random.default_rng(5)))
    made = list(Acdc(FastEngine(setting, METRICS["kl"]), AcdcSettings(0.002)).decisions())
    assert {d.kept for d in made} == {True, False}
    assert [(f"{source.name}->{slot.name}", stayed) for slot, source, stayed in learnt] == [
        (d.edge, d.kept) for d in made
    ]


def test_a_mixture_of_experts_runs_through_its_own_module():
    config = tf.MixtralConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        intermediate_size=24,
        max_position_embeddings=16,
        vocab_size=VOCABULARY,
        num_local_experts=4,
        num_experts_per_tok=2,
        sliding_window=None,
    )
    model = acdc.load_model(random_weights(tf.MixtralForCausalLM(config)))
    setting = prepare(model, draw_prompts(np.random.default_rng(1)))
    settings = AcdcSettings(0.01)
    runs = [Acdc(engine(setting, METRICS["kl"]), settings) for engine in (ReferenceEngine, FastEngine)]
    slow, quick = (list(run.decisions()) for run in runs)
    assert [(d.edge, d.kept) for d in quick] == [(d.edge, d.kept) for d in slow]
    assert torch.allclose(torch.tensor([d.after for d in quick]), torch.tensor([d.after for d in slow]), atol=1e-5)


@pytest.mark.parametrize(
    ("dtype", "engine"), [("float32", "fast"), ("bfloat16", "reference"), ("float16", "reference")]
)
def test_half_precision_runs_on_the_reference_engine(dtype, engine):
    folder = random_weights(tf.GPT2LMHeadModel(gpt2_config(1, 2)))
    setting = prepare(acdc.load_model(folder, dtype=dtype), draw_prompts(np.random.default_rng(5)))
    assert make_engine("fast", setting, METRICS["kl"]).name == engine


@pytest.mark.parametrize("least_saved", [0, 10**12])
def test_rounding_of_large_logits_cancels(least_saved, monkeypatch):
    monkeypatch.setattr(scores, "LEAST_SAVED", least_saved)  # through W_O W_U, or not
    config = tf.GPT2Config(
        n_embd=32, n_layer=2, n_head=4, n_positions=16, vocab_size=VOCABULARY, tie_word_embeddings=False
    )
    torch.manual_seed(0)
    theirs = random_weights(tf.GPT2LMHeadModel(config))
    with torch.no_grad():  # every logit lower by about 300, which no probability shows
        theirs.transformer.ln_f.bias[0] = 30.0
        theirs.lm_head.weight[:, 0] -= 10.0
    prompts = draw_prompts(np.random.default_rng(3))
    exact = ReferenceEngine(prepare(acdc.load_model(copy.deepcopy(theirs).double()), prompts), METRICS["kl"])
    rounded = FastEngine(prepare(acdc.load_model(theirs), prompts), METRICS["kl"])
    graph = exact.graph
    errors, sizes = [], []
    for slot in reversed(graph.slots[-10:]):
        edges = [np.array([edge]) for edge in range(slot.edges.start, slot.edges.stop)]
        expected, found = list(exact.removals(edges)), list(rounded.removals(edges))
        errors += [abs(a - b) for a, b in zip(expected, found, strict=True)]
        sizes += expected
    assert max(sizes) > 0.01
    assert max(errors) < 5e-6  # of float32's 3e-5 at 300


@pytest.mark.parametrize("least_saved", [0, 10**12])
def test_confident_predictions_are_as_exact_as_the_references(least_saved, monkeypatch):
    monkeypatch.setattr(scores, "LEAST_SAVED", least_saved)
    monkeypatch.setattr(scores, "LIKELIEST", 4)
    torch.manual_seed(0)
    config = tf.PhiConfig(
        hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128, vocab_size=VOCABULARY
    )
    theirs = random_weights(tf.PhiForCausalLM(config))
    with torch.no_grad():  # nearly all of p on one token, and a large part that all tokens have in common
        theirs.lm_head.bias[5] += 14
        theirs.lm_head.weight += torch.randn(64, generator=torch.Generator().manual_seed(1))
    prompts = draw_prompts(np.random.default_rng(3))
    exact, theirs_rounded = (
        ReferenceEngine(prepare(acdc.load_model(model), prompts), METRICS["kl"])
        for model in (copy.deepcopy(theirs).double(), theirs)
    )
    rounded = FastEngine(theirs_rounded.setting, METRICS["kl"])
    assert exact.setting.model_logits.softmax(-1).amax(-1).min() > 0.99
    errors = {rounded: 0.0, theirs_rounded: 0.0}
    sizes = []
    for slot in reversed(exact.graph.slots[-10:]):
        edges = [np.array([edge]) for edge in range(slot.edges.start, slot.edges.stop)]
        expected = list(exact.removals(edges))
        sizes += expected
        for engine in errors:
            worst = max(abs(a - b) for a, b in zip(expected, engine.removals(edges), strict=True))
            errors[engine] = max(errors[engine], worst)
    assert max(sizes) > 1e-5
    assert errors[rounded] < max(2 * errors[theirs_rounded], 1e-9), errors  # plain float32 sums give 1e-7


def test_probabilities_that_leave_float32_are_scored_all_the_same(monkeypatch):
    monkeypatch.setattr(scores, "LIKELIEST", 1)
    torch.manual_seed(0)
    config = gpt2_config(2, 2)
    config.tie_word_embeddings = False
    theirs = random_weights(tf.GPT2LMHeadModel(config))
    with torch.no_grad():
        theirs.lm_head.weight *= 1000.0  # so do logits differ by hundreds
    setting = prepare(acdc.load_model(theirs), draw_prompts(np.random.default_rng(3)))
    reference, fast = ReferenceEngine(setting, METRICS["kl"]), FastEngine(setting, METRICS["kl"])
    expected, found = [], []
    for slot in reversed(reference.graph.slots[-4:]):
        group = np.arange(slot.edges.start, slot.edges.stop)
        expected += reference.removals([group])
        found += fast.removals([group])
    assert max(expected) > 90  # beyond what exp takes in float32
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-4)
