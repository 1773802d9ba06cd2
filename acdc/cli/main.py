"""The command ``acdc``: one group, one file a command, and every error as one sentence.

Commands import what they need when they run, so that ``acdc --help`` doesn't wait for
torch.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import version
from typing import Any, NoReturn

import click

from acdc.cli.group import Group
from acdc.errors import AcdcError, AcdcWarning

#: Command and the module that holds it.
_COMMANDS = {
    "discover": "acdc.cli.discover",
    "resume": "acdc.cli.resume",
    "show": "acdc.cli.show",
    "export": "acdc.cli.export",
    "tasks": "acdc.cli.tasks",
    "task": "acdc.cli.tasks",
    "models": "acdc.cli.models",
    "model": "acdc.cli.models",
}
EXIT_ERROR, EXIT_INTERRUPTED = 2, 130


class _LazyGroup(Group):
    """Imports a command's module when the command is called or asked for its help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        return getattr(import_module(_COMMANDS[cmd_name]), cmd_name)


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(version("acdc-circuits"), prog_name="acdc")
def cli() -> None:
    """Automated circuit discovery: which parts of this transformer do this task?

    Start with: acdc discover ioi --model tiny-tasks
    """


def main(command: click.Command = cli, name: str = "acdc", interrupted: str = "interrupted.") -> None:
    """Entry point: run a command and end the process.

    An error is printed as one sentence, and the exit code is 2. A warning of acdc's own is
    one line.

    Args:
        command: what to run.
        name: stands before every error and warning.
        interrupted: what to say after Ctrl-C.
    """

    def fail(message: str, code: int = EXIT_ERROR) -> NoReturn:
        click.echo(f"{name}: {one_line(message)}", err=True)
        sys.exit(code)

    with _own_warnings(name):
        try:
            code = command(standalone_mode=False)
        except AcdcError as error:
            fail(str(error))
        except click.ClickException as error:
            fail(error.format_message())
        except OSError as error:  # what the system refuses, e.g. a name that is too long
            where = "" if error.filename is None else f"{error.filename}: "
            fail(f"{where}{error.strerror or error}.")
        except (click.Abort, KeyboardInterrupt):
            fail(interrupted, EXIT_INTERRUPTED)
    sys.exit(code if isinstance(code, int) else 0)


@contextmanager
def _own_warnings(name: str) -> Iterator[None]:
    """Print our own warnings as one line, and other libraries' as they are."""
    with warnings.catch_warnings():  # puts showwarning back
        show_any = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
            if issubclass(category, AcdcWarning):
                click.echo(f"{name}: warning: {one_line(str(message))}", err=True)
            else:
                show_any(message, category, *where, **more)

        warnings.showwarning = show
        yield


def one_line(text: str) -> str:
    """`text` with line breaks and other control characters, e.g. of a file's name, written as escapes."""
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)
