"""A circuit as a diagram.

A head's slots are told apart by place, letter and dash pattern, not by colour alone.
"""

from __future__ import annotations

from itertools import zip_longest

from acdc.export.drawing import (
    DOT,
    GREY,
    SPACE,
    Look,
    Stroke,
    add_edge,
    add_nodes,
    canvas,
    chip,
    empty,
    key,
    label,
    legend,
    opacity,
    samples,
    widths,
)
from acdc.export.excerpt import Excerpt
from acdc.export.layout import SLOT_OFFSETS, lay_out
from acdc.export.summary import dead_ends, score_words
from acdc.graph import Letter, NodeKind

# The lines take the palette of Okabe and Ito, which any colour vision tells apart.
_LINE: dict[Letter | None, str] = {"q": "#0072B2", "k": "#D55E00", "v": "#009E73", None: GREY}
_DASH: dict[Letter | None, str] = {"q": "solid", "k": "dashed", "v": "dotted", None: "solid"}
_FILL: dict[NodeKind, str] = {
    "input": "#F7F0B8",
    "embed": "#F7F0B8",
    "pos_embed": "#F7F0B8",
    "head": "#DCE9F5",
    "mlp": "#FADFC8",
    "logits": "#E0D6EA",
}
#: Of nodes whose role is known, in the order of the roles; there are no more colours that are told apart.
_ROLE_FILLS = ("#CBE7CB", "#F8D2E2", "#FFDF8E", "#CFE3F7", "#E2CFEE", "#FBD3B4", "#C6EEE9", "#E2E2D8")
_ROLES_A_LINE = 4


def to_dot(excerpt: Excerpt) -> str:
    """The diagram in the DOT language, for Graphviz's ``nop2`` engine, which it names itself.

    The same circuit gives the same text. A node is in it if an edge shown touches it;
    a circuit without edges gives a picture that says so.
    """
    facts = excerpt.facts()
    facts[1:1] = dead_ends(excerpt.circuit.graph, excerpt.mask(), excerpt.circuit.in_graph)
    dot = canvas(label(excerpt.heading(), [facts], [_legend(excerpt), *_roles(excerpt)] if excerpt.n_edges else []))
    if not excerpt.n_edges:
        return empty(dot)
    layout = lay_out(excerpt.circuit.graph, excerpt.edges())
    looks = _looks(excerpt)
    add_nodes(dot, layout, lambda node: looks.get(node.name) or Look(_FILL[node.kind], _LINE))
    lines = list(zip(excerpt.edges(), widths(excerpt.sizes()), strict=True))
    for edge, width in reversed(lines):  # of those that leave one box, the strongest is drawn last and so on top
        tooltip = f"{edge.name}, score {score_words(excerpt.circuit.scores[edge.number])}"
        letter = edge.slot.letter
        stroke = Stroke(_LINE[letter], _DASH[letter], width, tooltip, opacity(width, len(lines)))
        add_edge(dot, edge, layout, stroke)
    return dot.source


def _looks(excerpt: Excerpt) -> dict[str, Look]:
    """How boxes look whose role is known, by the nodes' names; of more roles than colours the last have none."""
    kinds = {node.name: node.kind for node in excerpt.circuit.graph.nodes}
    roles = zip_longest(excerpt.roles().items(), _ROLE_FILLS[: len(excerpt.roles())])
    return {name: Look(fill or _FILL[kinds[name]], _LINE, role=role) for (role, names), fill in roles for name in names}


def _roles(excerpt: Excerpt) -> list[str]:
    """What the boxes' colours mean, in lines of a legend: the roles of nodes shown."""
    shown = excerpt.shown_nodes()
    roles = zip(excerpt.roles().items(), _ROLE_FILLS, strict=False)
    chips = [chip(fill, role) for (role, names), fill in roles if shown.intersection(names)]
    return [legend(chips[start : start + _ROLES_A_LINE]) for start in range(0, len(chips), _ROLES_A_LINE)]


def _legend(excerpt: Excerpt) -> str:
    """What the lines' colours, dashes and widths mean, with lines of some widths and their scores."""
    letters = {edge.slot.letter for edge in excerpt.edges()}
    parts = [key(_LINE[letter], letter, _DASH[letter]) for letter in SLOT_OFFSETS if letter and letter in letters]
    cells = [DOT.join(parts)] if parts else []
    sizes = excerpt.sizes()
    if sizes.any():
        cells.append(f"{DOT if parts else ''}width: \N{SQUARE ROOT}|score|{SPACE}")
        cells += samples(sizes.max())
    return legend(cells)
