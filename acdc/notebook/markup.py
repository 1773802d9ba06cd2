"""The few pieces of HTML that every form is made of. All text is escaped here, and nowhere else."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from acdc.wording import one_line

#: A cell of a table; numbers stand to the right, in four digits.
Cell = str | int | float | None


@dataclass(frozen=True)
class Markup:
    """HTML whose text is escaped already, told apart from text that isn't.

    Attributes:
        html: the markup.
    """

    html: str


def text(value: object) -> str:
    """Text as HTML has it: one line, in which nothing is markup."""
    return html.escape(one_line(str(value)))


def page(*parts: Markup | None) -> str:
    """The form of an object, of its parts, those left out that are ``None``."""
    return f'<div class="acdc">{"".join(part.html for part in parts if part is not None)}</div>'


def heading(title: str) -> Markup:
    """What the object is, in bold."""
    return Markup(f"<p><b>{text(title)}</b></p>")


def paragraph(*sentences: object) -> Markup | None:
    """Sentences, one after the other; ``None`` where there are none."""
    return Markup(f"<p>{' '.join(map(text, sentences))}</p>") if sentences else None


def table(columns: Sequence[str], rows: Iterable[Sequence[Cell | Markup]], title: str = "") -> Markup:
    """A table, with a title above it."""
    head = "".join(f'<th style="text-align:left">{text(name)}</th>' for name in columns)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    caption = f'<caption style="text-align:left"><b>{text(title)}</b></caption>' if title else ""
    return Markup(f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")


def folded(summary: str, *parts: Markup) -> Markup:
    """Parts that a reader unfolds."""
    inside = "".join(part.html for part in parts)
    return Markup(f"<details><summary>{text(summary)}</summary>{inside}</details>")


def picture(drawing: bytes, said: str, kind: str = "svg+xml", width: int | None = None) -> Markup:
    """A drawing as an image: what a file's text says in it can't become markup of the notebook.

    Args:
        drawing: its bytes.
        said: what it shows, for who can't see it.
        kind: of image: ``svg+xml`` or ``png``.
        width: in pixels of the page; by default its own.
    """
    encoded = base64.b64encode(drawing).decode()
    style = "max-width:100%;background:#fff" + ("" if width is None else f";width:{width}px")
    return Markup(f'<img alt="{text(said)}" style="{style}" src="data:image/{kind};base64,{encoded}">')


def token(shown: str, *, marked: bool = False, title: str = "") -> Markup:
    """A token with its spaces; one that differs is told apart by weight and line, not by colour alone."""
    style = "white-space:pre;font-family:monospace"
    if marked:
        style += ";font-weight:bold;text-decoration:underline;background:rgba(230,159,0,.3)"
    hint = f' title="{text(title)}"' if title else ""
    return Markup(f'<span style="{style}"{hint}>{text(shown)}</span>')


def joined(parts: Iterable[Markup]) -> Markup:
    """Pieces of a line."""
    return Markup("".join(part.html for part in parts))


def _cell(cell: Cell | Markup) -> str:
    if isinstance(cell, Markup):
        return f'<td style="text-align:left">{cell.html}</td>'
    if cell is None:
        return "<td></td>"
    if isinstance(cell, bool | str):
        return f'<td style="text-align:left">{text(cell)}</td>'
    return f'<td style="text-align:right">{cell:.4g}</td>' if isinstance(cell, float) else f"<td>{cell:,}</td>"
