"""How plots of benchmarks are saved; how they look is :mod:`acdc.export.plots`'s."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from acdc.export.plots import check_matplotlib, styled, write

__all__ = ["check_matplotlib", "save", "styled"]

_FORMATS = ("png", "svg")


def save(figure: Any, folder: Path, name: str) -> list[Path]:
    """Write a figure as PNG and SVG.

    Returns:
        The files that were written.

    Raises:
        RunFolderError: a file can't be written.
    """
    written = [folder / f"{name}.{format}" for format in _FORMATS]
    for path in written:
        write(figure, path)
    return written
