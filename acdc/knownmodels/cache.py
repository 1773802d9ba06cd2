"""The folder in which acdc keeps models of its own for the user, and what lies in it."""

from __future__ import annotations

import os
from pathlib import Path

from acdc.bundled import models_in
from acdc.errors import SettingsError

#: Names the folder, in the environment.
VARIABLE = "ACDC_CACHE"


def cache_folder() -> Path:
    """``ACDC_CACHE`` of the environment; else ``acdc`` in ``XDG_CACHE_HOME``, or in ``~/.cache``. It may not exist yet.

    Raises:
        SettingsError: there is no such place, since the user has no home folder.
    """
    if own := os.environ.get(VARIABLE):
        return _expanded(own)
    shared = os.environ.get("XDG_CACHE_HOME")
    return (_expanded(shared) if shared else _expanded("~/.cache")) / "acdc"


def model_folder(name: str) -> Path:
    """Where a model of that name lies, or would lie, in the cache folder."""
    return cache_folder() / "models" / name


def cached_models() -> dict[str, Path]:
    """Name and folder of every model in the cache folder; of checkpoints, ``NAME/step-N``."""
    try:
        return models_in(cache_folder() / "models")
    except SettingsError:
        return {}


def _expanded(folder: str) -> Path:
    try:
        return Path(folder).expanduser().absolute()
    except (RuntimeError, OSError) as error:  # ~ of no known user, or no working directory
        raise SettingsError(
            f"the cache folder {folder} can't be found ({error}); set {VARIABLE} to another."
        ) from error
