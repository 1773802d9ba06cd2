"""A circuit as text: the names of its edges, one a line."""

from __future__ import annotations

from acdc.circuit import Circuit
from acdc.export.summary import facts, known_title


def to_edges(circuit: Circuit) -> bytes:
    """The kept edges in the order of the graph, below a comment that says what they are; scores are left out."""
    title = known_title(circuit.found)
    lines = [f"# {title}{': ' if title else ''}{', '.join(facts(circuit))}"]
    return "\n".join([*lines, *(edge.name for edge in circuit.edges()), ""]).encode()
