"""The selection that a command's options ask for, whichever of them it has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from acdc.errors import SettingsError
from acdc.selection import LEVELS, RANKINGS, RULES, Selection
from acdc.wording import either, some

#: Options that say what is selected.
SELECTING = (*RULES, "by", "level")


def selection_options(top: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator that adds them to a command; `top` tells what the first is for."""
    options = (
        click.option("--top", type=int, help=top),
        click.option("--above", type=float, help="Likewise: those of at least this score."),
        click.option("--greedy", type=int, help="Likewise: so many, grown from the logits, the best edge first."),
        click.option("--by", help=f"What these three rank by: {either(RANKINGS)}.  [default: magnitude]"),
        click.option(
            "--level",
            help=f"What --top and --above choose: {either(LEVELS)} (heads and MLPs, by the sum of their edges out; all "
            "edges among them, the input and the logits).  [default: edges]",
        ),
    )

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def selection_of(by: str | None, level: str | None, **numbers: float | None) -> Selection | None:
    """The selection that was given; ``None`` if none was.

    Args:
        by: what it ranks by; ``None`` where that wasn't said.
        level: what it chooses; likewise.
        numbers: of each rule that the command has; ``None`` where it wasn't given.

    Raises:
        SettingsError: several are given, or a ranking without one.
    """
    given = [name for name, number in numbers.items() if number is not None]
    if len(given) > 1:
        raise SettingsError(f"`{given[0]}` and `{given[1]}` contradict each other; give one of them.")
    if given:
        return RULES[given[0]](numbers[given[0]], by or "magnitude", level or "edges")
    for name, what in (("by", "rank by"), ("level", "choose")):
        if {"by": by, "level": level}[name] is not None:
            rules = [f"`{rule}`" for rule in numbers]
            raise SettingsError(f"`{name}` says what {some(rules, len(rules))} {what}; give one of them with it.")
    return None
