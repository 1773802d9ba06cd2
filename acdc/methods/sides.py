"""The state in which a method takes gradients: the clean one, or the ablated one."""

from __future__ import annotations

from acdc.errors import UnknownNameError

#: ``clean``: nothing is ablated. ``corrupted``: the input nodes write what their removed edges carry.
SIDES = ("clean", "corrupted")


def check_side(side: str) -> None:
    """Raise :class:`acdc.errors.UnknownNameError` for a side that doesn't exist."""
    if side not in SIDES:
        raise UnknownNameError("side", side, SIDES)
