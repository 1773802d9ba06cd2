"""How plots of a sweep are drawn: lines in panels, ROC curves, heat maps. matplotlib draws; nothing imports torch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from acdc.comparison.areas import BAND
from acdc.sweeps.series import Line, Panel
from acdc.wording import one_line, shortened

#: Told apart by colour-blind readers (Okabe and Ito), and by their markers in grey.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#333333")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
#: Of what has an order, and of heat maps.
SHADES = "viridis"
#: Panels beside each other, and the size of one and of a panel alone, in inches.
_ACROSS, _SIZE, _ALONE = 3, (2.7, 2.2), (3.5, 2.7)
#: Panels of one picture; what is more goes on in the next.
MOST_PANELS = 12
#: Labels that fit below; more stand at the side.
_BELOW = 4
_LONGEST = 40  # characters of a label
_LINE = 50  # and of a title above one panel
#: Characters of a name that stands below the panels.
_LONGEST_BELOW = 24
#: Labels of a legend, those in a column of it, and the width of a letter in it.
_MOST_LABELS, _A_COLUMN, _INCH_A_LETTER = 48, 16, 0.055
_MOST_TICKS = 40
#: An axis is logarithmic from this ratio of its numbers on.
_DECADES = 30
#: What lies outside is cut off in the picture, never in the table.
_LOWEST, _HIGHEST = -1.0, 2.5
#: Cells of a heat map with their number in it.
_MOST_NUMBERED = 150
_WORDS = {
    "edges": "edges of the circuit",
    "edges_share": "share of all edges",
    "nodes": "nodes of the circuit",
    "seconds": "time of the method in s",
    "cell_seconds": "time of the cell in s",
    "peak_memory_bytes": "peak memory in bytes",
    "roc": "area under ROC of the scores, by the step rule",
    "smallest": "edges of the smallest faithful circuit",
    "recall": "recall (true positive rate)",
    "checkpoint": "checkpoint",
}
_QUANTITIES = {
    "kl": "KL to the model in nats",
    "faithfulness": "faithfulness",
    "accuracy": "share right",
    "top1": "share top-1 right",
    "logit_difference": "logit difference",
    "logit_diff": "logit difference lost",
    "prob_diff": "probability difference lost",
    "answer_logprob": "log-probability of the answer lost",
}
_STATES = ("complement", "ablated", "corrupted", "model")


def words(column: str, metric: str | None = None) -> str:
    """A column as the label of an axis.

    Args:
        column: its name.
        metric: that faithfulness is of.
    """
    if column in _WORDS:
        return _WORDS[column]
    for ending, prompts in (("_held_out", "held out"), ("_used", "on prompts used")):
        if column.endswith(ending):
            quantity = column.removesuffix(ending)
            state = next((state for state in _STATES if quantity.endswith(f"_{state}")), None)
            quantity = quantity.removesuffix(f"_{state}")
            found = _QUANTITIES.get(quantity, quantity.replace("_", " "))
            if quantity == "faithfulness" and metric is not None:
                found += f" by {metric}"
            return ", ".join(filter(None, (found, state and f"of the {state}", prompts)))
    return column.replace("_", " ")


def draw_lines(
    plt: Any,
    panels: Sequence[Panel],
    x: str,
    y: str,
    *,
    title: str,
    metric: str | None,
    shade: str | None,
    ordered: bool,
) -> Any:
    """A figure of points and lines.

    Args:
        plt: ``matplotlib.pyplot``.
        panels: at most :data:`MOST_PANELS`.
        x: the column to the right.
        y: the column upwards.
        title: above it.
        metric: that faithfulness is of.
        shade: the column of numbers that colours stand for; ``None`` where they tell lines apart.
        ordered: whether the lines' labels are numbers, in order.
    """
    figure, places = _places(plt, len(panels))
    looks = _looks(plt, panels, ordered=ordered)
    names = list(dict.fromkeys(point.x for panel in panels for line in panel.lines for point in line.points))
    is_words = any(isinstance(name, str) for name in names)
    shades = [point.hue for panel in panels for line in panel.lines for point in line.points if point.hue is not None]
    image = None
    for axes, panel in zip(places, panels, strict=False):
        for number, line in enumerate(panel.lines):
            shift = 0.0 if not is_words else 0.5 * ((number + 0.5) / len(panel.lines) - 0.5)
            found = _draw_line(
                axes, line, looks[line.label], names if is_words else None, shift, shades, shade is not None
            )
            image = found or image
        if y.startswith("faithfulness"):
            axes.axhspan(*BAND, color="0.92", zorder=0)
            axes.axhline(0, color="0.6", linewidth=0.8, zorder=1)
        axes.set_title(_text(panel.title), fontsize=8, parse_math=False)
    _label(figure, places[: len(panels)], words(x, metric), words(y, metric))
    points = [point for panel in panels for line in panel.lines for point in line.points]
    _scale(places[: len(panels)], "y", [point.y for point in points], y)
    if is_words:
        for axes in places[: len(panels)]:
            _name_ticks(axes, [str(name) for name in names])
    else:
        _scale(places[: len(panels)], "x", [float(point.x) for point in points], x)
    if image is not None:
        figure.colorbar(image, ax=list(places), label=words(str(shade), metric))
    _finish(figure, panels, looks, title)
    return figure


def draw_roc(
    plt: Any, panels: Sequence[tuple[Panel, dict[str, tuple[str, list[list[tuple[float, float]]]]]]], title: str
) -> Any:
    """A figure of ROC curves by the step rule: of each label several curves, one a repetition.

    Args:
        plt: ``matplotlib.pyplot``.
        panels: each with, by label, what stands in the legend and the corners of each curve.
        title: above it.
    """
    figure, places = _places(plt, len(panels))
    looks = _looks(plt, [panel for panel, _ in panels], ordered=False)
    for axes, (panel, curves) in zip(places, panels, strict=False):
        axes.plot([0, 1], [0, 1], color="0.7", linewidth=0.8, linestyle=":")
        for line in panel.lines:
            colour, marker = looks[line.label]
            heading, corners = curves[line.label]
            for i, one in enumerate(corners):
                right, up = zip(*one, strict=True)
                axes.plot(right, up, color=colour, alpha=1 if len(corners) == 1 else 0.45, label=None if i else heading)
            rates = [(row["false_positive_rate"], row["recall"]) for row in line.rows]
            right, up = zip(*rates, strict=True)
            axes.plot(right, up, marker, color=colour, clip_on=False)
        axes.set(xlim=(-0.02, 1), ylim=(0, 1.02))
        axes.set_title(_text(panel.title), fontsize=8, parse_math=False)
        outside = (
            {"loc": "upper left", "bbox_to_anchor": (1.02, 1)} if len(panel.lines) > _BELOW else {"loc": "lower right"}
        )
        legend = axes.legend(fontsize=6, title="step area", title_fontsize=6, **outside)
        for text in legend.get_texts():
            text.set_parse_math(False)
    _label(figure, places[: len(panels)], "false positive rate", "true positive rate (recall)")
    _finish(figure, [panel for panel, _ in panels], {}, title)
    return figure


def draw_heat(
    plt: Any,
    grid: Sequence[Sequence[float]],
    across: Sequence[str],
    down: Sequence[str],
    *,
    labels: tuple[str, str, str],
    title: str,
) -> Any:
    """A figure of a number for each two values; what isn't known is left grey.

    Args:
        plt: ``matplotlib.pyplot``.
        grid: ``[down][across]``; NaN for what isn't known.
        across: the values to the right.
        down: the values downwards.
        labels: of the axis across, of that down, and of the numbers.
        title: above it.
    """
    known = [value for row in grid for value in row if not math.isnan(value)]
    low, high = min(known), max(known)
    if labels[2].startswith("faithfulness"):
        low, high = max(low, _LOWEST), min(high, _HIGHEST)
    norm = _norm(low, high)
    width = max(2.6, 0.45 * len(across) + 1.5 + 0.06 * max(len(_text(name)) for name in down))
    figure, axes = plt.subplots(
        figsize=(min(width, 12), min(max(2.4, 0.3 * len(down) + 1.3), 12)), layout="constrained"
    )
    axes.grid(False)
    axes.set_facecolor("0.85")
    image = axes.imshow(grid, cmap=SHADES, norm=norm, aspect="auto")
    for axis, names in ((axes.xaxis, across), (axes.yaxis, down)):
        step = -(-len(names) // _MOST_TICKS)
        shown = [_text(name, _LONGEST_BELOW) for name in names[::step]]
        axis.set_ticks(range(0, len(names), step), shown, parse_math=False)
        if max(map(len, names)) > _LONGEST_BELOW:
            axis.set_tick_params(labelsize=6)
    if sum(map(len, across)) > 5 * len(across):
        axes.tick_params("x", rotation=40)
        plt.setp(axes.get_xticklabels(), ha="right", rotation_mode="anchor")
    axes.set_xlabel(labels[0])
    axes.set_ylabel(labels[1])
    axes.set_title("\n".join(_text(line, _LINE) for line in title.split("\n")), fontsize=8, parse_math=False)
    if len(across) * len(down) <= _MOST_NUMBERED:
        for i, row in enumerate(grid):
            for j, value in enumerate(row):
                if not math.isnan(value):
                    dark = norm(value) < 0.6
                    axes.text(j, i, f"{value:.2g}", ha="center", va="center", fontsize=6, color="w" if dark else "k")
    figure.colorbar(image, ax=axes, label=labels[2])
    return figure


def _places(plt: Any, n: int) -> tuple[Any, list[Any]]:
    """A figure with places for so many panels, of one scale."""
    across = min(_ACROSS, n)
    down = -(-n // across)
    wide, high = _ALONE if n == 1 else _SIZE
    size = (wide * across, high * down + (0.6 if n > 1 else 0))
    figure, grid = plt.subplots(
        down, across, figsize=size, layout="constrained", squeeze=False, sharex=True, sharey=True
    )
    for axes in grid.flat[n:]:
        axes.set_axis_off()
    for axes in grid.flat[max(0, n - across) : n]:  # the lowest of each column
        axes.tick_params("x", labelbottom=True)
    return figure, list(grid.flat)


def _label(figure: Any, places: Sequence[Any], right: str, up: str) -> None:
    """The names of the axes, once for all panels."""
    if len(places) == 1:
        places[0].set(xlabel=right, ylabel=up)
    else:
        figure.supxlabel(right, fontsize=8)
        figure.supylabel(up, fontsize=8)


def _looks(plt: Any, panels: Iterable[Panel], *, ordered: bool) -> dict[str, tuple[Any, str]]:
    """Colour and marker of each label, the same in all panels."""
    labels = list(dict.fromkeys(line.label for panel in panels for line in panel.lines))
    if ordered:
        shades = plt.get_cmap(SHADES)
        return {label: (shades(0.9 * i / max(1, len(labels) - 1)), "o") for i, label in enumerate(labels)}
    n = len(_COLOURS)
    return {label: (_COLOURS[i % n], _MARKERS[(i + i // n) % len(_MARKERS)]) for i, label in enumerate(labels)}


def _draw_line(
    axes: Any,
    line: Line,
    look: tuple[Any, str],
    names: list[Any] | None,
    shift: float,
    shades: list[float],
    shaded: bool,
) -> Any:
    """One line's points; gives what a bar of colours is made of."""
    colour, marker = look
    right = [float(point.x) if names is None else names.index(point.x) + shift for point in line.points]
    up = [point.y for point in line.points]
    if shaded:
        hues = [math.nan if point.hue is None else point.hue for point in line.points]
        return axes.scatter(
            right, up, c=hues, cmap=SHADES, norm=_norm(min(shades), max(shades)), s=14, label=line.label
        )
    spread = {
        "yerr": [point.y_spread for point in line.points] if any(point.y_spread for point in line.points) else None,
        "xerr": [point.x_spread for point in line.points] if any(point.x_spread for point in line.points) else None,
    }
    style = "-" if line.connected and len(line.points) > 1 else ""
    axes.errorbar(
        right, up, **spread, color=colour, marker=marker, linestyle=style, elinewidth=0.6, label=_text(line.label)
    )
    return None


def _norm(low: float, high: float) -> Any:
    """How numbers become colours, by their logarithms where they span decades."""
    from matplotlib.colors import LogNorm, Normalize

    is_log = low > 0 and high / low >= _DECADES
    return LogNorm(low, high) if is_log else Normalize(low, high if high > low else low + 1)


def _scale(places: Sequence[Any], which: str, values: Sequence[float], column: str) -> None:
    """A logarithmic axis where numbers span decades, on which 0 has a place if it occurs."""
    from matplotlib.ticker import FixedLocator, LogLocator, MaxNLocator, NullLocator, StrMethodFormatter

    positive = [value for value in values if value > 0]
    for axes in places:
        if column.startswith("faithfulness"):
            low, high = min(0.0, *values, 0.0), max(1.1, *values, 1.1)
            getattr(axes, f"set_{which}lim")(max(_LOWEST, low - 0.08), min(_HIGHEST, high + 0.08))
        elif positive and min(values) >= 0 and max(positive) / min(positive) >= _DECADES:
            if min(values) > 0:
                getattr(axes, f"set_{which}scale")("log")
            else:
                getattr(axes, f"set_{which}scale")("symlog", linthresh=min(positive), linscale=0.5)
                getattr(axes, f"set_{which}lim")(-0.3 * min(positive), 1.4 * max(positive))
                decades = range(math.ceil(math.log10(min(positive))), math.floor(math.log10(max(positive))) + 1)
                getattr(axes, f"{which}axis").set_major_locator(FixedLocator([0, *(10.0**one for one in decades)]))
            if max(positive) / min(positive) < 100 and min(values) > 0:  # a decade would have one label or none
                axis = getattr(axes, f"{which}axis")
                axis.set_major_locator(LogLocator(subs=(1, 3)))
                axis.set_major_formatter(StrMethodFormatter("{x:g}"))
                axis.set_minor_locator(NullLocator())
        elif column in ("seed", "edges", "nodes", "n") or all(float(value).is_integer() for value in values):
            getattr(axes, f"{which}axis").set_major_locator(MaxNLocator("auto", integer=True))


def _name_ticks(axes: Any, names: Sequence[str]) -> None:
    """Words along the axis to the right."""
    step = -(-len(names) // _MOST_TICKS)
    shown = [_text(name, _LONGEST_BELOW) for name in names[::step]]
    axes.set_xticks(range(0, len(names), step), shown, parse_math=False)
    axes.set_xlim(-0.6, len(names) - 0.4)
    if sum(map(len, names)) > 24:
        for label in axes.get_xticklabels():
            label.set(rotation=40, ha="right", rotation_mode="anchor")
    if max(map(len, names)) > _LONGEST_BELOW:
        axes.tick_params(axis="x", labelsize=6)


def _finish(figure: Any, panels: Sequence[Panel], looks: dict[str, Any], title: str) -> None:
    """The title, and a legend where there is more than one label."""
    lines = [_text(line, _LINE if len(panels) == 1 else 2 * _LINE) for line in title.split("\n")]
    figure.suptitle("\n".join(lines), fontsize=8, parse_math=False)
    handles: dict[str, Any] = {}
    for axes in figure.axes if panels else ():
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    if len(looks) > 1 and handles:
        too_long = max(map(len, handles)) > _LONGEST_BELOW
        beside = len(handles) > _BELOW or len(panels) > 1 or too_long  # below stands the axis' name
        where = "outside right upper" if beside else "outside lower center"
        shown = dict(list(handles.items())[:_MOST_LABELS])
        columns = -(-len(shown) // _A_COLUMN) if beside else 2
        more = f"and {len(handles) - len(shown)} more" if len(handles) > len(shown) else None
        legend = figure.legend(shown.values(), shown, loc=where, ncols=columns, fontsize=6.5, title=more)
        for text in legend.get_texts():
            text.set_parse_math(False)
        if beside:  # the panels stay as wide as they were
            wide, high = figure.get_size_inches()
            needed = 0.15 * (min(len(shown), _A_COLUMN) + 2)
            longest = max(map(len, shown))
            figure.set_size_inches(wide + columns * (0.4 + _INCH_A_LETTER * longest), max(high, needed))


def _text(text: str, most: int = _LONGEST) -> str:
    """A name as it is to be read."""
    return one_line(shortened(text, most))
