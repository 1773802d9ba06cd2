"""What lies in a model's folder beside its weights, and what its configuration asks for. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from acdc.errors import ModelError, warn
from acdc.models.checkpoint import Checkpoint, unused_files
from acdc.wording import some

#: Fields that load something else than the weights which the folder is taken for, or code from the hub.
_ELSEWHERE = ("transformers_weights", "kernel_config", "fusion_config", "experts_implementation")
_QUANTISED = ("quantization_config", "compression_config")


def check_config(folder: Path, config: Mapping[str, Any]) -> None:
    """Refuse a configuration that asks for what acdc doesn't do.

    Raises:
        ModelError: weights are quantised, lie in an adapter, or are taken from elsewhere.
    """
    for part in (config, *(value for value in config.values() if isinstance(value, Mapping))):
        for field in _QUANTISED:
            if part.get(field):
                said = part[field].get("quant_method") if isinstance(part[field], Mapping) else None
                method = f" by {str(said)[:40]!r}" if said is not None else ""
                raise ModelError(
                    f"{folder}: the weights are quantised{method} ({field} in config.json); dequantise the model "
                    "first, and save it without that field."
                )
        for field in _ELSEWHERE:
            if part.get(field) is not None:
                raise ModelError(
                    f"{folder / 'config.json'} asks for {field}, which is never followed; "
                    "remove the field, and save the model as plain safetensors."
                )


def check_adapter(folder: Path) -> None:
    """Refuse an adapter, alone or beside the weights that it was trained on.

    Raises:
        ModelError: there is one.
    """
    adapters = sorted(
        path.name for path in folder.glob("adapter_*") if path.suffix in (".json", ".safetensors", ".bin")
    )
    if adapters:
        raise ModelError(
            f"{folder} has an adapter ({some(adapters)}); merge the adapter into its model, "
            "or remove these files if the bare model is meant."
        )


def warn_of_unused(checkpoint: Checkpoint) -> None:
    """Warn of weight files that nothing uses; they may be the ones that were meant."""
    if unused := unused_files(checkpoint):
        used = some([file.name for file in checkpoint.files])
        warn(f"{checkpoint.folder}: nothing uses {some(unused)}; the model is {used}.")
