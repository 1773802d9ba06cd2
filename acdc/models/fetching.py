"""Bringing a real model into the user's cache folder, from the package index, so that it opens by name."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from acdc.errors import ModelError, UnknownNameError
from acdc.knownmodels.cache import VARIABLE, cached_models, model_folder
from acdc.knownmodels.wheels import LICENCE, WHEELS, Wheel, weights_of
from acdc.models.gguf import check_installed, write_folder
from acdc.wording import counted

_ABANDONED_SECONDS = 24 * 3600
_CARD = """\
---
license: {licence_tag}
base_model: {base}
---

# {name}

{summary}

- The model is [{base}](https://huggingface.co/{base}), licence {licence}
  (`LICENSE`).
- The weights are those of the package `{package}` {version},
  whose file `{member}` stores them quantised:
  {types}. They are dequantised to float32 here, exactly.
- So it isn't the hub's model to the digit. There, the weights are the original ones in bfloat16; in Q4_1, each is one
  of 16 values that a block of 32 weights shares. Logits, accuracies and circuits differ from those of the hub's model,
  by an amount that wasn't measured here. Say which of the two a result is of.
- The tokenizer is made of the same file: byte-level BPE, digits one by one, no token added at the start.

Written by acdc (`acdc models fetch {name}`); SHA-256 of the wheel: `{sha256}`.
"""


def fetch_model(name: str) -> tuple[Path, bool]:
    """Have a model in the cache folder, where :func:`acdc.load_model` opens it by its name.

    A Hugging Face folder takes its place there once it is whole; what was begun and not ended leaves nothing.

    Args:
        name: ``smollm2-135m``.

    Returns:
        The folder, and whether it was there already.

    Raises:
        UnknownNameError: no such model can be fetched; names the nearest.
        ModelError: it can't be downloaded, isn't what is expected, can't be read for want of a package, or
            doesn't fit on the disk.
        SettingsError: there is no place for a cache folder.
    """
    if name not in WHEELS:
        raise UnknownNameError("model to fetch", name, WHEELS)
    if (folder := cached_models().get(name)) is not None:
        return folder, True
    wheel, target = WHEELS[name], model_folder(name)
    try:
        _check_free(target)
        with _scratch(target) as scratch:
            _check_room(scratch, wheel)
            check_installed()  # before 93 MB are downloaded
            made = scratch / "model"
            made.mkdir()
            types = write_folder(weights_of(wheel, scratch), made)
            (made / "README.md").write_text(_card(name, wheel, types), encoding="utf-8")
            (scratch / LICENCE).rename(made / LICENCE)
            _put(made, target)
    except OSError as error:
        raise ModelError(
            f"{name} can't be written to {target}: {error.strerror or error}; set {VARIABLE} to a folder with room for "
            f"{wheel.bytes_needed / 1e9:.1f} GB."
        ) from error
    return target, False


@contextmanager
def _scratch(target: Path) -> Iterator[Path]:
    """A folder beside the target, which is gone afterwards; so are those that killed runs have left."""
    target.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{target.name}."
    for left in target.parent.glob(f"{prefix}*"):
        if left.stat().st_mtime < time.time() - _ABANDONED_SECONDS:
            shutil.rmtree(left, ignore_errors=True)
    scratch = Path(tempfile.mkdtemp(prefix=prefix, dir=target.parent))
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _put(made: Path, target: Path) -> None:
    """Give a whole folder its place, unless another process was faster; its files are as readable as any."""
    umask = os.umask(0)
    os.umask(umask)
    for file in made.iterdir():
        file.chmod(0o666 & ~umask)
    try:
        made.rename(target)
    except OSError:
        if not (target / "config.json").is_file():
            raise


def _check_free(target: Path) -> None:
    """See before anything is downloaded that the model's place isn't taken by something else."""
    if not os.path.lexists(target) or (target / "config.json").is_file():
        return
    if not target.is_dir() or any(target.iterdir()):
        raise ModelError(f"{target} is there, and isn't a whole model (it has no config.json); move it away.")


def _check_room(scratch: Path, wheel: Wheel) -> None:
    if (free := shutil.disk_usage(scratch).free) < wheel.bytes_needed:
        raise ModelError(
            f"{scratch.parent} has {free / 1e9:.1f} GB free, and {wheel.bytes_needed / 1e9:.1f} GB are needed; make "
            f"room, or set {VARIABLE} to a folder on another disk."
        )


def _card(name: str, wheel: Wheel, types: dict[str, int]) -> str:
    stored = ", ".join(f"{counted(n, 'tensor')} in {kind}" for kind, n in types.items())
    return _CARD.format(name=name, types=stored, licence_tag=wheel.licence.lower(), **vars(wheel))
