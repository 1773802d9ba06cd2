"""Tokenizers of models: data only, never code from a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from acdc.errors import ModelError
from acdc.models.checkpoint import check_file
from acdc.models.libraries import quiet
from acdc.wording import first_line

_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json")
#: A tokenizer of a million tokens has tens of megabytes.
_MOST_BYTES = 512 << 20


def load_tokenizer(location: str) -> Any:
    """The tokenizer of a hub model or in a folder. Raises :class:`ModelError`."""
    from transformers import AutoTokenizer

    try:
        check_tokenizer_files(Path(location))
        with quiet():
            return AutoTokenizer.from_pretrained(location, trust_remote_code=False)
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(f"{location!s}: no tokenizer can be loaded from there: {first_line(error)}") from error


def tokenizer_of(folder: Path) -> Any | None:
    """The tokenizer that lies in a model's folder; none where there is none. Raises :class:`ModelError`."""
    check_tokenizer_files(folder)
    # Without its files, a default one would be made up.
    return load_tokenizer(str(folder)) if any((folder / name).is_file() for name in _FILES) else None


def check_tokenizer_files(folder: Path) -> None:
    """Refuse what is there under a tokenizer's name and is none.

    Raises:
        ModelError: a file is no regular file, or larger than any tokenizer.
    """
    for pattern in ("*.json", "*.model", "*.txt", "*.jinja"):
        for file in folder.glob(pattern) if folder.is_dir() else ():
            check_file(file)
            if file.stat().st_size > _MOST_BYTES:
                raise ModelError(f"{file} can't be used: it is larger than any such file.")
