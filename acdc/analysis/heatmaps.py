"""A heat map of shares around 0, for all looks that draw one. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from acdc.wording import one_line, shortened

#: Inches of a cell, at most so many of a figure's side, and of the margins.
_CELL, _LARGEST, _MARGIN = 0.24, 24.0, 1.6
_LONGEST = 24  # characters of a label
_SHORT = 3  # of those that fit beside each other


def draw_map(
    plt: Any,
    values: Float[np.ndarray, "row column"],
    rows: Sequence[str],
    columns: Sequence[str],
    title: str,
    axes: tuple[str, str],
) -> Any:
    """Draw it, with the first row below: 0 is white, and both ends of the scale are as far from it.

    Args:
        plt: ``matplotlib.pyplot``.
        values: ``[row, column]``; what is NaN stays grey.
        rows: a label each.
        columns: a label each.
        title: above it.
        axes: what rows and columns are.
    """
    wide, high = (min(_LARGEST, _MARGIN + _CELL * n) for n in (len(columns) + 4, len(rows)))
    figure, place = plt.subplots(figsize=(max(3.6, wide), max(2.4, high)))
    known = values[np.isfinite(values)]
    end = float(np.abs(known).max()) if known.size and np.abs(known).max() > 0 else 1.0
    place.set_facecolor("#d0d0d0")
    image = place.imshow(values, cmap="RdBu_r", vmin=-end, vmax=end, origin="lower", aspect="auto")
    across = [_label(each) for each in columns]
    place.set_xticks(range(len(columns)), across, rotation=0 if max(map(len, across)) < _SHORT else 90)
    place.set_yticks(range(len(rows)), [_label(each) for each in rows])
    place.set_ylabel(axes[0])
    place.set_xlabel(axes[1])
    place.set_title(title)
    place.grid(visible=False)
    figure.colorbar(image, ax=place)
    figure.tight_layout()
    return figure


def _label(text: str) -> str:
    """A label as it is to be read: no line breaks, and no formula begins at a dollar sign."""
    return one_line(shortened(text, _LONGEST)).replace("$", r"\$")
