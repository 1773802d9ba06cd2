"""``acdc task show``: pairs of a task token by token, as the model gets them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from acdc.cli.prompt_options import prompt_options
from acdc.cli.task_source import opened

if TYPE_CHECKING:
    from acdc.cli.terminal import Terminal
    from acdc.pairs.looking import ShownPair

#: Answers at a position that are shown.
_MOST_ANSWERS = 6
_WIDTH = 80  # of what isn't a terminal


@click.command()
@click.argument("task")
@click.option("--model", help="Show under this model's tokenizer, vocabulary and context.")
@click.option("--tokenizer", "tokenizer_name", help="Show under this tokenizer: a model's name or a folder.")
@click.option("--n", type=int, help="Prompt pairs to show.  [default: 3]")
@click.option("--pair", type=int, help="Show the pair of this number alone, from 1.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--corruption", help="One of the task's.  [default: its first]")
@prompt_options
def show(
    task: str,
    model: str | None,
    tokenizer_name: str | None,
    n: int | None,
    pair: int | None,
    seed: int,
    corruption: str | None,
    bos: str,
    allow_misaligned: bool,
    skip_bad_pairs: bool,
    answers: str | None,
    wrong_answers: str | None,
) -> None:
    """Show pairs of TASK token by token, clean over corrupted.

    What differs is marked, spans are named, and right and wrong answers stand below, with where they are read.

    TASK is a task's name or its file.
    """
    from rich.text import Text

    from acdc.cli.terminal import Terminal
    from acdc.errors import SettingsError
    from acdc.pairs.looking import shown_pair
    from acdc.waiting import bars

    if n is not None and pair is not None:
        raise SettingsError("`n` and `pair` exclude each other; give one.")
    for name, number in (("n", n), ("pair", pair)):
        if number is not None and number < 1:
            raise SettingsError(f"`{name}` must be at least 1, not {number}.")
    source = opened(task, model, tokenizer_name, answers, wrong_answers, skip_bad_pairs=skip_bad_pairs)
    found, wanted = source.task, pair or n or min(3, source.task.default_n)
    with bars(True):
        prompts = source.prompts(
            wanted,
            seed=seed,
            corruption=corruption,
            bos=bos,
            allow_misaligned=allow_misaligned,
            skip_bad_pairs=skip_bad_pairs,
        )
    chosen = corruption or next(iter(found.corruptions))
    out = Terminal(_WIDTH)
    out.print(Text.assemble((found.name, "bold"), f": {found.summary}" if found.summary else ""))
    if found.source:
        out.print(f"source: {found.source}")
    control = " (a control: the right answer stays)" if chosen in found.control_corruptions else ""
    out.print(Text.assemble("corruption ", (chosen, "bold"), f"{control}: {found.corruptions[chosen]}"))
    if others := [name for name in found.corruptions if name != chosen]:
        out.print(f"others: {', '.join(others)}")
    for number in [pair] if pair else range(1, len(prompts) + 1):
        out.print()
        _print_pair(out, number, shown_pair(prompts.pairs[number - 1], source.tokenizer))


def _print_pair(out: Terminal, number: int, shown: ShownPair) -> None:
    from rich.text import Text

    from acdc.cli.token_rows import READ, token_rows
    from acdc.wording import counted, quoted

    n_differing = sum(token.differs for token in shown.tokens)
    what = f"{counted(len(shown.tokens), 'token')}, {n_differing} differ{'s' if n_differing == 1 else ''}"
    out.print(Text.assemble((f"pair {number}", "bold"), f" ({shown.where}): {what}"))
    for line in token_rows(shown, out.width):
        out.print(line)
    for answer in shown.answers:
        after = quoted(shown.tokens[answer.position].clean)
        right, wrong, other = (_some(texts) for texts in (answer.right, answer.wrong, answer.corrupted))
        out.print(
            Text.assemble(
                f"{READ} read after token {answer.position}, {after}: right ",
                (right or "not given", "green" if right else ""),
                f"; wrong {wrong or 'not given'}",
                f"; right on the corrupted prompt {other}" if other else "",
            )
        )


def _some(texts: tuple[str, ...]) -> str:
    """The first few answers."""
    from acdc.wording import quoted

    shown = " or ".join(map(quoted, texts[:_MOST_ANSWERS]))
    return shown + (f" and {len(texts) - _MOST_ANSWERS} more" if len(texts) > _MOST_ANSWERS else "")
