"""``acdc resume``: go on with a run, or a sweep, knowing nothing but its folder."""

from __future__ import annotations

from pathlib import Path

import click

from acdc.cli.printing import announce, say
from acdc.errors import warn
from acdc.wording import some


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--cluster", help="ray, or ray://host:port: go on on a Ray cluster.  [default: on this machine]")
@click.pass_context
def resume(context: click.Context, run: Path, cluster: str | None) -> None:
    """Go on with RUN, the folder of an interrupted run or sweep.

    It goes on as it was asked for, here or on a cluster.
    """
    from acdc.sweeps.folder import was_sweep

    if was_sweep(run):
        _resume_sweep(run, cluster)
        return
    from acdc.cli.discover import discover
    from acdc.runs.resuming import arguments, changed_since

    if (asked := arguments(run)) is None:
        from acdc.cli.tables import print_summary
        from acdc.runs.run import Run

        finished = Run.load(run)
        announce(f"the run in {run} is finished already")
        if changed := changed_since(finished.record):
            warn(f"{some(changed)} changed after that run began; for a run on what is there now, name another folder.")
        print_summary(finished)
        say(run / "circuit.json")
        return
    asked |= asked.pop("selection", {})
    known = {parameter.name for parameter in discover.params}
    options = {name: value for name, value in asked.items() if name in known}
    context.invoke(discover, **options, out=run, cluster=cluster, resume=True)


def _resume_sweep(path: Path, cluster: str | None) -> None:
    from acdc.cli.sweep_tables import carry_out
    from acdc.sweeps.sweep import go_on

    again = ["resume", str(path), *(() if cluster is None else ("--cluster", cluster))]
    carry_out(lambda: go_on(path, cluster=cluster, announce=announce), again)
