"""Models by a pattern of their names or folders (``models/step-*``), as checkpoints of a training are."""

from __future__ import annotations

import glob
import re
from fnmatch import fnmatchcase
from pathlib import Path

from acdc.errors import SettingsError
from acdc.knownmodels.catalogue import folders
from acdc.reading import is_gguf
from acdc.wording import quoted


def is_pattern(name: str) -> bool:
    """Whether a model's name is a pattern; one that is there is itself, whatever signs its name has."""
    try:
        return glob.has_magic(name) and not Path(name).expanduser().exists()
    except (OSError, RuntimeError, ValueError):
        return False


def folders_of(pattern: str) -> list[str]:
    """The models that a pattern names, sorted by the numbers in their names: models that acdc knows, else folders.

    Args:
        pattern: as a shell has it; ``*`` stands for no ``/``.

    Raises:
        SettingsError: no model's folder has such a name.
    """
    parts = pattern.rstrip("/").split("/")
    known = [name for name in folders() if _fits(name.split("/"), parts)]
    if known:
        return sorted(known, key=_by_number)
    try:
        there = [path for path in map(Path, glob.glob(str(Path(pattern).expanduser()))) if _holds_a_model(path)]  # noqa: PTH207 - Path.glob takes no absolute pattern
    except (OSError, RuntimeError, ValueError, re.error):
        there = []
    if not there:
        raise SettingsError(f"no model's folder matches the pattern {quoted(pattern)}; check the path and the pattern.")
    return sorted(map(str, there), key=_by_number)


def _fits(name: list[str], parts: list[str]) -> bool:
    return len(name) == len(parts) and all(map(fnmatchcase, name, parts))


def _holds_a_model(path: Path) -> bool:
    return is_gguf(path) or (path / "config.json").is_file()


def _by_number(name: str) -> list[tuple[int, int | str]]:
    """``step-9`` before ``step-10``."""
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in re.split(r"(\d+)", name)]
