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


@click.command()
@click.option("--json", "as_json", is_flag=True, help="All that is known of them as one JSON list, and nothing else.")
def tasks(as_json: bool) -> None:
    """List the tasks, their corruptions and usual metrics."""
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
    """A table that 80 columns are enough for."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from acdc.cli.terminal import Terminal

    table = Table(box=box.SIMPLE, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("task", no_wrap=True)
    table.add_column("what, and its corruptions (the first is the default)", ratio=1)
    table.add_column("metric\nkind")
    for name, task in found:
        corruptions = [f"{one} (control)" if one in task.control_corruptions else one for one in task.corruptions]
        what = Text(f"{task.summary}\n").append(", ".join(corruptions), style="dim")
        table.add_row(f"{name} *" if name in _references() else name, what, f"{task.metric}\n{task.kind}")
    table.caption = "look at one by: acdc task show NAME --model MODEL"
    if any(name in _references() for name, _ in found):
        table.caption += "\n* has a published circuit: acdc task reference NAME"
    table.caption_justify = "left"
    Terminal(_WIDTH).print(table)


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
