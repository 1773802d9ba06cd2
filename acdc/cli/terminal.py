"""Tables and styled text for a terminal, in which a file's text stays text."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from acdc.wording import one_line

_WIDTH = 120  # of what isn't a terminal: enough for a table


class Terminal(Console):
    """A console on which text is text: no markup, no emoji codes, nothing that a terminal would obey.

    What is to look otherwise is a :class:`rich.text.Text`. Line breaks stay, since tables have them.
    """

    def __init__(self, wide: int | None = None) -> None:
        """Write to standard output.

        Args:
            wide: columns of what isn't a terminal; by default enough for any table.
        """
        # The width of what isn't a terminal is nobody's; COLUMNS may be set all the same.
        wide = None if sys.stdout.isatty() else wide or _WIDTH
        super().__init__(file=sys.stdout, width=wide, highlight=False, markup=False, emoji=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """As rich has it, of text made plain before its width is measured."""
        return super().render_str(_plain(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As rich has it; whatever went another way is made plain here."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else _plain(text), style, control)


def _plain(text: str) -> str:
    """Every line of `text` by :func:`acdc.wording.one_line`."""
    return "\n".join(map(one_line, text.split("\n")))
