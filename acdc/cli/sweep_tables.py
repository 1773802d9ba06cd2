"""What ``acdc sweep`` prints: the cells that it would run, and what came of those that it ran."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from acdc.cli.printing import as_options, say
from acdc.sweeps.folder import CSV, PARQUET
from acdc.sweeps.outcome import FINISHED, Outcome
from acdc.wording import counted, some

if TYPE_CHECKING:
    from acdc.sweeps.planning import Planned
    from acdc.sweeps.swept import Sweep

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def print_plan(planned: Sequence[Planned], outcomes: Mapping[str, Outcome], jobs: int) -> None:
    """Print the cells, each with the time and memory that it is expected to take, and what they come to together.

    Args:
        planned: the cells.
        outcomes: of those that have ended already, by name.
        jobs: how many run at a time.
    """
    width = max(len(one.cell.name) for one in planned)
    left = []
    for one in planned:
        ended = outcomes.get(one.cell.name)
        if ended is not None and ended.status == FINISHED:
            told = "finished already"
        elif isinstance(one.needs, str):
            told = as_options(one.needs)
        else:
            told = f"{_time(one.needs.seconds):>8}  {one.needs.memory_bytes / 1e9:6.2f} GB"
            left.append(one.needs)
        say(f"{one.cell.name:<{width}}  {told}")
    known = [needs.seconds for needs in left if needs.seconds is not None]
    seconds = sum(known) / max(1, min(jobs, len(left))) if left else 0.0
    memory = sorted((needs.memory_bytes for needs in left), reverse=True)[: max(1, jobs)]
    about = f"about {_time(seconds)}" + (" or more" if len(known) < len(left) else "")
    at_once = f"{counted(max(1, jobs), 'job')}, which hold at most {sum(memory) / 1e9:.2f} GB"
    n = counted(len(planned), "cell")
    say(f"{n}; {about} with {at_once}" if left else f"{n}; none of them is left to run")


def print_ended(swept: Sweep) -> None:
    """Print how the cells of a sweep ended, and where its table is."""
    for sentence, names in swept.failures.items():
        say(f"failed: {some(names)}: {as_options(sentence)}", err=True)
    say(f"{swept.counts[FINISHED]} of {counted(len(swept.folder.grid.cells), 'cell')} finished")
    for name in (CSV, PARQUET):
        say(swept.folder.path / name)


def _time(seconds: float | None) -> str:
    """``40 s``, ``5 min``, ``2.5 h``."""
    if seconds is None:
        return "?"
    if seconds < 2 * _MINUTE:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    if seconds < 2 * _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    return f"{seconds / _HOUR:.1f} h" if seconds < 2 * _DAY else f"{seconds / _DAY:.1f} days"
