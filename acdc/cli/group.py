"""A group of commands that helps whoever names none, or one that doesn't exist."""

from __future__ import annotations

from collections.abc import Sequence

import click

from acdc.cli.printing import say
from acdc.errors import UnknownNameError

EXIT_NO_COMMAND = 2  # as click has it


class Group(click.Group):
    """Prints its help if no command is given, unless it runs without, and names the nearest if there is no such one."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does it, but for no arguments at all."""
        if not args and not self.invoke_without_command and not ctx.resilient_parsing:
            for line in ctx.get_help().splitlines():
                say(line)
            ctx.exit(EXIT_NO_COMMAND)
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it. Raises :class:`UnknownNameError`."""
        if self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            raise UnknownNameError("command", args[0], self.list_commands(ctx))
        return super().resolve_command(ctx, args)


def running(command: click.Command, words: Sequence[str]) -> click.Command:
    """The command of a group that the words of a command line name, as deep as they do."""
    for word in words:
        if not isinstance(command, click.Group):
            break
        if not word.startswith("-"):
            found = command.get_command(click.Context(command), word)
            if found is None:
                break
            command = found
    return command
