"""Opening a model: every way in, and what is refused."""

import shutil

import pytest
import torch
import transformers as tf
from families import random_model
from safetensors.torch import load_file, save_file
from tiny import gpt2, save_gpt2, save_toy, tokenizer
from transformer_lens.model_bridge.sources import build_bridge_from_module

from acdc import load_model
from acdc.errors import ModelError, UnknownNameError
from acdc.models.tokens import Tokens

PROMPTS = [(1, 5, 7, 2, 9, 3), (4, 4, 8)]


def logits(model, dtype=torch.float32):
    """What an opened model says on the prompts, one after another."""
    tokens = Tokens.of(PROMPTS)
    with torch.no_grad():
        said = model.own_logits(tokens)
    assert said.dtype == dtype
    return [row[: len(prompt)] for row, prompt in zip(said, PROMPTS, strict=True)]


def own_logits(model):
    """What a Hugging Face model says on them."""
    with torch.no_grad():
        return [model(torch.tensor([prompt])).logits[0] for prompt in PROMPTS]


def assert_equal(found, expected, tolerance=1e-5):
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=tolerance)


# A Hugging Face folder.


def test_a_folder_with_a_tokenizer(gpt2_folder, gpt2_model):
    assert_equal(logits(gpt2_model), own_logits(gpt2()))
    assert gpt2_model.name == str(gpt2_folder)
    assert gpt2_model.tokenizer.encode("Mary met John.") == tokenizer().encode("Mary met John.")
    assert (gpt2_model.graph_config.n_layers, gpt2_model.graph_config.n_heads) == (2, 2)
    assert (gpt2_model.vocab_size, gpt2_model.n_outputs, gpt2_model.n_ctx) == (40, 40, 16)


def test_a_folder_without_a_tokenizer_gets_none(tmp_path):
    assert load_model(save_gpt2(tmp_path / "model")).tokenizer is None


def test_a_tokenizer_can_be_given(tmp_path):
    given = tokenizer()
    assert load_model(save_gpt2(tmp_path / "model"), tokenizer=given).tokenizer is given


def test_a_folder_is_opened_in_float32_whatever_it_is_saved_in(tmp_path):
    gpt2().to(torch.bfloat16).save_pretrained(tmp_path / "model")
    assert load_model(tmp_path / "model").dtype == torch.float32


@pytest.mark.parametrize("dtype", ["float64", "bfloat16", "float16"])
def test_a_folder_in_another_precision(gpt2_folder, dtype):
    opened = load_model(gpt2_folder, dtype=dtype)
    assert opened.dtype == getattr(torch, dtype)
    expected = own_logits(gpt2().to(getattr(torch, dtype)))
    assert_equal(logits(opened, getattr(torch, dtype)), expected, 1e-12 if dtype == "float64" else 0.1)


def test_a_tilde_is_the_home_folder(gpt2_folder, monkeypatch):
    monkeypatch.setenv("HOME", str(gpt2_folder.parent))
    assert load_model("~/gpt2").name == "~/gpt2"


def test_weights_that_are_not_safetensors_are_refused_with_a_hint(tmp_path):
    folder = save_gpt2(tmp_path / "model")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"has no \.safetensors weights; convert pytorch_model\.bin to safetensors\.$"):
        load_model(folder)


def test_code_in_a_folder_is_never_run(tmp_path):
    folder = save_gpt2(tmp_path / "model")
    (folder / "configuration_evil.py").write_text(f"open({str(tmp_path / 'pwned')!r}, 'w')\n")
    (folder / "config.json").write_text(
        '{"model_type": "evil", "auto_map": {"AutoConfig": "configuration_evil.Evil", '
        '"AutoModelForCausalLM": "configuration_evil.Evil"}}'
    )
    with pytest.raises(ModelError):
        load_model(folder)
    assert not (tmp_path / "pwned").exists()


def test_a_folder_whose_weights_lie_in_several_files(tmp_path, gpt2_model):
    gpt2().save_pretrained(tmp_path / "model", max_shard_size="10KB")
    shards = sorted((tmp_path / "model").glob("*.safetensors"))
    assert len(shards) > 1
    assert_equal(logits(load_model(tmp_path / "model")), logits(gpt2_model))
    shards[1].unlink()
    with pytest.raises(
        ModelError,
        match=r"not a whole model: .* names model-00002-.*, which isn't there",
    ):
        load_model(tmp_path / "model")


# In memory.


def test_a_model_in_memory_stays_as_it_is():
    model = gpt2().train()
    model.transformer.wpe.weight.requires_grad_(False)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    kinds = {name: type(module) for name, module in model.named_modules()}
    attention = model.config._attn_implementation
    opened = load_model(model, dtype="float64")
    assert opened.name == "a GPT2LMHeadModel in memory"
    assert opened.dtype == torch.float64
    assert model.training
    assert model.dtype == torch.float32
    assert model.config._attn_implementation == attention
    assert {name: type(module) for name, module in model.named_modules()} == kinds
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert [name for name, p in model.named_parameters() if not p.requires_grad] == ["transformer.wpe.weight"]
    model.eval()
    assert_equal(logits(opened, torch.float64), [row.double() for row in own_logits(model)])


def test_a_model_in_memory_keeps_its_precision():
    assert load_model(gpt2().double()).dtype == torch.float64


def test_a_bridge():
    own = gpt2()
    expected = own_logits(own)
    bridge = build_bridge_from_module(own, "GPT2LMHeadModel", hf_config=own.config)
    opened = load_model(bridge)
    assert opened.bridge is not bridge
    assert_equal(logits(opened), expected)


def test_something_else_is_refused():
    with pytest.raises(ModelError, match="a Linear can't be opened; give a name, a folder, a Hugging Face model"):
        load_model(torch.nn.Linear(2, 2))


# TransformerLens-named weights.


def hand_written(weights, cfg, prompt):
    """A model without norms, straight from its weights, ``[pos, n_outputs]`` in float64."""
    weights = {name: tensor.double() for name, tensor in weights.items()}
    x = weights["embed.W_E"][list(prompt)] + weights["pos_embed.W_pos"][: len(prompt)]
    unseen = torch.ones(len(prompt), len(prompt), dtype=torch.bool).triu(1)
    for layer in range(cfg["n_layers"]):
        w = {name.rpartition(".")[2]: tensor for name, tensor in weights.items() if f"blocks.{layer}." in name}
        q, k, v = (torch.einsum("pd,hde->hpe", x, w[f"W_{letter}"]) + w[f"b_{letter}"][:, None] for letter in "QKV")
        scores = q @ k.mT / cfg["d_head"] ** 0.5
        if cfg["attention_dir"] == "causal":
            scores = scores.masked_fill(unseen, -torch.inf)
        x = x + torch.einsum("hpe,hed->pd", scores.softmax(-1) @ v, w["W_O"]) + w["b_O"]
        if not cfg["attn_only"]:
            x = x + (x @ w["W_in"] + w["b_in"]).relu() @ w["W_out"] + w["b_out"]
    return x @ weights["unembed.W_U"] + weights["unembed.b_U"]


@pytest.mark.parametrize(
    "kind",
    [
        {"attn_only": True, "attention_dir": "causal"},
        {"attn_only": True, "attention_dir": "bidirectional"},
        {"attn_only": False, "attention_dir": "bidirectional", "d_mlp": 24, "act_fn": "relu"},
    ],
    ids=["attention-only", "attention-only, bidirectional", "with MLPs, bidirectional"],
)
def test_named_weights_compute_what_they_say(tmp_path, kind):
    cfg = {"n_layers": 2, "d_head": 8, **kind}
    folder = save_toy(tmp_path / "toy", **cfg)
    opened = load_model(folder, dtype="float64")
    weights = load_file(folder / "model.safetensors")
    assert_equal(logits(opened, torch.float64), [hand_written(weights, cfg, prompt) for prompt in PROMPTS])
    assert (opened.vocab_size, opened.n_outputs, opened.n_ctx) == (20, 18, 12)
    assert opened.graph_config.attn_only == kind["attn_only"]
    assert opened.tokenizer is None


def test_named_weights_in_another_precision(tmp_path):
    folder = save_toy(tmp_path / "toy")
    assert load_model(folder).dtype == torch.float32
    assert load_model(folder, dtype="float64").dtype == torch.float64


def test_named_weights_without_biases_have_biases_of_zero(tmp_path):
    folder = save_toy(tmp_path / "toy")
    weights = load_file(folder / "model.safetensors")
    zeros = {name: torch.zeros_like(tensor) if ".b_" in name else tensor for name, tensor in weights.items()}
    save_file({name: tensor for name, tensor in weights.items() if ".b_" not in name}, folder / "model.safetensors")
    cfg = {"n_layers": 2, "d_head": 8, "attn_only": True, "attention_dir": "causal"}
    opened = load_model(folder, dtype="float64")
    assert_equal(logits(opened, torch.float64), [hand_written(zeros, cfg, prompt) for prompt in PROMPTS])


def test_a_weight_that_is_no_bias_must_be_there(tmp_path):
    folder = save_toy(tmp_path / "toy")
    weights = load_file(folder / "model.safetensors")
    del weights["unembed.W_U"]
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(ModelError, match="unembed"):
        load_model(folder)


# By name.


@pytest.fixture
def hub_cache(tmp_path, gpt2_folder, monkeypatch):
    """A cache of the hub that holds ``openai-community/gpt2``'s old name and ``someone/tiny-gpt2``; no network."""
    commit = "0" * 40
    for owner_and_name in ("gpt2", "someone--tiny-gpt2"):
        repository = tmp_path / "hub" / f"models--{owner_and_name}"
        (repository / "refs").mkdir(parents=True)
        (repository / "refs" / "main").write_text(commit)
        shutil.copytree(gpt2_folder, repository / "snapshots" / commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", ["gpt2", "gpt2-small", "someone/tiny-gpt2"])
def test_a_hub_name_or_an_alias_is_opened_from_the_cache(hub_cache, gpt2_model, name):
    opened = load_model(name)
    assert opened.name == name
    assert_equal(logits(opened), logits(gpt2_model))
    assert opened.tokenizer.encode("Mary met John.") == tokenizer().encode("Mary met John.")


def snapshot(hub):
    """The folder of ``someone/tiny-gpt2`` in the cache."""
    return hub / "models--someone--tiny-gpt2" / "snapshots" / ("0" * 40)


def test_a_hub_model_is_checked_as_a_folder_is(hub_cache, tmp_path):
    folder = snapshot(tmp_path / "hub")
    weights = load_file(folder / "model.safetensors")
    save_file({**weights, "transformer.h.0.gate": torch.ones(2)}, folder / "model.safetensors")
    with pytest.raises(ModelError, match=r"^someone/tiny-gpt2: the model has no place for transformer\.h\.0\.gate"):
        load_model("someone/tiny-gpt2")
    save_file(weights, folder / "model.safetensors")
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match="merge the adapter"):
        load_model("someone/tiny-gpt2")


def test_a_hub_model_in_several_files_is_opened(hub_cache, tmp_path, gpt2_model):
    folder = snapshot(tmp_path / "hub")
    (folder / "model.safetensors").unlink()
    gpt2().save_pretrained(folder, max_shard_size="10KB")
    assert_equal(logits(load_model("someone/tiny-gpt2")), logits(gpt2_model))
    (folder / "model-00002-of-00004.safetensors").unlink()
    with pytest.raises(ModelError, match=r"^someone/tiny-gpt2 can't be loaded: .* Give a local folder"):
        load_model("someone/tiny-gpt2")


def test_a_hub_model_s_index_names_no_other_files(hub_cache, tmp_path):
    folder = snapshot(tmp_path / "hub")
    (folder / "model.safetensors").unlink()
    for name in ("pytorch_model.bin", "../../../x.safetensors"):
        (folder / "model.safetensors.index.json").write_text(f'{{"weight_map": {{"a": "{name}"}}}}')
        with pytest.raises(ModelError, match=r"no safetensors file|beside its index"):
            load_model("someone/tiny-gpt2")


def test_a_hub_model_without_safetensors_is_refused(hub_cache, tmp_path):
    (snapshot(tmp_path / "hub") / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"^someone/tiny-gpt2 can't be loaded"):
        load_model("someone/tiny-gpt2")


def test_a_folder_goes_before_a_hub_name(hub_cache, tmp_path):
    save_gpt2(tmp_path / "gpt2", seed=1)
    assert_equal(logits(load_model("gpt2")), own_logits(gpt2(seed=1)))


def test_a_hub_name_that_can_not_be_reached_is_refused(hub_cache):
    with pytest.raises(
        ModelError, match=r"^someone/else can't be loaded: .* Give a local folder, or check the name and the network\.$"
    ):
        load_model("someone/else")


def test_an_unknown_name_is_refused_with_the_nearest(hub_cache):
    with pytest.raises(UnknownNameError) as caught:
        load_model("gtp2")
    assert "gpt2" in caught.value.nearest


def test_a_bundled_model_is_opened_by_its_name():
    opened = load_model("tiny-tasks")
    assert opened.name == "tiny-tasks"
    assert opened.tokenizer is not None


def test_opening_leaves_the_libraries_settings_as_they_were(gpt2_folder):
    from transformers.utils import logging

    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    load_model(gpt2_folder)
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before


def test_no_parameter_of_an_opened_model_needs_a_gradient(gpt2_model):
    assert not any(parameter.requires_grad for parameter in gpt2_model.bridge.parameters())
    assert not gpt2_model.bridge.training


def test_the_hash_of_the_weights_changes_with_them(gpt2_model, tmp_path):
    same = load_model(gpt2())
    assert same.sha256 == gpt2_model.sha256
    other = gpt2()
    with torch.no_grad():
        other.transformer.h[1].ln_2.bias[3] += 1e-3
    assert load_model(other).sha256 != gpt2_model.sha256


def test_an_architecture_without_an_adapter_is_refused():
    class OwnModel(tf.GPT2LMHeadModel):
        pass

    with pytest.raises(ModelError, match=r"TransformerLens can't open a OwnModel in memory \(OwnModel\): Unsupported"):
        load_model(OwnModel(gpt2().config).eval())


def test_a_model_that_can_not_be_run_is_refused():
    class Broken(tf.GPT2LMHeadModel):
        def forward(self, *args, **kwargs):
            raise RuntimeError("Expected Float32, got Double.")

    with pytest.raises(ModelError, match=r"can't be run \(another `dtype` may help\): RuntimeError: Expected Float32"):
        load_model(Broken(gpt2().config))


def test_a_model_without_its_unembedding_is_refused():
    with pytest.raises(ModelError, match="a GPT2Model in memory gives no logits; open it with its unembedding"):
        load_model(gpt2().transformer)


def test_a_model_whose_components_are_others_is_refused():
    with pytest.raises(ModelError, match=r"a Gemma4ForCausalLM in memory can't be split into nodes: .*: PerLayer"):
        load_model(random_model("gemma4"))
