"""Llama-like models in GGUF files, written anew as Hugging Face folders: weights in float32, tokenizer and settings.

The file's own numbers are taken, nothing is guessed: a setting, a tensor or a rule for splitting text that isn't
known here is refused, since left out it would be another model. transformers reads such files too, but passes over
the rule by which text is split.
"""

from __future__ import annotations

import importlib.util
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from acdc.errors import ModelError, warn
from acdc.models.checkpoint import WEIGHTS
from acdc.models.libraries import is_out_of_memory, quiet
from acdc.wording import first_line, quoted, some

if TYPE_CHECKING:
    from gguf import GGUFReader

_TENSORS = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_OUTSIDE = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
#: Settings of the architecture that make the model what it is.
_SETTINGS = {
    "block_count": "num_hidden_layers",
    "context_length": "max_position_embeddings",
    "embedding_length": "hidden_size",
    "feed_forward_length": "intermediate_size",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "attention.layer_norm_rms_epsilon": "rms_norm_eps",
}
_FURTHER = ("rope.freq_base", "rope.dimension_count", "attention.key_length", "attention.value_length", "vocab_size")
#: Rules for splitting text before its pieces are merged, and whether digits stand alone.
_SPLITTING = {"gpt-2": False, "smollm": True}


def write_folder(file: str | Path, folder: str | Path) -> dict[str, int]:
    """Write a GGUF file's model as a Hugging Face folder, which :func:`acdc.load_model` opens.

    Args:
        file: of a model of the Llama architecture, quantised or not.
        folder: to write into; it is made if it isn't there, and what lies in it is overwritten.

    Returns:
        How many tensors are stored in which type, by the type's name.

    Raises:
        ModelError: the package gguf is missing, or the file isn't one or holds what isn't known here; names it.
        OSError: the folder can't be written.
    """
    file, folder = Path(file), Path(folder)
    check_installed()
    if not file.is_file():
        raise ModelError(f"{file} can't be read: there is no such file.")
    from gguf import GGUFReader

    try:
        reader = GGUFReader(file)
        config = _config(file, reader)
        weights, types = _weights(file, reader, config)
        tokenizer = _tokenizer(file, reader)
    except ModelError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise ModelError(f"{file} can't be read as a GGUF file: {first_line(error)}") from error
    from safetensors.numpy import save_file
    from transformers import LlamaConfig

    folder.mkdir(parents=True, exist_ok=True)
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
    with quiet():
        LlamaConfig(**config).save_pretrained(folder)
        if tokenizer is not None:
            tokenizer.save_pretrained(folder)
    return types


def check_installed() -> None:
    """Raise :class:`ModelError` where the package gguf is missing, without which no such file is read."""
    if importlib.util.find_spec("gguf") is None:
        raise ModelError(
            "reading a GGUF file takes the package gguf, which isn't installed; pip install 'acdc-circuits[fetch]'."
        )


def _config(file: Path, reader: GGUFReader) -> dict[str, Any]:
    """What Hugging Face calls the settings of the file."""
    fields = {name: field.contents() for name, field in reader.fields.items()}
    kind = fields.get("general.architecture")
    if kind != "llama":
        raise ModelError(f"{file} is of the architecture {quoted(kind)}; of GGUF files, only llama is opened.")
    own = {name.removeprefix("llama."): value for name, value in fields.items() if name.startswith("llama.")}
    if unknown := sorted(name for name in own if name not in _SETTINGS and name not in _FURTHER):
        raise ModelError(f"{file} has the settings {some(unknown)}, which aren't known here; it can't be opened.")
    if missing := sorted(name for name in _SETTINGS if name not in own and name != "attention.head_count_kv"):
        raise ModelError(f"{file} lacks the settings {some(missing)}; it is no whole model.")
    config = {theirs: own[name] for name, theirs in _SETTINGS.items() if name in own}
    config["rms_norm_eps"] = float(str(np.float32(config["rms_norm_eps"])))  # 1e-05, which float32 isn't exactly
    width, heads = config["hidden_size"], config["num_attention_heads"]
    lengths = {own.get(name, width // heads) for name in _FURTHER[1:4]}
    if lengths != {width // heads}:
        raise ModelError(f"{file} has heads of the sizes {some(sorted(map(str, lengths)))}, which can't be opened.")
    names = {tensor.name for tensor in reader.tensors}
    return config | {
        "architectures": ["LlamaForCausalLM"],
        "dtype": "float32",
        "head_dim": width // heads,
        "vocab_size": len(fields.get("tokenizer.ggml.tokens") or ()) or own.get("vocab_size"),
        "rope_parameters": {"rope_type": "default", "rope_theta": float(own.get("rope.freq_base", 10000.0))},
        "tie_word_embeddings": "output.weight" not in names,
        "bos_token_id": fields.get("tokenizer.ggml.bos_token_id"),
        "eos_token_id": fields.get("tokenizer.ggml.eos_token_id"),
        "pad_token_id": fields.get("tokenizer.ggml.padding_token_id"),
    }


def _weights(file: Path, reader: GGUFReader, config: Mapping[str, Any]) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    """All tensors by Hugging Face's names, in float32, and how many were stored in which type."""
    from gguf import dequantize

    heads = {"attn_q": config["num_attention_heads"]}
    heads["attn_k"] = config.get("num_key_value_heads") or heads["attn_q"]
    weights: dict[str, np.ndarray] = {}
    types: Counter[str] = Counter()
    for tensor in reader.tensors:
        own, name = _name(file, tensor.name)
        values = np.ascontiguousarray(dequantize(tensor.data, tensor.tensor_type), dtype=np.float32)
        weights[name] = _unpaired(values, heads[own]) if own in heads else values
        types[tensor.tensor_type.name] += 1
    return weights, dict(types.most_common())


def _name(file: Path, name: str) -> tuple[str, str]:
    """What a tensor is in its layer, and Hugging Face's name of it."""
    if name in _OUTSIDE:
        return name, _OUTSIDE[name]
    found = re.fullmatch(r"blk\.(\d+)\.(\w+)\.weight", name)
    if found is None or found[2] not in _TENSORS:
        raise ModelError(f"{file} holds the tensor {quoted(name)}, which isn't known here; it can't be opened.")
    return found[2], f"model.layers.{int(found[1])}.{_TENSORS[found[2]]}.weight"


def _unpaired(weight: np.ndarray, n_heads: int) -> np.ndarray:
    """A query or key projection ``[n_heads * d_head, d_model]`` with the halves of a head behind each other.

    GGUF stores them row by row in turns, as its rotation takes neighbouring pairs.
    """
    by_pair = weight.reshape(n_heads, weight.shape[0] // n_heads // 2, 2, weight.shape[1])
    return np.ascontiguousarray(by_pair.swapaxes(1, 2).reshape(weight.shape))


def _tokenizer(file: Path, reader: GGUFReader) -> Any | None:
    """The file's tokenizer; ``None``, with a warning, where its way of splitting text isn't known here."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    fields = {name.removeprefix("tokenizer."): field for name, field in reader.fields.items()}
    kind, rule = (fields[name].contents() if name in fields else None for name in ("ggml.model", "ggml.pre"))
    if kind != "gpt2" or rule not in _SPLITTING:
        warn(f"{file}: its tokenizer (of the kind {quoted(kind)}, {quoted(rule)}) isn't known here; it is left out.")
        return None
    tokens: list[str] = fields["ggml.tokens"].contents()
    merges = [tuple(merge.split(" ", 1)) for merge in fields["ggml.merges"].contents()]
    made = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, merges, fuse_unk=False))
    bytes_ = pre_tokenizers.ByteLevel(add_prefix_space=False)
    digits = [pre_tokenizers.Digits(individual_digits=True)] if _SPLITTING[rule] else []
    made.pre_tokenizer = pre_tokenizers.Sequence([*digits, bytes_])
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in _special(fields, tokens)])
    names = {"bos": "bos", "eos": "eos", "unknown": "unk", "padding": "pad"}
    ids = {ours: fields.get(f"ggml.{theirs}_token_id") for theirs, ours in names.items()}
    given = {f"{name}_token": tokens[int(field.contents())] for name, field in ids.items() if field is not None}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, **given)
    if "chat_template" in fields:
        tokenizer.chat_template = fields["chat_template"].contents()
    return tokenizer


def _special(fields: Mapping[str, Any], tokens: list[str]) -> Iterator[str]:
    """Tokens that stand for no text of their own."""
    from gguf import TokenType

    types = fields["ggml.token_type"].contents() if "ggml.token_type" in fields else ()
    yield from (token for token, kind in zip(tokens, types, strict=False) if kind == TokenType.CONTROL)
