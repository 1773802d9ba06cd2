"""Tiny random models, as folders and in memory, and prompt pairs for them."""

import json

import torch
import transformers as tf
from safetensors.torch import save_file
from tokenizers import Regex, Tokenizer, models, pre_tokenizers

#: A token for each, with its space; " Mary Ann" is two.
WORDS = [" Mary", " John", " Ann", " met", " saw", " and", ".", "Mary", "John", "Ann"]
VOCAB = 40


def tokenizer():
    """A tokenizer of :data:`WORDS` for Hugging Face models."""
    vocab = {"<unk>": 0, **{word: i for i, word in enumerate(WORDS, 1)}}
    words = Tokenizer(models.WordLevel(vocab, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Split(Regex(r" ?[A-Za-z]+|\."), behavior="isolated")
    return tf.PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>")


def gpt2(seed=0, **config):
    """A GPT-2 of two layers with two heads; every parameter is random, so that errors show."""
    shape = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 16, "vocab_size": VOCAB}
    special = {"bos_token_id": None, "eos_token_id": None}
    torch.manual_seed(seed)
    model = tf.GPT2LMHeadModel(tf.GPT2Config(**shape | special | config)).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn(parameter.shape, generator=generator)
    return model


def save_gpt2(folder, *, with_tokenizer=False, **options):
    """:func:`gpt2` as a Hugging Face folder."""
    gpt2(**options).save_pretrained(folder)
    if with_tokenizer:
        tokenizer().save_pretrained(folder)
    return folder


def save_toy(folder, seed=0, **config):
    """A folder of TransformerLens-named weights; attention-only, causal and without norm by default."""
    shape = {"n_layers": 2, "n_heads": 2, "d_model": 16, "d_head": 8, "n_ctx": 12, "d_vocab": 20}
    kind = {"attn_only": True, "normalization_type": None, "act_fn": None, "attention_dir": "causal"}
    cfg = {**shape, "d_vocab_out": 18, **kind, **config}
    generator = torch.Generator().manual_seed(seed)

    def random(*size):
        return 0.4 * torch.randn(size, generator=generator)

    d, heads, d_head, out = cfg["d_model"], cfg["n_heads"], cfg["d_head"], cfg["d_vocab_out"]
    weights = {
        "embed.W_E": random(cfg["d_vocab"], d),
        "pos_embed.W_pos": random(cfg["n_ctx"], d),
        "unembed.W_U": random(d, out),
        "unembed.b_U": random(out),
    }
    for layer in range(cfg["n_layers"]):
        attention = f"blocks.{layer}.attn"
        for letter in "QKV":
            weights[f"{attention}.W_{letter}"] = random(heads, d, d_head)
            weights[f"{attention}.b_{letter}"] = random(heads, d_head)
        weights[f"{attention}.W_O"] = random(heads, d_head, d)
        weights[f"{attention}.b_O"] = random(d)
        if not cfg["attn_only"]:
            weights[f"blocks.{layer}.mlp.W_in"] = random(d, cfg["d_mlp"])
            weights[f"blocks.{layer}.mlp.b_in"] = random(cfg["d_mlp"])
            weights[f"blocks.{layer}.mlp.W_out"] = random(cfg["d_mlp"], d)
            weights[f"blocks.{layer}.mlp.b_out"] = random(d)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(weights, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"model_config": cfg}))
    return folder


def pairs(n=4, length=6, vocab=18, seed=0):
    """Random pairs of token ids with a right and a wrong answer, as lines of a prompt file."""
    generator = torch.Generator().manual_seed(seed)

    def draw(count):
        return torch.randint(vocab, (count,), generator=generator).tolist()

    return [
        {
            "clean_tokens": draw(length),
            "corrupted_tokens": draw(length),
            "answer_token": 1 + i % (vocab - 2),
            "wrong_answer_token": 2 + i % (vocab - 2),
        }
        for i in range(n)
    ]


def write_pairs(path, rows=None):
    """A JSONL file of `rows`, by default of :func:`pairs`."""
    path.write_text("".join(json.dumps(row) + "\n" for row in (pairs() if rows is None else rows)))
    return path
