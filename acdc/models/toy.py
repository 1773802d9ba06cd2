"""Folders of TransformerLens-named weights: toy, trained and compiled models.

Such a folder holds ``model.safetensors`` with the parameter names of TransformerLens
(``blocks.0.attn.W_Q`` ...) and ``config.json`` with a key ``model_config`` that holds
TransformerLens configuration fields. They become native TransformerLens 4 models:
attention-only, without norm and bidirectional ones too. A tokenizer that lies beside them
(``tokenizer.json``; see :mod:`acdc.models.symbols`) is the model's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from acdc.errors import ModelError
from acdc.models.bounds import bounded
from acdc.models.checkpoint import WEIGHTS, Checkpoint, read_checkpoint, read_json
from acdc.models.folder import check_adapter, warn_of_unused
from acdc.models.leftovers import why_never_used
from acdc.models.libraries import is_out_of_memory, quiet
from acdc.models.toyfields import check_fields
from acdc.wording import first_line, some

_FILES = ("config.json", WEIGHTS)


def is_toy_folder(folder: Path) -> bool:
    """Whether the folder's ``config.json`` has a ``model_config``."""
    try:
        return "model_config" in read_json(folder / "config.json")
    except ModelError:  # said when the folder is opened
        return False


def open_toy_folder(folder: Path) -> Any:
    """Make a native bridge with the folder's weights.

    Raises:
        ModelError: a file or field is missing, a field isn't followed by TransformerLens' own
            models, or a tensor is missing, unknown, quantised or of the wrong shape; the
            message names it.
    """
    from transformer_lens.config import TransformerBridgeConfig
    from transformer_lens.model_bridge import TransformerBridge

    check_adapter(folder)
    if missing := [name for name in _FILES if not (folder / name).exists()]:
        raise ModelError(f"{folder} is not a whole model: it has no {' and no '.join(missing)}.")
    name = str(folder / "config.json")
    fields = read_json(folder / "config.json")["model_config"]
    if not isinstance(fields, dict):
        raise ModelError(f"{name}: model_config must be an object of TransformerLens fields.")
    checkpoint = read_checkpoint(folder)
    warn_of_unused(checkpoint)
    fields = check_fields(name, fields, checkpoint)
    try:
        with quiet():
            cfg = TransformerBridgeConfig(**fields, device="cpu", init_weights=False)
            with bounded(name, len(checkpoint.tensors), checkpoint.n_elements), torch.device("meta"):
                TransformerBridge.boot_native(cfg)
            bridge = TransformerBridge.boot_native(cfg)
    except ModelError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise ModelError(f"{name}: model_config can't be used: {first_line(error)}") from error
    bridge.load_state_dict(_weights(checkpoint, bridge))
    return bridge


def _weights(checkpoint: Checkpoint, bridge: Any) -> dict[str, Tensor]:
    """The folder's weights under the bridge's names, all of them used, biases of 0 where no layer has any."""
    from safetensors.torch import load_file
    from transformer_lens.utilities.tl_checkpoint_conversion import convert_tl_checkpoint

    file = checkpoint.files[0]
    for name in sorted(checkpoint.tensors):
        if (known := why_never_used([name])) is not None:
            raise ModelError(f"{file}: {known}")
    weights: dict[str, Tensor] = {}
    try:
        for name, tensor in load_file(file).items():
            for own_name, converted in convert_tl_checkpoint({name: tensor}, bridge.cfg).items():
                if own_name in weights:
                    raise ModelError(f"{file}: {name} is there twice, under two names; keep the one that is meant.")
                weights[own_name] = converted
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(f"{file} can't be used: {first_line(error)}") from error
    expected = {name: tensor.shape for name, tensor in bridge.state_dict().items()}
    _check_biases(file, weights, expected)
    for name, shape in expected.items():
        if name not in weights and name.endswith(".bias"):
            weights[name] = torch.zeros(shape)  # models without a bias often don't save one
        elif name not in weights:
            raise ModelError(f"{file} lacks the weights of {name}.")
        elif weights[name].shape != shape:
            raise ModelError(
                f"{file}: {name} has shape {list(weights[name].shape)}, but model_config needs {list(shape)}."
            )
    if unknown := sorted(weights.keys() - expected.keys()):
        raise ModelError(f"{file} has weights that its config has no place for: {some(unknown)}.")
    return weights


def _check_biases(file: Path, weights: Mapping[str, Tensor], expected: Iterable[str]) -> None:
    """A bias that one layer has and another lacks is lost, not 0."""
    by_kind: dict[str, list[str]] = {}
    for name in expected:
        if name.endswith(".bias"):
            by_kind.setdefault(re.sub(r"\.\d+\.", ".N.", name), []).append(name)
    for names in by_kind.values():
        absent = [name for name in names if name not in weights]
        if absent and len(absent) < len(names):
            raise ModelError(f"{file} lacks the weights of {some(absent)}, which other layers have.")
