"""The command ``acdc``: one group, one file a command, and every error as one sentence.

Commands import what they need when they run, so that ``acdc --help`` doesn't wait for
torch.
"""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from importlib.metadata import version

import click

from acdc.errors import AcdcError, AcdcWarning

#: Command and the module that holds it.
_COMMANDS = {
    "discover": "acdc.cli.discover",
    "show": "acdc.cli.show",
    "export": "acdc.cli.export",
    "tasks": "acdc.cli.tasks",
    "task": "acdc.cli.tasks",
    "models": "acdc.cli.models",
    "model": "acdc.cli.models",
}
EXIT_ERROR, EXIT_INTERRUPTED = 2, 130


class _LazyGroup(click.Group):
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


def main() -> None:
    """Entry point: run the command; print errors as one sentence and end with exit code 2."""
    warnings.showwarning = _show_warning
    try:
        code = cli(standalone_mode=False)
    except AcdcError as error:
        click.echo(f"acdc: {error}", err=True)
        sys.exit(EXIT_ERROR)
    except click.ClickException as error:
        click.echo(f"acdc: {error.format_message()}", err=True)
        sys.exit(EXIT_ERROR)
    except OSError as error:  # what the system refuses, e.g. a name that is too long
        where = "" if error.filename is None else f"{error.filename}: "
        click.echo(f"acdc: {where}{error.strerror or error}.", err=True)
        sys.exit(EXIT_ERROR)
    except (click.Abort, KeyboardInterrupt):
        click.echo("acdc: interrupted.", err=True)
        sys.exit(EXIT_INTERRUPTED)
    sys.exit(code if isinstance(code, int) else 0)


_show_any_warning = warnings.showwarning


def _show_warning(message: Warning | str, category: type[Warning], *where: object, **more: object) -> None:
    """Our own warnings as one line; other libraries' as they are."""
    if issubclass(category, AcdcWarning):
        click.echo(f"acdc: warning: {message}", err=True)
    else:
        _show_any_warning(message, category, *where, **more)  # type: ignore[arg-type]
