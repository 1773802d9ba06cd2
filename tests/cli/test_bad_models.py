"""What the command says of models that can't be used, and of memory that isn't there."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import VOCAB, gpt2, pairs, save_gpt2, save_toy

from acdc.models.selfcheck import probe_prompts
from acdc.runs.run import Run


def damaged(folder, change):
    """The folder, its weights changed."""
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_a_hugging_face_folder_that_lacks_files_is_refused(discover, file, tmp_path):
    task = file(*pairs())
    (tmp_path / "empty").mkdir()
    assert discover(task, model="empty") == "empty is not a model: it has no config.json."
    folder = save_gpt2(tmp_path / "half")
    (folder / "model.safetensors").unlink()
    assert discover(task, model="half") == "half is not a whole model: it has no .safetensors weights."


@pytest.mark.parametrize("text", ["{", "[]", '{"model_type": "unheard-of"}'])
def test_a_config_that_is_no_model_s_is_refused(discover, file, tmp_path, text):
    folder = save_gpt2(tmp_path / "odd")
    (folder / "config.json").write_text(text)
    assert "odd" in discover(file(*pairs()), model="odd")


def test_hugging_face_weights_that_do_not_fit_are_refused(discover, file, tmp_path):
    task = file(*pairs())
    damaged(save_gpt2(tmp_path / "lacking"), lambda weights: weights.pop("transformer.h.1.mlp.c_fc.weight"))
    said = discover(task, model="lacking")
    assert said == "lacking: the weights lack transformer.h.1.mlp.c_fc.weight (1 in all); check the files."
    damaged(
        save_gpt2(tmp_path / "misshapen"), lambda weights: weights.update({"transformer.ln_f.weight": torch.ones(3)})
    )
    assert "transformer.ln_f.weight" in discover(task, model="misshapen")


def test_weights_that_are_torn_are_refused(discover, file, tmp_path):
    task = file(*pairs())
    for folder in (save_gpt2(tmp_path / "hf"), save_toy(tmp_path / "toy")):
        weights = folder / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-100])
        assert folder.name in discover(task, model=folder.name)


def test_named_weights_that_lack_files_are_refused(discover, file, tmp_path):
    folder = save_toy(tmp_path / "toy")
    (folder / "model.safetensors").unlink()
    assert discover(file(*pairs()), model="toy") == "toy is not a whole model: it has no model.safetensors."


def test_named_weights_that_do_not_fit_are_refused(discover, file, tmp_path):
    task = file(*pairs())
    damaged(save_toy(tmp_path / "lacking"), lambda weights: weights.pop("blocks.1.attn.W_O"))
    said = discover(task, model="lacking")
    assert "lacking" in said
    assert "blocks.1.attn" in said
    damaged(save_toy(tmp_path / "misshapen"), lambda weights: weights.update({"embed.W_E": torch.ones(3, 16)}))
    said = discover(task, model="misshapen")
    assert "embed" in said
    assert "shape [3, 16], but model_config needs [20, 16]" in said
    damaged(save_toy(tmp_path / "unknown"), lambda weights: weights.update({"blocks.7.attn.W_Q": torch.ones(2, 16, 8)}))
    assert "blocks.7.attn" in discover(task, model="unknown")


@pytest.mark.parametrize("cfg", [None, [], {}, {"n_layers": "two"}, {"n_layers": 1, "d_model": 4, "warp": 9}])
def test_a_model_config_that_can_not_be_used_is_refused(discover, file, tmp_path, cfg):
    folder = save_toy(tmp_path / "toy")
    (folder / "config.json").write_text(json.dumps({"model_config": cfg}))
    assert "toy" in discover(file(*pairs()), model="toy")


def sick_model(folder, value):
    """A model that one token makes ill, which the self-check doesn't meet; gives it and three harmless ones."""
    probed = {token for pair in probe_prompts(VOCAB, 16) for prompt in pair for token in prompt}
    sick = next(token for token in range(VOCAB) if token not in probed)
    model = gpt2(tie_word_embeddings=False)
    with torch.no_grad():
        model.transformer.wte.weight[sick] = value
    model.save_pretrained(folder)
    return sick, sorted(probed)[:3]


@pytest.mark.parametrize(("which", "value"), [("clean", float("nan")), ("corrupted", float("inf"))])
def test_a_prompt_whose_logits_are_no_numbers_is_named(discover, file, tmp_path, which, value):
    sick, (a, b, c) = sick_model(tmp_path / "model", value)
    rows = [{"clean_tokens": [a, b, c], "corrupted_tokens": [c, b, a]} for _ in range(3)]
    rows[1] |= {f"{which}_tokens": [a, sick, b]}
    said = discover(file(*rows), model="model")
    assert f"pairs.jsonl, line 2: the model's logits on the {which} prompt are NaN or infinite" in said


def test_a_held_out_prompt_whose_logits_are_no_numbers_does_not_cost_the_run(call, file, tmp_path):
    sick, (a, b, c) = sick_model(tmp_path / "model", float("nan"))
    rows = [{"clean_tokens": [a, b, c], "corrupted_tokens": [c, b, a]} for _ in range(4)]
    rows[3] |= {"clean_tokens": [a, sick, b]}
    code, out, err = call("discover", file(*rows), "--n", 2, "--model", "model", "--out", "out")
    assert code == 0, err
    assert "no result on held-out prompts: pairs.jsonl, line 4: the model's logits on the clean prompt are NaN" in err
    assert "held-out" not in out
    assert Run.load(tmp_path / "out").record.results.held_out is None


@pytest.mark.parametrize(
    "run_out",
    [
        lambda: (_ for _ in ()).throw(MemoryError),
        lambda: (_ for _ in ()).throw(torch.OutOfMemoryError("CUDA out of memory.")),
        lambda: torch.empty(1 << 60),
        lambda: (_ for _ in ()).throw(RuntimeError("DefaultCPUAllocator: not enough memory: you tried to ...")),
    ],
    ids=["python", "gpu", "cpu", "cpu on Windows"],
)
@pytest.mark.parametrize("where", ["acdc.discovery.setting_up.prepare", "acdc.models.loading.find_source"])
def test_out_of_memory_says_what_to_lower(discover, file, monkeypatch, run_out, where):
    monkeypatch.setattr(where, lambda *args, **kwargs: run_out())
    said = discover(file(*pairs()))
    assert said.startswith("out of memory; lower ")
    assert "batch" in said
    assert "dtype" in said


def test_out_of_memory_while_weights_are_read_is_no_fault_of_the_model(refused, gpt2_folder, monkeypatch):
    monkeypatch.setattr("transformers.PreTrainedModel.from_pretrained", lambda *args, **kw: torch.empty(1 << 60))
    assert refused("model", "check", gpt2_folder).startswith("out of memory; lower")


@pytest.mark.parametrize("device", ["hpu", "mps", "meta", "nowhere", ""])
def test_a_device_that_can_not_be_used_is_refused(discover, file, device):
    assert discover(file(*pairs()), "--device", device).startswith(f"device {device!r} can't be used (")


@pytest.mark.parametrize("name", ["x\0y", "\ud800", "a" * 5000])
def test_a_name_that_no_file_can_have_is_refused(refused, name):
    assert refused("model", "check", name)


def test_weights_that_the_model_would_not_use_are_refused(discover, file, tmp_path):
    damaged(
        save_gpt2(tmp_path / "more"), lambda weights: weights.update({"transformer.h.2.ln_1.weight": torch.ones(16)})
    )
    said = discover(file(*pairs()), model="more")
    assert said.startswith("more: the weights have 3 layers, but config.json says 2, so transformer.h.2.ln_1.weight ")
