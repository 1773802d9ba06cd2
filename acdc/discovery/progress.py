"""What stands behind a method's log in a run: the trace, the record's checkpoints, and a bar."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any

from tqdm import tqdm

from acdc.decision import Decision, TraceLine
from acdc.errors import RunInterrupted
from acdc.graph import Slot
from acdc.methods.base import Log
from acdc.runs.folder import RunFolder
from acdc.runs.record import MEASURED, Record
from acdc.wording import one_line

#: The record is written at least this often; the trace at every decision.
CHECKPOINT_SECONDS = 30.0


class RunLog(Log):
    """The log of a run; use it as a context around the method.

    At its end the record has the time that the method took, and the trace is safe. Ctrl-C becomes
    :class:`RunInterrupted`, where there is a folder to go on in.

    Args:
        record: its ``seconds`` are kept up to date.
        folder: where decisions go, if anywhere.
        progress: show a bar.

    Attributes:
        decided: all decisions, past ones too.
    """

    def __init__(self, record: Record, folder: RunFolder | None, *, progress: bool) -> None:
        self.past: Sequence[TraceLine] = [] if folder is None else folder.trace.past
        self.noted = {name: value for name in MEASURED if (value := getattr(record, name)) is not None}
        self._record, self._folder, self._progress = record, folder, progress
        self._earlier = record.seconds
        self.decided = list(self.past)
        self._slot: Slot | None = None  # of the last decision
        self._bar: Any = None

    def __enter__(self) -> RunLog:
        self._started = self._saved = time.monotonic()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _traceback: object) -> None:
        if self._bar is not None:
            self._bar.close()
        self._record.seconds = self._earlier + time.monotonic() - self._started
        if self._folder is not None:
            self._folder.checkpoint(self._record.seconds)
            if isinstance(error, KeyboardInterrupt):
                raise RunInterrupted(self._folder.path, len(self.decided)) from error

    def begin(self, total: int, unit: str) -> None:
        """Show a bar, if one is wanted; one that was there has ended."""
        if self._bar is not None:
            self._bar.close()
        stderr = sys.stderr  # a program without a console has none
        seen = stderr is not None and stderr.isatty()
        self._bar = tqdm(
            total=total,
            unit=unit,
            disable=not self._progress or stderr is None,
            dynamic_ncols=True,
            mininterval=0.1 if seen else 10,  # in a log file, a line every ten seconds is enough
        )

    def at(self, done: int, said: str = "") -> None:
        """Move the bar."""
        if self._bar is not None:
            if said:
                self._bar.set_postfix_str(one_line(said), refresh=False)
            self._bar.update(done - self._bar.n)

    def note(self, name: str, value: Any) -> None:
        """Write it into the record at once."""
        setattr(self._record, name, value)
        if self._folder is not None:
            self._folder.checkpoint(self._earlier + time.monotonic() - self._started)

    def decide(self, decision: Decision) -> None:
        """Add a decision to the trace, which is made safe from a power cut at every slot."""
        self.decided.append(TraceLine.of(decision))
        if self._folder is None:
            return
        self._folder.trace.append(decision)
        if decision.slot != self._slot:
            self._slot = decision.slot
            self._folder.trace.sync()
        now = time.monotonic()
        if now - self._saved > CHECKPOINT_SECONDS:
            self._saved = now
            self._folder.checkpoint(self._earlier + now - self._started)
