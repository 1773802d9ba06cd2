"""The table of the field: every method on the same graphs, prompts and engine, every circuit judged alike.

    python benchmarks/methods.py --out out/methods                                   # planted, generated, bundled
    python benchmarks/methods.py --on smollm2-135m --n 20 --out out/methods-smollm2    # fetched: acdc models fetch
    python benchmarks/methods.py --on gpt2 --out out/methods-gpt2                      # for those with the weights

Where the true circuit is known: precision and recall at its size and the area under the ROC curve. Where it isn't: what
circuits of one size keep on held-out prompts, and the curve over sizes. Every run has a folder of its own, and
an interrupted benchmark goes on with the same command. Memory: ``benchmarks/engine.py --methods``.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

import click
from method_cases import FLAT, SLOPED, Case, asked, cases, opened
from method_rows import Row, draw, tables
from plots import check_matplotlib
from tqdm import tqdm

import acdc
from acdc.cli.main import main
from acdc.cli.printing import say
from acdc.comparison.roc import agreement, mib_area, mib_points, ranking, step_area
from acdc.errors import AcdcError
from acdc.files import atomic_write
from acdc.models.model import Model
from acdc.results import Evaluation
from acdc.runs.run import Run


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--on", default="planted,small,middle,tiny-tasks", show_default=True, help="Models, with commas between.")
@click.option("--n", default=50, type=click.IntRange(min=1), show_default=True, help="Prompt pairs of language tasks.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write, or to go on with.")
def command(on: str, n: int, out: Path) -> None:
    """Run every method on every case; write methods.csv, methods.md and a picture."""
    check_matplotlib()
    chosen = list(cases(on.split(","), n))
    rows: list[Row] = []
    held: dict[str, Model] = {}
    with tqdm(total=sum(len(case.methods) for case in chosen), unit="run", dynamic_ncols=True) as bar:
        for case in chosen:
            for name in case.methods:
                bar.set_postfix_str(f"{name} on {case.name}")
                rows.append(measured(name, case, opened(case, held), out))
                _write(out, rows)
                bar.update()
    for line in tables(rows):
        print(line)
    for path in (out / "methods.csv", out / "methods.md", *draw(rows, out)):
        say(path)


def measured(name: str, case: Case, model: Model, out: Path) -> Row:
    """A method on a case, in its own folder."""
    folder = out / case.name
    threshold = Run.load(folder / "acdc").record.threshold if (folder / "acdc" / "run.json").exists() else None
    options, select = asked(name, case, threshold)
    try:
        run = acdc.discover(
            model,
            case.task,
            method=name,
            select=select,
            metric=SLOPED if name == "hisp" and case.metric in FLAT else case.metric,
            corruption=case.corruption,
            n=case.n,
            out=folder / name,
            resume=True,
            progress=False,
            **options,
        )
        return _row(name, case, model, run)
    except AcdcError as error:
        return Row(case.group, case.name, name, failed=str(error))


def _row(name: str, case: Case, model: Model, run: Run) -> Row:
    """What a run came to."""
    record, circuit = run.record, run.circuit
    cost = record.cost or {}
    known = {
        "edges": circuit.n_edges,
        "of": circuit.graph.n_edges,
        "seconds": record.seconds,
        "forwards": cost.get("forwards"),
        "backwards": cost.get("backwards"),
        "residual": (record.conservation or {}).get("residual"),
    }
    if case.reference is not None:
        found = agreement(circuit, case.reference)
        ranks = name not in ("acdc", "hybrid", "random")
        points = ranking(circuit.scores, case.reference) if ranks else [(found.false_positive_rate, found.recall)]
        known |= {"precision": found.precision, "recall": found.recall, "roc": step_area(points)}
        known["auroc"] = mib_area(mib_points(circuit.scores, case.reference)) if ranks else None
    elif run.held_out is not None:
        known |= _kept(run.held_out) | _curve(name, case, model, run)
    return Row(case.group, case.name, name, **known)


def _kept(evaluation: Evaluation) -> dict[str, float | None]:
    """What a circuit keeps."""
    return {
        "kl": evaluation.circuit.metrics["kl"],
        "faithfulness": evaluation.share("circuit"),
        "right": evaluation.circuit.accuracy,
        "right_of_model": evaluation.model.accuracy,
    }


def _curve(name: str, case: Case, model: Model, run: Run) -> dict[str, float | int | None]:
    """Figures over sizes, on held-out prompts; none of what doesn't rank edges."""
    if name in ("acdc", "hybrid", "random"):
        return {}
    (judged,) = acdc.evaluate(
        run.circuit, model, case.task, n=case.n, split="test", worst=0, curve=True, progress=False
    )
    families = judged.curve.families if judged.curve is not None else {}
    if not families:
        return {}
    signed, absolute = families["signed"], families["absolute"]
    return {
        "cpr": signed.mib.cpr,
        "cmd": absolute.mib.cmd,
        "log_distance": signed.log.distance,
        "smallest": signed.smallest,
    }


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
