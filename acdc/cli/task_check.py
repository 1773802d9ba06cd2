"""``acdc task check``: whether a task is sound, and whether a model does it."""

from __future__ import annotations

import json
import sys
import warnings
from typing import Any

import click

from acdc.cli.printing import announce, say
from acdc.cli.prompt_options import prompt_options
from acdc.cli.task_source import TaskSource, opened

#: Of the worst prompts so many are shown.
_WORST = 5


@click.command()
@click.argument("task")
@click.option("--model", help="Check on this model, and under its tokenizer, vocabulary and context.")
@click.option(
    "--tokenizer",
    "tokenizer_name",
    help="Check under this tokenizer, alone or in place of the model's: a model's name or a folder.",
)
@click.option("--n", type=int, help="Prompt pairs, and as many held out.  [default: 100, or all of a file]")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--corruption", help="The only one to look at.  [default: all of the task's]")
@prompt_options
@click.option("--json", "as_json", is_flag=True, help="All of it as one JSON object, and nothing else.")
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
    as_json: bool,
) -> None:
    """Check a task's pairs, and how well a model does it.

    Its pairs must line up token by token, and nothing boring may tell the answer. With a model: how often it is right
    on clean and corrupted prompts, used and held out, by template and answer, and where it is worst.

    TASK is a task's name or its file.
    """
    from acdc.pairs.checking import merged
    from acdc.waiting import bars

    source = opened(task, model, tokenizer_name, answers, wrong_answers, skip_bad_pairs=skip_bad_pairs)
    drawing = {"n": n, "seed": seed, "corruption": corruption, "bos": bos, "allow_misaligned": allow_misaligned}
    with bars(True):
        found: Any = _drawn(source, skip_bad_pairs=skip_bad_pairs, **drawing)
        doubts = merged(found.doubts, len(found.corruptions))
        if not as_json:
            _print_pairs(source, found.drawn[0].prompts)
        if source.model is not None:
            from acdc.evaluation.task_check import on_model
            from acdc.models.loading import memory_errors

            with memory_errors():
                found = on_model(source.model, found, _WORST)
            doubts = found.doubts
    _print_found(found, has_model=source.model is not None, as_json=as_json)
    for line in found.notes:
        announce(line)
    for doubt in doubts:
        _warn(doubt)


def _drawn(source: TaskSource, **drawing: Any) -> Any:
    """The task's pairs, checked. Raises :class:`AcdcError`; for text without a tokenizer it names the option."""
    from acdc.errors import NoTokenizerError
    from acdc.pairs.checking import check_pairs

    try:
        return check_pairs(source.task, source.tokenizer, **drawing, **source.limits)
    except NoTokenizerError as error:
        raise source.lacks_tokenizer(error) from error


def _print_found(found: Any, *, has_model: bool, as_json: bool) -> None:
    """All of it as JSON; figures as tables; or what was drawn, where there is no model."""
    if as_json:
        sys.stdout.write(json.dumps(found.to_json(), indent=1, allow_nan=False).replace("\x7f", "\\u007f") + "\n")
        sys.stdout.flush()
    elif has_model:
        from acdc.cli.task_tables import print_check

        print_check(found)
    else:
        for one in found.drawn[1:]:
            say(f"{one.which}, {one.corruption}: {_sizes(one.prompts)}, {one.prompts.alignment_in_words}")


def _warn(doubt: str) -> None:
    from acdc.errors import AcdcWarning

    warnings.warn(doubt, AcdcWarning, stacklevel=2)


def _print_pairs(source: TaskSource, prompts: Any) -> None:
    """What there is of them, how they begin, and the first pair token by token."""
    from acdc.pairs import show_tokens
    from acdc.pairs.bos import beginnings_in_words

    tokenizer = source.tokenizer
    say(f"{source.task.name}: {_sizes(prompts)}, {prompts.alignment_in_words}")
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


def _sizes(prompts: Any) -> str:
    from acdc.wording import counted

    lengths = sorted({len(pair.clean) for pair in prompts.pairs})
    longest = counted(lengths[-1], "token")
    return f"{counted(len(prompts), 'pair')} of {longest if len(lengths) == 1 else f'{lengths[0]} to {longest}'}"
