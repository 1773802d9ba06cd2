"""Everything in a weights folder is used, or said; and nothing but safetensors is loaded."""

import json
import shutil

import pytest
import torch
from families import CONFIGS, random_model
from safetensors.torch import load_file, save_file
from tiny import gpt2, save_gpt2, save_toy

from acdc import load_model
from acdc.errors import AcdcWarning, ModelError

LAYER = "transformer.h.1."


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Models of a few kinds, saved; no test changes them."""
    root = tmp_path_factory.mktemp("saved")
    for family in ("llama", "qwen2", "mixtral", "gpt-neo"):
        random_model(family).save_pretrained(root / family)
    save_gpt2(root / "gpt2")
    save_gpt2(root / "untied", tie_word_embeddings=False)
    save_toy(root / "toy")
    gpt2().save_pretrained(root / "shards", max_shard_size="10KB")
    return root


@pytest.fixture
def changed(saved, tmp_path):
    """A copy of a saved model with other weights (None takes one away) and other fields in its config."""

    def changed(model, weights=None, **fields):
        folder = tmp_path / model
        shutil.copytree(saved / model, folder)
        if weights is not None:
            tensors = {**load_file(folder / "model.safetensors"), **weights}
            kept = {name: tensor for name, tensor in tensors.items() if tensor is not None}
            save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, **fields}))
        return folder

    return changed


def refused(folder, said):
    with pytest.raises(ModelError, match=said) as caught:
        load_model(folder)
    assert folder.name in str(caught.value)
    assert "\n" not in str(caught.value)


def weights_of(folder):
    return load_file(folder / "model.safetensors")


# Weights that are more than the model.


def test_more_layers_than_the_config_says_are_refused(changed):
    refused(changed("llama", num_hidden_layers=1), r"have 2 layers, but config\.json says 1, so model\.layers\.1\.")
    refused(changed("gpt2", n_layer=1), r"have 2 layers, but config\.json says 1, so transformer\.h\.1\.")


def test_biases_that_the_config_does_not_announce_are_refused(changed):
    biases = {
        f"model.layers.{i}.self_attn.{x}_proj.bias": torch.randn(32 if x == "q" else 16) for i in (0, 1) for x in "qkv"
    }
    refused(
        changed("llama", biases), r"biases that config\.json doesn't announce: .*k_proj\.bias.*\(6 tensors in all\)"
    )


@pytest.mark.parametrize(
    "name",
    [
        "model.layers.0.self_attn.q_proj.lora_A.default.weight",
        "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight",
        "model.layers.0.mlp.up_proj.lora_magnitude_vector",
        "model.embed_tokens.lora_embedding_A",
    ],
)
def test_an_adapter_among_the_weights_is_refused(changed, name):
    refused(changed("llama", {name: torch.randn(2, 32)}), "merge the adapter")


def test_an_adapter_that_was_saved_as_the_model_is_refused(changed, saved):
    name = "model.layers.0.self_attn.q_proj"
    moved = {f"{name}.weight": None, f"{name}.base_layer.weight": weights_of(saved / "llama")[f"{name}.weight"]}
    refused(changed("llama", moved), "merge the adapter")


def test_draft_layers_pass_only_where_the_config_announces_them(changed, saved):
    weights = weights_of(saved / "llama")
    third = {name.replace("layers.1.", "layers.2."): t.clone() for name, t in weights.items() if "layers.1." in name}
    refused(changed("llama", third), "have 3 layers, but config")
    folder = saved.parent / "drafting"
    shutil.copytree(saved / "llama", folder)
    save_file({**weights, **third}, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_nextn_predict_layers": 1}))
    load_model(folder)


@pytest.mark.parametrize("file", ["adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"])
@pytest.mark.parametrize("model", ["llama", "toy"])
def test_an_adapter_beside_the_weights_is_refused(changed, file, model):
    folder = changed(model)
    (folder / file).write_text("{}")
    refused(folder, f"has an adapter \\({file}\\); merge the adapter")


def test_an_adapter_alone_is_refused_as_one(tmp_path):
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "gpt2"}')
    refused(tmp_path, "merge the adapter into its model")


@pytest.mark.parametrize("other", ["float8_e4m3fn", "float8_e5m2", "int8", "uint8", "int32", "bool"])
def test_quantised_weights_are_refused_without_any_word_in_the_config(changed, saved, other):
    for model, name in (("llama", "model.layers.0.mlp.up_proj.weight"), ("toy", "blocks.0.attn.W_Q")):
        weight = weights_of(saved / model)[name].to(getattr(torch, other))
        refused(changed(model, {name: weight}), "holds quantised weights .*dequantise the model first")


def test_scales_beside_weights_are_refused(changed):
    refused(changed("llama", {"model.layers.0.mlp.up_proj.weight_scale": torch.ones(1)}), "scales of quantised weights")


@pytest.mark.parametrize("said", [{"quant_method": "fp8"}, {"quant_method": "unheard-of"}, {"bits": 4}, "fp8"])
@pytest.mark.parametrize("inside", [False, True])
def test_a_config_of_quantised_weights_is_refused(changed, said, inside):
    fields = {"quantization_config": said}
    folder = changed("llama", **({"text_config": fields} if inside else fields))
    refused(folder, "the weights are quantised.*dequantise the model first")


def test_a_config_that_says_there_is_no_quantisation_is_no_harm(changed):
    load_model(changed("llama", quantization_config=None))


def test_weights_that_fit_nowhere_are_refused(changed):
    refused(changed("gpt2", {f"{LAYER}attn.gate": torch.ones(2)}), r"no place for transformer\.h\.1\.attn\.gate ")


def test_what_the_library_hides_is_not_hidden(changed):
    """transformers says nothing of a GPT-2's attn.bias or a DeepSeek's 61st layer, whatever they are."""
    refused(changed("gpt2", {f"{LAYER}attn.bias": torch.ones(16)}), r"biases that config\.json doesn't announce")


def test_an_unembedding_of_its_own_where_the_config_ties_is_refused(changed, saved):
    refused(changed("untied", tie_word_embeddings=True), "an unembedding that differs from the embedding")
    weights = weights_of(saved / "gpt2")
    same = changed("gpt2", {"lm_head.weight": weights["transformer.wte.weight"].clone()})
    assert load_model(same).sha256 == load_model(saved / "gpt2").sha256


def test_two_names_for_one_parameter_are_refused(changed, saved):
    weight = weights_of(saved / "gpt2")[f"{LAYER}mlp.c_fc.weight"]
    refused(changed("gpt2", {"h.1.mlp.c_fc.weight": weight + 1}), "several tensors of the weights are for the same")
    toy = weights_of(saved / "toy")["blocks.0.attn.W_K"]
    refused(changed("toy", {"blocks.0.attn._W_K": toy + 1}), "twice, under two names")


def test_weights_that_lack_something_are_refused(changed):
    refused(changed("llama", {"model.norm.weight": None}), r"the weights lack model\.norm\.weight")
    refused(changed("qwen2", {"model.layers.1.self_attn.k_proj.bias": None}), r"lack model\.layers\.1\.self_attn")
    refused(changed("mixtral", {"model.layers.0.block_sparse_moe.experts.3.w2.weight": None}), "mixtral")


# Buffers that older versions saved.


@pytest.mark.parametrize(
    ("model", "buffers"),
    [
        ("gpt2", {f"{LAYER}attn.bias": torch.ones(1, 1, 16, 16).tril()}),
        ("gpt2", {f"{LAYER}attn.bias": torch.ones(1, 1, 16, 16, dtype=torch.uint8).tril()}),
        ("gpt2", {f"{LAYER}attn.masked_bias": torch.tensor(-1e4)}),
        ("llama", {"model.layers.0.self_attn.rotary_emb.inv_freq": 1e4 ** -(torch.arange(0, 8, 2) / 8)}),
        ("gpt-neo", {"transformer.h.0.attn.attention.bias": torch.ones(1, 1, 32, 32, dtype=torch.bool).tril()}),
        ("toy", {"blocks.0.attn.mask": torch.ones(12, 12, dtype=torch.bool).tril()}),
        ("toy", {"blocks.0.attn.IGNORE": torch.tensor(-1e5)}),
    ],
)
def test_buffers_of_older_versions_pass(changed, saved, model, buffers):
    assert load_model(changed(model, buffers)).sha256 == load_model(saved / model).sha256


def test_buffers_that_mean_another_model_are_refused(changed):
    """A mask that isn't causal, and a rotation of another base."""
    refused(changed("gpt2", {f"{LAYER}attn.bias": torch.ones(1, 1, 16, 16)}), "differs from what config.json makes")
    frequencies = 5e5 ** -(torch.arange(0, 8, 2) / 8)
    refused(changed("llama", {"model.layers.0.self_attn.rotary_emb.inv_freq": frequencies}), "differs from what")


@pytest.mark.parametrize(
    "fields", [{"sliding_window": 4}, {"attn_logit_softcapping": 20.0}, {"use_qk_norm": True}, {"logit_scale": 0.1}]
)
def test_a_field_that_the_model_does_not_follow_is_said(changed, fields):
    with pytest.warns(AcdcWarning, match=f"config.json sets {next(iter(fields))}, which a llama model doesn't follow"):
        load_model(changed("llama", **fields))


def test_two_bases_of_the_rotation_are_said(changed):
    with pytest.warns(AcdcWarning, match="config.json sets rope_theta to 500000, but the model follows the 10000 of"):
        load_model(changed("llama", rope_theta=5e5))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"architectures": ["MistralForCausalLM"]}, "is a MistralForCausalLM; it is opened as a LlamaForCausalLM"),
        (
            {"architectures": ["LlamaXForCausalLM"], "auto_map": {"AutoModelForCausalLM": "own.LlamaXForCausalLM"}},
            "is a LlamaXForCausalLM, with code of its own that is never run; it is opened as a LlamaForCausalLM",
        ),
    ],
)
def test_a_model_of_other_code_than_what_runs_it_is_said(changed, fields, said):
    with pytest.warns(AcdcWarning, match=said):
        load_model(changed("llama", **fields))


@pytest.mark.parametrize(
    "fields",
    [
        {"architectures": ["LLaMAForCausalLM"]},
        {"architectures": ["LlamaForSequenceClassification"]},
        {"architectures": None},
        {"architectures": []},
        {"architectures": [1]},
        {"auto_map": {"AutoModelForCausalLM": "modeling_llama.LlamaForCausalLM"}},
        {"architectures": ["Llama2ForCausalLM"], "auto_map": {"AutoTokenizer": "own.Tokenizer"}},
    ],
)
def test_the_same_kind_under_other_words_is_not_said(changed, fields):
    load_model(changed("llama", **fields))


@pytest.mark.parametrize("fields", [{"sliding_window": None}, {"attention_bias": False}, {"logit_scale": 1.0}])
def test_a_field_that_does_nothing_is_not_said(changed, fields):
    load_model(changed("llama", **fields))


@pytest.mark.parametrize("family", CONFIGS)
def test_every_family_opens_from_a_folder_as_the_library_loads_it(family, tmp_path):
    own = random_model(family)
    own.save_pretrained(tmp_path)
    ids = torch.tensor([[3, 1, 4, 1, 5]])
    from acdc.models.opening import find_source

    with torch.no_grad():
        assert torch.equal(find_source(tmp_path, "cpu", None, None).oracle(ids), own(ids, use_cache=False).logits)


# Several files.


def index_of(folder, change):
    path = folder / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    change(index)
    path.write_text(json.dumps(index))


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ("pytorch_model.bin", r"names 'pytorch_model\.bin', which is no safetensors file"),
        ("../model.safetensors", r"names '\.\./model\.safetensors'; .* must lie beside its index"),
        ("/elsewhere/model.safetensors", "must lie beside its index"),
        ("sub/model.safetensors", "must lie beside its index"),
        ("..\\model.safetensors", "must lie beside its index"),
        ("C:model.safetensors", "must lie beside its index"),
        ("a\0b.safetensors", "must lie beside its index"),
        (".safetensors", "which isn't there"),
        ("x" * 300 + ".safetensors", "shards"),
        (3, "is no index of weights"),
        (None, "is no index of weights"),
    ],
)
def test_an_index_that_names_other_files_is_refused(changed, tmp_path, other, said):
    folder = changed("shards")
    torch.save({}, folder / "pytorch_model.bin")
    index_of(folder, lambda index: index["weight_map"].update({"transformer.wte.weight": other}))
    refused(folder, said)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"weight_map": {}}', '{"weight_map": []}', "[" * 100_000])
def test_an_index_that_is_none_is_refused(changed, text):
    folder = changed("shards")
    (folder / "model.safetensors.index.json").write_text(text)
    refused(folder, r"index\.json")


def test_index_and_files_must_say_the_same(changed):
    folder = changed("shards")
    index_of(folder, lambda index: index["weight_map"].pop("transformer.wpe.weight"))
    refused(folder, r"holds transformer\.wpe\.weight, which model\.safetensors\.index\.json doesn't list")
    index_of(
        folder, lambda index: index["weight_map"].update({"transformer.wpe.weight": "model-00002-of-00004.safetensors"})
    )
    refused(folder, r"lacks transformer\.wpe\.weight, which model\.safetensors\.index\.json says it holds")


def test_a_tensor_in_two_files_is_refused(changed):
    folder = changed("shards")
    first, second = sorted(folder.glob("*.safetensors"))[:2]
    doubled = load_file(first) | load_file(second)
    save_file(doubled, second, metadata={"format": "pt"})
    refused(folder, "both .* hold transformer")


def test_one_file_and_an_index_of_others_is_refused(changed, saved):
    folder = changed("shards")
    shutil.copy(saved / "gpt2" / "model.safetensors", folder)
    refused(folder, r"has both model\.safetensors and model\.safetensors\.index\.json")


def test_an_index_of_the_one_file_is_no_harm(changed, saved):
    folder = changed("gpt2")
    listed = dict.fromkeys(weights_of(folder), "model.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": listed}))
    assert load_model(folder).sha256 == load_model(saved / "gpt2").sha256


def test_shards_that_are_links_are_files(changed, saved, tmp_path):
    folder = changed("shards")
    (tmp_path / "blobs").mkdir()
    for file in folder.glob("*.safetensors"):
        file.rename(tmp_path / "blobs" / file.name)
        file.symlink_to(tmp_path / "blobs" / file.name)
    assert load_model(folder).sha256 == load_model(saved / "gpt2").sha256


@pytest.mark.parametrize("model", ["gpt2", "toy"])
@pytest.mark.parametrize("name", ["model-00002-of-00002.safetensors", "consolidated.safetensors"])
def test_a_weights_file_that_nothing_uses_is_said(changed, saved, model, name):
    folder = changed(model)
    shutil.copy(folder / "model.safetensors", folder / name)
    with pytest.warns(AcdcWarning, match=f"nothing uses {name}; the model is model.safetensors"):
        opened = load_model(folder)
    assert opened.sha256 == load_model(saved / model).sha256


def test_a_distributed_checkpoint_is_not_taken_for_the_model(changed, saved):
    """transformers loads every file of a folder that holds one of this name, by torch's distributed checkpoints."""
    folder = changed("gpt2")
    save_file({"transformer.wte.weight": torch.zeros(40, 16)}, folder / "shard-00001-model-00001-of-00001.safetensors")
    with pytest.warns(AcdcWarning, match="nothing uses shard-00001"):
        assert load_model(folder).sha256 == load_model(saved / "gpt2").sha256


def test_weights_of_another_name_are_not_guessed(changed):
    folder = changed("gpt2")
    (folder / "model.safetensors").rename(folder / "weights.safetensors")
    refused(folder, r"has no model\.safetensors, and nothing says how weights\.safetensors would be used")
