"""What the weight files of a folder hold: names, types and shapes, from the safetensors headers.

All of it is read and checked before a model is built, so that nothing else than
safetensors is ever loaded and no number of a configuration decides how much work is done.
Imports no torch.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from acdc.errors import ModelError
from acdc.jsondata import parse
from acdc.models.harmless import why_harmless
from acdc.wording import counted, first_line, some

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
#: How safetensors names the types that a model computes in.
FLOATING = {"F64", "F32", "F16", "BF16"}
#: Larger files of settings are none; reading one must not take all memory.
_MOST_BYTES = {"config.json": 16 << 20, INDEX: 256 << 20}


@dataclass(frozen=True)
class StoredTensor:
    """One tensor of a weights file, not read yet.

    Attributes:
        name: its key.
        dtype: as safetensors names it, e.g. ``F32`` or ``F8_E4M3``.
        shape: its shape.
        file: where it lies.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: Path

    @property
    def n_elements(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Checkpoint:
    """All tensors of a folder's weight files.

    Attributes:
        folder: where they lie.
        files: the files that are loaded.
        tensors: by name.
    """

    folder: Path
    files: tuple[Path, ...]
    tensors: Mapping[str, StoredTensor]

    @cached_property
    def n_elements(self) -> int:
        """Numbers in all tensors together."""
        return sum(tensor.n_elements for tensor in self.tensors.values())


def read_checkpoint(folder: Path) -> Checkpoint:
    """Find a folder's weight files and read their headers.

    Raises:
        ModelError: there are no safetensors weights, the index isn't one or names other files than
            safetensors in the folder, index and files differ, a tensor is in two files, or weights are stored in
            another type than a floating one.
    """
    listed = _listed(folder)
    files = [folder / WEIGHTS] if listed is None else [folder / name for name in sorted(set(listed.values()))]
    tensors: dict[str, StoredTensor] = {}
    for file in files:
        for tensor in _header(file):
            if tensor.name in tensors:
                raise ModelError(
                    f"{folder}: both {tensors[tensor.name].file.name} and {file.name} hold {tensor.name}; "
                    "keep the one that is meant."
                )
            tensors[tensor.name] = tensor
    if listed is not None:
        _check_listed(folder, listed, tensors)
    _check_types(folder, tensors)
    return Checkpoint(folder, tuple(files), tensors)


def read_json(file: Path) -> dict[str, Any]:
    """A JSON object of a model's folder.

    Raises:
        ModelError: the file isn't there, isn't a file of a sensible size, or isn't a JSON object.
    """
    check_file(file)
    try:
        if file.stat().st_size > _MOST_BYTES.get(file.name, 16 << 20):
            raise ValueError("it is larger than any such file")
        data = parse(lambda: json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise ModelError(f"{file} can't be read: {first_line(error)}") from error
    if not isinstance(data, dict):
        raise ModelError(f"{file} can't be used: it must be a JSON object.")
    return data


def check_file(file: Path) -> None:
    """Refuse what is there but no regular file: a folder, or a pipe that would be waited for without end.

    Raises:
        ModelError: it is one.
    """
    if file.exists() and not file.is_file():
        raise ModelError(f"{file} is not a file; put the model's own file there.")


def files_in_index(index: Path) -> list[str]:
    """Names of the weight files that an index lists, which lie beside it.

    Raises:
        ModelError: it is no index, or names anything else than safetensors files in its folder.
    """
    return sorted(set(_read_index(index).values()))


def _read_index(index: Path) -> dict[str, str]:
    """File by tensor, as an index says."""
    listed = read_json(index).get("weight_map")
    if not isinstance(listed, dict) or not listed or not all(isinstance(name, str) for name in listed.values()):
        raise ModelError(f"{index} is no index of weights: weight_map must give each tensor its file.")
    for name in sorted(set(listed.values())):
        if not name.endswith(".safetensors"):
            raise ModelError(
                f"{index} names {_short(name)}, which is no safetensors file; convert the weights to safetensors."
            )
        if Path(name).name != name or "\\" in name or ":" in name or not name.isprintable():
            raise ModelError(f"{index} names {_short(name)}; the files of a model must lie beside its index.")
    return listed


def _short(name: str) -> str:
    """A name from a file, for a message."""
    return repr(name if len(name) <= 100 else f"{name[:100]}...")


def _listed(folder: Path) -> dict[str, str] | None:
    """File by tensor, as the index says; ``None`` where there is no index and all lies in one file."""
    weights, index = folder / WEIGHTS, folder / INDEX
    for file in (weights, index):
        check_file(file)
    if not index.exists():
        if not weights.exists():
            raise ModelError(f"{folder} is not a whole model: {_no_weights(folder)}.")
        return None
    listed = _read_index(index)
    for name in sorted(set(listed.values())):
        check_file(folder / name)
        if not (folder / name).exists():
            raise ModelError(f"{folder} is not a whole model: {INDEX} names {name}, which isn't there.")
    if weights.exists() and WEIGHTS not in listed.values():
        raise ModelError(f"{folder} has both {WEIGHTS} and {INDEX} of other files; keep the one that is meant.")
    return listed


def _no_weights(folder: Path) -> str:
    """What a folder without weights has in their place."""
    others = sorted(path.name for path in folder.glob("*.safetensors"))
    if others:
        return f"it has no {WEIGHTS}, and nothing says how {some(others)} would be used"
    unsafe = sorted(path.name for path in folder.iterdir() if path.suffix in (".bin", ".pt", ".pth", ".ckpt"))
    return "it has no .safetensors weights" + (f"; convert {unsafe[0]} to safetensors" if unsafe else "")


def _header(file: Path) -> list[StoredTensor]:
    from safetensors import safe_open

    try:
        # As numpy: no tensor is read, and torch isn't needed.
        with safe_open(file, framework="numpy") as opened:
            slices = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118 - it is no dict
            return [
                StoredTensor(name, str(part.get_dtype()), tuple(part.get_shape()), file)
                for name, part in slices.items()
            ]
    except Exception as error:  # SafetensorError, and what the system says of files that can't be read
        raise ModelError(f"{file} can't be used: {first_line(error)}") from error


def _check_listed(folder: Path, listed: Mapping[str, str], tensors: Mapping[str, StoredTensor]) -> None:
    """Index and files must say the same."""
    absent = sorted(name for name in listed if name not in tensors or tensors[name].file.name != listed[name])
    if absent:
        raise ModelError(f"{folder / listed[absent[0]]} lacks {some(absent)}, which {INDEX} says it holds.")
    unlisted = sorted(tensors.keys() - listed.keys())
    if unlisted:
        raise ModelError(
            f"{tensors[unlisted[0]].file} holds {some(unlisted)}, which {INDEX} doesn't list; "
            "make the index anew, or remove them."
        )


def _check_types(folder: Path, tensors: Mapping[str, StoredTensor]) -> None:
    """Weights are floating; integers and 8-bit floats mean nothing without the scales they were divided by."""
    packed = [
        tensor
        for tensor in tensors.values()
        if tensor.dtype not in FLOATING and why_harmless(tensor.name, tensor.dtype, tensor.shape) is None
    ]
    if packed:
        raise ModelError(
            f"{packed[0].file} holds quantised weights ({packed[0].name} as {packed[0].dtype}, "
            f"{counted(len(packed), 'tensor')} in all); dequantise the model first, and save it in a floating type."
        )


def unused_files(checkpoint: Checkpoint) -> list[str]:
    """Weight files of the folder that nothing uses."""
    used = {file.name for file in checkpoint.files}
    return sorted(path.name for path in checkpoint.folder.glob("*.safetensors") if path.name not in used)
