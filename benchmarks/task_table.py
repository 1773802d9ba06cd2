"""How well a model does every task of a kind, as a table in Markdown.

    python benchmarks/task_table.py smollm2-135m

Held-out prompts of each task's first corruption, as `acdc task check` measures them. Tasks that can't be done with the
model's tokenizer say why.
"""

from __future__ import annotations

import warnings

import click
import numpy as np

import acdc
from acdc.cli.main import main
from acdc.cli.printing import say
from acdc.engine.setting import prepare
from acdc.errors import AcdcError, AcdcWarning
from acdc.evaluation.behaviour import behaviour
from acdc.models.model import Model
from acdc.pairs.finding import find_task, task_names
from acdc.wording import first_line


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.argument("model")
@click.option("--n", type=int, default=50, show_default=True, help="Held-out prompts of each task.")
@click.option("--kind", type=click.Choice(["language", "algorithmic"]), default="language", show_default=True)
@click.option("--task", "tasks", multiple=True, metavar="TASK", help="Only this one, or a task's file; repeatable.")
def command(model: str, n: int, kind: str, tasks: tuple[str, ...]) -> None:
    """Measure MODEL on every task."""
    opened = acdc.load_model(model)
    say(f"{opened.name}, {n} held-out prompts a task. Right: a right answer above every wrong one.")
    say("")
    say("| task | right | top-1 right | logit difference | its spread | words left out |")
    say("|---|---|---|---|---|---|")
    for name in tasks or task_names():
        if tasks or find_task(name).kind == kind:
            say(row(opened, name, n))


def row(model: Model, name: str, n: int) -> str:
    """The table's line of one task."""
    task = find_task(name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AcdcWarning)  # `acdc task check` says them
            prompts = acdc.prompts(model, task, n=n, split="test")
            setting = prepare(model, prompts, batch_size=min(n, 10))
    except AcdcError as error:
        return f"| {task.name} | {first_line(error)} | | | | |"
    found = behaviour(setting, setting.model_logits)
    spread = None
    if found.values is not None and "logit_difference" in found.values:
        each = setting.rows.cpu().numpy()  # the prompt of every prediction
        spread = float((np.bincount(each, found.values["logit_difference"]) / np.bincount(each)).std(ddof=1))
    left_out = ", ".join(f"{count} {kind}" for kind, count in prompts.left_out.items() if count)
    values = (_share(found.accuracy), _share(found.top1), _number(found.logit_difference), _number(spread))
    return f"| {' | '.join((task.name, *values, left_out or 'none'))} |"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


if __name__ == "__main__":
    main(command, "task_table")
