"""GGUF files of Llama-like models become folders that give the same logits and tokens."""

import json

import pytest
import torch
import transformers as tf
from ggufs import TOKENS, llama, write_gguf

import acdc
from acdc.errors import ModelError
from acdc.runs import resuming

gguf = pytest.importorskip("gguf", reason="the extra `fetch` isn't installed")
from acdc.models.gguf import write_folder  # noqa: E402

IDS = torch.tensor([[3, 40, 100, 7, 9, 200, 17, 5]])


@pytest.mark.parametrize("tied", [True, False])
def test_a_file_gives_the_logits_of_its_model(tmp_path, tied):
    model = llama(tied)
    types = write_folder(write_gguf(tmp_path / "a.gguf", model), tmp_path / "a")
    assert types == {"F32": len(model.state_dict()) - tied}
    read = tf.AutoModelForCausalLM.from_pretrained(tmp_path / "a")
    torch.testing.assert_close(read(IDS).logits, model(IDS).logits)
    assert str(acdc.load_model(tmp_path / "a")).startswith("Model(")
    assert read.config.rms_norm_eps == 1e-6


def test_quantised_weights_are_dequantised_and_counted(tmp_path):
    model = llama()
    file = write_gguf(tmp_path / "a.gguf", model, gguf.GGMLQuantizationType.Q8_0)
    assert write_folder(file, tmp_path / "a") == {"Q8_0": 15, "F32": 5}
    read = tf.AutoModelForCausalLM.from_pretrained(tmp_path / "a", dtype=torch.float32).state_dict()
    for name, weight in model.state_dict().items():
        step = float(weight.abs().max()) / 127  # of 8 bits
        torch.testing.assert_close(read[name], weight, atol=step, rtol=0)
        assert torch.equal(read[name], weight) == (weight.dim() == 1)


@pytest.mark.parametrize(("pre", "spaces"), [("smollm", ["ĠĠ", "1", "2"]), ("gpt-2", ["Ġ", "Ġ", "1", "2"])])
def test_text_is_split_by_the_files_rule(tmp_path, pre, spaces):
    write_folder(write_gguf(tmp_path / "a.gguf", llama(), pre=pre), tmp_path / "a")
    tokenizer = tf.AutoTokenizer.from_pretrained(tmp_path / "a")
    assert tokenizer.tokenize(" the") == ["Ġthe"]
    assert tokenizer.tokenize("a  12") == ["a", *spaces]
    assert tokenizer.decode(tokenizer.encode("Ünïcode → 漢字")) == "Ünïcode → 漢字"
    assert tokenizer.encode("<|end|>a") == [0, TOKENS.index("a")]
    assert (tokenizer.bos_token, tokenizer.eos_token, len(tokenizer)) == ("<|end|>", "<|end|>", len(TOKENS))


def test_a_rule_that_is_unknown_leaves_the_tokenizer_out(tmp_path):
    with pytest.warns(acdc.AcdcWarning, match="'llama-bpe'.* left out"):
        write_folder(write_gguf(tmp_path / "a.gguf", llama(), pre="llama-bpe"), tmp_path / "a")
    assert not (tmp_path / "a" / "tokenizer.json").exists()
    assert acdc.load_model(tmp_path / "a").tokenizer is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"architecture": "gemma"}, "of the architecture 'gemma'"),
        ({"further": [("llama.rope.scaling.factor", 2.0)]}, "rope.scaling.factor"),
        ({"tensors": [("model.layers.0.self_attn.q_proj.bias", torch.zeros(3))]}, "isn't known here"),
    ],
)
def test_what_would_be_left_out_is_refused(tmp_path, change, said):
    file = write_gguf(tmp_path / "a.gguf", llama(), **change)
    with pytest.raises(ModelError, match=said):
        write_folder(file, tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_what_is_no_such_file_is_refused(tmp_path):
    whole = write_gguf(tmp_path / "whole.gguf", llama()).read_bytes()
    for i, content in enumerate([b"", b"GGUF", b"text\n" * 100, whole[:2000], whole[: len(whole) // 2]]):
        (tmp_path / f"{i}.gguf").write_bytes(content)
        for read in (lambda file: write_folder(file, tmp_path / "out"), acdc.load_model):
            with pytest.raises(ModelError, match=f"{i}.gguf can't be read as a GGUF file"):
                read(tmp_path / f"{i}.gguf")
    for read in (lambda file: write_folder(file, tmp_path / "out"), acdc.load_model):
        with pytest.raises(ModelError, match="there is no such file"):
            read(tmp_path / "absent.gguf")


def test_a_file_opens_by_its_path_and_leaves_nothing(tmp_path, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    model = llama()
    file = write_gguf(tmp_path / "a.GGUF", model)
    opened = acdc.load_model(file)
    assert (opened.name, opened.sha256) == (str(file), acdc.load_model(file).sha256)
    assert not list(scratch.iterdir())
    torch.testing.assert_close(opened.bridge(IDS), model(IDS).logits)
    assert opened.tokenizer.tokenize(" the") == ["Ġthe"]


def test_no_room_for_a_files_weights_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "absent"))
    file = write_gguf(tmp_path / "a.gguf", llama())
    with pytest.raises(ModelError, match=r"are written to .*absent meanwhile, .*set TMPDIR"):
        acdc.load_model(file)


@pytest.mark.random_models
def test_a_run_on_a_file_is_judged_and_resumed_from_elsewhere(tmp_path, monkeypatch):
    write_gguf(tmp_path / "a.gguf", llama())
    monkeypatch.chdir(tmp_path)
    pairs = [acdc.PromptPair(clean=f"{a}ab{b}", corrupted=f"{b}ab{a}") for a, b in ("xy", "uv", "ij")]
    rows = [f'{{"clean": "{pair.clean}", "corrupted": "{pair.corrupted}"}}' for pair in pairs]
    (tmp_path / "pairs.jsonl").write_text("\n".join(rows))
    acdc.discover("a.gguf", "pairs.jsonl", threshold=0.1, n=2, out="run")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert acdc.evaluate("../run")[0].evaluation
    record = tmp_path / "run" / "run.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"status": "running"}))
    assert resuming.arguments(tmp_path / "run")["model"] == str(tmp_path / "a.gguf")
