"""Where the nodes and edges of a diagram lie.

A layout of our own, not Graphviz's: the layers are the rows, so only the order
within a row and the bend of each line are open. That keeps the picture as wide as
its fullest layer, takes time linear in the number of edges (Graphviz's own takes
minutes from a thousand edges on), and gives the same picture with every version of
Graphviz.

All lengths are in points (1/72 inch); y grows upwards, from the input to the logits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from acdc.circuit import Circuit
from acdc.graph import Edge, Letter, Node

#: Width and height of a node's box.
BOX = (54.0, 34.0)
#: Where a head's q, k and v slots lie, left or right of its middle.
SLOT_OFFSETS: dict[Letter | None, float] = {"q": -16.0, "k": 0.0, "v": 16.0, None: 0.0}
#: Length of an arrowhead: a line ends this far below the slot it reaches.
ARROW = 5.0

_COLUMN = 66.0  # from one node to the next in a row
_MAX_ROW = 16  # more heads than this in a layer stand in several rows
_SWEEPS = 8
_ASPECT = 0.7  # of width to height, at least
# Sideways bends of a line to choose from, near its start and near its end, as a share of its rise.
_BENDS = np.array([(a, b) for a in np.linspace(-1, 1, 9) for b in np.linspace(-1, 1, 9)])
_FURTHEST_BEND = 4 * _COLUMN


@dataclass(frozen=True)
class Layout:
    """Positions of everything in a diagram.

    Attributes:
        rows: y of each row's middle, and the nodes in it; bottom to top.
        places: middle of each node's box, by node name.
        curves: for each edge number, the four control points of its cubic Bezier
            curve, ``[4, 2]``; the last lies `ARROW` below the slot.
        left: the leftmost that a box or line reaches.
    """

    rows: list[tuple[float, list[Node]]]
    places: dict[str, tuple[float, float]]
    curves: dict[int, np.ndarray]
    left: float


def lay_out(circuit: Circuit) -> Layout:
    """Place the nodes that a kept edge touches, and bend the lines around the boxes; there must be a kept edge."""
    edges = list(circuit.edges())
    rows = _rows(circuit)
    # With many lines a taller picture keeps them steep, which is easier to follow.
    pitch = BOX[1] + min(28 + 0.2 * len(edges) / len(rows) ** 0.5, 40)
    height = (len(rows) - 1) * pitch + BOX[1]
    width = max(max(map(len, rows)) * _COLUMN, _ASPECT * height)
    x = _across(rows, edges, width)
    levels = [(BOX[1] / 2 + i * pitch, row) for i, row in enumerate(rows)]
    places = {node.name: (x[node.name], y) for y, row in levels for node in row}
    curves = _curves(edges, places)
    left = min(float((_bernstein(16) @ curve[:, 0]).min()) for curve in curves.values())
    return Layout(levels, places, curves, min(left, min(x.values()) - BOX[0] / 2))


def _rows(circuit: Circuit) -> list[list[Node]]:
    """The live nodes by layer, bottom to top; the MLP above its layer's heads, unless parallel."""
    graph = circuit.graph
    live = graph.live_nodes(circuit.in_graph)
    rows: dict[tuple[int, int], list[Node]] = {}
    for node in graph.nodes:
        if not live[node.index]:
            continue
        if node.layer is None:
            key = (graph.cfg.n_layers if node.kind == "logits" else -1, 0)
        else:
            key = (node.layer, int(node.kind == "mlp" and not graph.cfg.parallel_attn_mlp))
        rows.setdefault(key, []).append(node)
    out: list[list[Node]] = []
    for _, nodes in sorted(rows.items()):
        n_parts = math.ceil(len(nodes) / _MAX_ROW)
        out.extend(nodes[i::n_parts] for i in range(n_parts))
    return out


def _across(rows: list[list[Node]], edges: list[Edge], width: float) -> dict[str, float]:
    """The x of every node: near the mean of its neighbours', a column apart in its row.

    Sorts the rows on the way, so that the lines cross little (the barycentre heuristic).
    """
    neighbours: dict[str, list[str]] = {}
    for edge in edges:
        neighbours.setdefault(edge.source.name, []).append(edge.slot.node.name)
        neighbours.setdefault(edge.slot.node.name, []).append(edge.source.name)
    x = {node.name: (j + 0.5) * width / len(row) for row in rows for j, node in enumerate(row)}
    for sweep in range(_SWEEPS):
        for row in rows if sweep % 2 else reversed(rows):
            wanted = {
                node.name: sum(x[other] for other in neighbours[node.name]) / len(neighbours[node.name]) for node in row
            }
            row.sort(key=lambda node: (wanted[node.name], node.index))
            x.update(zip([node.name for node in row], _apart([wanted[node.name] for node in row], width), strict=True))
    return x


def _apart(wanted: list[float], width: float) -> list[float]:
    """The places nearest to `wanted` (ascending) that lie a step apart and within `width`.

    Least squares under an order: pool neighbours that come too near to each other.
    """
    step = max(_COLUMN, 0.8 * width / len(wanted))
    pools: list[list[float]] = []  # of places less the steps before them
    for i, place in enumerate(wanted):
        pools.append([place - i * step])
        while len(pools) > 1 and _mean(pools[-2]) > _mean(pools[-1]):
            last = pools.pop()
            pools[-1] += last
    last_start = width - _COLUMN / 2 - (len(wanted) - 1) * step
    starts = [min(max(_mean(pool), _COLUMN / 2), last_start) for pool in pools for _ in pool]
    return [start + i * step for i, start in enumerate(starts)]


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _curves(edges: list[Edge], places: dict[str, tuple[float, float]]) -> dict[int, np.ndarray]:
    """A curve for each edge, with the bends that run the least behind boxes."""
    boxes = np.array(list(places.values())).reshape(-1, 2)
    reach = np.array(BOX) / 2 + 3
    curves = {}
    for edge in edges:
        (x0, y0), (x1, y1) = places[edge.source.name], places[edge.slot.node.name]
        start = np.array([x0, y0 + BOX[1] / 2])
        end = np.array([x1 + SLOT_OFFSETS[edge.slot.letter], y1 - BOX[1] / 2 - ARROW])
        rise = end[1] - start[1]
        upwards = np.array([0, 0.4 * rise])
        curve = np.array([start, start + upwards, end - upwards, end])
        basis = _bernstein(8 + int(rise / 10))  # [points, 4]
        # A bend moves points sideways only, so which point may lie in which box is known beforehand.
        between = boxes[(boxes[:, 1] > y0) & (boxes[:, 1] < y1)]
        point, box = np.nonzero(np.abs((basis @ curve[:, 1])[:, None] - between[:, 1]) < reach[1])
        sideways = _BENDS * min(rise, _FURTHEST_BEND)  # [bends, 2], of the two middle control points
        x = basis[point] @ curve[:, 0] + sideways @ basis[point, 1:3].T  # [bends, points in some box's rows]
        behind = (np.abs(x - between[box, 0]) < reach[0]).sum(1)
        curve[1:3, 0] += sideways[np.argmin(behind + 0.4 * np.abs(_BENDS).sum(1))]
        curves[edge.number] = curve
    return curves


@cache
def _bernstein(n_points: int) -> np.ndarray:
    """Weights of a cubic curve's control points along it, ``[n_points, 4]``."""
    t = np.linspace(0, 1, n_points)[:, None]
    return np.hstack([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3])
