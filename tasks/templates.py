"""The tasks that are template files in this folder, by name: ``from acdc.tasks.templates import ioi``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from acdc.pairs.template import SUFFIX, TemplateTask

FOLDER = Path(__file__).parent


def __getattr__(name: str) -> Any:
    path = FOLDER / f"{name}{SUFFIX}"
    if not path.is_file():
        raise AttributeError(f"acdc.tasks has no template file {path.name}")
    return TemplateTask(path, name)
