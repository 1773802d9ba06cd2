"""Plots of a sweep that fit its axes. Nothing here imports torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from acdc.sweeps.swept import Sweep


def plot(swept: Sweep, *, x: str | None, y: str | None, hue: str | None, out: Path | None) -> list[Path]:
    """See :meth:`acdc.sweeps.swept.Sweep.plot`."""
    raise NotImplementedError
