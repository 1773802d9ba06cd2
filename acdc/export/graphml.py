"""A circuit as GraphML, for Gephi, Cytoscape, yEd and networkx, and as networkx's own JSON."""

from __future__ import annotations

import json
import math
from io import BytesIO
from typing import TYPE_CHECKING

from acdc.circuit import Circuit
from acdc.export.summary import printable

if TYPE_CHECKING:
    import networkx as nx


def to_graphml(circuit: Circuit) -> bytes:
    """The kept edges and the nodes they touch, as a directed multigraph in UTF-8.

    Nodes have ``kind``, ``layer`` and ``head``, edges ``name``, ``letter`` and ``score``,
    the graph how the circuit was found. GraphML has no null: what is unknown is left
    out, and so is a score that isn't a finite number.
    """
    import networkx as nx

    out = BytesIO()
    nx.write_graphml_xml(_plain(circuit), out, edge_id_from_attribute="name", named_key_ids=True)
    return out.getvalue()


def to_node_link(circuit: Circuit) -> bytes:
    """The same as JSON, in the form that ``networkx.node_link_graph`` reads (edges under ``edges``)."""
    import networkx as nx

    return json.dumps(nx.node_link_data(_plain(circuit), edges="edges"), indent=1, allow_nan=False).encode() + b"\n"


def _plain(circuit: Circuit) -> nx.MultiDiGraph:
    """A circuit as networkx has it, without what is unknown."""
    graph = circuit.to_networkx()
    for attributes in (graph.graph, *dict(graph.nodes).values(), *(data for _, _, data in graph.edges(data=True))):
        for name, value in list(attributes.items()):
            if value is None or (isinstance(value, float) and not math.isfinite(value)):
                del attributes[name]
                continue
            del attributes[name]  # an option's name is a file's text, too
            attributes[printable(name)] = printable(value) if isinstance(value, str) else value
    return graph
