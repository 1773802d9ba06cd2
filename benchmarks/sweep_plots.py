"""Plots of a sweep over thresholds, as PNG and SVG, at the width of a paper's column."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from plots import save, styled
from sweep import Row

from acdc.comparison import staircase, step_area

#: Told apart by colour-blind readers (Okabe and Ito), and by their markers in grey.
_USED = {"color": "#0072B2", "marker": "o", "label": "prompts used"}
_HELD_OUT = {"color": "#D55E00", "marker": "s", "label": "held out"}
_LEVEL = {"linestyle": "--", "linewidth": 1.0}


def draw(rows: Sequence[Row], title: str, folder: Path) -> list[Path]:
    """Draw all plots that the rows have numbers for.

    Args:
        rows: of one sweep, in any order.
        title: above each plot.
        folder: where the files go.

    Returns:
        The files that were written.

    Raises:
        RunFolderError: a file can't be written.
    """
    rows = sorted(rows, key=lambda row: row.threshold)
    plots: dict[str, Callable[[Any, Sequence[Row]], None]] = {"edges": _edges, "kl": _kl, "time": _time}
    if rows[0].logit_difference_used is not None:
        plots["logit-difference"] = _logit_difference
    if rows[0].recall is not None:
        plots["roc"] = _roc
    written = []
    with styled() as plt:
        for name, plot in plots.items():
            figure, axes = plt.subplots(figsize=(3.5, 2.7), layout="constrained")
            plot(axes, rows)
            axes.set_title(title, fontsize=8)
            written += save(figure, folder, name)
            plt.close(figure)
    return written


def _edges(axes: Any, rows: Sequence[Row]) -> None:
    axes.plot(_column(rows, "threshold"), _column(rows, "edges_kept"), color=_USED["color"], marker="o")
    axes.set_xscale("log")
    _counts(axes, "y", _column(rows, "edges_kept"))
    axes.set_xlabel(_threshold(rows))
    axes.set_ylabel(f"edges kept (of {rows[0].edges_all:,})")


def _kl(axes: Any, rows: Sequence[Row]) -> None:
    _against_edges(axes, rows, "kl", "kl_ablated", "no edge left")
    axes.set_yscale("log")
    axes.set_ylabel("KL(model || circuit) in nats")


def _logit_difference(axes: Any, rows: Sequence[Row]) -> None:
    _against_edges(axes, rows, "logit_difference", "logit_difference_model", "model")
    axes.set_ylabel("logit difference")


def _time(axes: Any, rows: Sequence[Row]) -> None:
    axes.plot(_column(rows, "threshold"), _column(rows, "seconds"), color=_USED["color"], marker="o")
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel(_threshold(rows))
    axes.set_ylabel("time of the run in s")


def _roc(axes: Any, rows: Sequence[Row]) -> None:
    points = [(float(row.false_positive_rate or 0), float(row.recall or 0)) for row in rows]
    axes.plot(*zip(*staircase(points), strict=True), color=_USED["color"], label="staircase of the best")
    axes.plot(*zip(*points, strict=True), "o", color=_HELD_OUT["color"], label="a threshold each", clip_on=False)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("false positive rate")
    axes.set_ylabel("true positive rate (recall)")
    axes.legend(loc="lower right", title=f"step area {step_area(points):.3f}")


def _against_edges(axes: Any, rows: Sequence[Row], values: str, level: str, level_name: str) -> None:
    """One line for each set of prompts over the size of the circuit, and the level of another state."""
    for prompts, style in (("used", _USED), ("held_out", _HELD_OUT)):
        if getattr(rows[0], f"{values}_{prompts}") is None:
            continue
        points = sorted(zip(_column(rows, "edges_kept"), _column(rows, f"{values}_{prompts}"), strict=True))
        axes.plot(*zip(*points, strict=True), **{**style, "label": f"circuit, {style['label']}"})
        height = getattr(rows[0], f"{level}_{prompts}")
        axes.axhline(height, color=style["color"], label=f"{level_name}, {style['label']}", **_LEVEL)
    _counts(axes, "x", _column(rows, "edges_kept"))
    axes.set_xlabel(f"edges kept (of {rows[0].edges_all:,})")
    axes.figure.legend(loc="outside lower center", ncols=2, fontsize=6.5)  # inside it would cover a level


def _counts(axes: Any, which: str, counts: Sequence[float]) -> None:
    """A logarithmic axis of counts, on which 0 has a place if it occurs."""
    from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

    axis = getattr(axes, f"{which}axis")
    if min(counts) > 0:
        getattr(axes, f"set_{which}scale")("log")
        # A decade or two would have one label or none at powers of ten.
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if max(counts) < 100 * min(counts) else (1,)))
        axis.set_minor_locator(NullLocator())
    else:
        getattr(axes, f"set_{which}scale")("symlog", linthresh=1)
    axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))


def _threshold(rows: Sequence[Row]) -> str:
    return f"threshold ({rows[0].metric})"


def _column(rows: Sequence[Row], name: str) -> list[float]:
    return [getattr(row, name) for row in rows]
