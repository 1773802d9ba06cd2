"""Options of every command that reads prompts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

_OPTIONS = (
    click.option(
        "--bos",
        default="auto",
        show_default=True,
        help="Prompts begin with: auto, what the tokenizer puts there; yes, one BOS; no, none added.",
    ),
    click.option("--allow-misaligned", is_flag=True, help="Take pairs whose words stand at other tokens."),
    click.option("--answers", metavar="COLUMN", help="Of a prompt file: the field or column of the right answers."),
    click.option("--wrong-answers", metavar="COLUMN", help="Likewise, of the wrong ones."),
    click.option("--skip-bad-pairs", is_flag=True, help="Leave out prompt pairs that don't fit, and say which."),
)


def prompt_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add them to a command, in this order."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
