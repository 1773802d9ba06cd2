"""The way of each line in a diagram: upwards, through the gaps between the boxes.

A line is x as a smooth function of y. Behind a box it could only run within a row's band,
so it takes one gap of every row that it passes, and is held inside that gap where the band
begins and where it ends. Between two such knots it is a monotone cubic (Fritsch and
Carlson, SIAM J. Numer. Anal. 17, 1980), which never leaves the range of its ends; so it
stays inside the gap all the way, and no sampling is needed to know it.
"""

from __future__ import annotations

import bisect
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

_LANE = 2.5  # between two lines in one gap, if there is room
_SPREAD = 60.0  # from the first to the last of them, where they hug a box
_OUTSIDE = 1e5  # how far the gaps beside a row reach
_CROWDED = 30.0  # the cost of a gap that is full, in points of detour
_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Band:
    """A row's height, and the widths in it that boxes take.

    Attributes:
        bottom: y where it begins.
        top: y where it ends.
        boxes: left and right of each, in order and apart.
    """

    bottom: float
    top: float
    boxes: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Line:
    """Where a line begins and ends.

    Attributes:
        key: what it is known by.
        start: x and y.
        end: x and y, above the start.
        rows: the bands between, bottom to top.
    """

    key: int
    start: tuple[float, float]
    end: tuple[float, float]
    rows: range


def route(bands: Sequence[Band], lines: Sequence[Line]) -> dict[int, np.ndarray]:
    """Control points of every line's cubic Bezier curves, ``[1 + 3 n, 2]``, by its key.

    Args:
        bands: the rows, bottom to top.
        lines: the first ones choose their gaps first.
    """
    gaps = [_gaps(band) for band in bands]
    load = [np.zeros(len(row)) for row in gaps]
    taken: dict[tuple[int, int], list[tuple[float, int, int]]] = defaultdict(list)
    for i, line in enumerate(lines):
        straight = _straight(line, bands)
        for row, wanted, gap in zip(line.rows, straight, _choose(line, straight, bands, gaps, load), strict=True):
            load[row][gap] += 1
            taken[row, gap].append((float(wanted), i, line.key))
    lanes = _lanes(gaps, taken)
    return {line.key: _curve(line, bands, lanes) for line in lines}


def _gaps(band: Band) -> np.ndarray:
    """The free widths of a row from left to right, ``[n boxes + 1, 2]``."""
    sides = [band.boxes[0][0] - _OUTSIDE, *(side for box in band.boxes for side in box), band.boxes[-1][1] + _OUTSIDE]
    return np.array(sides).reshape(-1, 2)


def _straight(line: Line, bands: Sequence[Band]) -> np.ndarray:
    """The x of a line that meets no box, in the middle of each of its rows."""
    (x0, y0), (x1, y1) = line.start, line.end
    middles = np.array([(bands[row].bottom + bands[row].top) / 2 for row in line.rows])
    t = (middles - y0) / (y1 - y0)
    return x0 + (x1 - x0) * t * t * (3 - 2 * t)


def _choose(
    line: Line, straight: np.ndarray, bands: Sequence[Band], gaps: Sequence[np.ndarray], load: Sequence[np.ndarray]
) -> list[int]:
    """The gap of each row for a line, so that it leaves its straight way the least: a shortest path, row by row."""
    detour, cost, y = np.zeros(1), np.zeros(1), line.start[1]
    came_from = []
    for row, x in zip(line.rows, straight, strict=True):
        low, high = gaps[row].T
        away = np.clip(x, low, high) - x
        middle = (bands[row].bottom + bands[row].top) / 2
        steps = cost + (away[:, None] - detour) ** 2 / (middle - y)  # [gaps here, gaps in the row below]
        came_from.append(steps.argmin(1))
        with np.errstate(divide="ignore"):  # no line goes where two boxes touch
            crowd = np.maximum((load[row] + 1) * _LANE / (high - low) - 1, 0)
        cost = steps.min(1) + 0.05 * np.abs(away) + _CROWDED * crowd
        detour, y = away, middle
    best = int((cost + detour**2 / (line.end[1] - y)).argmin())
    chosen = []
    for back in reversed(came_from):
        chosen.append(best)
        best = int(back[best])
    return chosen[::-1]


def _lanes(
    gaps: Sequence[np.ndarray], taken: dict[tuple[int, int], list[tuple[float, int, int]]]
) -> dict[tuple[int, int], tuple[float, float]]:
    """Between which x each line may pass each row, by row and key.

    Lines that share a gap keep apart where they would all hug the same box: each leaves room
    for those that want to be further left or right.
    """
    out = {}
    for (row, gap), lines in taken.items():
        low, high = gaps[row][gap]
        apart = min(_LANE, min(high - low, _SPREAD) / max(len(lines) - 1, 1))
        for i, (_, _, key) in enumerate(sorted(lines)):
            out[row, key] = (float(low + i * apart), float(high - (len(lines) - 1 - i) * apart))
    return out


def _curve(line: Line, bands: Sequence[Band], lanes: dict[tuple[int, int], tuple[float, float]]) -> np.ndarray:
    """A line through its lanes, with as few knots as keep it there."""
    ys = [y for row in line.rows for y in (bands[row].bottom, bands[row].top)]
    limits = [lanes[row, line.key] for row in line.rows for _ in range(2)]
    knots = [(line.start[1], line.start[0]), (line.end[1], line.end[0])]
    while True:
        slopes = _slopes(knots)
        worst, place = _TOLERANCE, None
        piece = 0
        for y, (low, high) in zip(ys, limits, strict=True):
            while knots[piece + 1][0] < y:
                piece += 1
            x = _value(knots, slopes, piece, y)
            outside = max(low - x, x - high)
            if outside > worst:
                worst, place = outside, (y, low if x < low else high)
        if place is None:
            return _bezier(knots, slopes)
        bisect.insort(knots, place)


def _slopes(knots: list[tuple[float, float]]) -> list[float]:
    """dx/dy at each knot: upright at both ends, and else the parabola's, as far as each piece stays monotone."""
    slopes = [0.0]
    for (y0, x0), (y1, x1), (y2, x2) in zip(knots, knots[1:], knots[2:], strict=False):
        below, above = (x1 - x0) / (y1 - y0), (x2 - x1) / (y2 - y1)
        if below * above <= 0:
            slopes.append(0.0)
            continue
        parabola = (below * (y2 - y1) + above * (y1 - y0)) / (y2 - y0)
        slopes.append(math.copysign(min(abs(parabola), 3 * abs(below), 3 * abs(above)), above))
    return [*slopes, 0.0]


def _value(knots: list[tuple[float, float]], slopes: list[float], piece: int, y: float) -> float:
    """The x of a curve at a y of its `piece`."""
    (y0, x0), (y1, x1) = knots[piece], knots[piece + 1]
    rise = y1 - y0
    t = (y - y0) / rise
    return (
        x0 * (1 + 2 * t) * (1 - t) ** 2
        + slopes[piece] * rise * t * (1 - t) ** 2
        + x1 * t * t * (3 - 2 * t)
        + slopes[piece + 1] * rise * t * t * (t - 1)
    )


def _bezier(knots: list[tuple[float, float]], slopes: list[float]) -> np.ndarray:
    points = [(knots[0][1], knots[0][0])]
    for i, ((y0, x0), (y1, x1)) in enumerate(pairwise(knots)):
        third = (y1 - y0) / 3
        points += [(x0 + third * slopes[i], y0 + third), (x1 - third * slopes[i + 1], y1 - third), (x1, y1)]
    return np.array(points)
