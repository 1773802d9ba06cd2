"""The one way in which commands print lines, so that none has to think of what a file's text may do to a terminal.

Tables go by :mod:`acdc.cli.terminal`.
"""

from __future__ import annotations

import re
import shlex
import sys

import click

from acdc.wording import message, one_line

#: A Python option in a library's message: `n`, `dtype="float32"`, `resume=True`. In quotes it is somebody's text.
_OPTION = re.compile(r"(?<!['\"])`([a-z][a-z0-9_]*)(?:=([^`]*))?`")


def say(text: object, *, err: bool = False) -> None:
    """Print one line; see :func:`acdc.wording.one_line`.

    Args:
        text: the line.
        err: print it to standard error.
    """
    stream = sys.stderr if err else sys.stdout
    stream.write(f"{one_line(str(text))}\n")
    stream.flush()


def announce(text: str, *, err: bool = True) -> None:
    """Print a library's line, to standard error or standard output, with the running command's options in it."""
    say(as_options(message(text)), err=err)


def as_options(text: str) -> str:
    """:func:`in_options` of the running command; the text itself where none runs."""
    context = click.get_current_context(silent=True)
    return text if context is None else in_options(text, context.command)


def in_options(text: str, command: click.Command) -> str:
    """A library's message as the command line has it: Python's words become the command's options.

    A library puts them in backticks: batch_size becomes ``--batch-size``, dtype="float32" becomes
    ``--dtype float32`` and resume=True becomes ``--resume``, and norm_rule=False ``--no-norm-rule``, as far as the
    command has such an option.
    """
    options = {
        longest.removeprefix("--").replace("-", "_"): (longest, parameter)
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for longest in [max(parameter.opts, key=len)]
    }

    def option(match: re.Match[str]) -> str:
        name, value = match.groups()
        if name not in options:
            return match[0]
        known, parameter = options[name]
        if value is None:
            return known
        if parameter.is_flag:
            off = next(iter(parameter.secondary_opts), match[0])
            return known if value == "True" else off
        plain = value[1:-1] if value[:1] in ("'", '"') and value[-1:] == value[:1] and len(value) > 1 else value
        return f"{known} {shlex.quote(plain)}"

    return _OPTION.sub(option, text)
