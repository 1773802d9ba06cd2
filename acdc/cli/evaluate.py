"""``acdc evaluate``: any circuit, on the prompts that it was found on or on any others."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from acdc.cli.printing import say
from acdc.cli.prompt_options import redrawing_options
from acdc.cli.selection_options import selection_of, selection_options
from acdc.engine.ablations import ABLATIONS
from acdc.errors import RunFolderError
from acdc.metrics import METRICS
from acdc.wording import either


@click.command()
@click.argument("circuits", nargs=-1, required=True, metavar="CIRCUIT...", type=click.Path())
@click.option("--task", multiple=True, help="Task or prompt file; may be repeated.  [default: what it was found on]")
@click.option("--model", help="Bundled name, hub name, or folder.  [default: what it was found on]")
@click.option("--metric", help=f"{either(METRICS)}.  [default: as it was found, or kl]")
@click.option("--ablation", help=f"Removed edges carry: {either(ABLATIONS)}.  [default: as it was found, or corrupted]")
@click.option("--n", type=int, help="Prompt pairs.  [default: as it was found, or what the task has]")
@click.option("--seed", type=int, help="Of the prompts.  [default: as it was found, or 0]")
@click.option(
    "--split",
    default="both",
    show_default=True,
    help="train (the prompts used), test (those held out) or both.",
)
@click.option("--corruption", help="One of the task's.  [default: as it was found, or its first]")
@redrawing_options
@selection_options("So many edges of the largest scores, whatever a file marks.")
@click.option("--nodes", is_flag=True, help="Files are lists of nodes: all edges among them.")
@click.option(
    "--convention",
    default="acdc",
    show_default=True,
    help="acdc; or eap-ig, to count as EAP-IG and MIB do (see docs/other-tools.md).",
)
@click.option("--worst", type=int, help="Show so many of the worst prompts.  [default: 3; of several circuits none]")
@click.option("--json", "as_json", is_flag=True, help="All of it as one JSON object, and nothing else.")
@click.option("--csv", "table", type=click.Path(path_type=Path), help="File to write: a line a prediction.")
@click.option("--batch-size", default="auto", show_default=True, help="Prompts run at a time.")
@click.option("--device", help="cpu, cuda, cuda:1 ...  [default: a GPU if there is one]")
@click.option("--dtype", help="float32, float64, bfloat16 or float16.  [default: as it was found, or float32]")
@click.option("--threads", type=int, help="That torch computes with.  [default: as many as suit the model's size]")
def evaluate(
    circuits: tuple[str, ...],
    task: tuple[str, ...],
    worst: int | None,
    as_json: bool,
    table: Path | None,
    top: int | None,
    above: float | None,
    greedy: int | None,
    by: str | None,
    level: str | None,
    **options: Any,
) -> None:
    """Judge CIRCUIT... beside their model.

    Each is a run folder; a circuit file of acdc, EAP-IG or MIB (.json, .pt); or a text file of edges, one a line.
    Without --task it is run on the very prompts that it was found on, and on held-out ones.
    """
    from acdc.evaluation.beforehand import check_names, check_place
    from acdc.reading import kind_at

    if table is not None:
        if kind_at(table) is not None:
            raise RunFolderError(f"{table} exists already; choose another file with --csv.")
        if not table.parent.is_dir():
            raise RunFolderError(f"can't write {table}: there is no folder {table.parent}; make it first.")
    selection = selection_of(by, level, top=top, above=above, greedy=greedy)
    several = len(circuits) > 1
    shown = (0 if several else 3) if worst is None else worst
    for circuit in circuits:
        check_place(circuit)
    check_names(task, **{name: options[name] for name in ("metric", "ablation", "answers", "wrong_answers")})
    # torch takes seconds to import
    from acdc.evaluation.evaluate import evaluate as run_evaluation

    report = run_evaluation(list(circuits), task=list(task) or None, worst=shown, selection=selection, **options)
    if table is not None:
        _write_csv(table, report.rows())  # first: it is on disk whatever becomes of the output
    if as_json:
        text = json.dumps(report.to_json(), indent=1, allow_nan=False)
        sys.stdout.write(text.replace("\x7f", "\\u007f") + "\n")  # the one control character that json leaves
        sys.stdout.flush()
    else:
        from acdc.cli.evaluation_tables import print_report

        print_report(report, groups=not several)
    if table is not None and not as_json:
        say(table)


def _write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    from acdc.files import atomic_write

    with atomic_write(path) as file:
        lines = csv.DictWriter(file, list(rows[0]) if rows else [], lineterminator="\n")
        lines.writeheader()
        lines.writerows(rows)
