"""Whether objects that hold arrays are the same: ``==`` of a dataclass of arrays asks arrays for one truth value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np


class OfArrays:
    """A dataclass that is equal to another if all its fields are: arrays number by number, NaN being like NaN."""

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other) or not is_dataclass(self):
            return NotImplemented
        return all(_same(getattr(self, each.name), getattr(other, each.name)) for each in fields(self))

    def __hash__(self) -> int:
        return hash(type(self))  # arrays have no hash; whoever is equal is of one class

    def __init_subclass__(cls, **options: Any) -> None:
        """Keep these two: a dataclass makes its own where it finds none in the class itself."""
        super().__init_subclass__(**options)
        cls.__eq__ = OfArrays.__eq__  # type: ignore[method-assign]
        cls.__hash__ = OfArrays.__hash__  # type: ignore[method-assign]


def _same(one: Any, other: Any) -> bool:
    """Whether two values are the same: arrays, mappings and sequences of such, or what compares by itself."""
    if one is other:
        return True
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return type(one) is type(other) and one.dtype == other.dtype and _same_arrays(one, other)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_same(each, other[name]) for name, each in one.items())
    if isinstance(one, list | tuple) and type(one) is type(other):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other) or (isinstance(one, float) and one != one and other != other)


def _same_arrays(one: np.ndarray, other: np.ndarray) -> bool:
    return np.array_equal(one, other, equal_nan=one.dtype.kind in "fc")
