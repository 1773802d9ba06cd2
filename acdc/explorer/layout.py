"""Where the nodes and edges of the explorer's graph lie.

Unlike a diagram's (:mod:`acdc.export.layout`), places say what a node is: a head has its column, the MLPs have one
of their own beside them, and each layer its stripe. So nothing moves while edges come and go, and two pages of one
model can be laid side by side. Lines are led around the boxes as in a diagram.

Lengths are the units of an SVG, y downwards: the logits on top, the input at the bottom.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from acdc.export.layout import BOX, lead
from acdc.graph import Edge, Graph, Node

_LANE = 0.8  # room for a line between two columns
_GAPS = (10.0, 40.0)  # between two columns, at least and at most
_CHANNELS = (24.0, 46.0)  # height between two layers, likewise
_ABOVE = 18.0  # between a layer's heads and its MLP
_SQUARE, _TALLER = 1.0, 60.0  # of height to width, as far as channels so much higher give it
_ASPECT = 0.75  # of width to height, at least: deep models have room for their lines
_BESIDE = 64.0  # between the heads and the MLPs, where long lines pass
_MARGIN = 16.0


@dataclass(frozen=True)
class Stripe:
    """A layer, or the input or the logits.

    Attributes:
        label: what it is called.
        y: its middle.
        top: where it begins.
        bottom: where it ends.
    """

    label: str
    y: float
    top: float
    bottom: float


@dataclass(frozen=True)
class Placed:
    """Positions of everything in the page's graph.

    Attributes:
        size: width and height of all of it.
        stripes: bottom to top.
        places: middle of each node's box, by node name; nodes that no edge touches have none.
        paths: by edge number, its line as the ``d`` of an SVG path, from its source's box to just below its slot.
    """

    size: tuple[float, float]
    stripes: list[Stripe]
    places: dict[str, tuple[float, float]]
    paths: dict[int, str]


def place(graph: Graph, edges: Sequence[Edge]) -> Placed:
    """Place the nodes that an edge touches, and lead the lines around the boxes.

    Args:
        graph: the graph.
        edges: those first that are to have the straightest way.
    """
    if not edges:
        return Placed((2 * BOX[0], 2 * BOX[1]), [], {}, {})
    rows = _rows(graph, edges)
    gap = _within(_LANE * len(edges) / len(rows), _GAPS)
    channel = _within(_CHANNELS[0] + 0.3 * len(edges) / len(rows), _CHANNELS)
    n_columns = _n_columns(rows)
    lack = _SQUARE * n_columns * (BOX[0] + gap) - _levels(rows, channel)[-1][0]
    levels = _levels(rows, channel + _within(lack / len(rows), (0.0, _TALLER)))
    x = _columns(rows, max(BOX[0] + gap, _ASPECT * levels[-1][0] / n_columns))
    places = {node.name: (x[node.name], y) for y, row in levels for node in row}
    curves = lead(levels, places, edges)
    left = min([min(float(curve[:, 0].min()) for curve in curves.values()), min(x.values()) - BOX[0] / 2]) - _MARGIN
    right = max([max(float(curve[:, 0].max()) for curve in curves.values()), max(x.values()) + BOX[0] / 2]) + _MARGIN
    top = levels[-1][0] + BOX[1] / 2 + _MARGIN

    def turned(point: tuple[float, float] | np.ndarray) -> tuple[float, float]:
        return (round(float(point[0]) - left, 1), round(top - float(point[1]), 1))

    return Placed(
        size=(round(right - left, 1), round(top + _MARGIN, 1)),
        stripes=_stripes(levels, top, channel),
        places={name: turned(point) for name, point in places.items()},
        paths={number: _path([turned(point) for point in curve]) for number, curve in curves.items()},
    )


def _within(value: float, limits: tuple[float, float]) -> float:
    return min(max(value, limits[0]), limits[1])


def _rows(graph: Graph, edges: Sequence[Edge]) -> list[list[Node]]:
    """The nodes that an edge touches by row, bottom to top: an MLP above its layer's heads, unless parallel."""
    live = {edge.source.index for edge in edges} | {edge.slot.node.index for edge in edges}
    rows: dict[tuple[int, bool], list[Node]] = defaultdict(list)
    for node in graph.nodes:
        if node.index in live:
            outside = graph.cfg.n_layers if node.kind == "logits" else -1
            above = node.kind == "mlp" and not graph.cfg.parallel_attn_mlp
            rows[outside if node.layer is None else node.layer, above].append(node)
    return [row for _, row in sorted(rows.items())]


def _levels(rows: list[list[Node]], channel: float) -> list[tuple[float, list[Node]]]:
    """The y of every row's middle, upwards, with the row."""
    levels, y = [], BOX[1] / 2
    for i, row in enumerate(rows):
        if i:
            together = row[0].kind == "mlp" and row[0].layer == rows[i - 1][0].layer
            y += BOX[1] + (_ABOVE if together else channel)
        levels.append((y, row))
    return levels


def _n_columns(rows: list[list[Node]]) -> int:
    return len({(node.kind == "mlp", node.head) for row in rows for node in row if node.layer is not None}) or 1


def _columns(rows: list[list[Node]], step: float) -> dict[str, float]:
    """The x of every node: heads by number, MLPs beside them, the input and the logits in the middle."""
    heads = sorted({node.head for row in rows for node in row if node.head is not None})
    column = {head: i * step for i, head in enumerate(heads)}
    width = max(len(heads) - 1, 0) * step
    x = {}
    for row in rows:
        ends = [node for node in row if node.layer is None]
        for i, node in enumerate(ends):
            x[node.name] = width / 2 + (i - (len(ends) - 1) / 2) * step
        for node in row:
            if node.head is not None:
                x[node.name] = column[node.head]
            elif node.kind == "mlp":
                x[node.name] = width + BOX[0] + _BESIDE if heads else 0.0
    return x


def _stripes(levels: list[tuple[float, list[Node]]], top: float, channel: float) -> list[Stripe]:
    """The layers' stripes, each as high as its rows."""
    named: dict[str, list[float]] = defaultdict(list)
    for y, row in levels:
        named[row[0].kind if row[0].kind == "logits" else _label(row[0])].append(y)
    beyond = BOX[1] / 2 + min(channel, _CHANNELS[0]) / 2
    return [
        Stripe(
            label, round(top - (ys[0] + ys[-1]) / 2, 1), round(top - ys[-1] - beyond, 1), round(top - ys[0] + beyond, 1)
        )
        for label, ys in named.items()
    ]


def _label(node: Node) -> str:
    return "input" if node.layer is None else f"layer {node.layer}"


def _path(points: list[tuple[float, float]]) -> str:
    """Bezier curves from point to point, told by the differences, which are shorter."""
    out = [f"M{points[0][0]:g} {points[0][1]:g}"]
    for start in range(0, len(points) - 1, 3):
        x, y = points[start]
        moves = [f"{value:.1f}" for a, b in points[start + 1 : start + 4] for value in (a - x, b - y)]
        out.append("c" + " ".join(_short(move) for move in moves))
    return "".join(out)


def _short(number: str) -> str:
    return number.rstrip("0").rstrip(".").replace("-0.", "-.").lstrip("0") or "0" if "." in number else number
