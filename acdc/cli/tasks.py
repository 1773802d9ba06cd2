"""``acdc tasks`` and ``acdc task check``."""

from __future__ import annotations

from typing import Any

import click

from acdc.cli.group import Group


@click.command()
def tasks() -> None:
    """List the tasks, with their corruptions and the metric that their papers use."""
    from rich.markup import escape
    from rich.table import Table

    from acdc.cli.tables import console
    from acdc.task import find_task, task_names

    table = Table()
    for column in ("task", "what", "corruptions (the first is the default)", "usual metric"):
        table.add_column(column)
    for name in task_names():
        found = find_task(name)
        corruptions = "\n".join(f"{name}: {meaning}" for name, meaning in found.corruptions.items())
        table.add_row(name, escape(found.summary), escape(corruptions), found.metric)
    console().print(table)


@click.group(cls=Group)
def task() -> None:
    """Check a task."""


@task.command()
@click.argument("task")
@click.option("--model", help="Check under this model's tokenizer, vocabulary and context.")
@click.option(
    "--tokenizer",
    "tokenizer_name",
    help="Check under this tokenizer, alone or in place of the model's: hub name or folder.",
)
@click.option("--n", type=int, help="Prompt pairs.  [default: 100, or all of a file]")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--corruption", help="One of the task's.  [default: its first]")
def check(
    task: str, model: str | None, tokenizer_name: str | None, n: int | None, seed: int, corruption: str | None
) -> None:
    """Check that the pairs of TASK (a file, or a task's name) line up token by token; show one."""
    from acdc.errors import NoTokenizerError, PromptError
    from acdc.prompts import show_tokens
    from acdc.task import find_task
    from acdc.wording import counted

    found = find_task(task)
    tokenizer: Any | None = None
    limits: dict[str, int | None] = {}
    if tokenizer_name is not None:
        from acdc.models.tokenizers import load_tokenizer

        tokenizer = load_tokenizer(tokenizer_name)
        limits["vocab_size"] = len(tokenizer)
    if model is not None:
        from acdc.loading import load_model

        opened = load_model(model, tokenizer=tokenizer)
        tokenizer = opened.tokenizer
        limits = {"vocab_size": opened.vocab_size, "n_outputs": opened.n_outputs, "max_length": opened.n_ctx}
    try:
        prompts = found.prompts(tokenizer, n, seed, "train", corruption, **limits)
    except NoTokenizerError as error:
        give = "--model or --tokenizer" if model is None else "--tokenizer"
        raise PromptError(f"{error.what} is text; give {give}, under which to check it.") from error
    lengths = sorted({len(pair.clean) for pair in prompts.pairs})
    same = sum(pair.clean == pair.corrupted for pair in prompts.pairs)
    longest = counted(lengths[-1], "token")
    said = f"{counted(len(prompts), 'pair')} of {longest if len(lengths) == 1 else f'{lengths[0]} to {longest}'}"
    click.echo(f"{found.name}: {said}, lined up token by token")
    for kind, count in prompts.left_out.items():
        if count:
            click.echo(f"left out for the tokenizer: {count} {kind}")
    if same:
        click.echo(f"clean and corrupted are equal in {counted(same, 'pair')}")
    first = prompts.pairs[0]
    click.echo(f"clean:     {show_tokens(first.clean, tokenizer)}")
    click.echo(f"corrupted: {show_tokens(first.corrupted, tokenizer)}")
    for i, position in enumerate(first.answer_positions):
        right = show_tokens(first.answers[i], tokenizer) if first.answers else "not given"
        wrong = show_tokens(first.wrong_answers[i], tokenizer) if first.wrong_answers else "not given"
        click.echo(f"after token {position}: right {right}, wrong {wrong}")
