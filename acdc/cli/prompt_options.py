"""Options of every command that reads prompts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

_BOS = "Prompts begin with: auto, what the tokenizer puts there; yes, one BOS; no, none added."
_OPTIONS = (
    click.option("--allow-misaligned", is_flag=True, help="Take pairs whose words stand at other tokens."),
    click.option("--answers", metavar="COLUMN", help="Of a prompt file: the field or column of the right answers."),
    click.option("--wrong-answers", metavar="COLUMN", help="Likewise, of the wrong ones."),
    click.option("--skip-bad-pairs", is_flag=True, help="Leave out prompt pairs that don't fit, and say which."),
)


def prompt_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add them to a command, in this order."""
    return click.option("--bos", default="auto", show_default=True, help=_BOS)(_with_others(command))


def redrawing_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The same for a command that may draw a circuit's own prompts again."""
    return click.option("--bos", help=f"{_BOS}  [default: as the circuit was found, or auto]")(_with_others(command))


def _with_others(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
