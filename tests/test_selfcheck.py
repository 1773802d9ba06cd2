"""The self-check at opening: a model whose nodes don't add up to it is refused, with the numbers."""

import dataclasses
import math
import re

import pytest
import torch
import transformers as tf
from families import CONFIGS, random_weights
from tiny import gpt2

from acdc import load_model
from acdc.errors import ModelError
from acdc.models.bridge import BridgeReader
from acdc.models.loading import load_and_check
from acdc.models.norms import Norm
from acdc.models.selfcheck import probe_prompts


def refusal(**options):
    with pytest.raises(ModelError) as caught:
        load_model(gpt2(), **options)
    said = str(caught.value)
    assert "failed its self-check and can't be used" in said
    return {
        "difference": float(re.search(r"own logits by ([\d.e+-]+|inf)", said)[1]),
        "ablated": float(re.search(r"every edge ablated ([\d.e+-]+|inf)", said)[1]),
        "tolerance": float(re.search(r"tolerance ([\d.e+-]+)", said)[1]),
        "effects": {kind: float(size) for kind, size in re.findall(r"(\w+) ([\d.e+-]+|nan|inf)(?=,|\.$)", said)},
    }


def change_attention(monkeypatch, layer, change):
    """Have one layer's attention read wrongly."""
    read = BridgeReader.attention

    def wrong(self, at):
        attention = read(self, at)
        return dataclasses.replace(attention, **change(attention)) if at == layer else attention

    monkeypatch.setattr(BridgeReader, "attention", wrong)


def test_a_sound_model_passes_with_numbers_far_from_the_tolerance():
    _, check = load_and_check(gpt2())
    assert check.passed
    assert check.difference < check.tolerance / 10
    assert check.ablated_difference < check.tolerance / 10
    assert check.effects.keys() == {"q", "k", "v", "mlp", "logits"}
    assert min(check.effects.values()) > 10 * check.tolerance


def test_a_head_whose_output_weights_are_off_is_found(monkeypatch):
    def change(attention):
        W_O = attention.W_O.clone()
        W_O[1] *= 1.02
        return {"W_O": W_O}

    change_attention(monkeypatch, 1, change)
    found = refusal()
    assert found["difference"] > found["tolerance"]
    assert found["ablated"] > found["tolerance"]


@pytest.mark.parametrize(
    "change",
    [
        lambda attention: {"W_Q": attention.W_Q * 1.05},
        lambda attention: {"b_K": attention.b_K.flip(0), "W_K": attention.W_K.flip(0)},
        lambda attention: {"b_V": None},
        lambda attention: {"b_O": None},
        lambda attention: {"scale": attention.scale * 2},
        lambda attention: {"soft_cap": 1.0},
        lambda attention: {"norm": Norm("none")},
        lambda attention: {"norm": dataclasses.replace(attention.norm, kind="rms")},
        lambda attention: {"multiplier": 0.9},
    ],
    ids=["W_Q", "heads of K swapped", "no b_V", "no b_O", "scale", "soft cap", "no norm", "rms norm", "multiplier"],
)
def test_every_part_of_attention_counts(monkeypatch, change):
    change_attention(monkeypatch, 0, change)
    found = refusal()
    assert found["difference"] > found["tolerance"]


def test_a_wrong_mask_is_found(monkeypatch):
    tables = BridgeReader.position_tables
    monkeypatch.setattr(
        BridgeReader,
        "position_tables",
        lambda self, length: [
            dataclasses.replace(table, visible=torch.ones_like(table.visible)) for table in tables(self, length)
        ],
    )
    assert refusal()["difference"] > 1e-2


@pytest.mark.parametrize("part", ["mlp", "final_norm", "unembed"])
def test_the_other_parts_count_too(monkeypatch, part):
    right = getattr(BridgeReader, part)
    if part == "final_norm":
        wrong = lambda self: dataclasses.replace(right(self), bias=None)  # noqa: E731
    else:
        wrong = lambda self, *args: 1.01 * right(self, *args)  # noqa: E731
    monkeypatch.setattr(BridgeReader, part, wrong)
    found = refusal()
    assert found["difference"] > found["tolerance"]


def test_a_bridge_that_says_something_else_than_the_model_is_found(monkeypatch):
    """The oracle is the model before it was bridged, not the bridge."""
    import transformer_lens.model_bridge.sources as sources

    build = sources.build_bridge_from_module

    def wrong(model, *args, **kwargs):
        with torch.no_grad():
            model.transformer.h[0].mlp.c_proj.bias[0] += 0.5
        return build(model, *args, **kwargs)

    monkeypatch.setattr(sources, "build_bridge_from_module", wrong)
    found = refusal()
    assert found["difference"] > found["tolerance"]


def test_an_ablation_that_does_nothing_is_found(monkeypatch):
    import acdc.models.selfcheck as module

    run = module.run_patched
    monkeypatch.setattr(
        module,
        "run_patched",
        lambda model, graph, tokens, inputs, kept, ablated, **more: run(
            model, graph, tokens, inputs, torch.ones_like(kept), ablated, **more
        ),
    )
    found = refusal()
    assert found["difference"] < found["tolerance"] < found["ablated"]


def test_slots_without_effect_are_found():
    model = gpt2()
    with torch.no_grad():
        for block in model.transformer.h:
            block.mlp.c_proj.weight.zero_()
    with pytest.raises(ModelError, match=r"effect of a change at each kind of slot .*: .*mlp 0, logits"):
        load_model(model)


def test_nan_counts_as_an_infinite_difference():
    model = gpt2()
    with torch.no_grad():
        model.lm_head.weight[:, 0] = math.nan
    with pytest.raises(ModelError, match=r"gives logits that are no numbers \(NaN\); its weights are damaged"):
        load_model(model)


def test_nodes_that_are_nan_count_as_an_infinite_difference(monkeypatch):
    change_attention(monkeypatch, 0, lambda attention: {"scale": math.nan})
    assert refusal()["difference"] == math.inf


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_model_that_is_hardly_trained_passes_in_half_precision(dtype):
    """Its attention moves no logit by as much as rounding may be off."""
    torch.manual_seed(0)
    config = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 32, "vocab_size": 50}
    model = tf.GPT2LMHeadModel(tf.GPT2Config(**config))
    _, check = load_and_check(model.to(dtype))
    assert check.least_effect < check.effects["q"] < check.tolerance


@pytest.mark.parametrize("family", ["gpt2", "gpt-bigcode"])
def test_a_bridge_that_leaves_out_a_field_is_found_at_opening(family):
    """TransformerLens scales the scores of these whatever the config says, and a run compares with them."""
    config = CONFIGS[family]()
    config.scale_attn_weights = False
    model = random_weights(tf.AutoModelForCausalLM.from_config(config, attn_implementation="eager"))
    with pytest.raises(ModelError, match="through TransformerLens' bridge it gives other logits than without"):
        load_model(model)


def test_probes_fit_the_vocabulary_and_the_context():
    for vocab, context in ((3, 1), (50, 2), (7, None)):
        for clean, corrupted in probe_prompts(vocab, context):
            assert len(clean) == len(corrupted)
            assert 1 <= len(clean) <= (context or 16)
            assert all(0 <= token < vocab for token in clean + corrupted)
