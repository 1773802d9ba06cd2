"""Where the nodes and edges of a diagram lie.

A layout of our own, not Graphviz's: the layers are the rows and the heads stand in
numeric order, so only the distances within a row and the way of each line are open. That
takes time linear in the number of edges (Graphviz's own takes minutes from a thousand
edges on), and gives the same picture with every version of Graphviz.

All lengths are in points (1/72 inch); y grows upwards, from the input to the logits.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from acdc.export.routing import Band, Line, route
from acdc.graph import Edge, Graph, Letter, Node

#: Width and height of a node's box.
BOX = (54.0, 34.0)
#: Where a head's q, k and v slots lie, left or right of its middle.
SLOT_OFFSETS: dict[Letter | None, float] = {"q": -16.0, "k": 0.0, "v": 16.0, None: 0.0}
#: Length of an arrowhead: a line ends this far below the slot it reaches.
ARROW = 5.0

_CLEAR = 5.0  # between a box and the middle of a line that passes it
_LANE = 2.0  # room for a line between two boxes
_GAPS = (8.0, 44.0)  # room for all lines between two boxes, at least and at most
_CHANNELS = (36.0, 72.0)  # height between two rows, likewise
_MAX_ROW = 16  # more heads than this in a layer stand in several rows
_SWEEPS = 8
_ASPECT = 0.7  # of width to height, at least
_FAN = 38.0  # of the lines that leave a box, or that reach a slot as wide as a box
_APART = (3.0, 6.0)  # at most from one such line to the next: leaving, arriving


@dataclass(frozen=True)
class Layout:
    """Positions of everything in a diagram.

    Attributes:
        rows: y of each row's middle, and the nodes in it from left to right; bottom to top.
        places: middle of each node's box, by node name.
        curves: for each edge number, the control points of its cubic Bezier curves, one after
            the other, ``[1 + 3 n, 2]``; the last lies `ARROW` below the slot.
        left: the leftmost that a box or line reaches.
    """

    rows: list[tuple[float, list[Node]]]
    places: dict[str, tuple[float, float]]
    curves: dict[int, np.ndarray]
    left: float


def lay_out(graph: Graph, edges: Sequence[Edge]) -> Layout:
    """Place the nodes that an edge touches, and lead the lines around the boxes.

    No line runs behind a box that isn't its end.

    Args:
        graph: the graph.
        edges: at least one, those first that are to have the straightest way.
    """
    layers = _layers(graph, edges)
    rows = [layer[i :: _rows_of(layer)] for layer in layers for i in range(_rows_of(layer))]
    row_of = {node.name: i for i, row in enumerate(rows) for node in row}
    crossing = np.zeros(len(rows))  # lines that pass each row
    for edge in edges:
        crossing[row_of[edge.source.name] + 1 : row_of[edge.slot.node.name]] += 1
    crowd = float(max(crossing / (1 + np.array([len(row) for row in rows]))))
    column = BOX[0] + 2 * _CLEAR + _within(_LANE * crowd, _GAPS)
    # With many lines a taller picture keeps them steep, which is easier to follow.
    pitch = BOX[1] + _within(_CHANNELS[0] + 0.2 * len(edges) / len(rows) ** 0.5, _CHANNELS)
    height = (len(rows) - 1) * pitch + BOX[1]
    width = max(max(map(len, rows)) * column, _ASPECT * height)
    x = _across(layers, edges, width, column)
    levels = [(BOX[1] / 2 + i * pitch, row) for i, row in enumerate(rows)]
    places = {node.name: (x[node.name], y) for y, row in levels for node in row}
    curves = lead(levels, places, edges)
    left = min(float(curve[:, 0].min()) for curve in curves.values())
    return Layout(levels, places, curves, min(left, min(x.values()) - BOX[0] / 2))


def lead(
    rows: Sequence[tuple[float, Sequence[Node]]], places: Mapping[str, tuple[float, float]], edges: Sequence[Edge]
) -> dict[int, np.ndarray]:
    """The lines of edges around boxes that have their places.

    Args:
        rows: y of each row's middle, and the nodes in it from left to right; bottom to top.
        places: middle of each node's box, by node name.
        edges: those first that are to have the straightest way.

    Returns:
        As :attr:`Layout.curves`.
    """
    x = {name: place[0] for name, place in places.items()}
    bands = [
        Band(
            bottom=y - BOX[1] / 2 - ARROW - 1,
            top=y + BOX[1] / 2 + _CLEAR,
            boxes=[(x[node.name] - BOX[0] / 2 - _CLEAR, x[node.name] + BOX[0] / 2 + _CLEAR) for node in row],
        )
        for y, row in rows
    ]
    row_of = {node.name: i for i, (_, row) in enumerate(rows) for node in row}
    return route(bands, _lines(edges, places, row_of))


def _within(value: float, limits: tuple[float, float]) -> float:
    return min(max(value, limits[0]), limits[1])


def _layers(graph: Graph, edges: Sequence[Edge]) -> list[list[Node]]:
    """The nodes by layer, bottom to top and in order; an MLP above its layer's heads, unless parallel."""
    live = {edge.source.index for edge in edges} | {edge.slot.node.index for edge in edges}
    layers: dict[tuple[int, int], list[Node]] = {}
    for node in graph.nodes:
        if node.index not in live:
            continue
        if node.layer is None:
            key = (graph.cfg.n_layers if node.kind == "logits" else -1, 0)
        else:
            key = (node.layer, int(node.kind == "mlp" and not graph.cfg.parallel_attn_mlp))
        layers.setdefault(key, []).append(node)
    return [layer for _, layer in sorted(layers.items())]


def _rows_of(layer: list[Node]) -> int:
    """How many rows a layer takes; its nodes go to them in turn, so that they stay in order from left to right."""
    return math.ceil(len(layer) / _MAX_ROW)


def _across(layers: list[list[Node]], edges: Sequence[Edge], width: float, column: float) -> dict[str, float]:
    """The x of every node: near the mean of its neighbours', in numeric order, a column apart in its row."""
    neighbours: dict[str, list[str]] = defaultdict(list)
    for edge in edges:
        neighbours[edge.source.name].append(edge.slot.node.name)
        neighbours[edge.slot.node.name].append(edge.source.name)
    x = {node.name: (j + 0.5) * width / len(layer) for layer in layers for j, node in enumerate(layer)}
    for sweep in range(_SWEEPS):
        for layer in layers if sweep % 2 else reversed(layers):
            wanted = [_mean([x[other] for other in neighbours[node.name]]) for node in layer]
            step = max(column / _rows_of(layer), 0.8 * width / len(layer))
            x.update(zip([node.name for node in layer], _apart(wanted, step, width), strict=True))
    return x


def _apart(wanted: list[float], step: float, width: float) -> list[float]:
    """The places nearest to `wanted` that lie at least a step apart, in the same order, and within `width`.

    Least squares under an order: pool neighbours that come too near to each other.
    """
    pools: list[list[float]] = []  # of places less the steps before them
    for i, place in enumerate(wanted):
        pools.append([place - i * step])
        while len(pools) > 1 and _mean(pools[-2]) > _mean(pools[-1]):
            last = pools.pop()
            pools[-1] += last
    first, last_start = BOX[0] / 2, width - BOX[0] / 2 - (len(wanted) - 1) * step
    starts = [max(min(_mean(pool), last_start), first) for pool in pools for _ in pool]
    return [start + i * step for i, start in enumerate(starts)]


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _lines(edges: Sequence[Edge], places: Mapping[str, tuple[float, float]], row_of: dict[str, int]) -> list[Line]:
    """Where every line begins and ends: lines out of one box, and into an MLP or the logits, are spread."""

    def lean(edge: Edge) -> float:
        (x0, y0), (x1, y1) = places[edge.source.name], places[edge.slot.node.name]
        return (x1 - x0) / (y1 - y0)

    leaving = _spread(edges, lambda edge: edge.source.name, lean, _APART[0])
    wide = [edge for edge in edges if edge.slot.letter is None]
    arriving = _spread(wide, lambda edge: edge.slot.name, lambda edge: -lean(edge), _APART[1])
    lines = []
    for edge in edges:
        (x0, y0), (x1, y1) = places[edge.source.name], places[edge.slot.node.name]
        end = x1 + SLOT_OFFSETS[edge.slot.letter] + arriving.get(edge.number, 0.0)
        lines.append(
            Line(
                key=edge.number,
                start=(x0 + leaving[edge.number], y0 + BOX[1] / 2),
                end=(end, y1 - BOX[1] / 2 - ARROW),
                rows=range(row_of[edge.source.name] + 1, row_of[edge.slot.node.name]),
            )
        )
    return lines


def _spread(
    edges: Sequence[Edge], place: Callable[[Edge], str], lean: Callable[[Edge], float], apart: float
) -> dict[int, float]:
    """How far left or right of the middle each line touches a box, by edge number."""
    groups: dict[str, list[Edge]] = defaultdict(list)
    for edge in edges:
        groups[place(edge)].append(edge)
    out = {}
    for group in groups.values():
        group.sort(key=lambda edge: (lean(edge), edge.number))
        step = min(apart, _FAN / max(len(group) - 1, 1))
        out.update({edge.number: (i - (len(group) - 1) / 2) * step for i, edge in enumerate(group)})
    return out
