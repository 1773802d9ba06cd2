"""``acdc analyse``: fast looks at what each part of a model does on a task."""

from __future__ import annotations

import json
import math
import sys
from typing import TYPE_CHECKING, Any

import click

from acdc.analysis.registry import ANALYSES
from acdc.cli.printing import announce, say
from acdc.cli.prompt_options import prompt_options

if TYPE_CHECKING:
    from acdc.analysis.looks import Looks
    from acdc.analysis.result import Cell, Table


class _Command(click.Command):
    """Its help ends with the looks, as wide as the terminal."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Looks"):
            formatter.write_dl([(name, analysis.summary) for name, analysis in ANALYSES.items()])


@click.command(cls=_Command)
@click.argument("task")
@click.option("--model", required=True, help="Bundled name, hub name, folder or GGUF file (see: acdc models).")
@click.option("--run", type=click.Path(), help="A run folder or circuit file: what is in it is marked.")
@click.option("--only", metavar="LOOK,...", help="Only these looks.  [default: those that suit model and prompts]")
@click.option("--heads", metavar="HEAD,...", help="For looks at single heads.  [default: those that do the most]")
@click.option("--out", type=click.Path(), help="Folder to write a table and a plot of each look into.")
@click.option("--top", type=click.IntRange(min=1), default=8, show_default=True, help="Rows of each look to print.")
@click.option("--json", "as_json", is_flag=True, help="All tables as one JSON object, and nothing else.")
@click.option("--n", type=int, help="Prompt pairs.  [default: 10, or all of a file of fewer]")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the prompts.")
@click.option("--split", default="train", show_default=True, help="train (the prompts used) or test (those held out).")
@click.option("--corruption", help="One of the task's (see: acdc tasks).  [default: its first]")
@prompt_options
@click.option("--batch-size", default="auto", show_default=True, help="Prompts run at a time.")
@click.option("--device", help="cpu, cuda, cuda:1 ...  [default: a GPU if there is one]")
@click.option("--dtype", help="float32, float64, bfloat16 or float16.  [default: float32]")
@click.option("--threads", type=int, help="That torch computes with.  [default: as many as suit the model's size]")
def analyse(
    task: str,
    model: str,
    only: str | None,
    heads: str | None,
    out: str | None,
    top: int,
    as_json: bool,
    **options: Any,
) -> None:
    """Look at what each part of a model does on TASK.

    Every look is a table and a plot (--out), and a function of Python (acdc.analysis). All are computed by the same
    node functions as circuits, so that they agree with them.
    """
    from acdc.analysis.registry import asked_analyses

    asked_analyses(only)
    # torch takes seconds to import
    from acdc.discovery.analyse import analyse as run_analyses

    looks = run_analyses(model, task, only=only, heads=heads, out=out, **options)
    for name, why in looks.left_out.items():
        announce(f"{name} was left out: {why}")
    if as_json:
        sys.stdout.write(json.dumps(_to_json(looks), indent=1, allow_nan=False).replace("\x7f", "\\u007f") + "\n")
        sys.stdout.flush()
        return
    _print(looks, task, model, top)
    if out is not None:
        say(out)


def _to_json(looks: Looks) -> dict[str, Any]:
    setting = looks.setting
    circuit = looks.circuit
    return {
        "task": setting.prompts.task,
        "model": setting.model.name,
        "n_prompts": len(setting.prompts),
        "circuit": None if circuit is None else [node.name for node in circuit.nodes()],
        "looks": {name: {"title": result.title, **_rows(looks.table(name))} for name, result in looks.items()},
        "left_out": dict(looks.left_out),
    }


def _rows(table: Table) -> dict[str, Any]:
    return {"columns": list(table.columns), "rows": [list(map(_number, row)) for row in table.rows]}


def _number(cell: Cell) -> Cell:
    return None if isinstance(cell, float) and not math.isfinite(cell) else cell


def _print(looks: Looks, task: str, model: str, top: int) -> None:
    from rich.table import Table
    from rich.text import Text

    from acdc.cli.terminal import Terminal
    from acdc.wording import counted

    out, n = Terminal(), counted(len(looks.setting.prompts), "prompt")
    out.print(Text.assemble((task, "bold"), " on ", (model, "bold"), f": {n}"))
    for name, result in looks.items():
        found = looks.summary(name, top)
        out.print(Text.assemble("\n", (name, "bold"), f": {result.title}"))
        table = Table()
        for at, column in enumerate(found.columns):
            is_text = any(isinstance(row[at], str) for row in found.rows)
            table.add_column(column, justify="left" if is_text else "right")
        for row in found.rows:
            table.add_row(*map(_cell, row))
        n_all = len(result.table().rows)
        table.caption = f"{len(found.rows)} of {n_all:,} rows" if len(found.rows) < n_all else None
        out.print(table)


def _cell(cell: Cell) -> str:
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return ""
    return f"{cell:.4g}" if isinstance(cell, float) else str(cell)
