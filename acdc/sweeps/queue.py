"""In which order cells run: those that share a model and its prompts one after another, large thresholds first."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

from acdc.sweeps.cells import SELECTING, Cell

#: What a method's cells on the same prompts differ by without scoring edges anew.
_CHOOSING = (*SELECTING, "threshold")


class Queue:
    """Cells that wait, and who is on what: a worker stays with what it has set up as long as there is work on it.

    Args:
        cells: in the order in which they are wanted.
    """

    def __init__(self, cells: Iterable[Cell]) -> None:
        self._waiting: dict[str, list[Cell]] = {}  # by setting; those that wait, the next one last
        self._models: dict[str, dict[str, None]] = {}  # the settings that wait, by model
        self._at: dict[Hashable, tuple[str, str]] = {}  # each worker's setting, and its model
        self._n = 0
        for together in _settings(cells):
            key = _setting(together[0])
            self._waiting[key] = together[::-1]
            self._models.setdefault(_model(together[0]), {})[key] = None
            self._n += len(together)

    def __len__(self) -> int:
        """How many cells wait."""
        return self._n

    def take(self, worker: Hashable) -> Cell | None:
        """The next cell for a worker.

        It is of the setting that the worker is on; else of one of the same model's that nobody is on, else of a
        model that nobody is on, else of any setting that nobody is on; else it helps where most cells wait.

        Args:
            worker: whatever tells workers apart.

        Returns:
            The cell, or ``None`` when none waits.
        """
        if not self._n:
            self.leave(worker)
            return None
        setting, model = self._at.pop(worker, (None, None))
        key = setting if setting in self._waiting else self._other(model)
        cell = self._waiting[key].pop()
        self._n -= 1
        self._at[worker] = key, _model(cell)
        if not self._waiting[key]:
            self._forget(key, _model(cell))
        return cell

    def give_back(self, cell: Cell) -> None:
        """Let a cell wait again, before the others of its setting."""
        key = _setting(cell)
        self._waiting.setdefault(key, []).append(cell)
        self._models.setdefault(_model(cell), {})[key] = None
        self._n += 1

    def leave(self, worker: Hashable) -> None:
        """Forget what a worker is on: it has lost what it had set up."""
        self._at.pop(worker, None)

    def _other(self, model: str | None) -> str:
        """The setting that a worker goes to that has none."""
        taken = {key for key, _ in self._at.values()}
        opened = {name for _, name in self._at.values()}
        unopened = next((name for name in self._models if name not in opened and name != model), None)
        for candidates in (self._models.get(model or "", ()), self._models.get(unopened or "", ()), self._waiting):
            if (key := next((key for key in candidates if key not in taken), None)) is not None:
                return key
        own = self._models.get(model or "", {})
        return max(self._waiting, key=lambda key: (len(self._waiting[key]), key in own))

    def _forget(self, key: str, model: str) -> None:
        del self._waiting[key]
        del self._models[model][key]
        if not self._models[model]:
            del self._models[model]


def in_turn(cells: Iterable[Cell]) -> list[Cell]:
    """Cells in the order in which one process runs them."""
    return [cell for together in _settings(cells) for cell in together]


def _settings(cells: Iterable[Cell]) -> list[list[Cell]]:
    """Cells by setting; those of a model stand together, and in a setting those of a method, large thresholds first."""
    models: dict[str, dict[str, dict[str, list[Cell]]]] = {}
    for cell in cells:
        settings = models.setdefault(_model(cell), {})
        settings.setdefault(_setting(cell), {}).setdefault(kind(cell), []).append(cell)
    return [
        [cell for scored in methods.values() for cell in sorted(scored, key=_threshold, reverse=True)]
        for settings in models.values()
        for methods in settings.values()
    ]


def _model(cell: Cell) -> str:
    return repr(cell.opened)  # of True and 1, which are equal, the one isn't taken for the other


def _setting(cell: Cell) -> str:
    return repr(cell.set_up)


def kind(cell: Cell) -> str:
    """What cells of one method on one setting have in common: where it scores edges, it does so once; and memory."""
    return repr([(name, cell.settings[name]) for name in sorted(cell.settings) if name not in _CHOOSING])


def _threshold(cell: Cell) -> float:
    value: Any = cell.settings.get("threshold", 0.0)
    return float(value)
