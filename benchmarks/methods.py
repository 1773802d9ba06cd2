"""The table of the field: every method on the same graphs, prompts and engine, every circuit judged alike.

    python benchmarks/methods.py --out out/methods                                   # planted, generated, bundled
    python benchmarks/methods.py --on smollm2-135m --n 20 --out out/methods-smollm2    # fetched: acdc models fetch
    python benchmarks/methods.py --on gpt2 --out out/methods-gpt2                      # for those with the weights

Where the true circuit is known: precision and recall at its size and the area under the ROC curve. Where it isn't: what
circuits of one size keep on held-out prompts, and the curve over sizes. Each model is a sweep over its tasks and the
methods (and one more for `hybrid`, which is told what ACDC came to); an interrupted benchmark goes on with the same
command. Memory: ``benchmarks/engine.py --methods``.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import click
from method_cases import Case, axes, cases
from method_rows import Row, draw, tables
from plots import check_matplotlib

import acdc
from acdc.cli.main import main
from acdc.cli.printing import say
from acdc.comparison import step_area
from acdc.files import atomic_write
from acdc.sweeps.outcome import FINISHED
from acdc.sweeps.rows import UNRANKED

#: Figures of a row, by the columns of the sweep's table.
_COST = {"edges": "edges", "of": "edges_all"} | {
    name: name for name in ("seconds", "forwards", "backwards", "residual")
}
_KNOWN = {"precision": "precision", "recall": "recall", "roc": "roc", "auroc": "roc_mib"}
_HELD_OUT = {
    "kl": "kl_held_out",
    "faithfulness": "faithfulness_held_out",
    "right": "accuracy_held_out",
    "right_of_model": "accuracy_model_held_out",
} | {name: name for name in ("cpr", "cmd", "log_distance", "smallest")}


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--on", default="planted,small,middle,tiny-tasks", show_default=True, help="Models, with commas between.")
@click.option("--n", default=50, type=click.IntRange(min=1), show_default=True, help="Prompt pairs of language tasks.")
@click.option(
    "--jobs", default=1, type=click.IntRange(min=0), show_default=True, help="Processes; times are best with one."
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write, or to go on with.")
def command(on: str, n: int, jobs: int, out: Path) -> None:
    """Run every method on every case; write methods.csv, methods.md and a picture."""
    check_matplotlib()
    rows: list[Row] = []
    for case in cases(on.split(","), n):
        rows += measured(case, case.methods, out, jobs)
        _write(out, rows)
    for line in tables(rows):
        print(line)
    for path in (out / "methods.csv", out / "methods.md", *draw(rows, out)):
        say(path)


def measured(case: Case, names: Sequence[str], out: Path, jobs: int) -> list[Row]:
    """Methods on a case's tasks: a row each, by task and then as `names` are.

    Args:
        case: what they run on.
        names: of the methods.
        out: folder of the sweeps' folders.
        jobs: as :func:`acdc.sweep` has it.
    """
    found: dict[tuple[str, str], Row] = {}
    came_to: dict[str, float | None] = {}  # the threshold that ACDC's budget led to, by task
    others = [name for name in names if name != "hybrid"]
    for row in _swept(axes(case, others, case.tasks), case, out / case.model, jobs):
        found[row["task"], row["method"]] = _row(case, row)
        if row["method"] == "acdc":
            came_to[row["task"]] = row.get("found_threshold")
    for task in case.tasks if "hybrid" in names else ():
        hybrid = axes(case, ["hybrid"], [task], came_to.get(task))
        (row,) = _swept(hybrid, case, out / f"{case.name(task)}-hybrid", jobs)
        found[task, "hybrid"] = _row(case, row)
    return [found[task, name] for task in case.tasks for name in names]


def _swept(asked: Mapping[str, Any], case: Case, out: Path, jobs: int) -> list[dict[str, Any]]:
    """The table of a sweep; of a planted model it says how far the truth was found."""
    return acdc.sweep(asked, out=out, jobs=jobs, curve=case.reference is None).rows


def _row(case: Case, row: Mapping[str, Any]) -> Row:
    """What a cell came to."""
    method, name = row["method"], case.name(row["task"])
    if row["status"] != FINISHED:
        return Row(case.group, name, method, failed=row["sentence"])
    columns = _COST | (_HELD_OUT if case.reference is None else _KNOWN)
    known: dict[str, Any] = {figure: row.get(column) for figure, column in columns.items()}
    if case.reference is not None and method in UNRANKED:
        known["roc"] = step_area([(row["false_positive_rate"], row["recall"])])
    return Row(case.group, name, method, **known)


def _write(out: Path, rows: Sequence[Row]) -> None:
    with atomic_write(out / "methods.csv") as file:
        table = csv.DictWriter(file, [one.name for one in fields(Row)], lineterminator="\n")
        table.writeheader()
        table.writerows(asdict(row) for row in rows)
    with atomic_write(out / "methods.md") as file:
        file.write("\n".join(tables(rows)).strip() + "\n")


def run() -> None:
    """Run the command and end the process, as ``acdc`` does."""
    main(command, "methods", interrupted="interrupted; the same command goes on.")


if __name__ == "__main__":
    run()
