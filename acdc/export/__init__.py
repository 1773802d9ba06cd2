"""Circuits as files that people look at or other programs read.

``svg``, ``png`` and ``pdf`` are diagrams; ``dot`` is the diagram's source for
Graphviz; ``graphml``, ``node-link`` (networkx's JSON), ``edges`` (names, one a line) and ``json``
are for programs, ``eap-ig`` (a ``.pt`` or JSON file) for EAP-IG and MIB (a folder for MIB:
:mod:`acdc.export.mib`); ``html-table`` lists the edges. Nothing here imports torch but to write a ``.pt``
file, and only the three pictures need Graphviz.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from acdc.circuit import Circuit
from acdc.comparison import Comparison
from acdc.errors import SettingsError, UnknownNameError
from acdc.export.eap_ig import write_eap_ig
from acdc.export.excerpt import Excerpt
from acdc.export.graphml import to_graphml, to_node_link
from acdc.export.labels import labels_of
from acdc.export.lists import to_edges
from acdc.export.table import to_html_table
from acdc.export.wanted import HasCircuit, circuit_of
from acdc.files import atomic_write

__all__ = ["FORMATS", "PICTURES", "export_circuit", "export_comparison"]

#: Every format and the ending of its files.
FORMATS = {
    "svg": ".svg",
    "png": ".png",
    "pdf": ".pdf",
    "dot": ".dot",
    "graphml": ".graphml",
    "node-link": ".node-link.json",
    "edges": ".edges.txt",
    "eap-ig": ".pt",
    "json": ".json",
    "html-table": ".html",
}
#: How the content of a file that is no diagram is made; a new format's function is named here.
_WRITTEN: Mapping[str, Callable[[Excerpt], bytes]] = {
    "graphml": lambda excerpt: to_graphml(excerpt.circuit),
    "node-link": lambda excerpt: to_node_link(excerpt.circuit),
    "edges": lambda excerpt: to_edges(excerpt.circuit),
    "html-table": lambda excerpt: to_html_table(excerpt).encode(),
}
#: The formats of diagrams.
PICTURES = ("svg", "png", "pdf", "dot")
#: For programs: without a heading, a part would pass for the circuit.
_WHOLE = ("graphml", "node-link", "edges", "json", "eap-ig")
_MAX_DRAWN = 50_000  # edges; two minutes' work, and long since a black patch


def export_circuit(
    circuit: Circuit | HasCircuit,
    format: str,
    path: str | Path,
    *,
    title: str | None = None,
    top: int | None = None,
    labels: Mapping[str, str] | str | Path | None = None,
) -> Path:
    """Write a circuit to `path`, atomically.

        >>> import numpy as np
        >>> from acdc import Graph
        >>> graph = Graph.from_config(n_layers=1, n_heads=1)
        >>> circuit = Circuit(graph, np.ones(graph.n_edges, dtype=bool), scores=np.ones(graph.n_edges))
        >>> export_circuit(circuit, "svg", "circuit.svg", title="Every edge of the smallest graph").name
        'circuit.svg'

    Args:
        circuit: the circuit, or a run whose circuit it is.
        format: one of :data:`FORMATS`.
        path: the file to write; its folder must exist.
        title: what stands above a picture or table; by default the names of task and model.
        top: show only so many edges in a picture or table, the strongest; its heading says so.
        labels: what nodes do, by their names, for a diagram: boxes have a colour for each label, the commonest eight,
            and say it under the pointer. A mapping, or a CSV file of the columns ``node`` and ``label``, see
            :func:`acdc.analysis.detectors.labels`. They take the place of roles that the circuit's file may say.

    Returns:
        `path`.

    Raises:
        UnknownNameError: no such format, or no such node in the labels.
        SettingsError: `circuit` is neither, too many edges to draw, a title that isn't text, a
            `top` that is no number of edges, or either where the format has no heading; labels that are none, or
            where the format is no diagram.
        RunFolderError: the file can't be written.
        RenderError: Graphviz is missing or failed.
    """
    circuit = circuit_of(circuit)
    if format not in FORMATS:
        raise UnknownNameError("format", format, FORMATS)
    check_shown(format, title, top, labels)
    excerpt = Excerpt(circuit, title, top, None if labels is None else labels_of(circuit.graph, labels))
    path = Path(path)
    if format == "json":
        circuit.save(path)
        return path
    if format == "eap-ig":
        return write_eap_ig(circuit, path)
    content = _content(excerpt, format)
    with atomic_write(path, "wb") as file:
        file.write(content)
    return path


def check_shown(format: str, title: str | None, top: int | None, labels: object = None) -> None:
    """Raise :class:`SettingsError` if a title, a number of edges or labels are given for a format without them."""
    if labels is not None and format not in PICTURES:
        raise SettingsError(f"a {format} file has no labels; leave out `labels`, which is for {', '.join(PICTURES)}.")
    for name, value in (("title", title), ("top", top)):
        if format in _WHOLE and value is not None:
            known = ", ".join(other for other in FORMATS if other not in _WHOLE)
            raise SettingsError(f"a {format} file holds the whole circuit; leave out `{name}`, which is for {known}.")


def _content(excerpt: Excerpt, format: str) -> bytes:
    if format in _WRITTEN:
        return _WRITTEN[format](excerpt)
    if excerpt.n_edges > _MAX_DRAWN:
        raise SettingsError(
            f"a circuit of {excerpt.n_edges:,} edges is too large to draw (at most {_MAX_DRAWN:,}); "
            "draw its strongest by `top`, choose the format graphml, json or html-table, or a higher threshold."
        )
    from acdc.export.diagram import to_dot

    return _drawn(to_dot(excerpt), format)


def export_comparison(comparison: Comparison, format: str, path: str | Path, *, strongest: int | None = None) -> Path:
    """Draw two circuits in one diagram, atomically: edges of the one, of the other and of both in three colours.

    They differ in their dashes too. Edges of both lie below; a node that only one of them has is tinted. Lines
    are as wide as the root of |score| over the largest in the same circuit.

    Args:
        comparison: of two circuits, or of one and a reference.
        format: one of :data:`PICTURES`.
        path: the file to write; its folder must exist.
        strongest: show only so many edges, the strongest; the picture says so.

    Returns:
        `path`.

    Raises:
        UnknownNameError: no such format.
        SettingsError: there aren't two, too many edges to draw, or no number of edges.
        RunFolderError: the file can't be written.
        RenderError: Graphviz is missing or failed.
    """
    if format not in PICTURES:
        raise UnknownNameError("format of a diagram", format, PICTURES)
    from acdc.export.contrast import Contrast, to_dot

    contrast = Contrast(comparison, strongest)
    if len(contrast.numbers) > _MAX_DRAWN:
        raise SettingsError(
            f"two circuits of {len(contrast.numbers):,} edges together are too large to draw (at most "
            f"{_MAX_DRAWN:,}); draw the strongest by `strongest`."
        )
    content = _drawn(to_dot(contrast), format)
    path = Path(path)
    with atomic_write(path, "wb") as file:
        file.write(content)
    return path


def _drawn(dot: str, format: str) -> bytes:
    from acdc.export.pdf import undated
    from acdc.export.render import render

    if format == "dot":
        return dot.encode()
    picture = render(dot, format)
    return undated(picture) if format == "pdf" else picture
