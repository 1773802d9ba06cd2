"""A cell of a sweep: one run, with all that it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from acdc.discovery.asking import OPENED, SET_UP
from acdc.selection import RULES

#: What a selection is told by.
SELECTING = (*RULES, "by", "level")


@dataclass(frozen=True)
class Cell:
    """One run of a sweep.

    Attributes:
        name: of its folder; no other cell of the sweep has it.
        settings: arguments of :func:`acdc.discover` by name, plain values, in the order of the axes; a selection by
            its rule's name (``top``: 100), with ``by`` and ``level`` where they are given. What isn't there is as by
            default.
    """

    name: str
    settings: Mapping[str, Any]

    def __hash__(self) -> int:
        return hash(self.name)

    @property
    def opened(self) -> tuple[Any, ...]:
        """Cells of which this is the same run on the same model."""
        return tuple(self.settings.get(name) for name in OPENED)

    @property
    def set_up(self) -> tuple[Any, ...]:
        """Cells of which this is the same run on the same prompts, run through the same model."""
        return tuple(self.settings.get(name) for name in SET_UP)

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of :func:`acdc.discover`: the settings, with the selection made."""
        given = {name: value for name, value in self.settings.items() if name not in SELECTING}
        for rule, kind in RULES.items():
            if rule in self.settings:
                by, level = self.settings.get("by", "magnitude"), self.settings.get("level", "edges")
                given["select"] = kind(self.settings[rule], by, level)
        return given
