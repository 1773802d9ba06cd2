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
from acdc.cli.selection_options import SELECTING, selection_of, selection_options
from acdc.cli.targets import check_free
from acdc.engine.ablations import ABLATIONS
from acdc.errors import SettingsError
from acdc.metrics import METRICS
from acdc.wording import either

#: What is measured beside a circuit's behaviour, by option; and what a curve is drawn as.
_BESIDE = ("curve", "completeness", "tests")
_PICTURES = (".svg", ".png")


@click.command()
@click.argument("circuits", nargs=-1, required=True, metavar="CIRCUIT...", type=click.Path())
@click.option("--task", multiple=True, help="Task or prompt file; may be repeated.  [default: what it was found on]")
@click.option("--model", help="Bundled name, hub name, folder or GGUF file.  [default: what it was found on]")
@click.option("--metric", help=f"{either(METRICS)}.  [default: as it was found, or kl]")
@click.option("--ablation", help=f"Removed edges carry: {either(ABLATIONS)}.  [default: as it was found, or corrupted]")
@click.option("--freeze", help="Stays as on the clean prompts: attention, norms, both or none.  [default: as found]")
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
@click.option("--curve", is_flag=True, help="Faithfulness over sizes, by the scores: CPR, CMD and what they leave out.")
@click.option("--plot", type=click.Path(path_type=Path), help="File to draw the curves into: .svg or .png.")
@click.option("--completeness", is_flag=True, help="Take out nodes: completeness, and minimality of each.")
@click.option("--tests", is_flag=True, help="Hypothesis tests, on held-out prompts.")
@click.option("--worst", type=int, help="Show so many of the worst prompts.  [default: 3; of several circuits none]")
@click.option("--json", "as_json", is_flag=True, help="All of it as one JSON object, and nothing else.")
@click.option("--csv", "table", type=click.Path(path_type=Path), help="File to write: a line a prediction, or a size.")
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
    plot: Path | None,
    **options: Any,
) -> None:
    """Judge CIRCUIT... beside their model.

    Each is a run folder; a circuit file of acdc, EAP-IG or MIB (.json, .pt); or a text file of edges, one a line.
    Without --task it is run on the very prompts that it was found on, and on held-out ones.
    """
    from acdc.evaluation.beforehand import check_names, check_place

    beside = [name for name in _BESIDE if options[name]]
    _check_files(table, plot, beside)
    selection = selection_of(**{name: options.pop(name) for name in SELECTING})
    several = len(circuits) > 1
    shown = (0 if several or beside else 3) if worst is None else worst
    for circuit in circuits:
        check_place(circuit)
    check_names(task, **{name: options[name] for name in ("metric", "ablation", "answers", "wrong_answers")})
    # torch takes seconds to import
    from acdc.evaluation.evaluate import evaluate as run_evaluation

    report = run_evaluation(list(circuits), task=list(task) or None, worst=shown, selection=selection, **options)
    if table is not None:
        _write_csv(table, report.rows(*beside))  # first: it is on disk whatever becomes of the output
    if plot is not None:
        from acdc.evaluation.curve_plot import draw_curves

        draw_curves(report, plot)
    if as_json:
        text = json.dumps(report.to_json(), indent=1, allow_nan=False)
        sys.stdout.write(text.replace("\x7f", "\\u007f") + "\n")  # the one control character that json leaves
        sys.stdout.flush()
    else:
        from acdc.cli.evaluation_tables import print_report

        print_report(report, groups=not several and not beside)
    for written in filter(None, (table, plot)):
        if not as_json:
            say(written)


def _check_files(table: Path | None, plot: Path | None, beside: Sequence[str]) -> None:
    """Raise :class:`AcdcError` where a file can't be written, or what it is to hold isn't asked for."""
    for option, path in (("--csv", table), ("--plot", plot)):
        if path is not None:
            check_free(path, option)
    if table is not None and len(beside) > 1:
        raise SettingsError(f"--csv holds one table, not --{' and --'.join(beside)}; give one of them, or --json.")
    if plot is None:
        return
    from acdc.export.plots import check_matplotlib

    if "curve" not in beside:
        raise SettingsError("--plot draws the curve of --curve; give both.")
    if plot.suffix.lower() not in _PICTURES:
        raise SettingsError(f"{plot} doesn't end in one of {', '.join(_PICTURES)}; give another file with --plot.")
    if plot == table:
        raise SettingsError("--csv and --plot name the same file; give two.")
    check_matplotlib()


def _write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    from acdc.files import atomic_write

    with atomic_write(path) as file:
        lines = csv.DictWriter(file, list(rows[0]) if rows else [], lineterminator="\n")
        lines.writeheader()
        lines.writerows(rows)
