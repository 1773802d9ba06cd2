"""A circuit as GraphML, for Gephi, Cytoscape, yEd and networkx."""

from __future__ import annotations

import math
from io import BytesIO

from acdc.circuit import Circuit
from acdc.export.summary import printable


def to_graphml(circuit: Circuit) -> bytes:
    """The kept edges and the nodes they touch, as a directed multigraph in UTF-8.

    Nodes have ``kind``, ``layer`` and ``head``, edges ``name``, ``letter`` and ``score``,
    the graph how the circuit was found. GraphML has no null: what is unknown is left
    out, and so is a score that isn't a finite number.
    """
    import networkx as nx

    graph = circuit.to_networkx()
    for attributes in (graph.graph, *dict(graph.nodes).values(), *(data for _, _, data in graph.edges(data=True))):
        for name, value in list(attributes.items()):
            if value is None or (isinstance(value, float) and not math.isfinite(value)):
                del attributes[name]
                continue
            del attributes[name]  # an option's name is a file's text, too
            attributes[printable(name)] = printable(value) if isinstance(value, str) else value
    out = BytesIO()
    nx.write_graphml_xml(graph, out, edge_id_from_attribute="name", named_key_ids=True)
    return out.getvalue()
