"""``acdc tasks`` and ``acdc task check``."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import click

from acdc.cli.group import Group
from acdc.cli.printing import announce, say
from acdc.cli.prompt_options import prompt_options
from acdc.cli.task_new import new

if TYPE_CHECKING:
    from acdc.pairs import PromptSet


@click.command()
def tasks() -> None:
    """List the tasks, their corruptions and their papers' metrics."""
    from rich.table import Table

    from acdc.cli.terminal import Terminal
    from acdc.errors import AcdcError, AcdcWarning
    from acdc.pairs.finding import find_task, task_names

    table = Table()
    for column in ("task", "what", "corruptions (the first is the default)", "usual metric"):
        table.add_column(column)
    for name in task_names():
        try:
            found = find_task(name)
        except AcdcError as error:  # another package's
            warnings.warn(str(error), AcdcWarning, stacklevel=1)
            continue
        corruptions = "\n".join(f"{corruption}: {meaning}" for corruption, meaning in found.corruptions.items())
        table.add_row(name, found.summary, corruptions, found.metric)
    Terminal().print(table)


@click.group(cls=Group)
def task() -> None:
    """Check a task, or begin one of your own."""


task.add_command(new)


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
@prompt_options
def check(
    task: str,
    model: str | None,
    tokenizer_name: str | None,
    n: int | None,
    seed: int,
    corruption: str | None,
    bos: str,
    allow_misaligned: bool,
    answers: str | None,
    wrong_answers: str | None,
    skip_bad_pairs: bool,
) -> None:
    """Check that the pairs of TASK line up token by token; show one.

    TASK is a task's name, or a file: of prompt pairs, a template (mine.toml), or Python (mine.py:MyTask).
    """
    from acdc.errors import NoTokenizerError, PromptError
    from acdc.pairs.finding import find_task
    from acdc.waiting import bars

    with bars(True):
        found = find_task(task, answers, wrong_answers)
    if not skip_bad_pairs:
        found.refuse_unreadable()
    for note in found.notes:
        announce(note)
    tokenizer: Any | None = None
    limits: dict[str, Any] = {"bos": bos, "allow_misaligned": allow_misaligned}
    if tokenizer_name is not None:
        from acdc.models.tokenizers import load_tokenizer

        tokenizer = load_tokenizer(tokenizer_name)
        limits["vocab_size"] = len(tokenizer)
    if model is not None:
        from acdc.models.loading import load_model

        opened = load_model(model, tokenizer=tokenizer)
        tokenizer = opened.tokenizer
        limits |= {"vocab_size": opened.vocab_size, "n_outputs": opened.n_outputs, "max_length": opened.n_ctx}
    try:
        with bars(True):
            prompts = found.prompts(tokenizer, n, seed, "train", corruption, skip_bad_pairs=skip_bad_pairs, **limits)
    except NoTokenizerError as error:
        give = "--model or --tokenizer" if model is None else "--tokenizer"
        raise PromptError(f"{error.what} is text; give {give}, under which to check it.") from error
    _print_prompts(found.name, prompts, tokenizer)


def _print_prompts(name: str, prompts: PromptSet, tokenizer: Any | None) -> None:
    """What there is of them, how they begin, and the first pair token by token."""
    from acdc.pairs import show_tokens
    from acdc.pairs.bos import beginnings_in_words
    from acdc.wording import counted

    lengths = sorted({len(pair.clean) for pair in prompts.pairs})
    longest = counted(lengths[-1], "token")
    said = f"{counted(len(prompts), 'pair')} of {longest if len(lengths) == 1 else f'{lengths[0]} to {longest}'}"
    say(f"{name}: {said}, {prompts.alignment_in_words}")
    if tokenizer is not None:
        announce(beginnings_in_words(prompts.pairs, tokenizer), err=False)
    for kind, count in prompts.left_out.items():
        if count:
            say(f"left out: {count} {kind}")
    first = prompts.pairs[0]
    say(f"clean:     {show_tokens(first.clean, tokenizer)}")
    say(f"corrupted: {show_tokens(first.corrupted, tokenizer)}")
    for i, position in enumerate(first.answer_positions):
        right = show_tokens(first.answers[i], tokenizer) if first.answers else "not given"
        wrong = show_tokens(first.wrong_answers[i], tokenizer) if first.wrong_answers else "not given"
        say(f"after token {position}: right {right}, wrong {wrong}")
