"""The models that come with acdc, one folder each, in Hugging Face's format.

Importing this doesn't import torch.
"""

from __future__ import annotations

from pathlib import Path


def bundled_models() -> dict[str, Path]:
    """Name and folder of every bundled model, by name; a checkpoint of its training is ``NAME/step-N``."""
    return models_in(Path(__file__).parent)


def models_in(folder: Path) -> dict[str, Path]:
    """Name and folder of every model that lies in a folder, and of their checkpoints (``NAME/step-N``).

    What begins with a dot is no model, and what can't be looked at isn't there.
    """
    configs = [*folder.glob("[!.]*/config.json"), *folder.glob("[!.]*/step-*/config.json")]
    return {config.parent.relative_to(folder).as_posix(): config.parent for config in sorted(configs, key=_place)}


def _place(config: Path) -> tuple[str, ...]:
    """Puts a model before its checkpoints, and these by their number."""
    *names, last = config.parent.parts
    number = last.removeprefix("step-")
    return (*names, f"step-{int(number):020}") if last.startswith("step-") and number.isdecimal() else (*names, last)
