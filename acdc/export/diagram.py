"""A circuit as a diagram: DOT text that holds every position.

Rows are layers, the input at the bottom and the logits on top. A head's box has its
q, k and v slots side by side, always in the same places, so that they are told apart
by place, letter and dash pattern, not by colour alone.
"""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import numpy as np

from acdc.circuit import Circuit
from acdc.export.layout import ARROW, BOX, SLOT_OFFSETS, Layout, lay_out
from acdc.export.summary import facts, title
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
_THINNEST, _THICKEST = 0.6, 3.6  # points
_DOT = " \N{MIDDLE DOT} "
_MAX_LINE = 80  # characters in a line of the heading
_CROWDED = 150  # from so many edges on, weak lines are drawn paler


def to_dot(circuit: Circuit) -> str:
    """The diagram in the DOT language, for Graphviz's ``nop2`` engine, which it names itself.

    The same circuit gives the same text. A node is in it if a kept edge touches it;
    a circuit without edges gives a picture that says so.
    """
    from graphviz import Digraph

    dot = Digraph(
        graph_attr={
            "layout": "nop2",  # draw at the positions given
            "outputorder": "edgesfirst",
            "fontname": _FONT,
            "fontsize": "12",
            "label": _heading(circuit),
            "labelloc": "t",
            "pad": "0.15",
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
    if not circuit.n_edges:
        _text(dot, "empty", "No edge was kept.", 0, 0)
        return dot.source
    layout = lay_out(circuit)
    for y, row in layout.rows:
        if any(node.kind == "head" for node in row):
            _text(dot, f"layer {row[0].layer}", f"layer {row[0].layer}", layout.left - 32, y)
        for node in row:
            _node(dot, node, layout)
    _edges(dot, circuit, layout)
    return dot.source


def _heading(circuit: Circuit) -> str:
    """Title, facts and legend as Graphviz's HTML-like label."""
    rows = [f'<FONT POINT-SIZE="15"><B>{html.escape(title(circuit))}</B></FONT>']
    line = ""
    for fact in facts(circuit):
        if line and len(line) + len(fact) > _MAX_LINE:
            rows.append(html.escape(line))
            line = ""
        line += f"{_DOT}{fact}" if line else fact
    rows.append(html.escape(line))
    if circuit.n_edges:
        rows.append(_legend(circuit))
    cells = "".join(f"<TR><TD>{row}</TD></TR>" for row in [*rows, " "])
    return f'<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="1">{cells}</TABLE>>'


def _legend(circuit: Circuit) -> str:
    """What the lines' colours, dashes and widths mean."""
    letters = {edge.slot.letter for edge in circuit.edges()}
    parts = [
        f'<FONT COLOR="{_LINE[letter]}"><B>{letter}</B> {_DASH[letter]}</FONT>'
        for letter in SLOT_OFFSETS
        if letter and letter in letters
    ]
    sizes = np.abs(circuit.scores[circuit.in_graph])
    if np.isfinite(sizes).all() and sizes.max() > 0:
        parts.append(f"width: |score|, {sizes.min():.2g} to {sizes.max():.2g}")
    return f'<FONT POINT-SIZE="11">{_DOT.join(parts)}</FONT>' if parts else " "


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
    return (
        '<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="0">'
        f'<TR><TD COLSPAN="3">{name}</TD></TR><TR>{cells}</TR></TABLE>>'
    )


def _edges(dot: Digraph, circuit: Circuit, layout: Layout) -> None:
    """Lines in order of strength, the strongest drawn last and so on top."""
    edges = list(circuit.edges())
    strength = _strengths(circuit)
    for i in np.argsort(strength, kind="stable"):
        edge = edges[int(i)]
        opacity = 255 if len(edges) < _CROWDED else round(255 * (0.45 + 0.55 * strength[i]))
        dot.edge(
            edge.source.name,
            edge.slot.node.name,
            pos=_spline(layout.curves[edge.number]),
            color=f"{_LINE[edge.slot.letter]}{opacity:02X}",
            style=_DASH[edge.slot.letter],
            penwidth=f"{_THINNEST + (_THICKEST - _THINNEST) * strength[i]:.2f}",
            tooltip=f"{edge.name}, score {circuit.scores[edge.number]:.4g}",
        )


def _strengths(circuit: Circuit) -> np.ndarray:
    """How strong each kept edge's line is, ``[n kept]`` in 0..1: the root of its share of the largest |score|."""
    sizes = np.nan_to_num(np.abs(circuit.scores[circuit.in_graph]), posinf=0.0)
    if not sizes.any():
        return np.full_like(sizes, 0.5)  # no scores: all lines alike
    # Scores spread over orders of magnitude: without the root all but a few lines look alike.
    return np.sqrt(sizes / sizes.max())


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
