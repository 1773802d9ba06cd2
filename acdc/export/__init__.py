"""Circuits as files that people look at or other programs read.

``svg``, ``png`` and ``pdf`` are diagrams; ``dot`` is the diagram's source for
Graphviz; ``graphml`` and ``json`` are for programs; ``html-table`` lists the edges.
Nothing here imports torch, and only the three pictures need Graphviz.
"""

from __future__ import annotations

from pathlib import Path

from acdc.circuit import Circuit
from acdc.errors import SettingsError, UnknownNameError
from acdc.files import atomic_write
from acdc.wanted import HasCircuit, circuit_of

__all__ = ["FORMATS", "export_circuit"]

#: Every format and the ending of its files.
FORMATS = {
    "svg": ".svg",
    "png": ".png",
    "pdf": ".pdf",
    "dot": ".dot",
    "graphml": ".graphml",
    "json": ".json",
    "html-table": ".html",
}
_MAX_DRAWN = 50_000  # edges; a minute's work, and long since a black patch


def export_circuit(circuit: Circuit | HasCircuit, format: str, path: str | Path) -> Path:
    """Write a circuit to `path`, atomically.

    Args:
        circuit: the circuit, or a run whose circuit it is.
        format: one of :data:`FORMATS`.
        path: the file to write; its folder must exist.

    Returns:
        `path`.

    Raises:
        UnknownNameError: no such format.
        SettingsError: `circuit` is neither, or has too many edges to draw.
        RunFolderError: the file can't be written.
        RenderError: Graphviz is missing or failed.
    """
    circuit = circuit_of(circuit)
    if format not in FORMATS:
        raise UnknownNameError("format", format, FORMATS)
    path = Path(path)
    if format == "json":
        circuit.save(path)
        return path
    content = _content(circuit, format)
    with atomic_write(path, "wb") as file:
        file.write(content)
    return path


def _content(circuit: Circuit, format: str) -> bytes:
    if format == "graphml":
        from acdc.export.graphml import to_graphml

        return to_graphml(circuit)
    if format == "html-table":
        from acdc.export.table import to_html_table

        return to_html_table(circuit).encode()
    if circuit.n_edges > _MAX_DRAWN:
        raise SettingsError(
            f"a circuit of {circuit.n_edges:,} edges is too large to draw (at most {_MAX_DRAWN:,}); "
            "choose the format graphml, json or html-table, or a higher threshold."
        )
    from acdc.export.diagram import to_dot
    from acdc.export.render import render

    dot = to_dot(circuit)
    return dot.encode() if format == "dot" else render(dot, format)
