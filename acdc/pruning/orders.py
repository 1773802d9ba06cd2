"""The order in which a slot's parents are tried. It is part of the result: it changes the circuit."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from acdc.errors import SettingsError, UnknownNameError
from acdc.graph import Slot

#: ``default``: layers from the top, in a layer the MLP before the heads, the highest head
#: first, the input last. ``increasing``: the opposite. ``random``: shuffled with the
#: run's seed, slot by slot. ``attribution``: the estimated rise of the metric on removal,
#: lowest first (:mod:`acdc.methods.attribution`).
Order = Literal["default", "increasing", "random", "attribution"]
ORDERS: tuple[str, ...] = get_args(Order)


def check_order(name: str) -> None:
    """Raise :class:`UnknownNameError` unless there is such an order."""
    if name not in ORDERS:
        raise UnknownNameError("order", name, ORDERS)


def ordered_parents(slot: Slot, order: str, seed: int = 0, attribution: np.ndarray | None = None) -> np.ndarray:
    """Indices of a slot's parents in the order in which they are tried.

    Args:
        slot: the slot.
        order: one of :data:`ORDERS`.
        seed: for ``random``; every slot draws its own shuffle.
        attribution: ``[n_edges]``, for ``attribution``; ties keep the default order.

    Returns:
        ``[n_parents]`` int64, a permutation.
    """
    check_order(order)
    descending = np.arange(slot.n_parents)[::-1]
    if order == "default":
        return descending
    if order == "increasing":
        return descending[::-1]
    if order == "random":
        return np.random.default_rng([seed, slot.index]).permutation(slot.n_parents)
    if attribution is None:
        raise SettingsError("the order 'attribution' needs attribution scores.")
    return descending[np.argsort(attribution[slot.edges][descending], kind="stable")]
