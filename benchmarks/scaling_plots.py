"""The plot of a scaling benchmark, as PNG and SVG, at the width of a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from plots import save, styled

#: Value and cost, both as multiples of the base's.
Curve = Sequence[tuple[float, float]]
#: Told apart by colour-blind readers (Okabe and Ito), and by their markers in grey.
_LINES = (("#0072B2", "o"), ("#D55E00", "s"), ("#009E73", "^"), ("#CC79A7", "D"), ("#000000", "v"))


def draw(
    panels: Mapping[str, Mapping[str, Curve]], exponents: Mapping[str, Mapping[str, float]], title: str, folder: Path
) -> list[Path]:
    """Draw a panel for each kind of cost, with a line for each thing that is varied.

    Args:
        panels: by the kind of cost and what is varied.
        exponents: likewise, for the legend.
        title: above all.
        folder: where the files go.

    Returns:
        The files that were written.

    Raises:
        RunFolderError: a file can't be written.
    """
    with styled() as plt:
        figure, row = plt.subplots(1, len(panels), figsize=(7, 3.4), layout="constrained", squeeze=False)
        for axes, (kind, curves) in zip(row[0], panels.items(), strict=True):
            for (varied, curve), (color, marker) in zip(curves.items(), _LINES, strict=False):
                label = f"{varied}$^{{{exponents[kind][varied]:.2f}}}$"
                axes.plot(*zip(*sorted(curve), strict=True), color=color, marker=marker, label=label)
            axes.set_title(kind, fontsize=8)
            axes.set_xlabel("size, as a multiple of the base")
            axes.set_ylabel("CPU time, as a multiple of the base's")
            _multiples(axes)
            axes.legend(loc="best", title="grows as", title_fontsize=6.5, fontsize=6.5)
        figure.suptitle(title, fontsize=8)
        written = save(figure, folder, "scaling")
        plt.close(figure)
    return written


def _multiples(axes: Any) -> None:
    """Logarithmic axes with a label at each power of two or ten, whichever leaves them apart."""
    from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

    for which in "xy":
        getattr(axes, f"set_{which}scale")("log")
        axis = getattr(axes, f"{which}axis")
        low, high = getattr(axes, f"get_{which}lim")()
        axis.set_major_locator(LogLocator(base=2 if high < 100 * low else 10))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(StrMethodFormatter("{x:g}"))
