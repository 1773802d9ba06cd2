"""A planted model as a folder that opens like any other, with its true edges in ``config.json``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from acdc.errors import RunFolderError
from acdc.files import atomic_write
from acdc.pairs.symbols import UNKNOWN, symbol_backend

if TYPE_CHECKING:
    from acdc.planted.model import Planted


def save(planted: Planted, folder: Path) -> None:
    """Write ``config.json``, ``model.safetensors`` and the tokenizer's files.

    ``config.json`` holds ``model_config``, and beside it ``planted``: name, summary, edges, branches and settings.

    Args:
        planted: the model.
        folder: is made; it must be empty, if it is there.

    Raises:
        RunFolderError: something lies there, or it can't be written.
    """
    from safetensors.numpy import save as serialised

    about = {
        "name": planted.name,
        "summary": planted.summary,
        "edges": sorted(planted.edges),
        "branches": [sorted(branch) for branch in planted.branches],
        "settings": asdict(planted.settings),
    }
    tokenizer = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "unk_token": UNKNOWN,
        "clean_up_tokenization_spaces": False,
    }
    files = {
        "config.json": json.dumps({"model_config": dict(planted.model_config), "planted": about}, indent=1).encode(),
        "model.safetensors": serialised(dict(planted.weights)),
        "tokenizer.json": symbol_backend(planted.vocabulary).to_str(pretty=True).encode(),
        "tokenizer_config.json": json.dumps(tokenizer, indent=1).encode(),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise RunFolderError(f"{folder} isn't empty; give another folder for the model {planted.name}.")
    except OSError as error:
        raise RunFolderError(f"can't write the model {planted.name} into {folder}: {error.strerror}.") from error
    for name, content in files.items():
        with atomic_write(folder / name, "wb") as file:
            file.write(content)
