"""Which of many points to choose, so that all others are near a plane through some of those chosen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

#: A point of which less than this share is outside a plane adds nothing to it.
_DEPENDENT = 0.1
#: Where fewer than so many become near, to choose one more doesn't pay.
FEW = 3


@dataclass(frozen=True)
class Group:
    """Points near a plane.

    Attributes:
        chosen: points that span it; the first is its origin.
        members: points to be placed by it.
        mixed: how much of each chosen point but the origin is in what is nearest in the plane, ``[member, point]``.
    """

    chosen: list[int]
    members: list[int]
    mixed: np.ndarray


def group(gram: np.ndarray, first: int, near: float, reach: float) -> tuple[list[Group], list[int]]:
    """Choose greedily, the point that brings most others near, as long as it brings some.

    Args:
        gram: products of the points with each other, ``[point, point]``.
        first: of the points that are to be near; those in front of it are chosen already.
        near: largest square of a distance from a plane.
        reach: largest square of a distance from a plane's origin.

    Returns:
        Groups, and points that aren't near any, or are near one that fewer than :data:`FEW` would gain by; these may
        be members.
    """
    size = gram.diagonal()
    within: Any = size[:, None] + size - 2 * gram <= reach
    left: Any = np.arange(len(gram)) >= first
    groups: list[Group] = []
    alone: list[int] = []
    chosen = list(range(first))
    while left.any():
        counts = within[chosen][:, left].sum(1)
        if counts.any():
            origin = chosen[int(counts.argmax())]
        else:
            counts = within[np.ix_(left, left)].sum(1)
            if counts.max() < FEW:
                return groups, alone + np.flatnonzero(left).tolist()
            origin = int(np.flatnonzero(left)[counts.argmax()])
            chosen.append(origin)
            left[origin] = False
        known = [one for one in chosen if one != origin and within[origin, one]]
        members = np.flatnonzero(left & within[origin]).tolist()
        found, far = _placed(gram, origin, known, members, near)
        groups.append(found)
        chosen += [one for one in found.chosen[1:] if one not in known]
        alone += far
        left[members] = False
    return groups, alone


def _placed(
    gram: np.ndarray, origin: int, known: list[int], members: list[int], near: float
) -> tuple[Group, list[int]]:
    """A group with an origin, and its members that aren't near."""
    points = np.array([*known, *members], dtype=np.int64)
    own = gram[np.ix_(points, points)] - gram[points, origin][:, None] - gram[points, origin] + gram[origin, origin]
    basis, far = _span(own, len(known), near)
    rest = np.setdiff1d(np.arange(len(known), len(points)), basis)
    spanning = own[basis]
    mixed = np.linalg.solve(spanning[:, basis], spanning[:, rest]).T  # [member, point]
    return Group([origin, *points[basis].tolist()], points[rest].tolist(), mixed), points[far].tolist()


def _span(gram: np.ndarray, n_chosen: int, near: float) -> tuple[np.ndarray, np.ndarray]:
    """Points that span a plane through the origin, and those that aren't near it.

    Args:
        gram: products of the points from the origin, ``[point, point]``.
        n_chosen: the first so many are chosen already.
        near: largest square of a distance.
    """
    left: Any = gram.copy()  # of what is outside the plane
    size = gram.diagonal()
    basis: list[int] = []

    def take(one: int) -> None:
        nonlocal left
        column = left[:, one]
        left = left - np.outer(column, column / column[one])
        basis.append(one)

    for one in range(n_chosen):
        if left[one, one] > _DEPENDENT * size[one]:
            take(one)
    while True:
        far = n_chosen + np.flatnonzero(left.diagonal()[n_chosen:] > near)
        outside: Any = left[np.ix_(far, far)]
        length = outside.diagonal()
        gained = (length - outside**2 / length[:, None] <= near).sum(1)
        if len(far) < FEW or gained.max() < FEW:
            return np.array(basis, dtype=np.int64), far
        take(int(far[gained.argmax()]))
