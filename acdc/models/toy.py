"""Folders of TransformerLens-named weights: toy, trained and compiled models.

Such a folder holds ``model.safetensors`` with the parameter names of TransformerLens
(``blocks.0.attn.W_Q`` ...) and ``config.json`` with a key ``model_config`` that holds
TransformerLens configuration fields. They become native TransformerLens 4 models:
attention-only, without norm and bidirectional ones too.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from acdc.errors import ModelError

_FILES = ("config.json", "model.safetensors")


def first_line(error: BaseException) -> str:
    """What a library says of an error, as the end of a sentence of ours."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).rstrip(".") + "."


def is_toy_folder(folder: Path) -> bool:
    """Whether the folder's ``config.json`` has a ``model_config``."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and "model_config" in config


def open_toy_folder(folder: Path) -> Any:
    """Make a native bridge with the folder's weights.

    Raises:
        ModelError: a file or field is missing, or a tensor is missing, unknown or of the
            wrong shape; the message names it.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file
    from transformer_lens.config import TransformerBridgeConfig
    from transformer_lens.model_bridge import TransformerBridge
    from transformer_lens.utilities.tl_checkpoint_conversion import convert_tl_checkpoint

    missing = [name for name in _FILES if not (folder / name).is_file()]
    if missing:
        raise ModelError(f"{folder} is not a whole model: it has no {' and no '.join(missing)}.")
    fields = json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_config"]
    if not isinstance(fields, dict):
        raise ModelError(f"{folder / 'config.json'}: model_config must be an object of TransformerLens fields.")
    try:
        # A field of null means TransformerLens' default, except where no norm is meant.
        cfg = TransformerBridgeConfig(
            **{name: value for name, value in fields.items() if value is not None or name == "normalization_type"}
        )
        bridge = TransformerBridge.boot_native(cfg)
    except (TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"{folder / 'config.json'}: model_config can't be used: {first_line(error)}") from error
    try:
        given = load_file(folder / "model.safetensors")
        weights = convert_tl_checkpoint(given, bridge.cfg)
    except (SafetensorError, ValueError) as error:
        raise ModelError(f"{folder / 'model.safetensors'} can't be used: {first_line(error)}") from error
    expected = {name: tensor.shape for name, tensor in bridge.state_dict().items()}
    for name, shape in expected.items():
        if name not in weights and name.endswith(".bias"):
            weights[name] = torch.zeros(shape)  # models without a bias often don't save one
        elif name not in weights:
            raise ModelError(f"{folder / 'model.safetensors'} lacks the weights of {name}.")
        elif weights[name].shape != shape:
            raise ModelError(
                f"{folder / 'model.safetensors'}: {name} has shape {list(weights[name].shape)}, "
                f"but model_config needs {list(shape)}."
            )
    if unknown := sorted(weights.keys() - expected.keys()):
        raise ModelError(f"{folder / 'model.safetensors'} has weights that its config has no place for: {unknown[0]}.")
    bridge.load_state_dict(weights)
    for parameter in bridge.parameters():
        parameter.requires_grad_(False)
    return bridge
