"""``acdc sweep``: many runs from axes, and what looks at them."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from acdc.cli.group import Group
from acdc.cli.printing import announce
from acdc.cli.sweep_options import axis_options, default_folder, same_sweep
from acdc.errors import SettingsError, UnknownNameError
from acdc.sweeps.axes import AXES
from acdc.sweeps.grid import Grid

#: Commands on a sweep's folder, and the modules that hold them.
_COMMANDS = {"show": "acdc.cli.sweep_show", "plot": "acdc.cli.sweep_plot"}
_WORDS = "acdc.sweep.words"  # of the context's meta: those of a command on a folder


class _Sweep(Group):
    """A command with options of its own, unless its first word is that of another."""

    allow_extra_args = False
    allow_interspersed_args = True

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return getattr(import_module(_COMMANDS[cmd_name]), cmd_name) if cmd_name in _COMMANDS else None

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """The words of a command on a folder are its own. Raises :class:`UnknownNameError` for a slip of one."""
        if not args or args[0].startswith("-"):
            return click.Command.parse_args(self, ctx, args) if args else super().parse_args(ctx, args)
        if args[0] in _COMMANDS:
            ctx.meta[_WORDS] = args
            return []
        slip = UnknownNameError("command", args[0], _COMMANDS)
        if slip.nearest and not Path(args[0]).suffix and not Path(args[0]).exists():
            raise slip
        return click.Command.parse_args(self, ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command on a folder, or the sweep."""
        if _WORDS not in ctx.meta:
            return click.Command.invoke(self, ctx)
        name, command, rest = self.resolve_command(ctx, ctx.meta[_WORDS])
        assert command is not None
        with command.make_context(f"{ctx.info_name} {name}", rest, parent=ctx.parent) as below:  # it takes no FILE
            return command.invoke(below)


@click.group(cls=_Sweep, subcommand_metavar="", options_metavar="[OPTIONS]")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@axis_options
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder to write, or to go on in.  [default: in sweeps, named by the file, or by task, model and method]",
)
@click.option("--jobs", type=int, help="Processes; 0: all in one.  [default: as many as there are cores]")
@click.option("--memory", type=float, metavar="GB", help="That all jobs together may take.  [default: what is free]")
@click.option("--cluster", metavar="ADDRESS", help="Run on a Ray cluster: ray (the one here) or ray://host:port.")
@click.option("--cpus", type=float, help="Of a cell on a cluster.")
@click.option("--gpus", type=float, help="Of a cell on a cluster.")
@click.option("--curve", is_flag=True, help="Also measure curves over sizes, of methods whose scores rank edges.")
@click.option("--reference", help="Compare all circuits with this: a file, or a published circuit's name.")
@click.option("--resume/--no-resume", default=True, show_default=True, help="Go on with the same sweep in that folder.")
@click.option("--dry-run", is_flag=True, help="Only list the cells, with the time and memory that they will take.")
def sweep(file: Path | None, out: Path | None, dry_run: bool, curve: bool, **params: Any) -> None:
    """Find a circuit for every combination of values.

    What can vary is given as options, or in FILE, a TOML file with the same names; options take
    the place of the file's. Values stand between commas; of numbers also 0:5 (the end left out),
    0.001:0.1:5log and 0:1:5lin.

    Writes a run folder a cell and one table of all figures, and goes on where it was cut off.
    """
    axes = {name: params.pop(name) for name in list(params) if name in AXES}
    given = {name: values for name, values in axes.items() if values is not None}
    if file is None and not given:
        raise SettingsError("nothing says what to run; give a TOML file of axes, or `task`, `model` and others.")
    grid = Grid.of(given) if file is None else Grid.of(file, **given)
    folder = out or default_folder(grid, file, curve=curve)
    if dry_run:
        from acdc.sweeps.sweep import check

        check(grid, out=folder, curve=curve, **params)
        _print_plan(grid, folder, curve, params["jobs"])
        return
    from acdc.cli.sweep_tables import carry_out
    from acdc.sweeps.sweep import sweep as run_sweep

    words = [word for word in sys.argv[1:] if word != "--no-resume"]
    again = words if out is not None else [*words, "--out", str(folder)]
    carry_out(lambda: run_sweep(grid, out=folder, curve=curve, announce=announce, **params), again)


def _print_plan(grid: Grid, folder: Path, curve: bool, jobs: int | None) -> None:
    from acdc.cli.sweep_tables import print_plan
    from acdc.sweeps.local import default_jobs
    from acdc.sweeps.options import RunnerOptions
    from acdc.sweeps.planning import plan

    for note in grid.notes:
        announce(note)
    earlier = same_sweep(folder, grid)
    planned = plan(grid, RunnerOptions(curve=curve))
    at_once = default_jobs() if jobs is None else jobs
    print_plan(planned, {} if earlier is None else earlier.outcomes, at_once)
