"""A discovery run for each of a range of thresholds, and a table of what they found."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from acdc.circuit import Circuit
from acdc.comparison import agreement
from acdc.discovery.discover import discover
from acdc.files import atomic_write
from acdc.models.model import Model
from acdc.pairs.task import Task
from acdc.results import Evaluation
from acdc.runs.run import Run


@dataclass(frozen=True)
class Row:
    """What a run found; ``None`` where it can't be known.

    "used" are the prompts that the circuit was found on, "held_out" others of the task (a
    file has none). Accuracy and logit difference need answers, the last three a reference.

    Attributes:
        threshold: of the run.
        edges_kept: edges of the circuit, i.e. on a path from the input to the logits.
        edges_all: edges of the model's graph.
        edges_tried: edges whose removal was measured.
        seconds: that the pruning took.
        metric: name of the metric that decided.
        metric_used, metric_held_out: that metric of the circuit.
        kl_used, kl_held_out: KL of the circuit to the model.
        kl_ablated_used, kl_ablated_held_out: likewise with no edge left.
        logit_difference_used, logit_difference_held_out: of the circuit.
        logit_difference_model_used, logit_difference_model_held_out: of the model.
        accuracy_used, accuracy_held_out: of the circuit.
        precision, recall, false_positive_rate: see :class:`acdc.comparison.Agreement`.
    """

    threshold: float
    edges_kept: int
    edges_all: int
    edges_tried: int
    seconds: float
    metric: str
    metric_used: float
    metric_held_out: float | None
    kl_used: float
    kl_held_out: float | None
    kl_ablated_used: float
    kl_ablated_held_out: float | None
    logit_difference_used: float | None
    logit_difference_held_out: float | None
    logit_difference_model_used: float | None
    logit_difference_model_held_out: float | None
    accuracy_used: float | None
    accuracy_held_out: float | None
    precision: float | None = None
    recall: float | None = None
    false_positive_rate: float | None = None


def row_of(run: Run, reference: Circuit | None = None) -> Row:
    """The row of a finished run, compared with a reference circuit if there is one."""
    record, used, held_out = run.record, run.used, run.held_out
    metric = str(record.request.metric)

    def metrics(evaluation: Evaluation | None, state: str) -> Mapping[str, float]:
        return {} if evaluation is None else getattr(evaluation, state).metrics

    def of_model(evaluation: Evaluation | None) -> float | None:
        return None if evaluation is None else evaluation.model.logit_difference

    return Row(
        threshold=record.request.options["threshold"],
        edges_kept=run.circuit.n_edges,
        edges_all=run.circuit.graph.n_edges,
        edges_tried=record.tried or 0,
        seconds=record.seconds,
        metric=metric,
        metric_used=used.circuit.metrics[metric],
        metric_held_out=metrics(held_out, "circuit").get(metric),
        kl_used=used.circuit.metrics["kl"],
        kl_held_out=metrics(held_out, "circuit").get("kl"),
        kl_ablated_used=used.ablated.metrics["kl"],
        kl_ablated_held_out=metrics(held_out, "ablated").get("kl"),
        logit_difference_used=used.circuit.logit_difference,
        logit_difference_held_out=None if held_out is None else held_out.circuit.logit_difference,
        logit_difference_model_used=of_model(used),
        logit_difference_model_held_out=of_model(held_out),
        accuracy_used=used.circuit.accuracy,
        accuracy_held_out=None if held_out is None else held_out.circuit.accuracy,
        **({} if reference is None else asdict(agreement(run.circuit, reference))),
    )


def sweep(
    model: Model, task: Task, thresholds: Sequence[float], out: Path, *, reference: Circuit | None = None, **asked: Any
) -> Iterator[Row]:
    """Run each threshold in a folder of its own; after each, write ``thresholds.csv`` anew.

    Finished runs are read, an interrupted one goes on, and the others are started.

    Args:
        model: the model, open.
        task: the task.
        thresholds: in the order in which they run.
        out: folder of the folders and the table.
        reference: compare every circuit with this one; see :func:`acdc.comparison.check_reference`.
        asked: other arguments of :func:`acdc.discover`, the same for all.

    Yields:
        The row of each run once it has ended.

    Raises:
        AcdcError: as :func:`acdc.discover`; a :class:`RunFolderError` if a folder holds a
            run with other settings.
    """
    rows: list[Row] = []
    for threshold in thresholds:
        folder = out / f"threshold-{threshold:.12g}"
        run = discover(model, task, threshold=threshold, out=folder, resume=True, progress=False, **asked)
        rows.append(row_of(run, reference))
        write_table(out / "thresholds.csv", rows)
        yield rows[-1]


def write_table(path: Path, rows: Sequence[Row]) -> None:
    """Write rows as CSV; what isn't known is left empty. Raises :class:`RunFolderError`."""
    with atomic_write(path) as file:
        table = csv.DictWriter(file, [field.name for field in fields(Row)], lineterminator="\n")
        table.writeheader()
        table.writerows(asdict(row) for row in rows)
