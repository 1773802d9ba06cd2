"""What a sweep came to in a few columns: means over seeds, a row a setting. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from acdc.sweeps.series import SEED, Frame, grouped, mean_and_spread

if TYPE_CHECKING:
    from acdc.sweeps.swept import Sweep

#: Of each the first that there is; what matters most first.
_FIGURES = (
    ("edges",),
    ("faithfulness_held_out", "faithfulness_used"),
    ("kl_held_out", "kl_used"),
    ("precision",),
    ("recall",),
    ("roc",),
    ("seconds",),
    ("accuracy_held_out", "accuracy_used"),
    ("cpr",),
    ("cmd",),
)


@dataclass(frozen=True)
class Means:
    """The finished cells, together where they differ in their seed alone.

    Attributes:
        axes: that the cells differ in, without seeds.
        figures: columns of the table.
        rows: of each the values of the axes in words, how many cells, and of each figure the mean and the standard
            deviation, which of one cell is 0; ``None`` where none has it.
        seeds: whether there are several of them.
    """

    axes: Sequence[str]
    figures: Sequence[str]
    rows: Sequence[tuple[list[str], int, list[tuple[float, float] | None]]]
    seeds: bool

    @property
    def words(self) -> tuple[list[str], list[list[str]]]:
        """Headings and rows, in words; how many cells each is of, where that differs."""
        counted = len({n for _, n, _ in self.rows}) > 1
        heads = [*self.axes, *(["cells"] if counted else []), *self.figures]
        rows = []
        for axes, n, found in self.rows:
            figures = [_words(name, one) for name, one in zip(self.figures, found, strict=True)]
            rows.append([*axes, *([str(n)] if counted else []), *figures])
        return [head.replace("_", " ") for head in heads], rows


def means_of(swept: Sweep) -> Means:
    """The means of a sweep's finished cells."""
    frame = Frame(swept)
    axes = frame.telling(name for name in frame.varied if name != SEED) or [
        name for name in ("task", "method") if frame.rows
    ]
    chosen = (next((name for name in names if frame.is_number(name)), None) for names in _FIGURES)
    figures = [name for name in chosen if name is not None]
    rows = []
    for same in grouped(frame.rows, lambda row: tuple(repr(row.get(name)) for name in axes)).values():
        found: list[tuple[float, float] | None] = []
        for name in figures:
            values = [float(row[name]) for row in same if row.get(name) is not None]
            found.append(mean_and_spread(values) if values else None)
        words = ["" if same[0].get(name) is None else frame.said(name, same[0][name]) for name in axes]
        rows.append((words, len(same), found))
    return Means(axes, figures, rows, SEED in frame.varied)


def values_of(swept: Sweep) -> dict[str, list[Any]]:
    """The values of each axis over all cells, in order; a setting that all have alike has one."""
    found: dict[str, list[Any]] = {}
    for cell in swept.folder.grid.cells:
        for name, value in cell.settings.items():
            if value not in (known := found.setdefault(name, [])):
                known.append(value)
    return found


def _words(name: str, found: tuple[float, float] | None) -> str:
    """``0.31 ± 0.02``."""
    if found is None:
        return ""
    mean, spread = found
    if name.startswith(("faithfulness", "accuracy")):
        return f"{mean:.0%}" + (f" ± {spread:.0%}" if spread else "")
    if name == "edges":
        return f"{mean:,.0f}" + (f" ± {spread:,.0f}" if spread else "")
    return f"{mean:.3g}" + (f" ± {spread:.1g}" if spread else "")
