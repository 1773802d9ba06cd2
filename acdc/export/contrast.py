"""Two circuits in one diagram: what only the one keeps, what only the other, and what both do."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from acdc import asked
from acdc.circuit import Circuit
from acdc.comparison import Comparison, Pair
from acdc.comparison.comparison import share, spoken
from acdc.errors import SettingsError
from acdc.export.drawing import (
    DOT,
    GREY,
    SPACE,
    Look,
    Stroke,
    add_edge,
    add_nodes,
    canvas,
    empty,
    key,
    label,
    legend,
    opacity,
    samples,
    widths,
)
from acdc.export.layout import SLOT_OFFSETS, lay_out
from acdc.export.summary import dead_ends, known_title, printable, score_words, short_name
from acdc.graph import Edge, Node
from acdc.provenance import EDITED
from acdc.wording import counted

_ONLY_FIRST, _ONLY_SECOND, _BOTH = range(3)
# Blue and vermillion of Okabe and Ito, which any colour vision tells apart, and a grey that recedes.
_LINE = ("#0072B2", "#D55E00", "#8C8C8C")
_DASH = ("dashed", "dotted", "solid")
_FILL = ("#D3E5F2", "#F9DFCC", "#FFFFFF")
_LETTERS = dict.fromkeys(SLOT_OFFSETS, GREY)
_THINNEST = 1.0  # of a line with gaps
_NO_SCORE = 1 / 16  # of the strongest: the width of a line in a circuit without scores is a quarter of the widest


@dataclass(frozen=True)
class Contrast:
    """Two circuits, or the strongest edges of either, for a diagram.

    Attributes:
        comparison: what has the two in :attr:`acdc.comparison.Comparison.pair`.
        strongest: how many edges to show at most; ``None`` for all.

    Raises:
        SettingsError: there aren't two, or `strongest` isn't a number of edges.
    """

    comparison: Comparison
    strongest: int | None = None

    def __post_init__(self) -> None:
        check_two(2 if self.comparison.pair is not None else len(self.comparison.circuits))
        if self.strongest is not None and asked.whole("strongest", self.strongest) < 1:
            raise SettingsError("`strongest` must be at least 1 edge; leave it out to show all.")

    @cached_property
    def pair(self) -> Pair:
        """The two, held against each other."""
        return self.comparison.pair or Pair(*self.comparison.circuits)

    @property
    def circuits(self) -> tuple[Circuit, Circuit]:
        """The two."""
        return self.pair.first, self.pair.second

    @cached_property
    def numbers(self) -> np.ndarray:
        """The edges shown, by number, strongest first; among equals in the graph's order."""
        kept = np.flatnonzero(np.logical_or(*(one.in_graph for one in self.circuits)))
        order = np.argsort(-self.sizes[kept], kind="stable")
        return kept[order[: self.strongest]]

    @property
    def shown(self) -> np.ndarray:
        """The edges shown, ``[n_edges]`` bool."""
        mask = np.zeros_like(self.pair.first.in_graph)
        mask[self.numbers] = True
        return mask

    @cached_property
    def sizes(self) -> np.ndarray:
        """Each edge's |score| over the largest in its circuit, the larger where both keep it, ``[n_edges]``."""
        return np.maximum(*map(_relative, self.circuits))

    def group(self, number: int) -> int:
        """Whether only the first keeps an edge, only the second, or both."""
        first, second = (bool(one.in_graph[number]) for one in self.circuits)
        return _BOTH if first and second else _ONLY_FIRST if first else _ONLY_SECOND


def check_two(n: int) -> None:
    """Raise :class:`SettingsError` unless there are two circuits."""
    if n != 2:
        raise SettingsError(f"a diagram shows two circuits, not {n}; compare two alone.")


def _relative(circuit: Circuit) -> np.ndarray:
    sizes = np.abs(np.where(circuit.in_graph, circuit.scores, 0.0))
    sizes = np.nan_to_num(sizes, posinf=sizes[np.isfinite(sizes)].max(initial=0.0) or 1.0)
    return sizes / sizes.max() if sizes.any() else np.where(circuit.in_graph, _NO_SCORE, 0.0)


def to_dot(contrast: Contrast) -> str:
    """The diagram in the DOT language, as :func:`acdc.export.diagram.to_dot` has it.

    Graphviz draws the lines that leave a node together, in the order of the nodes. For the edges of both to
    lie below all others, their lines hang on nodes of their own, unseen and drawn first.
    """
    edges = [contrast.circuits[0].graph.edge(number) for number in contrast.numbers]
    groups = {edge.number: contrast.group(edge.number) for edge in edges}
    dot = canvas(label(_heading(contrast), _facts(contrast), _legends(contrast) if edges else []))
    if not edges:
        return empty(dot)
    layout = lay_out(contrast.circuits[0].graph, edges)
    for name in dict.fromkeys(edge.source.name for edge in edges if groups[edge.number] == _BOTH):
        x, y = layout.places[name]
        dot.node(_below(name), "", pos=f"{x:.1f},{y:.1f}", shape="point", style="invis", width="0", height="0")
    looks = _looks(contrast)
    add_nodes(dot, layout, lambda node: looks[node.index])
    lines = list(zip(edges, widths(contrast.sizes[contrast.numbers], 1.0), strict=True))
    for edge, width in reversed(lines):
        group, tip = groups[edge.number], _tooltip(contrast, edge)
        if group == _BOTH:
            stroke = Stroke(_LINE[group], _DASH[group], width, tip, opacity(width, len(lines)))
            add_edge(dot, edge, layout, stroke, tail=_below(edge.source.name))
        else:
            add_edge(dot, edge, layout, Stroke(_LINE[group], _DASH[group], max(width, _THINNEST), tip))
    return dot.source


def _below(name: str) -> str:
    return f"{name} in both"


def _looks(contrast: Contrast) -> list[Look]:
    """How each node looks: as the circuits' edges touch it, shown or not."""
    first, second = (one.graph.live_nodes(one.in_graph) for one in contrast.circuits)

    def look(node: Node) -> Look:
        alone = first[node.index] != second[node.index]
        group = (_ONLY_FIRST if first[node.index] else _ONLY_SECOND) if alone else _BOTH
        return Look(_FILL[group], _LETTERS, _DASH[group], _LINE[group])

    return [look(node) for node in contrast.circuits[0].graph.nodes]


def _tooltip(contrast: Contrast, edge: Edge) -> str:
    names = contrast.comparison.pair_labels
    scores = (
        f"{spoken(name)} {score_words(one.scores[edge.number])}{'' if one.in_graph[edge.number] else ' (not kept)'}"
        for name, one in zip(names, contrast.circuits, strict=True)
    )
    return f"{edge.name}, score in {', in '.join(scores)}"


def _heading(contrast: Contrast) -> str:
    sources = _sources(contrast.comparison)
    titles = (known_title(one.found) or short_name(sources[i] or "Circuit") for i, one in enumerate(contrast.circuits))
    return " against ".join(dict.fromkeys(titles))


def _sources(comparison: Comparison) -> list[str | None]:
    return [*comparison.sources, comparison.reference_source]


def _facts(contrast: Contrast) -> list[list[str]]:
    """What is shown and how much is in both; then of each of the two how many edges it keeps, and by what."""
    comparison, pair = contrast.comparison, contrast.pair
    n_all = pair.edges.first + pair.edges.only_second
    shown = len(contrast.numbers)
    out = [f"{shown:,} strongest of {n_all:,} edges shown"] if shown < n_all else []
    first, second = (one.in_graph for one in contrast.circuits)
    out += dead_ends(contrast.circuits[0].graph, contrast.shown, first | second)
    jaccard = "" if pair.edges.jaccard is None else f", Jaccard {share(pair.edges.jaccard)}"
    paragraphs = [[*out, f"{pair.edges.both:,} of {n_all:,} edges in both{jaccard}"]]
    sources = _sources(comparison)
    for i, (name, one) in enumerate(zip(comparison.pair_labels, contrast.circuits, strict=True)):
        source = sources[i]
        named = name if source is None else f"{name} ({short_name(source)})"
        doubt = [EDITED] if one.doubt == EDITED else []  # no figures are shown, whose age would matter
        paragraphs.append([f"{named}: {counted(one.n_edges, 'edge')}", *doubt, *_otherwise(comparison, i)])
    return paragraphs


def _otherwise(comparison: Comparison, i: int) -> list[str]:
    """What a circuit was found by, as far as it differs and isn't in the heading."""
    found = {name: values[i] for name, values in comparison.differences.items() if name not in ("task", "model")}
    plain = {
        name: value
        for name, value in found.items()
        if isinstance(value, str | int | float) and not name.endswith("_sha256")
    }
    return [f"{printable(name)} {_plain(value)}" for name, value in plain.items()]


def _plain(value: Any) -> str:
    return short_name(value) if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)


def _legends(contrast: Contrast) -> list[str]:
    """What colours and dashes mean, with how many of them are shown; and widths, where there are scores."""
    edges, (a, b) = contrast.pair.edges, contrast.comparison.pair_labels
    counts = {f"only {a}": edges.only_first, f"only {b}": edges.only_second, "both": edges.both}
    groups = [contrast.group(number) for number in contrast.numbers]
    named = (f"{name}: {_part(groups.count(group), count)}" for group, (name, count) in enumerate(counts.items()))
    rows = [legend([DOT.join(key(*row) for row in zip(_LINE, named, _DASH, strict=True))])]
    if any(np.isfinite(one.scores[one.in_graph]).any() and one.scores[one.in_graph].any() for one in contrast.circuits):
        rows.append(legend([f"width: \N{SQUARE ROOT}(|score| / the largest in its circuit){SPACE}", *samples(1.0)]))
    return rows


def _part(shown: int, of: int) -> str:
    """``171``, or ``20 of 171`` where only a part is shown."""
    return f"{of:,}" if shown == of else f"{shown:,} of {of:,}"
