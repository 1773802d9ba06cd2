"""What a plot of a sweep shows: finished cells as points, means over seeds, apart by what else differs between them.

No matplotlib here, and no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from acdc.asked import text
from acdc.errors import SettingsError, UnknownNameError
from acdc.sweeps.outcome import FINISHED
from acdc.sweeps.rows import column_of, stem
from acdc.wording import counted, some, task_name

if TYPE_CHECKING:
    from acdc.sweeps.swept import Sweep

#: Settings that say how large a circuit gets: a line goes through their values.
SIZING = ("threshold", "above", "top", "greedy", "budget", "asked_edges", "sparsity", "penalty")
#: Of other axes, colours tell these apart first; the rest have panels of their own.
_FIRST = ("method", "task", "model")
SEED, CHECKPOINT = "seed", "checkpoint"
#: What is the best measure of a circuit, the first that there is.
BEST = ("faithfulness_held_out", "faithfulness_used", "kl_held_out", "kl_used", "recall", "edges")

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Point:
    """Cells that differ in their seed alone.

    Attributes:
        x, y: their means; `x` may be a word.
        x_spread, y_spread: standard deviations; 0 of one cell.
        n: how many cells.
        hue: of a hue that is a number, its mean.
    """

    x: float | str
    y: float
    x_spread: float = 0.0
    y_spread: float = 0.0
    n: int = 1
    hue: float | None = None


@dataclass(frozen=True)
class Line:
    """Points of one colour.

    Attributes:
        label: what they have in common.
        points: in order.
        rows: the cells behind them.
        connected: whether a line goes through them.
    """

    label: str
    points: Sequence[Point]
    rows: Sequence[Row]
    connected: bool


@dataclass(frozen=True)
class Panel:
    """Lines of cells that have all else in common.

    Attributes:
        title: what that is.
        lines: by their labels.
    """

    title: str
    lines: Sequence[Line]


class Frame:
    """The finished cells of a sweep, for plots and means.

    Attributes:
        rows: of them; ``model`` is without its number where checkpoints are an axis, and ``threshold`` also holds what
            methods that score edges have as ``above``.
        varied: the axes along which they differ, in order.
        columns: of the table.

    Args:
        swept: the sweep.
    """

    def __init__(self, swept: Sweep) -> None:
        ended = swept.rows
        rows = [row for row in ended if row["status"] == FINISHED]  # its own: they are made at every call
        self.columns = list(ended[0]) if ended else []
        self.rows: list[dict[str, Any]] = rows
        self._clashing: dict[str, bool] = {}
        settings = dict.fromkeys(column_of(name) for cell in swept.folder.grid.cells for name in cell.settings)
        for row in rows:
            if row.get(CHECKPOINT) is not None:
                row["model"] = stem(str(row["model"]))
            if "threshold" in row and row["threshold"] is None:
                row["threshold"] = row.get("above")
        self.settings = [*settings, *([CHECKPOINT] if any(row.get(CHECKPOINT) is not None for row in rows) else [])]
        names = [name for name in self.settings if name != "above" or "threshold" not in settings]
        self.varied = [name for name in names if len({repr(row.get(name)) for row in rows}) > 1]

    def telling(self, names: Iterable[str], known: Iterable[str] = ()) -> list[str]:
        """Those of some axes that don't follow from another: the metric doesn't tell what each method has one of.

        Args:
            names: of axes.
            known: columns that are told anyway.
        """
        names = list(names)
        found, kept = [*known], []
        for name in sorted(names, key=lambda one: (*_FIRST, one).index(one)):
            if not any(self._follows(name, other) for other in found):
                found.append(name)
                kept.append(name)
        return [name for name in names if name in kept]

    def _follows(self, name: str, other: str) -> bool:
        """Whether all cells with one value of another axis have one value of this."""
        both = {(repr(row.get(other)), repr(row.get(name))) for row in self.rows}
        return len(both) == len({value for value, _ in both})

    def said(self, name: str, value: Any) -> str:
        """A setting's value in a few words, that no other value of the sweep has."""
        if value is None:
            return "as usual"
        if name not in self._clashing:
            values = {repr(row[name]): row[name] for row in self.rows if row.get(name) is not None}
            self._clashing[name] = len({_short(name, one) for one in values.values()}) < len(values)
        return str(value) if self._clashing[name] else _short(name, value)

    def titled(self, name: str, value: Any) -> str:
        """A setting's value as a title has it: of a task, a model or a method its name alone."""
        said = self.said(name, value)
        return said if name in _FIRST else f"{name.replace('_', ' ')} {said}"

    def check(self) -> None:
        """Raise :class:`SettingsError` where no cell has finished."""
        if not self.rows:
            raise SettingsError("no cell of the sweep has finished: there is nothing to plot yet.")

    def column(self, name: str, given: str) -> str:
        """A column by its name, or by one that leaves out on which prompts.

        Args:
            name: as a user gave it.
            given: the argument, for messages.

        Raises:
            UnknownNameError: there is none; says the nearest.
        """
        plain = text(given, name).replace("-", "_")
        for found in (name, plain, f"{plain}_held_out", f"{plain}_used", f"asked_{plain}"):
            if found in self.columns:
                return found
        raise UnknownNameError("column", name, self.columns, f"`{given}`: ")

    def is_number(self, name: str) -> bool:
        """Whether all that is known in a column are numbers."""
        values = [row[name] for row in self.rows if row.get(name) is not None]
        return bool(values) and all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)

    def check_number(self, name: str, given: str) -> None:
        """Raise :class:`SettingsError` unless a column holds numbers."""
        if self.is_number(name):
            return
        if all(row.get(name) is None for row in self.rows):
            raise SettingsError(f"no finished cell has a value in the column {name}: there is nothing to plot.")
        numbers = [other for other in ("edges", *BEST) if self.is_number(other)]
        raise SettingsError(
            f"the column {name} doesn't hold numbers, and `{given}` must; give another, e.g. {some(numbers)}."
        )

    @property
    def best(self) -> str | None:
        """The best measure of its circuits that it has."""
        return next((name for name in BEST if self.is_number(name)), None)

    @property
    def title(self) -> str:
        """What all cells have in common of task, model and method."""
        common = {
            name: values.pop()
            for name in ("method", "task", "model")
            if name not in self.varied and len(values := {str(row.get(name)) for row in self.rows}) == 1
        }
        task, model = task_name(common.get("task", "")), common.get("model", "").rstrip("/").rpartition("/")[2]
        on = f"on {model}" if model and model != task else None  # a planted model's task has its name
        return " ".join(filter(None, (common.get("method"), task, on)))


def panels(frame: Frame, x: str, y: str, hue: str | None = None) -> list[Panel]:
    """The points of a plot.

    Cells are means over seeds where no other setting differs. A line goes through those that differ in a threshold or a
    size alone; what else differs has a colour, or a panel of its own.

    Args:
        frame: the cells.
        x: the column to the right.
        y: the column upwards, of numbers.
        hue: the column that colours tell apart; by default that of the axes which says most.

    Raises:
        SettingsError: no cell has both.
    """
    rows = [row for row in frame.rows if row.get(x) is not None and row.get(y) is not None]
    if not rows:
        raise SettingsError(f"no finished cell has both {x} and {y}: there is nothing to plot.")
    along, others = axes_of(frame, x, y, hue)
    coloured, own, apart = parted(frame, others, hue)
    is_axis = x in frame.settings

    def label(row: Row) -> str:
        beside = [frame.titled(name, row[name]) for name in own if row.get(name) is not None]
        has_colour = coloured is not None and (row.get(coloured) is not None or not beside)
        return ", ".join([*([frame.titled(coloured, row.get(coloured))] if coloured and has_colour else []), *beside])

    def title(row: Row) -> str:
        return ", ".join(frame.titled(name, row.get(name)) for name in apart)

    def connected(rows: Sequence[Row]) -> bool:
        if is_axis:
            return x in SIZING or x == CHECKPOINT or frame.is_number(x)
        moved = [name for name in along if len({repr(row.get(name)) for row in rows}) > 1]
        return len(moved) == 1 and moved != [CHECKPOINT]

    by_hue = None if hue is None or hue in frame.settings or not frame.is_number(hue) else hue
    found = []
    for heading, within in grouped(rows, title).items():
        lines = []
        for name, own_rows in grouped(within, label).items():
            keys = (x,) if is_axis else tuple(along)
            same = grouped(own_rows, lambda row, keys=keys: tuple(repr(row.get(key)) for key in keys))  # type: ignore[misc]
            points = [_point(frame, group, x, y, by_hue) for group in same.values()]
            if not isinstance(points[0].x, str):
                points.sort(key=lambda point: (point.x, point.y))
            lines.append(Line(name, points, own_rows, connected(own_rows)))
        found.append(Panel(heading, lines))
    return found


def axes_of(frame: Frame, x: str, y: str, hue: str | None) -> tuple[list[str], list[str]]:
    """The axes along which points differ within a line, and those that tell lines apart."""
    free = frame.telling(
        (name for name in frame.varied if name not in (x, y, hue)), [hue] if hue in frame.varied else []
    )
    seeds = [SEED] if SEED in free else []
    if x in frame.settings:
        return [x], [name for name in free if name not in seeds]
    along = [name for name in free if name in (*SIZING, CHECKPOINT)]
    if SEED in (x, y, hue):
        seeds = []
    return along, [name for name in free if name not in (*along, *seeds)]


def parted(frame: Frame, others: Sequence[str], hue: str | None) -> tuple[str | None, list[str], list[str]]:
    """Which axis has colours, which stand beside it in a label, being some cells' alone, and which have panels."""
    if hue is not None and (hue in frame.settings or not frame.is_number(hue)):
        coloured: str | None = hue
    elif hue is not None:
        coloured = None
    else:
        coloured = next((name for name in (*_FIRST, *others) if name in others), None)
    rest = [name for name in others if name != coloured]
    own = [name for name in rest if any(row.get(name) is None for row in frame.rows)]
    return coloured, own, [name for name in rest if name not in own]


def grouped(rows: Iterable[Row], key: Callable[[Row], Any]) -> dict[Any, list[Row]]:
    """Rows by a key, in order."""
    found: dict[Any, list[Row]] = {}
    for row in rows:
        found.setdefault(key(row), []).append(row)
    return found


def mean_and_spread(values: Sequence[float]) -> tuple[float, float]:
    """The mean and the standard deviation, which of one value is 0."""
    return fmean(values), stdev(values) if len(values) > 1 else 0.0


def _short(name: str, value: Any) -> str:
    """A setting's value in a few words."""
    if name == "model":
        return str(value).rstrip("/").rpartition("/")[2] or str(value)
    if name == "task":
        return task_name(str(value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _point(frame: Frame, rows: Sequence[Row], x: str, y: str, hue: str | None) -> Point:
    """Cells as one point."""
    up, up_spread = mean_and_spread([float(row[y]) for row in rows])
    shades = [] if hue is None else [float(row[hue]) for row in rows if row.get(hue) is not None]
    shade = fmean(shades) if shades else None
    if isinstance(rows[0][x], str | bool):
        return Point(frame.said(x, rows[0][x]), up, 0.0, up_spread, len(rows), shade)
    right, right_spread = mean_and_spread([float(row[x]) for row in rows])
    return Point(right, up, right_spread, up_spread, len(rows), shade)


def over_seeds(frame: Frame, *columns: str | None, spread: bool = True) -> str:
    """What points of some columns are, where there are several seeds."""
    if SEED in columns or "cell" in columns:
        return ""
    n = len({repr(row.get(SEED)) for row in frame.rows})
    if SEED not in frame.varied or n < 2:
        return ""
    return f"{'mean and standard deviation' if spread else 'means'} over {counted(n, 'seed')}"
