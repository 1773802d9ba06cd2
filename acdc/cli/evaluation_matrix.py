"""Circuits against tasks at a glance: what share of the model's behaviour each keeps on each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich import box
from rich.table import Table

from acdc.evaluation.judgement import Judgement
from acdc.wording import task_name


def matrix(groups: Sequence[Sequence[Judgement]]) -> Table | None:
    """A table of several circuits on the same several tasks; ``None`` where there are no such.

    Args:
        groups: judgements by circuit and task (:func:`acdc.evaluation.verdicts.by_task`), of which the last counts:
            on held-out or ``test`` prompts, where there are any.
    """
    rows: dict[str, list[Judgement]] = {}
    for together in groups:
        rows.setdefault(together[0].circuit, []).append(together[-1])
    first, *others = rows.values()
    tasks = [one.task for one in first]
    if len(tasks) < 2 or not others or any([one.task for one in row] != tasks for row in others):
        return None
    table = Table(
        title="circuits by tasks",
        title_justify="left",
        title_style="",
        box=box.SIMPLE,
        padding=(0, 1, 0, 0),
        show_edge=False,
    )
    table.add_column("", overflow="fold")
    for place, task in enumerate(tasks):
        which = " or ".join(dict.fromkeys(row[place].which for row in rows.values()))
        table.add_column(f"{task_name(task)}\n{which}", justify="right", overflow="fold")
    for circuit, row in rows.items():
        table.add_row(f"{circuit} ({row[0].n_edges})", *map(_cell, row))
    shares = dict.fromkeys(str(one.evaluation.faithfulness_metric) for row in rows.values() for one in row)
    table.caption, table.caption_justify = _caption(shares), "left"
    return table


def _caption(shares: Iterable[str]) -> str:
    return f"faithfulness by {' or '.join(shares)}; below it how much worse than the model"


def _cell(one: Judgement) -> str:
    share = one.evaluation.faithfulness
    kept = "not defined" if share is None else f"{round(share, 3) + 0.0:.1%}"  # no "-0.0%"
    return f"{kept}\n{one.evaluation.circuit.metrics[one.metric]:.3g} {one.metric}"
