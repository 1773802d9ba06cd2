"""Names of cells: made of their settings alone, so that the same cell has the same name in every sweep."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from acdc.runs.naming import run_name
from acdc.sweeps.axes import AXES
from acdc.sweeps.cells import Cell

_LARGE = 1e15  # from which on a float is written by its exponent
_FIRST = ("task", "model", "method")


def named(cells: Iterable[Mapping[str, Any]]) -> tuple[Cell, ...]:
    """Cells by their settings, each with a name that no other has, on any file system.

    A name is readable (``ioi-tiny-tasks-acdc-seed1-threshold0.01``) and says every setting, in one order whatever that
    of the axes; where two would be the same, each ends in a digest of its settings.
    """
    settings = list(cells)
    names = [_name(one) for one in settings]
    counts = Counter(map(_folded, names))
    return tuple(
        Cell(name if counts[_folded(name)] == 1 else f"{name}-{_digest(one)}", one)
        for name, one in zip(names, settings, strict=True)
    )


def _name(settings: Mapping[str, Any]) -> str:
    rest = {name.replace("_", "-"): _short(settings[name]) for name in AXES if name in settings and name not in _FIRST}
    return run_name(settings["task"], settings["model"], settings["method"], rest)


def _short(value: Any) -> Any:
    """10 for 10.0, which are the same."""
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < _LARGE else value


def _folded(name: str) -> str:
    """What some file systems take for the same: names but for capital letters and how marks are written."""
    return unicodedata.normalize("NFKC", name).casefold()


def _digest(settings: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]
