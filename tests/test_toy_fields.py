"""Fields of a model_config are followed, or the folder is refused; so are biases that only some layers have."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import save_toy

from acdc import load_model
from acdc.errors import ModelError


@pytest.mark.parametrize(
    "fields",
    [
        {"parallel_attn_mlp": True},
        {"use_local_attn": True, "window_size": 4},
        {"window_size": 4},
        {"use_attn_scale": False},
        {"scale_attn_by_inverse_layer_idx": True},
        {"use_qk_norm": True},
        {"post_embedding_ln": True},
        {"use_normalization_before_and_after": True},
        {"num_experts": 4, "experts_per_token": 2},
        {"rotary_adjacent_pairs": True},
        {"tie_word_embeddings": True},
        {"scale_embedding": True},
        {"rmsnorm_uses_offset": True},
        {"load_in_4bit": True},
        {"attn_types": ["global", "local"]},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_a_field_that_such_models_do_not_follow_is_refused(tmp_path, fields):
    with pytest.raises(ModelError, match=f"{next(iter(fields))} is .*, which TransformerLens' own models don't follow"):
        load_model(save_toy(tmp_path, **fields))


@pytest.mark.parametrize(
    "fields",
    [
        {"attention_dir": "Causal"},
        {"attention_dir": "left-to-right"},
        {"normalization_type": "LayerNorm"},
        {"normalization_type": 3},
        {"positional_embedding_type": "alibi"},
        {"positional_embedding_type": "shortformer"},
        {"act_fn": "gelu_fast"},
        {"attn_only": "no"},
        {"attn_only": 1},
        {"eps": "small"},
        {"eps": -1},
        {"eps": float("nan")},
        {"rotary_base": 10000.5},
        {"architecture": "GPT2LMHeadModel"},
        {"attn_scale": True},
        {"attn_scale": 0},
        {"attn_scale": -2.0},
        {"attn_scores_soft_cap": -20.0},
        {"output_logits_soft_cap": -0.5},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_a_value_that_such_models_take_for_another_is_refused(tmp_path, fields):
    with pytest.raises(ModelError, match=f"model_config can't be used: {next(iter(fields))} must not be "):
        load_model(save_toy(tmp_path, **fields))


@pytest.mark.parametrize(
    "fields",
    [
        {"attn_scale": -1.0},
        {"attn_scores_soft_cap": -1.0, "output_logits_soft_cap": 0},
        {"n_key_value_heads": -1, "rotary_dim": -1},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_values_that_stand_for_none_are_no_harm(tmp_path, fields):
    folder = save_toy(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    config["model_config"].update(fields)
    (folder / "config.json").write_text(json.dumps(config))
    load_model(folder)


@pytest.mark.parametrize(
    ("name", "said"),
    [("W_Q.lora_A", "merge the adapter"), ("W_Q.weight_scale", "dequantise the model first")],
)
def test_what_lies_beside_named_weights_is_refused_with_the_way_out(tmp_path, name, said):
    folder = save_toy(tmp_path)
    file = folder / "model.safetensors"
    save_file({**load_file(file), f"blocks.0.attn.{name}": torch.zeros(1)}, file)
    with pytest.raises(ModelError, match=f"blocks.0.attn.{name} .*{said}"):
        load_model(folder)


def test_an_unknown_field_is_refused(tmp_path):
    with pytest.raises(ModelError, match="n_layer is unknown to TransformerLens"):
        load_model(save_toy(tmp_path, n_layer=2))


def test_fields_that_change_nothing_are_no_harm(tmp_path):
    fields = {
        "model_name": "mine",
        "init_weights": True,
        "device": "cuda",
        "n_devices": 4,
        "dtype": "float16",
        "init_mode": "gpt2",
    }
    expected = load_model(save_toy(tmp_path / "plain")).sha256
    assert load_model(save_toy(tmp_path / "told", **fields)).sha256 == expected
    assert load_model(save_toy(tmp_path / "default", parallel_attn_mlp=False, window_size=None)).sha256 == expected


@pytest.mark.parametrize("lost", ["blocks.1.attn.b_Q", "blocks.0.attn.b_O", "blocks.0.mlp.b_in"])
def test_a_bias_that_only_another_layer_has_is_refused(tmp_path, lost):
    folder = save_toy(tmp_path, attn_only=False, act_fn="relu", d_mlp=24)
    weights = load_file(folder / "model.safetensors")
    del weights[lost]
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(ModelError, match=r"lacks the weights of blocks\.[01]\..*bias, which other layers have"):
        load_model(folder)


def test_a_config_beside_named_weights_may_hold_more(tmp_path):
    folder = save_toy(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "task": "sort", "vocab": {"a": 10**12}}))
    load_model(folder)
