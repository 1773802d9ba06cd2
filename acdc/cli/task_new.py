"""``acdc task new``."""

from __future__ import annotations

import shlex

import click

from acdc.cli.printing import say


@click.command()
@click.argument("name")
@click.option(
    "--from", "copied", metavar="TASK", help="Copy this task's template.  [default: a small one with comments]"
)
def new(name: str, copied: str | None) -> None:
    """Write a template file that runs as it stands.

    NAME.toml is yours to edit; a file that is there is never written over.
    """
    from acdc.pairs.finding import find_task
    from acdc.pairs.template.starting import start_template

    path = start_template(name, None if copied is None else find_task(copied))
    say(f"wrote {path}; edit it, then: acdc task check {shlex.quote(str(path))} --model MODEL")
