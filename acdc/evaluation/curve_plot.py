"""Curves of faithfulness as a picture; matplotlib draws it, which is an extra of the package."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from acdc.comparison.areas import BAND
from acdc.evaluation.curves import Curve
from acdc.evaluation.judgement import HELD_OUT, Judgement
from acdc.export.plots import check_matplotlib, styled, write
from acdc.wording import shortened, task_name

_COLOURS = {"signed": "#1f77b4", "absolute": "#d95f02", "greedy": "#2a9d4a"}
_MARKERS = {"signed": "o", "absolute": "s", "greedy": "^"}
#: Ways to choose often give the same circuits; then the one behind shows between the dashes.
_STYLES = {"signed": "-", "absolute": "-", "greedy": "--"}
#: What lies outside is cut off in the picture, never in a table.
_LOWEST, _HIGHEST = -1.0, 2.5
#: Panels beside each other, and the size of one in inches.
_ACROSS, _WIDE, _HIGH = 2, 3.6, 2.7
_LONGEST = 48  # characters of a title
_LEGEND = 0.25  # inches, of a line; entries of it that fit below a panel
_ENTRIES = 2


def draw_curves(judgements: Sequence[Judgement], path: Path) -> None:
    """Draw the curves that judgements have, a panel each; the band in which a circuit is faithful is grey.

    Args:
        judgements: with a curve, at least one.
        path: of the file to write, ``.svg`` or ``.png``.

    Raises:
        AcdcError: matplotlib isn't installed.
        RunFolderError: the file can't be written.
    """
    check_matplotlib()
    panels = [(one, one.curve) for one in judgements if one.curve is not None]
    across = min(_ACROSS, len(panels))
    down = -(-len(panels) // across)
    with styled() as plt:
        below = _LEGEND * -(-(1 + len(_COLOURS)) // (across * _ENTRIES))
        high = down * _HIGH + below
        figure, axes = plt.subplots(down, across, figsize=(across * _WIDE, high), squeeze=False)
        places = axes.flatten()
        for place, (one, curve) in zip(places, panels, strict=False):
            _panel(place, one, curve)
        for place in places[len(panels) :]:
            place.set_axis_off()
        handles, labels = places[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="lower center", ncol=across * _ENTRIES)
        figure.tight_layout(rect=(0, below / high, 1, 1))
        write(figure, path)
        plt.close(figure)


def _panel(axes: Any, one: Judgement, curve: Curve) -> None:
    """One curve: measured sizes on a logarithmic axis, with the interval of each point."""
    axes.axhspan(*BAND, color="0.9", zorder=0, label=f"faithful: {BAND[0]:g} to {BAND[1]:g}")
    axes.axhline(0, color="0.6", linewidth=0.8, zorder=1)
    seen = []
    for name, family in curve.families.items():
        points = [point for point in family.points if point.n_edges]
        sizes, shares = [point.n_edges for point in points], [point.faithfulness for point in points]
        colour = _COLOURS[name]
        axes.plot(
            *(sizes, shares), color=colour, linestyle=_STYLES[name], marker=_MARKERS[name], markersize=2.6, label=name
        )
        known = [(p.n_edges, p.interval.low, p.interval.high) for p in points if p.interval.low is not None]
        if known:
            at, low, high = zip(*known, strict=True)
            axes.fill_between(at, low, high, color=colour, alpha=0.15, linewidth=0, zorder=2)
        seen += shares
    axes.set_xscale("log")
    lowest, highest = min(0.0, *seen, 0.0), max(1.1, *seen, 1.1)
    axes.set_ylim(max(_LOWEST, lowest - 0.08), min(_HIGHEST, highest + 0.08))
    axes.set_xlim(0.9, curve.n_edges * 1.1)
    axes.set_xlabel("edges on a path")
    axes.set_ylabel(f"faithfulness by {curve.metric}")
    which = "held out of" if one.which == HELD_OUT else f"{one.which} of"
    title = f"{shortened(one.circuit, _LONGEST)}\n{one.evaluation.n_prompts} {which} {task_name(one.task)}"
    axes.set_title(title, fontsize=8, parse_math=False)  # a dollar is a dollar
