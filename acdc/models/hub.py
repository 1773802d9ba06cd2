"""Models of the Hugging Face hub: brought into the local cache, and then opened as any folder.

So what is checked of a folder is checked of them too, and no other file of theirs is ever
downloaded than settings, a tokenizer and safetensors.
"""

from __future__ import annotations

from pathlib import Path

from acdc.errors import ModelError
from acdc.models.checkpoint import INDEX, WEIGHTS, files_in_index
from acdc.models.libraries import is_out_of_memory, quiet
from acdc.wording import first_line

_SETTINGS = ["*.json", "*.model", "*.txt", "*.jinja"]


def cached_folder(name: str, repository: str) -> Path:
    """The folder of a hub model in the local cache, downloaded as far as it isn't there.

    Args:
        name: what the user called it.
        repository: its name on the hub.

    Raises:
        ModelError: it can't be had.
    """
    try:
        with quiet():
            folder = _download(repository, None)
            if not (folder / WEIGHTS).exists() and not (folder / INDEX).exists():
                folder = _converted(repository) or folder
            return folder
    except ModelError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise ModelError(
            f"{name} can't be loaded: {first_line(error)} Give a local folder, or check the name and the network."
        ) from error


def _download(repository: str, revision: str | None) -> Path:
    """Settings and weights of one revision."""
    from huggingface_hub import hf_hub_download, snapshot_download
    from huggingface_hub.errors import RemoteEntryNotFoundError

    folder = Path(snapshot_download(repository, revision=revision, allow_patterns=_SETTINGS, ignore_patterns=["*/*"]))
    index = folder / INDEX
    for file in files_in_index(index) if index.exists() else [WEIGHTS]:
        if not (folder / file).exists():
            try:
                hf_hub_download(repository, file, revision=folder.name)
            except RemoteEntryNotFoundError:  # what is missing is said of the folder
                continue
    return folder


def _converted(repository: str) -> Path | None:
    """The weights as the hub's own bot has converted them, where their owner gives none as safetensors."""
    from huggingface_hub import is_offline_mode
    from transformers.safetensors_conversion import auto_conversion

    if is_offline_mode():
        return None
    found = auto_conversion(repository)
    return None if found[0] is None else _download(repository, found[1])
