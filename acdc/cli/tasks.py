"""``acdc tasks``, and the group ``acdc task``."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import click

from acdc.cli.group import Group
from acdc.cli.reference import reference
from acdc.cli.task_check import check
from acdc.cli.task_new import new
from acdc.cli.task_show import show

if TYPE_CHECKING:
    from acdc.pairs.task import Task

_WIDTH = 80  # of what isn't a terminal
#: Columns that stand between those of the table, and that lines broken between words lose.
_BETWEEN, _BROKEN = 6, 14


@click.command()
@click.option("--json", "as_json", is_flag=True, help="All that is known of them as one JSON list, and nothing else.")
def tasks(as_json: bool) -> None:
    """List the tasks; with --json their corruptions too."""
    from acdc.errors import AcdcError, AcdcWarning
    from acdc.pairs.finding import find_task, task_names

    found = []
    for name in task_names():
        try:
            found.append((name, find_task(name)))
        except AcdcError as error:  # another package's
            warnings.warn(str(error), AcdcWarning, stacklevel=1)
    if as_json:
        rows = [_row(name, task) for name, task in found]
        sys.stdout.write(json.dumps(rows, indent=1).replace("\x7f", "\\u007f") + "\n")
    else:
        _print_tasks(found)


def _row(name: str, task: Task) -> dict[str, Any]:
    """What ``--json`` says of a task."""
    return {
        "name": name,
        "summary": task.summary,
        "source": task.source,
        "kind": task.kind,
        "metric": task.metric,
        "corruptions": dict(task.corruptions),
        "control_corruptions": sorted(task.control_corruptions),
        "spans": list(task.spans),
        "has_reference": name in _references(),
    }


def _print_tasks(found: Sequence[tuple[str, Task]]) -> None:
    """A table that 80 columns are enough for, of two lines a task at most; the rest `task show` tells."""
    from rich import box
    from rich.table import Table

    from acdc.cli.terminal import Terminal

    out = Terminal(_WIDTH)
    named = {name: f"{name} *" if name in _references() else name for name, _ in found}
    first, metric = (max(map(len, some), default=0) for some in (named.values(), [task.metric for _, task in found]))
    table = Table(box=box.SIMPLE, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("task", no_wrap=True)
    table.add_column("what", ratio=1)
    table.add_column("metric", no_wrap=True)
    room = out.width - first - metric - _BETWEEN
    for name, task in found:
        table.add_row(named[name], _cut(task.summary, 2 * room - _BROKEN), task.metric)
    table.caption = "corruptions, sources: acdc tasks --json; a look: acdc task show NAME --model M"
    if any(name in _references() for name, _ in found):
        table.caption += "\n* has a published circuit: acdc task reference NAME"
    table.caption_justify = "left"
    out.print(table)


def _cut(text: str, most: int) -> str:
    """A text's first words and its last, about `most` characters; where all fit, all."""
    if len(text) <= most:
        return text
    half = max(most // 2 - 2, 1)
    return f"{text[:half].rpartition(' ')[0] or text[:half]} ... {text[-half:].partition(' ')[2] or text[-half:]}"


def _references() -> Collection[str]:
    """The tasks whose circuit is published."""
    from acdc.references import reference_names

    return reference_names()


@click.group(cls=Group)
def task() -> None:
    """Look at a task, check it, or begin your own."""


task.add_command(show)
task.add_command(check)
task.add_command(reference)
task.add_command(new)
