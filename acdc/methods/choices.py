"""Options that methods share, checked."""

from __future__ import annotations

from collections.abc import Collection
from math import isfinite

from acdc.errors import SettingsError, UnknownNameError

#: Where in each step of an integral the gradient is taken.
RULES = ("left", "midpoint")
#: More points than any integral needs: a slip of the keyboard, and days of work.
MOST_STEPS = 1000


def check_choice(name: str, value: str, choices: Collection[str]) -> None:
    """Raise :class:`UnknownNameError` unless the value of an option is one of some names."""
    if value not in choices:
        raise UnknownNameError(name, value, choices)


def check_steps(steps: int) -> None:
    """Raise :class:`SettingsError` for a number of steps that makes no sense."""
    if not 1 <= steps <= MOST_STEPS:
        raise SettingsError(f"`steps` must be from 1 to {MOST_STEPS}, not {steps}.")


def check_tolerance(tolerance: float) -> None:
    """Raise :class:`SettingsError` unless it is a share: 0 or more, and a number."""
    if not (isfinite(tolerance) and tolerance >= 0):
        raise SettingsError(f"`tolerance` must be 0 or more, e.g. 0.01, not {tolerance:g}.")
