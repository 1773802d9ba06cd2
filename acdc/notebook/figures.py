"""Evaluations, as notebooks show them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from acdc.notebook.markup import Cell, Markup, heading, page, paragraph, table
from acdc.results import Behaviour, Evaluation
from acdc.wording import counted, task_name

if TYPE_CHECKING:
    from acdc.analysis.looks import Looks
    from acdc.evaluation.judgement import Judgement
    from acdc.evaluation.report import Report
    from acdc.evaluation.task_check import TaskCheck
    from acdc.evaluation.task_figures import TaskFigures

_NAMES = {"accuracy": "right", "top1": "top-1 right", "logit_difference": "logit difference"}
_SHARES = ("accuracy", "top1")


def evaluation_form(found: Evaluation) -> str:
    """An evaluation's states side by side."""
    return page(heading(f"Evaluation on {counted(found.n_prompts, 'prompt')}"), evaluation_table(found))


def behaviour_form(found: Behaviour) -> str:
    """A behaviour's figures."""
    rows = [[_NAMES.get(name, name), _figure(name, found.mean(name))] for name in _figures(found)]
    return page(heading("Behaviour"), table(("", "mean"), rows))


def evaluation_table(found: Evaluation, title: str = "") -> Markup:
    """The states of an evaluation beside each other, a row a figure; metrics say how much worse than the model."""
    states = found.states
    rows: list[list[Cell]] = []
    if found.faithfulness_metric is not None:
        shares = [found.share(state) for state in states]
        said = ["not defined" if share is None else f"{share:.1%}" for share in shares]
        rows.append([f"faithfulness by {found.faithfulness_metric}", *said])
    for name in _figures(found.model):
        label = _NAMES.get(name, f"worse by {name}")
        rows.append([label, *(_figure(name, state.mean(name)) for state in states.values())])
    return table(("", *states), rows, title)


def task_check_form(found: TaskCheck) -> str:
    """What the model does on either prompt, a row a corruption, and what is to be doubted."""
    rows: list[list[Cell]] = []
    for drawn, figures in zip(found.pairs.drawn, found.figures, strict=True):
        row: list[Cell] = [drawn.corruption, drawn.which, len(drawn.prompts)]
        for name in _NAMES:
            row += [_figure(name, mean) if (mean := on.mean(name)) is not None else None for on in _both(figures)]
        rows.append(row)
    columns = [f"{name}, {prompt}" for name in _NAMES.values() for prompt in ("clean", "corrupted")]
    return page(
        heading(f"{task_name(found.pairs.task.name)} on {found.model}"),
        table(("corruption", "prompts", "n", *columns), rows),
        paragraph(*found.doubts),
        paragraph(*found.notes),
    )


def _both(found: TaskFigures) -> tuple[Behaviour, Behaviour]:
    return found.clean, found.corrupted


def report_form(report: Report) -> str:
    """All judgements, a row each, and what they amount to."""
    rows: list[list[Cell]] = [
        [
            judged.circuit,
            judged.n_edges,
            task_name(judged.task),
            judged.which,
            judged.evaluation.n_prompts,
            judged.evaluation.circuit.metrics[judged.metric],
            _share(judged),
        ]
        for judged in report
    ]
    columns = ("circuit", "edges", "task", "which", "prompts", "metric", "faithfulness")
    sentences = [sentence for verdict in report.verdict for sentence in verdict.sentences]
    return page(
        heading(f"Report of {counted(len(report), 'judgement')}"),
        table(columns, rows),
        paragraph(*sentences),
        paragraph(*report.notes),
    )


def judgement_form(judged: Judgement) -> str:
    """A circuit on one set of prompts: figures, and the worst prompts."""
    on = f"{counted(judged.evaluation.n_prompts, 'prompt')} of {task_name(judged.task)}, {judged.which}"
    rows = [
        [
            f"{worst.value:.4g}",
            judged.prompts[worst.prompt].clean,
            ", ".join(worst.right),
            _likely(worst.model),
            _likely(worst.circuit),
        ]
        for worst in judged.worst
    ]
    columns = (judged.metric, "prompt", "right", "model says", "circuit says")
    return page(
        heading(f"{judged.circuit}: {counted(judged.n_edges, 'edge')} on {on}"),
        evaluation_table(judged.evaluation),
        table(columns, rows, "the worst prompts") if rows else None,
    )


def looks_form(looks: Looks) -> str:
    """Looks at a model on a task, the rows that say the most of each."""
    parts: list[Markup | None] = []
    for name, result in looks.items():
        summary = looks.summary(name)
        parts.append(table(summary.columns, summary.rows, f"{name}: {result.title}"))
    return page(
        heading(f"{looks.setting.prompts.task} on {looks.setting.model.name}"),
        *parts,
        *(paragraph(f"{name} was left out: {why}") for name, why in looks.left_out.items()),
    )


def _likely(tokens: Sequence[tuple[str, float]]) -> str:
    return ", ".join(f"{token} {share:.0%}" for token, share in tokens[:3])


def _figures(found: Behaviour) -> list[str]:
    return [name for name in (*_NAMES, *found.metrics) if found.mean(name) is not None]


def _figure(name: str, value: float | None) -> Cell:
    return f"{value:.1%}" if name in _SHARES and value is not None else value


def _share(judged: Judgement) -> str:
    share = judged.evaluation.faithfulness
    return "not defined" if share is None else f"{share:.1%}"
