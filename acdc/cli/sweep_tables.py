"""What ``acdc sweep`` prints: the cells that it would run, and what came of those that it ran."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from acdc.cli.printing import as_options, say
from acdc.errors import SweepInterrupted
from acdc.sweeps.folder import CSV, PARQUET
from acdc.sweeps.outcome import FINISHED, Outcome
from acdc.wording import counted, some

if TYPE_CHECKING:
    from acdc.sweeps.planning import Planned
    from acdc.sweeps.swept import Sweep

_NOTHING_DONE, _INTERRUPTED = 2, 130
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def print_plan(planned: Sequence[Planned], outcomes: Mapping[str, Outcome], jobs: int) -> None:
    """Print the cells, each with the time and memory that it is expected to take, and what they come to together.

    Args:
        planned: the cells.
        outcomes: of those that have ended already, by name.
        jobs: how many run at a time.
    """
    width = max(len(one.cell.name) for one in planned)
    done, left = 0, []
    for one in planned:
        ended = outcomes.get(one.cell.name)
        if ended is not None and ended.status == FINISHED:
            done, told = done + 1, "finished already"
        elif isinstance(one.needs, str):
            told = f"will fail: {as_options(one.needs)}"
        else:
            told = f"{_time(one.needs.seconds):>8}  {one.needs.memory_bytes / 1e9:6.2f} GB"
            left.append(one.needs)
        say(f"{one.cell.name:<{width}}  {told}")
    failing = len(planned) - done - len(left)
    parts = [f"{n} {what}" for n, what in ((done, "finished already"), (failing, "that will fail")) if n]
    if left:
        at_once = max(1, min(jobs, len(left)))
        known = [needs.seconds for needs in left if needs.seconds is not None]
        more = "" if len(known) == len(left) else " or more"
        memory = sum(sorted((needs.memory_bytes for needs in left), reverse=True)[:at_once])
        parts.append(
            f"{len(left)} to run: about {_time(sum(known) / at_once)}{more} with {counted(at_once, 'job')}, which hold "
            f"at most {memory / 1e9:.2f} GB"
        )
    say(f"{counted(len(planned), 'cell')}; {', '.join(parts)}")


def carry_out(run: Callable[[], Sweep], again: Sequence[str]) -> None:
    """Run a sweep and print what came of it; ends the process where it was interrupted, or where no cell finished.

    Args:
        run: runs it.
        again: words of the command that goes on with it.
    """
    try:
        swept = run()
    except SweepInterrupted as interrupt:
        say("", err=True)  # the bar's line ends
        say(f"interrupted; {interrupt}. Go on with: {shlex.join(['acdc', *again])}", err=True)
        sys.exit(_INTERRUPTED)
    for sentence, names in swept.failures.items():
        say(f"failed: {some(names)}: {as_options(sentence)}", err=True)
    n = len(swept.folder.grid.cells)
    say(f"{swept.counts[FINISHED]} of {counted(n, 'cell')} finished")
    for name in (CSV, PARQUET):
        say(swept.folder.path / name)
    if len(swept.failed) == n:
        sys.exit(_NOTHING_DONE)


def _time(seconds: float | None) -> str:
    """``40 s``, ``5 min``, ``2.5 h``."""
    if seconds is None:
        return "?"
    if seconds < 2 * _MINUTE:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    if seconds < 2 * _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    return f"{seconds / _HOUR:.1f} h" if seconds < 2 * _DAY else f"{seconds / _DAY:.1f} days"
