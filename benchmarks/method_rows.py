"""What benchmarks/methods.py measures of a method on a case, as tables and a picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from plots import save, styled
from published import published

#: By a marker, methods that work alike: by decisions and exact effects, by gradients, by other attribution, by masks.
_ALIKE = {
    "s": ("acdc", "hybrid", "patching"),
    "o": ("eap", "eap-ig", "conductance", "eap-ig-activations", "clean-corrupted"),
    "D": ("relp", "gim", "ifr", "hisp"),
    "^": ("sp", "edge-pruning", "ugs"),
}
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")


@dataclass(frozen=True)
class Row:
    """A method on a case; ``None`` where there is no such figure.

    Attributes:
        group, case, method: what it is.
        edges, of: of the circuit and of the graph.
        seconds: of the method alone.
        forwards, backwards: over all prompts, as the method says.
        residual: of its identity, as a share of the metric's change.
        precision, recall: of the circuit's edges.
        roc: area by the step rule, of all cuts through the scores; of what has none that rank, through one point.
        auroc: MIB's.
        kl, faithfulness, right, right_of_model: on held-out prompts.
        cpr, cmd: MIB's, of the edges of largest score and of largest magnitude.
        log_distance: ours, of the edges of largest score: the mean of ``|1 - f|`` over log size.
        smallest: edges of the smallest circuit that is faithful (0.9 to 1.1), likewise.
        failed: why there is no circuit.
    """

    group: str
    case: str
    method: str
    edges: int | None = None
    of: int | None = None
    seconds: float | None = None
    forwards: float | None = None
    backwards: float | None = None
    residual: float | None = None
    precision: float | None = None
    recall: float | None = None
    roc: float | None = None
    auroc: float | None = None
    kl: float | None = None
    faithfulness: float | None = None
    right: float | None = None
    right_of_model: float | None = None
    cpr: float | None = None
    cmd: float | None = None
    log_distance: float | None = None
    smallest: int | None = None
    failed: str = ""


def tables(rows: Sequence[Row]) -> Iterable[str]:
    """Markdown: known circuits by group, means over its models; others by model and task."""
    known = [row for row in rows if row.precision is not None or row.recall is not None]
    for group in dict.fromkeys(row.group for row in known):
        yield from ("", f"**{group}**: {len({row.case for row in known if row.group == group})} known circuits", "")
        yield "| method | ROC | ROC by MIB | precision | recall | seconds | residual |"
        yield "|---|--:|--:|--:|--:|--:|--:|"
        own = [row for row in known if row.group == group]
        names = dict.fromkeys(row.method for row in own)
        means = [(name, [row for row in own if row.method == name]) for name in names]
        for name, found in sorted(means, key=lambda one: -(_mean(one[1], "roc") or 0)):
            figures = [_mean(found, figure) for figure in ("roc", "auroc", "precision", "recall")]
            seconds, residual = _mean(found, "seconds"), _mean(found, "residual")
            shown = " | ".join(_said(one, ".3f") for one in figures)
            yield f"| `{name}` | {shown} | {_said(seconds, '.1f')} | {_said(residual, '.0%')} |"
    others = [row for row in rows if row.kl is not None]
    for case in dict.fromkeys(row.case for row in others):
        own = sorted((row for row in others if row.case == case), key=lambda row: row.kl or 0.0)
        yield from ("", f"**{case}**, held out; the model is right on {own[0].right_of_model:.0%}", "")
        yield "| method | edges | KL | faithfulness | right | CPR | CMD | ours | smallest | seconds |"
        yield "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
        for row in own:
            first = f"| `{row.method}` | {row.edges:,} | {_said(row.kl, '.3f')} | {_said(row.faithfulness, '.0%')}"
            areas = " | ".join(_said(one, ".3f") for one in (row.cpr, row.cmd, row.log_distance))
            last = f"{_said(row.smallest, ',')} | {_said(row.seconds, '.1f')} |"
            yield f"{first} | {_said(row.right, '.0%')} | {areas} | {last}"
    yield from published({row.case for row in rows})
    failed = [row for row in rows if row.failed]
    if failed:
        yield ""
        yield from (f"- `{row.method}` on {row.case}: {row.failed}" for row in failed)


def _mean(rows: Iterable[Row], figure: str) -> float | None:
    values = [value for row in rows if (value := getattr(row, figure)) is not None]
    return mean(values) if values else None


def _said(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def draw(rows: Sequence[Row], folder: Path) -> list[Path]:
    """What each method reaches for its seconds, a panel a group of known circuits or a case; gives the files."""
    known = {row.group: "area under ROC" for row in rows if row.roc is not None}
    others = {row.case: "faithfulness, held out" for row in rows if row.faithfulness is not None}
    panels = {**known, **others}
    if not panels:
        return []
    with styled() as plt:
        drawn: dict[str, Any] = {}
        n_columns = min(3, len(panels))
        n_rows = -(-len(panels) // n_columns)
        figure, grid = plt.subplots(
            n_rows, n_columns, figsize=(2.6 * n_columns + 1.4, 2.2 * n_rows), layout="constrained", squeeze=False
        )
        for axes, (name, figure_of) in zip(grid.flat, panels.items(), strict=False):
            for method, seconds, reached in _points(rows, name, is_known=name in known):
                marker, colour = _look(method)
                drawn[method] = axes.plot(seconds, reached, marker, color=colour, markersize=5, mew=0)[0]
            axes.set(title=name, xscale="log", xlabel="seconds", ylabel=figure_of)
        for axes in list(grid.flat)[len(panels) :]:
            axes.set_axis_off()
        figure.legend(drawn.values(), drawn, loc="outside right upper")
        written = save(figure, folder, "methods")
        plt.close(figure)
    return written


def _look(method: str) -> tuple[str, str]:
    """Marker and colour: of one marker are those that work alike, and colours come in the order of the registry."""
    family = next((names for names in _ALIKE.values() if method in names), (method,))
    marker = next((marker for marker, names in _ALIKE.items() if method in names), "P")
    return marker, _COLOURS[family.index(method) % len(_COLOURS)]


def _points(rows: Sequence[Row], name: str, *, is_known: bool) -> Iterable[tuple[str, float, float]]:
    """Of each method its seconds and what it reaches, means over the models of a group."""
    own = [row for row in rows if (row.group if is_known else row.case) == name]
    for method in dict.fromkeys(row.method for row in own):
        found = [row for row in own if row.method == method]
        seconds, reached = _mean(found, "seconds"), _mean(found, "roc" if is_known else "faithfulness")
        if seconds and reached is not None:
            yield method, seconds, reached
