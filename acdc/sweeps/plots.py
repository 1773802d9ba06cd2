"""Plots of a sweep: those that fit its axes, or one of two columns. Nothing here imports torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from acdc.comparison import staircase, step_area
from acdc.errors import RunFolderError, SettingsError
from acdc.export.plots import check_matplotlib, styled, write
from acdc.sweeps.drawing import MOST_PANELS, draw_heat, draw_lines, draw_roc, words
from acdc.sweeps.folder import PLOTS
from acdc.sweeps.series import (
    CHECKPOINT,
    SEED,
    SIZING,
    Frame,
    Line,
    Panel,
    Row,
    grouped,
    mean_and_spread,
    over_seeds,
    panels,
)
from acdc.wording import either

if TYPE_CHECKING:
    from acdc.sweeps.swept import Sweep

FORMATS = (".png", ".svg")
#: Files that somebody may want, and that aren't drawn.
_OTHER_FORMATS = (".pdf", ".eps", ".ps", ".jpg", ".jpeg", ".gif", ".webp", ".tif", ".tiff", ".bmp", ".html")


@dataclass(frozen=True)
class Plot:
    """A picture, not drawn yet.

    Attributes:
        name: of its files.
        draw: makes the figure with ``matplotlib.pyplot``.
    """

    name: str
    draw: Callable[[Any], Any]


def plot(swept: Sweep, *, x: str | None, y: str | None, hue: str | None, out: Path | None) -> list[Path]:
    """Draw a sweep's plots; see :meth:`acdc.sweeps.swept.Sweep.plot`."""
    check_matplotlib()
    if out is not None and out.suffix.lower() in _OTHER_FORMATS and not out.is_dir():
        raise SettingsError(f"a plot is written as {either(FORMATS)}, not as {out.suffix}; give another `out`.")
    frame = Frame(swept)
    frame.check()
    if x is None and y is None and hue is None:
        found = list(fitting(frame))
        if out is not None and out.suffix.lower() in FORMATS:
            raise SettingsError(f"{out} is one file, and the plots are several; give a folder, or `x` and `y`.")
        if not found:
            raise SettingsError("the cells differ in nothing that a plot could show; give `x` and `y`.")
    else:
        found = list(chosen(frame, x, y, hue))
    return _written(found, swept.folder.path / PLOTS if out is None else out)


def fitting(frame: Frame) -> Iterator[Plot]:
    """The plots that fit the axes of a sweep."""
    sizing = [name for name in frame.varied if name in SIZING]
    measures = [
        next((name for name in (f"{quantity}_held_out", f"{quantity}_used") if frame.is_number(name)), None)
        for quantity in ("kl", "faithfulness")
    ]
    only_checkpoints = CHECKPOINT in frame.varied and not sizing
    shade = CHECKPOINT if CHECKPOINT in frame.varied else None  # a line a checkpoint, the later the lighter
    for measure in measures:
        if measure is not None and not only_checkpoints:
            yield from _lines(frame, f"size-{measure.partition('_')[0]}", "edges", measure, shade)
    if not only_checkpoints:
        yield from _lines(frame, "cost", "edges", "seconds", shade)
    for name in sizing[:1]:
        if frame.is_number(name):
            yield from _lines(frame, f"{name}-edges", name, "edges", shade)
    if frame.is_number("recall") and frame.is_number("false_positive_rate"):
        yield from _roc(frame)
    if CHECKPOINT in frame.varied:
        for measure in ("edges", measures[1]):
            if measure is not None:
                yield from _lines(frame, f"checkpoint-{measure.partition('_')[0]}", CHECKPOINT, measure)
    axes = frame.telling(name for name in frame.varied if name != SEED)
    if len(axes) == 1 and axes[0] not in SIZING and axes[0] != CHECKPOINT and frame.best is not None:
        yield from _lines(frame, f"{axes[0]}-{frame.best.partition('_')[0]}", axes[0], frame.best)
    if (
        len(axes) == 2
        and frame.best is not None
        and all(row.get(name) is not None for row in frame.rows for name in axes)
    ):
        down, across = sorted(axes, key=lambda name: name in SIZING or name == CHECKPOINT)
        yield _heat(frame, f"{across}-{down}", across, down, frame.best)


def chosen(frame: Frame, x: str | None, y: str | None, hue: str | None) -> Iterator[Plot]:
    """The plot of two columns; what isn't given is chosen."""
    shade = None if hue is None else frame.column(hue, "hue")
    up = frame.column(y, "y") if y is not None else frame.best
    if up is None:
        raise SettingsError("no finished cell has a figure to plot; give `y`.")
    right = frame.column(x, "x") if x is not None else _usual_x(frame, up)
    if right == up:
        raise SettingsError(f"`x` and `y` are both {up}; give two columns.")
    axes = (*frame.settings, CHECKPOINT)
    if y is not None and right in axes and up in axes:
        value = shade or frame.best
        if value is None:
            raise SettingsError(f"{right} and {up} are both axes; give a column of numbers as `hue` for a heat map.")
        frame.check_number(value, "hue")
        yield _heat(frame, f"{value}-by-{right}-{up}", right, up, value)
        return
    frame.check_number(up, "y")
    if shade is not None and all(row.get(shade) is None for row in frame.rows):
        raise SettingsError(f"no finished cell has a value in the column {shade}; give another as `hue`.")
    yield from _lines(frame, "-".join([f"{up}-by-{right}", *([shade] if shade else [])]), right, up, shade)


def _usual_x(frame: Frame, y: str) -> str:
    """What is to the right where only what is upwards was said."""
    if CHECKPOINT in frame.varied:
        return CHECKPOINT
    if y != "edges":
        return "edges"
    return next((name for name in (*SIZING, *frame.varied) if name in frame.varied), "task")


def _lines(frame: Frame, name: str, x: str, y: str, hue: str | None = None) -> Iterator[Plot]:
    """Points and lines; of many panels several pictures."""
    found = panels(frame, x, y, hue)
    shade = hue if hue is not None and hue not in frame.settings and frame.is_number(hue) else None
    ordered = hue is not None and shade is None and frame.is_number(hue)
    for part in range(0, len(found), MOST_PANELS):
        page = found[part : part + MOST_PANELS]
        ending = f"-{part // MOST_PANELS + 1}" if part else ""

        def draw(plt: Any, page: list[Panel] = page) -> Any:
            return draw_lines(
                plt, page, x, y, title=_title(frame, x, y, hue), metric=_metric(frame), shade=shade, ordered=ordered
            )

        yield Plot(f"{name}{ending}", draw)


def _roc(frame: Frame) -> Iterator[Plot]:
    """ROC curves by the ACDC paper's step rule, one a repetition: cells that differ in a threshold or a size alone."""
    rates = "false_positive_rate", "recall"
    found = panels(frame, *rates)
    for part in range(0, len(found), MOST_PANELS):
        page = [
            (panel, {line.label: _curves(frame, line) for line in panel.lines}) for panel in found[part:][:MOST_PANELS]
        ]
        ending = f"-{part // MOST_PANELS + 1}" if part else ""
        yield Plot(f"roc{ending}", lambda plt, page=page: draw_roc(plt, page, frame.title))  # type: ignore[misc]


def _curves(frame: Frame, line: Line) -> tuple[str, list[list[tuple[float, float]]]]:
    """What the legend says of a line's ROC curves, and their corners: one of each seed's cells."""
    apart = [name for name in frame.varied if name in (SEED, CHECKPOINT)]
    each = grouped(line.rows, lambda row: tuple(repr(row.get(name)) for name in apart))
    points = [[(float(row["false_positive_rate"]), float(row["recall"])) for row in rows] for rows in each.values()]
    mean, spread = mean_and_spread([step_area(one) for one in points])
    area = f"{mean:.3f}" + (f" ± {spread:.3f}" if len(points) > 1 else "")
    return f"{line.label}: {area}" if line.label else area, [staircase(one) for one in points]


def _heat(frame: Frame, name: str, across: str, down: str, value: str) -> Plot:
    """A heat map of the means of a figure."""
    rows = [row for row in frame.rows if all(row.get(one) is not None for one in (across, down, value))]
    if not rows:
        raise SettingsError(f"no finished cell has {across}, {down} and {value}: there is nothing to plot.")

    def key(row: Row) -> tuple[Any, Any]:
        return row[across], row[down]

    means = {at: fmean(float(row[value]) for row in same) for at, same in grouped(rows, key).items()}
    right, below = (_values(frame, rows, one) for one in (across, down))
    grid = [[means.get((one, other), math.nan) for one in right] for other in below]
    labels = words(across), words(down), words(value, _metric(frame))
    names = [frame.said(across, one) for one in right], [frame.said(down, one) for one in below]
    title = _title(frame, across, down, spread=False)
    return Plot(f"heat-{name}", lambda plt: draw_heat(plt, grid, *names, labels=labels, title=title))


def _values(frame: Frame, rows: Sequence[Row], name: str) -> list[Any]:
    """The values of an axis: numbers in order, words as they come."""
    found = list(dict.fromkeys(row[name] for row in rows))
    return sorted(found) if frame.is_number(name) else found


def _title(frame: Frame, *columns: str | None, spread: bool = True) -> str:
    return "\n".join(filter(None, (frame.title, over_seeds(frame, *columns, spread=spread))))


def _metric(frame: Frame) -> str | None:
    """That all faithfulness is of; ``None`` where it differs."""
    found = {row.get("faithfulness_metric") for row in frame.rows}
    return str(found.pop()) if len(found) == 1 else None


def _written(found: list[Plot], out: Path) -> list[Path]:
    """Draw pictures into a folder, or one into a file."""
    is_file = out.suffix.lower() in FORMATS
    if is_file and len(found) > 1:
        raise SettingsError(
            f"there are {len(found)} pictures of {MOST_PANELS} panels, and {out} is one file; give a folder."
        )
    folder = out.parent if is_file else out
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunFolderError(f"can't make {folder}: {error.strerror}; choose another with `out`.") from error
    written = []
    with styled() as plt:
        for one in found:
            figure = one.draw(plt)
            try:
                for path in [out] if is_file else [folder / f"{one.name}{ending}" for ending in FORMATS]:
                    write(figure, path)
                    written.append(path)
            finally:
                plt.close(figure)
    return written
