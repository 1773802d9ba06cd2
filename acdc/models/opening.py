"""Finding a model by whatever the user named: by a hub's or acdc's own name, a folder, a file, or an object in memory.

Weights come from safetensors files only, or from a GGUF file; code from a model's repository is never run.
"""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from acdc.errors import ModelError, SettingsError, UnknownNameError
from acdc.knownmodels.catalogue import folders, known_models
from acdc.knownmodels.checking import check_name, refuse_missing
from acdc.models.gguf import write_folder
from acdc.models.hub import cached_folder
from acdc.models.hugging_face import open_folder
from acdc.models.in_memory import open_in_memory
from acdc.models.libraries import quiet
from acdc.models.source import Source, from_bridge
from acdc.models.tokenizers import load_tokenizer, tokenizer_of
from acdc.models.toy import is_toy_folder, open_toy_folder
from acdc.planted import is_planted, planted
from acdc.reading import is_gguf
from acdc.wording import first_line, shortened

DTYPES = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16, "float16": torch.float16}


def find_source(
    model: Any, device: str | torch.device | None, dtype: str | torch.dtype | None, tokenizer: Any | None
) -> Source:
    """Load whatever the user named; see :func:`acdc.load_model`."""
    place, precision = _device(device), _dtype(dtype)
    if not isinstance(model, str | Path):
        return open_in_memory(model, place, precision, tokenizer)
    name = str(model).rstrip("/") or str(model)
    check_name(name)
    if is_planted(name):
        with tempfile.TemporaryDirectory(prefix="acdc-planted-") as scratch:
            planted(name).save(scratch)
            return _open_toy(name, Path(scratch), place, precision, tokenizer)
    if (file := _gguf_file(name)) is not None:
        return _open_gguf(name, file, place, precision, tokenizer)
    if (folder := folders().get(name) or _folder(name)) is not None:
        if is_toy_folder(folder):
            return _open_toy(name, folder, place, precision, tokenizer)
        return open_folder(name, folder, place, precision, tokenizer)
    return open_folder(name, cached_folder(name, _repository(name)), place, precision, tokenizer)


def find_tokenizer(name: str) -> Any:
    """The tokenizer of what a user named: a model's name or folder, or a folder of a tokenizer alone.

    Raises:
        UnknownNameError: no such model; names the nearest.
        ModelError: it has no tokenizer, or it can't be loaded or isn't here.
    """
    name = name.rstrip("/") or name
    check_name(name)
    known = folders().get(name)
    if is_planted(name):
        with tempfile.TemporaryDirectory(prefix="acdc-planted-") as scratch:
            planted(name).save(scratch)
            found = tokenizer_of(Path(scratch))
    elif known is not None:
        found = tokenizer_of(known)
    elif (folder := _folder(name)) is not None:
        return load_tokenizer(str(folder))
    else:
        return load_tokenizer(_repository(name))
    if found is None:
        raise ModelError(f"{name} has no tokenizer: its prompts are token ids, which need none.")
    return found


def _open_toy(
    name: str, folder: Path, device: torch.device, dtype: torch.dtype | None, tokenizer: Any | None
) -> Source:
    """A folder of TransformerLens-named weights, with the tokenizer in it if no other is given."""
    bridge = open_toy_folder(folder)
    tokenizer = tokenizer_of(folder) if tokenizer is None else tokenizer
    return from_bridge(name, bridge, tokenizer, device, dtype or torch.float32)


def _open_gguf(name: str, file: Path, device: torch.device, dtype: torch.dtype | None, tokenizer: Any | None) -> Source:
    """A GGUF file, by way of a folder that is gone once the model is open."""
    try:
        with tempfile.TemporaryDirectory(prefix="acdc-gguf-") as scratch:
            write_folder(file, scratch)
            return open_folder(name, Path(scratch), device, dtype, tokenizer)
    except (OSError, SafetensorError) as error:
        raise ModelError(
            f"{name} can't be opened: its weights in float32 are written to {tempfile.gettempdir()} meanwhile, which "
            f"failed ({first_line(error)}); set TMPDIR to a folder with room."
        ) from error


def _folder(name: str) -> Path | None:
    """The folder of that name, if it is one."""
    try:
        folder = Path(name).expanduser()
        return folder if folder.is_dir() else None
    except (OSError, RuntimeError):  # a name that the system doesn't take, or ~ of no known user
        return None


def _gguf_file(name: str) -> Path | None:
    """The GGUF file of that name, if it is one."""
    with contextlib.suppress(OSError, RuntimeError):  # a name that the system doesn't take, or ~ of no known user
        file = Path(name).expanduser()
        return file if is_gguf(file) else None
    return None


def _device(name: str | torch.device | None) -> torch.device:
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not isinstance(name, str | torch.device):
        raise SettingsError(f"`device` must be text such as 'cpu' or 'cuda:1', not a {type(name).__name__}.")
    try:
        with quiet():
            device = torch.device(name)
            torch.zeros(1, device=device).item()  # some devices hold no values
    except Exception as error:  # of many types: a device may lack its hardware, its module or its build of torch
        said = shortened(first_line(error), 120)
        raise SettingsError(
            f"device {str(name)!r} can't be used ({said}); devices are cpu, cuda, cuda:1 and so on."
        ) from error
    return device


def _dtype(name: str | torch.dtype | None) -> torch.dtype | None:
    if name is None or any(name is dtype for dtype in DTYPES.values()):
        return name  # type: ignore[return-value]
    if isinstance(name, torch.dtype):
        raise UnknownNameError("dtype", str(name).removeprefix("torch."), DTYPES)
    if not isinstance(name, str):
        raise SettingsError(f"`dtype` must be text such as 'float32', not a {type(name).__name__}.")
    if name not in DTYPES:
        raise UnknownNameError("dtype", name, DTYPES)
    return DTYPES[name]


def _repository(name: str) -> str:
    """The hub's name of a model, from its own or from TransformerLens' alias."""
    from transformer_lens.supported_models import MODEL_ALIASES, OFFICIAL_MODEL_NAMES, get_official_model_name

    refuse_missing(name)
    with contextlib.suppress(ValueError):
        return get_official_model_name(name)
    if "/" not in name:  # a hub name without an owner is one of the few old ones, all of them known
        aliases = [alias for names in MODEL_ALIASES.values() for alias in names]
        raise UnknownNameError("model", name, [*known_models(), *OFFICIAL_MODEL_NAMES, *aliases])
    return name
