"""What every diagram is made of: boxes and lines in DOT text that holds every position, and the text above.

Rows are layers, the input at the bottom and the logits on top. A head's box has its
q, k and v slots side by side, always in the same places.
"""

from __future__ import annotations

import html
import itertools
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from acdc.export.layout import ARROW, BOX, SLOT_OFFSETS, Layout
from acdc.graph import Edge, Letter, Node

if TYPE_CHECKING:
    from graphviz import Digraph

_FONT = "Helvetica,Arial,DejaVu Sans,sans-serif"
GREY = "#4D4D4D"
# In points. The strongest edge's line is the widest; the legend shows its half and quarter, which must be whole.
WIDEST, THINNEST = 4, 0.6
TABLE = '<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="0">'
DOT, SPACE = " \N{MIDDLE DOT} ", "\N{NO-BREAK SPACE}"
_MAX_TITLE, _MAX_LINE, _MAX_LINES = 60, 80, 10  # characters in a line of the title and the facts, and lines of each
_CROWDED = 150  # from so many edges on, weak lines are drawn paler


@dataclass(frozen=True)
class Stroke:
    """How an edge's line looks.

    Attributes:
        color: ``#RRGGBB``.
        dash: ``solid``, ``dashed`` or ``dotted``.
        width: in points.
        tooltip: what is said of it under the pointer.
        opacity: 255, or less for a paler line.
    """

    color: str
    dash: str
    width: float
    tooltip: str
    opacity: int = 255


@dataclass(frozen=True)
class Look:
    """How a node's box looks.

    Attributes:
        fill: ``#RRGGBB``.
        letters: colour of a head's q, k and v.
        dash: of its outline.
        outline: the outline's colour.
        role: what the node does, where that is known.
    """

    fill: str
    letters: Mapping[Letter | None, str]
    dash: str = "solid"
    outline: str | None = None
    role: str | None = None


def canvas(label: str) -> Digraph:
    """An empty diagram with a label above it."""
    from graphviz import Digraph

    return Digraph(
        graph_attr={
            "layout": "nop2",  # draw at the positions given
            "outputorder": "edgesfirst",
            "fontname": _FONT,
            "fontsize": "12",
            "label": label,
            "labelloc": "t",
            "pad": "0.05",
            "margin": "0",  # else a PDF has half an inch on every side
            "charset": "UTF-8",
        },
        node_attr={
            "fontname": _FONT,
            "fontsize": "11",
            "shape": "box",
            "style": "rounded,filled",
            "color": "#666666",
            "fixedsize": "true",
            "width": _inches(BOX[0]),
            "height": _inches(BOX[1]),
        },
        edge_attr={"arrowsize": "0.5"},
    )


def empty(dot: Digraph) -> str:
    """A picture without an edge, which says so."""
    _text(dot, "empty", "No edge was kept.", 0, 0)
    return dot.source


def add_nodes(dot: Digraph, layout: Layout, look: Callable[[Node], Look]) -> None:
    """The boxes, and the names of the layers beside them."""
    for y, row in layout.rows:
        if any(node.kind == "head" for node in row):
            _text(dot, f"layer {row[0].layer}", f"layer {row[0].layer}", layout.left - 32, y)
        for node in row:
            _node(dot, node, layout, look(node))


def add_edge(dot: Digraph, edge: Edge, layout: Layout, stroke: Stroke, tail: str | None = None) -> None:
    """A line; `tail` is another node than its source to hang it on."""
    dot.edge(
        tail or edge.source.name,
        edge.slot.node.name,
        pos=_spline(layout.curves[edge.number]),
        color=f"{stroke.color}{stroke.opacity:02X}",
        style=stroke.dash,
        penwidth=f"{stroke.width:.2f}",
        tooltip=stroke.tooltip,
    )


def label(heading: str, paragraphs: Sequence[Sequence[str]], legends: Sequence[str]) -> str:
    """Title, paragraphs of facts and legends as Graphviz's HTML-like label."""
    rows = [f'<FONT POINT-SIZE="15"><B>{_escaped(line)}</B></FONT>' for line in _wrapped([heading], " ", _MAX_TITLE)]
    rows += [_escaped(line) for facts in paragraphs for line in _wrapped(facts, DOT, _MAX_LINE)]
    cells = "".join(f"<TR><TD>{row}</TD></TR>" for row in [*rows, *legends, " "])
    return f"<{TABLE}{cells}</TABLE>>"


def _escaped(text: str) -> str:
    r"""Text for an HTML-like label; Graphviz would put the graph's name where ``\G`` stands."""
    return html.escape(text).replace("\\", r"\\")


def _wrapped(parts: Sequence[str], between: str, width: int) -> list[str]:
    """Parts one after the other in lines of a width; a part is broken only where it is longer than a line."""
    lines: list[str] = []
    for part in itertools.chain.from_iterable(textwrap.wrap(part, width) for part in parts):
        if lines and len(lines[-1]) + len(between) + len(part) <= width:
            lines[-1] += between + part
        else:
            lines.append(part)
    return lines if len(lines) <= _MAX_LINES else [*lines[: _MAX_LINES - 1], "\N{HORIZONTAL ELLIPSIS}"]


def key(color: str, name: str, dash: str) -> str:
    """A name in the legend with what lines look like that it stands for."""
    return f'<FONT COLOR="{color}"><B>{name}</B> {dash}</FONT>'


def chip(fill: str, name: str) -> str:
    """A name in the legend on the colour of the boxes that it stands for."""
    cell = f'<TD BGCOLOR="{fill}">{SPACE}{_small(_escaped(name))}{SPACE}</TD><TD>{SPACE}</TD>'
    return f"{TABLE}<TR>{cell}</TR></TABLE>"


def legend(cells: Sequence[str]) -> str:
    """A row of a legend, of text and of samples of lines."""
    row = "".join(f"<TD>{cell if cell.startswith('<TABLE') else _small(cell)}</TD>" for cell in cells)
    return f"{TABLE}<TR>{row}</TR></TABLE>" if row else " "


def samples(largest: float) -> list[str]:
    """Lines of some widths, each with the size that it stands for, where `largest` has the widest."""
    return [
        cell
        for width in (WIDEST, WIDEST // 2, WIDEST // 4)
        for cell in (_bar(width), f"{SPACE}{largest * (width / WIDEST) ** 2:.2g}{SPACE}")
    ]


def _small(text: str) -> str:
    return f'<FONT POINT-SIZE="11">{text}</FONT>'


def _bar(width: int) -> str:
    """A line of a width in points."""
    size = f'FIXEDSIZE="TRUE" WIDTH="22" HEIGHT="{width}"'
    return f'{TABLE}<TR><TD {size} BGCOLOR="{GREY}"></TD></TR></TABLE>'


def _node(dot: Digraph, node: Node, layout: Layout, look: Look) -> None:
    label = _head_label(node.name, look) if node.kind == "head" else node.name.replace("_", "\n")
    outline = {} if look.outline is None else {"color": look.outline, "style": f"rounded,filled,{look.dash}"}
    place = _point(layout.places[node.name])
    tooltip = node.name if look.role is None else f"{node.name}: {look.role}".replace("\\", r"\\")
    dot.node(node.name, label, pos=place, fillcolor=look.fill, tooltip=tooltip, **outline)


def _head_label(name: str, look: Look) -> str:
    """The name, and under it the three slots where :data:`SLOT_OFFSETS` puts them."""
    step = int(SLOT_OFFSETS["v"])
    cells = "".join(
        f'<TD WIDTH="{step}"><FONT POINT-SIZE="9" COLOR="{look.letters[letter]}">{letter}</FONT></TD>'
        for letter in SLOT_OFFSETS
        if letter
    )
    return f'<{TABLE}<TR><TD COLSPAN="3">{name}</TD></TR><TR>{cells}</TR></TABLE>>'


def widths(sizes: np.ndarray, largest: float | None = None) -> np.ndarray:
    """Width of lines of such |scores| in points, ``[n]``: their root, none too thin to see.

    That of the largest, or of what is given as the largest, is `WIDEST`.
    Scores spread over orders of magnitude: without the root all but a few lines look alike.
    """
    if not sizes.any():
        return np.full_like(sizes, WIDEST / 4)  # no scores: all lines alike
    return np.maximum(WIDEST * np.sqrt(sizes / (largest or sizes.max())), THINNEST)


def opacity(width: float, n_lines: int) -> int:
    """Of a line among so many: weak ones are paler where there are many."""
    return 255 if n_lines < _CROWDED else round(255 * (0.45 + 0.55 * width / WIDEST))


def _text(dot: Digraph, name: str, text: str, x: float, y: float) -> None:
    dot.node(name, text, pos=_point((x, y)), shape="plaintext", style="", fontcolor="#666666", fixedsize="false")


def _spline(curve: np.ndarray) -> str:
    """A cubic curve in Graphviz's words: the arrow's tip, then the control points."""
    x, y = curve[-1]
    return " ".join([f"e,{_point((x, y + ARROW))}", *map(_point, curve)])


def _point(place: tuple[float, float] | np.ndarray) -> str:
    x, y = place
    return f"{x:.1f},{y:.1f}"


def _inches(points: float) -> str:
    return f"{points / 72:.3f}"
