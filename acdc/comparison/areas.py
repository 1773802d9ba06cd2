"""What a curve of faithfulness over sizes amounts to: MIB's two areas, and two that can't be gamed.

Source of the first: the MIB benchmark (arXiv 2504.13151), as its code computes them. In those 85 hundredths of the area
are decided at a fifth of all edges and above, a quarter by the full model, which every method has for nothing; an
overshoot pays for what is missing; and sizes are counted before edges on no path are left out. :func:`log_areas`
changes these three. Nothing here imports torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from acdc.asked import shown
from acdc.errors import SettingsError

#: MIB's ten sizes, as shares of all edges.
MIB_SHARES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
#: A circuit is faithful where its faithfulness lies from the one to the other.
BAND = (0.9, 1.1)
#: Log-spaced sizes from one to ten times as much.
_A_DECADE = 4


@dataclass(frozen=True)
class MibAreas:
    """MIB's figures of one curve.

    Attributes:
        cpr: the integrated circuit performance ratio, the area under f over the share of edges; more is better, and
            more than 1 is an overshoot. MIB takes it of the edges of the largest scores.
        cmd: the integrated circuit-model distance, the area under abs(1 - f); less is better. MIB takes it of
            the edges of the scores of largest magnitude. Where f crosses 1 between two sizes, it is overstated.
        average: the mean of f over the sizes.
    """

    cpr: float
    cmd: float
    average: float


@dataclass(frozen=True)
class LogAreas:
    """Means over the logarithm of the measured size, from one edge up to the largest size below the whole graph.

    Attributes:
        faithfulness: of f.
        distance: of abs(1 - f); 0 is best, and 1 is what an empty circuit has.
    """

    faithfulness: float
    distance: float


def mib_sizes(n_edges: int) -> tuple[int, ...]:
    """MIB's ten sizes of a graph of so many edges, cut down to whole ones.

    >>> mib_sizes(32491)
    (32, 64, 162, 324, 649, 1624, 3249, 6498, 16245, 32491)
    """
    return tuple(int(share * n_edges) for share in MIB_SHARES)


def log_sizes(n_edges: int) -> tuple[int, ...]:
    """Sizes below the whole graph, four from one to ten times as much, at even steps of their logarithm.

    >>> log_sizes(1108)
    (1, 2, 3, 6, 10, 18, 32, 56, 100, 178, 316, 562, 1000)
    """
    n = math.ceil(_A_DECADE * math.log10(n_edges)) + 1
    return tuple(sorted({size for i in range(n) if (size := round(10 ** (i / _A_DECADE))) < n_edges}))


def mib_areas(faithfulness: Sequence[float]) -> MibAreas:
    """CPR and CMD as MIB's code computes them, by the trapezoid rule over the nominal shares.

    Args:
        faithfulness: of circuits of MIB's ten sizes, in order; or of the nine below the full model, whose f is 1.

    Raises:
        SettingsError: there are fewer or more; MIB's evaluator lets them slide to other sizes, which gives
            another number. Or one is no finite number.
    """
    found = [float(one) for one in faithfulness]
    if len(found) == len(MIB_SHARES) - 1:
        found.append(1.0)
    if len(found) != len(MIB_SHARES):
        raise SettingsError(
            f"CPR and CMD are of circuits of exactly {len(MIB_SHARES) - 1} sizes and the full model, not of "
            f"{len(found)}; give one for each of the shares {', '.join(f'{share:g}' for share in MIB_SHARES)}."
        )
    if not np.isfinite(found).all():
        raise SettingsError(f"a faithfulness is a finite number, not {shown(min(found, key=math.isfinite))}.")
    cpr = cmd = 0.0
    for (left, f_left), (right, f_right) in pairwise(zip(MIB_SHARES, found, strict=True)):
        cpr += (right - left) * (f_left + f_right) / 2
        cmd += (right - left) * (abs(1 - f_left) + abs(1 - f_right)) / 2
    return MibAreas(cpr, cmd, sum(found) / len(found))


def log_areas(sizes: Sequence[int], faithfulness: Sequence[float], n_edges: int) -> LogAreas:
    """Ours beside MIB's: over the logarithm of what was measured, without the full model, crossings taken apart.

    Between two sizes f is a straight line; before the first circuit with an edge it is 0, after the last it stays.

    Args:
        sizes: measured ones: edges left when those on no path are out.
        faithfulness: one a size.
        n_edges: of the whole graph; circuits that have them all don't count.
    """
    # Of equal sizes the last counts: it was asked for with the most edges.
    points = sorted({size: f for size, f in zip(sizes, faithfulness, strict=True) if 0 < size < n_edges}.items())
    end = math.log(max(log_sizes(n_edges)[-1], *(size for size, _ in points), 2))
    if not points:
        return LogAreas(0.0, 1.0)
    begin = math.log(points[0][0])
    area, distance = 0.0, begin
    for (left, f_left), (right, f_right) in pairwise([*points, (math.exp(end), points[-1][1])]):
        width = math.log(right) - math.log(left)
        area += width * (f_left + f_right) / 2
        distance += width * _mean_size(1 - f_left, 1 - f_right)
    return LogAreas(area / end, distance / end)


def smallest_faithful(sizes: Sequence[int], faithfulness: np.ndarray) -> np.ndarray:
    """The smallest size at which faithfulness lies in :data:`BAND`.

    Args:
        sizes: measured ones.
        faithfulness: ``[size, ...]``.

    Returns:
        ``[...]`` float64; infinite where there is none.
    """
    inside = (faithfulness >= BAND[0]) & (faithfulness <= BAND[1])
    each = np.asarray(sizes, dtype=np.float64).reshape(-1, *[1] * (faithfulness.ndim - 1))
    return np.where(inside & (each > 0), each, np.inf).min(0)


def _mean_size(left: float, right: float) -> float:
    """The mean of the absolute value on a straight line between two values."""
    if left * right >= 0:
        return (abs(left) + abs(right)) / 2
    return (left**2 + right**2) / (2 * (abs(left) + abs(right)))
