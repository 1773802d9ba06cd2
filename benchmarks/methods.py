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
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import mean

import click
from method_cases import FLAT, SLOPED, Case, asked, cases, opened
from published import published
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


@dataclass(frozen=True)
class Row:
    """A method on a case; ``None`` where there is no such figure.

    Attributes:
        group, case, method: what it is.
        edges, of: of the circuit and of the graph.
        seconds: of the method alone.
        forwards, backwards: over all prompts, as the method says.
        residual: of its identity, as a share of the metric's change.
        precision, recall: of the circuit's edges.
        roc: area by the step rule, of all cuts through the scores; of what has none that rank, through one point.
        auroc: MIB's.
        kl, faithfulness, right, right_of_model: on held-out prompts.
        cpr, cmd: MIB's, of the edges of largest score and of largest magnitude.
        log_distance: ours, of the edges of largest score: the mean of ``|1 - f|`` over log size.
        smallest: edges of the smallest circuit that is faithful (0.9 to 1.1), likewise.
        failed: why there is no circuit.
    """

    group: str
    case: str
    method: str
    edges: int | None = None
    of: int | None = None
    seconds: float | None = None
    forwards: float | None = None
    backwards: float | None = None
    residual: float | None = None
    precision: float | None = None
    recall: float | None = None
    roc: float | None = None
    auroc: float | None = None
    kl: float | None = None
    faithfulness: float | None = None
    right: float | None = None
    right_of_model: float | None = None
    cpr: float | None = None
    cmd: float | None = None
    log_distance: float | None = None
    smallest: int | None = None
    failed: str = ""


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--on", default="planted,small,middle,tiny-tasks", show_default=True, help="Models, with commas between.")
@click.option("--n", default=50, type=click.IntRange(min=1), show_default=True, help="Prompt pairs of language tasks.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write, or to go on with.")
def command(on: str, n: int, out: Path) -> None:
    """Run every method on every case; write methods.csv and methods.md."""
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
    for name in ("methods.csv", "methods.md"):
        say(out / name)


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


def tables(rows: Sequence[Row]) -> Iterable[str]:
    """Markdown: known circuits by group, means over its models; others by model and task."""
    known = [row for row in rows if row.precision is not None or row.recall is not None]
    for group in dict.fromkeys(row.group for row in known):
        yield from ("", f"**{group}**: {len({row.case for row in known if row.group == group})} known circuits", "")
        yield "| method | ROC | ROC by MIB | precision | recall | seconds | residual |"
        yield "|---|--:|--:|--:|--:|--:|--:|"
        own = [row for row in known if row.group == group]
        names = dict.fromkeys(row.method for row in own)
        means = [(name, [row for row in own if row.method == name]) for name in names]
        for name, found in sorted(means, key=lambda one: -(_mean(one[1], "roc") or 0)):
            figures = [_mean(found, figure) for figure in ("roc", "auroc", "precision", "recall")]
            seconds, residual = _mean(found, "seconds"), _mean(found, "residual")
            shown = " | ".join(_said(one, ".3f") for one in figures)
            yield f"| `{name}` | {shown} | {_said(seconds, '.1f')} | {_said(residual, '.0%')} |"
    others = [row for row in rows if row.kl is not None]
    for case in dict.fromkeys(row.case for row in others):
        own = sorted((row for row in others if row.case == case), key=lambda row: row.kl or 0.0)
        yield from ("", f"**{case}**, held out; the model is right on {own[0].right_of_model:.0%}", "")
        yield "| method | edges | KL | faithfulness | right | CPR | CMD | ours | smallest | seconds |"
        yield "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
        for row in own:
            first = f"| `{row.method}` | {row.edges:,} | {_said(row.kl, '.3f')} | {_said(row.faithfulness, '.0%')}"
            areas = " | ".join(_said(one, ".3f") for one in (row.cpr, row.cmd, row.log_distance))
            last = f"{_said(row.smallest, ',')} | {_said(row.seconds, '.1f')} |"
            yield f"{first} | {_said(row.right, '.0%')} | {areas} | {last}"
    yield from published({row.case for row in rows})
    failed = [row for row in rows if row.failed]
    if failed:
        yield ""
        yield from (f"- `{row.method}` on {row.case}: {row.failed}" for row in failed)


def _mean(rows: Iterable[Row], figure: str) -> float | None:
    values = [value for row in rows if (value := getattr(row, figure)) is not None]
    return mean(values) if values else None


def _said(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


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
