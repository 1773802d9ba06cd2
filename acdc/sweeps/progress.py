"""The bar of a sweep: cells, what runs, and how many failed."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any

from acdc.sweeps.cells import Cell
from acdc.sweeps.outcome import FAILED, Outcome
from acdc.wording import one_line, some


class SweepBar:
    """A bar; use it as a context.

    Args:
        total: cells of the sweep.
        finished: those that were before.
        shown: show it.
    """

    def __init__(self, total: int, finished: int, *, shown: bool) -> None:
        from tqdm import tqdm

        stderr = sys.stderr  # a program without a console has none
        seen = stderr is not None and stderr.isatty()
        self._bar: Any = tqdm(
            total=total,
            initial=finished,
            unit="cell",
            disable=not shown or stderr is None,
            dynamic_ncols=True,
            mininterval=0.1 if seen else 10,  # in a log file, a line every ten seconds is enough
        )
        self._running: dict[str, None] = {}
        self._failed = 0

    def __enter__(self) -> SweepBar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.close()

    def began(self, cell: Cell) -> None:
        """A cell runs."""
        self._running[cell.name] = None
        self._say()

    def ended(self, cell: Cell, outcome: Outcome) -> None:
        """A cell has ended."""
        self._running.pop(cell.name, None)
        self._failed += outcome.status == FAILED
        self._say()
        self._bar.update()

    def _say(self) -> None:
        said = [f"{self._failed} failed"] if self._failed else []
        said += [some(list(self._running), 2)] if self._running else []
        self._bar.set_postfix_str(one_line("; ".join(said)), refresh=False)
