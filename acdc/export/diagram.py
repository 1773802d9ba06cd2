"""A circuit as a diagram: DOT text that holds every position.

Rows are layers, the input at the bottom and the logits on top. A head's box has its
q, k and v slots side by side, always in the same places, so that they are told apart
by place, letter and dash pattern, not by colour alone.
"""

from __future__ import annotations

import html
import itertools
import textwrap
from typing import TYPE_CHECKING

import numpy as np

from acdc.export.excerpt import Excerpt
from acdc.export.layout import ARROW, BOX, SLOT_OFFSETS, Layout, lay_out
from acdc.graph import Letter, Node, NodeKind

if TYPE_CHECKING:
    from graphviz import Digraph

_FONT = "Helvetica,Arial,DejaVu Sans,sans-serif"
# The lines take the palette of Okabe and Ito, which any colour vision tells apart.
_LINE: dict[Letter | None, str] = {"q": "#0072B2", "k": "#D55E00", "v": "#009E73", None: "#4D4D4D"}
_DASH: dict[Letter | None, str] = {"q": "solid", "k": "dashed", "v": "dotted", None: "solid"}
_FILL: dict[NodeKind, str] = {
    "input": "#F7F0B8",
    "embed": "#F7F0B8",
    "pos_embed": "#F7F0B8",
    "head": "#DCE9F5",
    "mlp": "#FADFC8",
    "logits": "#E0D6EA",
}
# In points. The strongest edge's line is the widest; the legend shows its half and quarter, which must be whole.
_WIDEST, _THINNEST = 4, 0.6
_TABLE = '<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="0">'
_DOT, _SPACE = " \N{MIDDLE DOT} ", "\N{NO-BREAK SPACE}"
_MAX_TITLE, _MAX_LINE, _MAX_LINES = 60, 80, 10  # characters in a line of the title and the facts, and lines of each
_CROWDED = 150  # from so many edges on, weak lines are drawn paler


def to_dot(excerpt: Excerpt) -> str:
    """The diagram in the DOT language, for Graphviz's ``nop2`` engine, which it names itself.

    The same circuit gives the same text. A node is in it if an edge shown touches it;
    a circuit without edges gives a picture that says so.
    """
    from graphviz import Digraph

    dot = Digraph(
        graph_attr={
            "layout": "nop2",  # draw at the positions given
            "outputorder": "edgesfirst",
            "fontname": _FONT,
            "fontsize": "12",
            "label": _label(excerpt),
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
    if not excerpt.n_edges:
        _text(dot, "empty", "No edge was kept.", 0, 0)
        return dot.source
    layout = lay_out(excerpt.circuit.graph, excerpt.edges())
    for y, row in layout.rows:
        if any(node.kind == "head" for node in row):
            _text(dot, f"layer {row[0].layer}", f"layer {row[0].layer}", layout.left - 32, y)
        for node in row:
            _node(dot, node, layout)
    _edges(dot, excerpt, layout)
    return dot.source


def _label(excerpt: Excerpt) -> str:
    """Title, facts and legend as Graphviz's HTML-like label."""
    rows = [
        f'<FONT POINT-SIZE="15"><B>{_escaped(line)}</B></FONT>'
        for line in _wrapped([excerpt.heading()], " ", _MAX_TITLE)
    ]
    rows += [_escaped(line) for line in _wrapped(excerpt.facts(), _DOT, _MAX_LINE)]
    if excerpt.n_edges:
        rows.append(_legend(excerpt))
    cells = "".join(f"<TR><TD>{row}</TD></TR>" for row in [*rows, " "])
    return f"<{_TABLE}{cells}</TABLE>>"


def _escaped(text: str) -> str:
    r"""Text for an HTML-like label; Graphviz would put the graph's name where ``\G`` stands."""
    return html.escape(text).replace("\\", r"\\")


def _wrapped(parts: list[str], between: str, width: int) -> list[str]:
    """Parts one after the other in lines of a width; a part is broken only where it is longer than a line."""
    lines: list[str] = []
    for part in itertools.chain.from_iterable(textwrap.wrap(part, width) for part in parts):
        if lines and len(lines[-1]) + len(between) + len(part) <= width:
            lines[-1] += between + part
        else:
            lines.append(part)
    return lines if len(lines) <= _MAX_LINES else [*lines[: _MAX_LINES - 1], "\N{HORIZONTAL ELLIPSIS}"]


def _legend(excerpt: Excerpt) -> str:
    """What the lines' colours, dashes and widths mean, with lines of some widths and their scores."""
    letters = {edge.slot.letter for edge in excerpt.edges()}
    parts = [
        f'<FONT COLOR="{_LINE[letter]}"><B>{letter}</B> {_DASH[letter]}</FONT>'
        for letter in SLOT_OFFSETS
        if letter and letter in letters
    ]
    cells = [_DOT.join(parts)] if parts else []
    sizes = excerpt.sizes()
    if sizes.any():
        cells.append(f"{_DOT if parts else ''}width: \N{SQUARE ROOT}|score|{_SPACE}")
        for width in (_WIDEST, _WIDEST // 2, _WIDEST // 4):
            cells += [_bar(width), f"{_SPACE}{sizes.max() * (width / _WIDEST) ** 2:.2g}{_SPACE}"]
    row = "".join(f"<TD>{cell if cell.startswith('<TABLE') else _small(cell)}</TD>" for cell in cells)
    return f"{_TABLE}<TR>{row}</TR></TABLE>" if row else " "


def _small(text: str) -> str:
    return f'<FONT POINT-SIZE="11">{text}</FONT>'


def _bar(width: int) -> str:
    """A line of a width in points."""
    size = f'FIXEDSIZE="TRUE" WIDTH="22" HEIGHT="{width}"'
    return f'{_TABLE}<TR><TD {size} BGCOLOR="{_LINE[None]}"></TD></TR></TABLE>'


def _node(dot: Digraph, node: Node, layout: Layout) -> None:
    label = _head_label(node.name) if node.kind == "head" else node.name.replace("_", "\n")
    dot.node(node.name, label, pos=_point(layout.places[node.name]), fillcolor=_FILL[node.kind], tooltip=node.name)


def _head_label(name: str) -> str:
    """The name, and under it the three slots where :data:`SLOT_OFFSETS` puts them."""
    step = int(SLOT_OFFSETS["v"])
    cells = "".join(
        f'<TD WIDTH="{step}"><FONT POINT-SIZE="9" COLOR="{_LINE[letter]}">{letter}</FONT></TD>'
        for letter in SLOT_OFFSETS
        if letter
    )
    return f'<{_TABLE}<TR><TD COLSPAN="3">{name}</TD></TR><TR>{cells}</TR></TABLE>>'


def _edges(dot: Digraph, excerpt: Excerpt, layout: Layout) -> None:
    """Lines in order of strength, the strongest drawn last and so on top."""
    lines = list(zip(excerpt.edges(), _widths(excerpt.sizes()), strict=True))
    for edge, width in reversed(lines):
        opacity = 255 if len(lines) < _CROWDED else round(255 * (0.45 + 0.55 * width / _WIDEST))
        dot.edge(
            edge.source.name,
            edge.slot.node.name,
            pos=_spline(layout.curves[edge.number]),
            color=f"{_LINE[edge.slot.letter]}{opacity:02X}",
            style=_DASH[edge.slot.letter],
            penwidth=f"{width:.2f}",
            tooltip=f"{edge.name}, score {excerpt.circuit.scores[edge.number]:.4g}",
        )


def _widths(sizes: np.ndarray) -> np.ndarray:
    """Width of lines of such |scores| in points, ``[n]``: their root, the widest `_WIDEST`, none too thin to see.

    Scores spread over orders of magnitude: without the root all but a few lines look alike.
    """
    if not sizes.any():
        return np.full_like(sizes, _WIDEST / 4)  # no scores: all lines alike
    return np.maximum(_WIDEST * np.sqrt(sizes / sizes.max()), _THINNEST)


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
