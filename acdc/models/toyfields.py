"""Fields of a ``model_config``: those that TransformerLens' own models follow, and those that they don't.

TransformerLens knows many fields that only matter for other architectures, and its own
models pass them over in silence. A folder that sets one means another model than it would get.
"""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from acdc.errors import ModelError
from acdc.jsondata import check
from acdc.models.checkpoint import Checkpoint

#: Numbers of what is built, each at least 1; and whether it may be left out or be -1 for "not set".
_SIZES = {
    "n_layers": False,
    "d_model": False,
    "d_head": False,
    "n_ctx": False,
    "d_vocab": False,
    "n_heads": True,
    "d_mlp": True,
    "d_vocab_out": True,
    "n_key_value_heads": True,
    "rotary_dim": True,
}
#: More than any such model has; each layer holds a mask of that many numbers, squared.
_MOST_POSITIONS = 1 << 20
_NORMS = ("LN", "LNPRE", "RMS", "RMSPRE")
_ACTIVATIONS = ("gelu", "gelu_new", "relu", "silu", "swish", "solu", "solu_ln")


def _one_of(*known: str) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and value in known


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e30 and math.isfinite(value)


#: What TransformerLens' own models follow, besides sizes, and the values that they take as meant.
_FOLLOWED: dict[str, Callable[[Any], bool]] = {
    "attention_dir": _one_of("causal", "bidirectional"),
    "normalization_type": lambda value: value is None or (isinstance(value, str) and value.upper() in _NORMS),
    "positional_embedding_type": _one_of("standard", "rotary"),
    "act_fn": lambda value: isinstance(value, str) and value.lower() in _ACTIVATIONS,
    "attn_only": lambda value: isinstance(value, bool),
    "gated_mlp": lambda value: isinstance(value, bool),
    "final_rms": lambda value: isinstance(value, bool),
    "eps": lambda value: _is_number(value) and value >= 0,
    "attn_scale": lambda value: _is_number(value) and (value > 0 or value == -1),  # what isn't positive is "not set"
    "attn_scores_soft_cap": lambda value: _is_number(value) and (value >= 0 or value == -1),
    "output_logits_soft_cap": lambda value: _is_number(value) and (value >= 0 or value == -1),
    "rotary_base": lambda value: _is_number(value) and value > 0 and value == int(value),  # it is cut to an int
    "architecture": _one_of("TransformerLensNative"),
}
#: How it is placed and begun, which opening a model decides itself.
_DROPPED = {"device", "n_devices", "dtype", "seed", "init_weights"}
#: Where the model came from, how it began, or how it is watched; none of it changes what it computes.
_NO_MATTER = {
    "model_name",
    "tokenizer_name",
    "tokenizer_prepends_bos",
    "tokenizer_appends_eos",
    "default_padding_side",
    "default_prepend_bos",
    "init_mode",
    "initializer_range",
    "n_params",
    "original_architecture",
    "from_checkpoint",
    "checkpoint_index",
    "checkpoint_label_type",
    "checkpoint_value",
    "use_attn_result",
    "use_attn_in",
    "use_split_qkv_input",
    "use_hook_mlp_in",
    "use_hook_tokens",
    "trust_remote_code",
    "attn_implementation",
    "layer_norm_folding",
    "decoder_start_token_id",
}


def check_fields(name: str, fields: Mapping[str, Any], checkpoint: Checkpoint) -> dict[str, Any]:
    """The fields to make a configuration of; ``null`` means TransformerLens' default, except where no norm is meant.

    Args:
        name: of the file, for messages.
        fields: ``model_config``.
        checkpoint: the weights, which bound every size.

    Raises:
        ModelError: a field is missing, isn't what it must be, is larger than the weights, or isn't followed.
    """
    defaults = _defaults()
    given = {field: value for field, value in fields.items() if value is not None or field == "normalization_type"}
    _check_sizes(name, given, checkpoint)
    used = {}
    for field, value in given.items():
        if field in _DROPPED or (value == -1 and _SIZES.get(field)):
            continue
        if field not in defaults:
            raise ModelError(f"{name}: model_config can't be used: {field} is unknown to TransformerLens.")
        if field in _FOLLOWED and not _FOLLOWED[field](value):
            raise ModelError(f"{name}: model_config can't be used: {field} must not be {_shown(value)}.")
        is_read = field in _SIZES or field in _FOLLOWED or field in _NO_MATTER
        if not is_read and (value != defaults[field] or isinstance(value, bool) != isinstance(defaults[field], bool)):
            raise ModelError(
                f"{name}: model_config can't be used: {field} is {_shown(value)}, which TransformerLens' own models "
                "don't follow."
            )
        used[field] = value
    return used


def _defaults() -> dict[str, Any]:
    """All fields that TransformerLens knows, with their defaults; sizes without one are ``None``."""
    from transformer_lens.config import TransformerBridgeConfig

    known: dict[str, Any] = {}
    for kind in reversed(TransformerBridgeConfig.__mro__):
        if kind is not object:
            for field, parameter in inspect.signature(kind.__init__).parameters.items():
                if parameter.kind is parameter.POSITIONAL_OR_KEYWORD and field != "self":
                    known[field] = None if parameter.default is parameter.empty else parameter.default
    return known


def _check_sizes(name: str, fields: Mapping[str, Any], checkpoint: Checkpoint) -> None:
    """Every size is a whole number between 1 and what the weights can hold."""
    for field, may_lack in _SIZES.items():
        if field not in fields or (may_lack and fields[field] == -1 and not isinstance(fields[field], bool)):
            if not may_lack:
                raise ModelError(f"{name}: model_config can't be used: it lacks {field}.")
            continue
        size = fields[field]
        try:
            check(size, int, field)
        except ValueError as error:
            raise ModelError(f"{name}: model_config can't be used: {error}.") from error
        if size < 1:
            raise ModelError(f"{name}: model_config can't be used: {field} is {_shown(size)}, but must be at least 1.")
        most = len(checkpoint.tensors) if field == "n_layers" else checkpoint.n_elements
        if field == "n_ctx":  # rotary models have no weights for their positions; their masks are looked at later
            most = max(most, _MOST_POSITIONS)
        if size > most:
            raise ModelError(
                f"{name}: model_config can't be used: {field} is {_shown(size)}, but the weights hold "
                f"{checkpoint.n_elements} numbers in {len(checkpoint.tensors)} tensors."
            )


def _shown(value: Any) -> str:
    """A value for a message, shortened."""
    if value is None or isinstance(value, str | int | float):
        text = json.dumps(value)
        return text if len(text) <= 40 else f"{text[:37]}..."
    return f"a {type(value).__name__}"
