"""How every plot looks. Nothing here imports torch."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from acdc.errors import AcdcError
from acdc.files import atomic_write

_STYLE = {
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.linewidth": 0.4,
    "grid.alpha": 0.5,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "legend.frameon": False,
    "savefig.dpi": 300,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "acdc",  # the same data give the same file
}


def check_matplotlib() -> None:
    """Raise :class:`AcdcError` unless plots can be drawn."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise AcdcError(
            "plots need matplotlib, which isn't installed: pip install 'acdc-circuits[benchmarks]'."
        ) from error


@contextmanager
def styled() -> Iterator[Any]:
    """``matplotlib.pyplot`` without a screen, in the style of all plots."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    with plt.rc_context():
        mpl.rcdefaults()  # a matplotlibrc that happens to lie in the working directory has no say
        mpl.rcParams.update(_STYLE)
        yield plt


def write(figure: Any, path: Path) -> None:
    """Write a figure to a file, in the format that its name ends with.

    Raises:
        RunFolderError: the file can't be written.
    """
    content = drawn(figure, path.suffix.lower().removeprefix("."))
    with atomic_write(path, "wb") as file:
        file.write(content)


def drawn(figure: Any, format: str, dots_per_inch: int | None = None) -> bytes:
    """A figure as ``svg`` or ``png``, the same bytes every time; by default as sharp as paper wants it."""
    content = io.BytesIO()
    metadata = {"Date": None} if format == "svg" else None
    sharp = {} if dots_per_inch is None else {"dpi": dots_per_inch}
    figure.savefig(content, format=format, metadata=metadata, **sharp)
    return content.getvalue()
