"""In which order cells run: those that share a model and its prompts one after another, large thresholds first."""

from __future__ import annotations

from collections.abc import Iterable

from acdc.sweeps.cells import Cell


def in_turn(cells: Iterable[Cell]) -> list[Cell]:
    """Cells in the order in which one process runs them."""
    groups: dict[tuple[object, ...], dict[tuple[object, ...], list[Cell]]] = {}
    for cell in cells:
        groups.setdefault(cell.opened, {}).setdefault(cell.set_up, []).append(cell)
    return [
        cell
        for group in groups.values()
        for together in group.values()
        for cell in sorted(together, key=lambda cell: -float(cell.settings.get("threshold", 0)))
    ]
