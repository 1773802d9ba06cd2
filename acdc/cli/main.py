"""The command ``acdc``: one group, one file a command, and every error as one sentence.

Commands import what they need when they run, so that ``acdc --help`` doesn't wait for
torch.
"""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import version
from typing import TextIO

import click

from acdc.cli.group import Group, running
from acdc.cli.printing import announce, in_options, say
from acdc.cli.streams import lasting_streams
from acdc.errors import AcdcError, AcdcWarning, SettingsError
from acdc.wording import message, quoted, shortened

#: Command and the module that holds it.
_COMMANDS = {
    "discover": "acdc.cli.discover",
    "sweep": "acdc.cli.sweep",
    "resume": "acdc.cli.resume",
    "show": "acdc.cli.show",
    "view": "acdc.cli.view",
    "evaluate": "acdc.cli.evaluate",
    "compare": "acdc.cli.compare",
    "export": "acdc.cli.export",
    "edit": "acdc.cli.edit",
    "analyse": "acdc.cli.analyse",
    "patch": "acdc.cli.patch",
    "hidden-units": "acdc.cli.hidden_units",
    "methods": "acdc.cli.methods",
    "tasks": "acdc.cli.tasks",
    "task": "acdc.cli.tasks",
    "models": "acdc.cli.models",
    "model": "acdc.cli.models",
}
EXIT_INTERNAL, EXIT_ERROR, EXIT_INTERRUPTED = 1, 2, 130
#: Set it to see where an internal error was raised.
TRACEBACK = "ACDC_TRACEBACK"


class _LazyGroup(Group):
    """Imports a command's module when the command is called or asked for its help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        return getattr(import_module(_COMMANDS[cmd_name]), cmd_name.replace("-", "_"))


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(version("acdc-circuits"), prog_name="acdc")
def cli() -> None:
    """Automated circuit discovery: which parts of this transformer do this task?

    Start with: acdc discover ioi --model tiny-tasks
    """


def main(command: click.Command = cli, name: str = "acdc", interrupted: str = "interrupted.") -> None:
    """Entry point: run a command and end the process.

    An error is printed as one sentence, and the exit code is 2; or 1, if the mistake is acdc's own.
    A warning is one line. Whoever reads the output may stop reading: the command goes on to its end.

    Args:
        command: what to run.
        name: stands before every error and warning.
        interrupted: what to say after Ctrl-C.
    """
    with lasting_streams():
        code, said = _run(command, name, interrupted)
        if said:
            say(f"{name}: {message(said)}", err=True)
    sys.exit(code)


def _run(command: click.Command, name: str, interrupted: str) -> tuple[int, str]:
    """The exit code, and what went wrong."""
    try:
        with _own_warnings(name):
            _check_words(sys.argv[1:])
            code = command(prog_name=name, standalone_mode=False)
            sys.stdout.flush()
    except AcdcError as error:
        return EXIT_ERROR, in_options(str(error), running(command, sys.argv[1:]))
    except click.ClickException as error:
        return EXIT_ERROR, error.format_message()
    except OSError as error:  # what the system refuses, e.g. a name that is too long
        where = "" if error.filename is None else f"{error.filename}: "
        return EXIT_ERROR, f"{where}{error.strerror or error}."
    except (click.Abort, KeyboardInterrupt):
        return EXIT_INTERRUPTED, interrupted
    except MemoryError:
        return EXIT_ERROR, "out of memory; close other programs, or ask for less."
    except Exception as error:
        if os.environ.get(TRACEBACK):
            for line in traceback.format_exc().splitlines():
                say(line, err=True)
        found = message(f"{type(error).__name__}: {error}").rstrip(".: ")
        return EXIT_INTERNAL, f"internal error ({found}); please report it; {TRACEBACK}=1 shows where."
    return code if isinstance(code, int) else 0, ""


def _check_words(words: list[str]) -> None:
    """Raise :class:`SettingsError` for a word that no file's name can be: Python would do so everywhere, in its way."""
    for number, word in enumerate(words, 1):
        try:
            possible = b"\0" not in os.fsencode(word)
        except UnicodeEncodeError:
            possible = False
        if not possible:
            raise SettingsError(
                f"argument {number}, {quoted(word)}, holds a character that no name can have; leave it out."
            )


@contextmanager
def _own_warnings(name: str) -> Iterator[None]:
    """Print our own warnings as one line, whatever the environment says of warnings; other libraries' as Python does.

    Who sets PYTHONWARNINGS against the noise of libraries hasn't decided to believe every result.
    """
    with warnings.catch_warnings():  # puts showwarning and the filters back
        warnings.simplefilter("always", AcdcWarning)

        def show(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if issubclass(category, AcdcWarning):
                announce(f"{name}: warning: {message}")
                return
            for part in warnings.formatwarning(message, category, filename, lineno, line).splitlines():
                say(shortened(part), err=True)

        warnings.showwarning = show
        yield
