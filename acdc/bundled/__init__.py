"""The models that come with acdc, one folder each, in Hugging Face's format.

Importing this doesn't import torch.
"""

from __future__ import annotations

from pathlib import Path


def bundled_models() -> dict[str, Path]:
    """Name and folder of every bundled model, by name."""
    return {config.parent.name: config.parent for config in sorted(Path(__file__).parent.glob("*/config.json"))}
