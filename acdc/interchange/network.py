"""Circuits from networkx graphs: in memory, as its node-link JSON, and as GraphML (of Gephi, Cytoscape or yEd too).

What :meth:`acdc.Circuit.to_networkx` makes comes back with its kept edges, their scores and how it was found; scores of
other edges aren't in it and are unknown, and figures, which are vouched for with all scores, are left behind. Graphs of
others need nodes by our names, and edges with a ``name`` (``m0->a1.h0<k>``) or a ``letter`` where they lead into a
head; an edge into a head with neither stands for those into its q, k and v.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from xml.parsers import expat

import numpy as np

from acdc import asked
from acdc.circuit import Circuit
from acdc.circuitfile import Content, config_of, of_a_circuit
from acdc.errors import AcdcError, CircuitFileError, NoGraphError, SettingsError
from acdc.graph import Graph
from acdc.interchange.lists import edges_named
from acdc.jsondata import check, distinct, parse, shown
from acdc.provenance import FIGURES, KNOWN, Provenance
from acdc.reading import read_regular
from acdc.wording import first_line, quoted

if TYPE_CHECKING:
    import networkx as nx

_MOST_BYTES = 2**30
#: A graph of that many bytes of edges may be in a file of any size: a circuit names only what it keeps.
_FREE_BYTES = 2**28
#: What is no option of a method: told otherwise, networkx's own, or not vouched for without all scores.
_APART = (*FIGURES, "faithfulness_metric", "fingerprint", "cfg", "doubt", "node_default", "edge_default")


class _Edge(NamedTuple):
    source: Any
    target: Any
    key: Any
    data: Mapping[str, Any]


def from_networkx(given: nx.MultiDiGraph | Any, graph: Graph | None = None) -> Circuit:
    """The circuit of a networkx graph, all edges of which are kept.

    Args:
        given: a directed graph of networkx, see this module's beginning.
        graph: of the model; not needed where the graph says its shape (``cfg``).

    Raises:
        SettingsError: it is no directed graph of networkx.
        CircuitFileError: a node or an edge isn't one of the graph; says which.
        NoGraphError: nothing says of what graph it is.
    """
    if not all(hasattr(given, name) for name in ("is_directed", "graph", "nodes", "edges")):
        raise SettingsError(f"a graph of networkx is wanted, not {asked.shown(given)}.")
    if not given.is_directed():
        raise SettingsError("a circuit's edges have directions, and this graph of networkx is undirected.")
    if given.is_multigraph():
        edges = [_Edge(source, target, key, data) for source, target, key, data in given.edges(keys=True, data=True)]
    else:
        edges = [_Edge(source, target, None, data) for source, target, data in given.edges(data=True)]
    name = Path("the graph")
    with of_a_circuit(name):
        return Circuit(*_content(name, given.graph, given.nodes, edges, graph, 0)[:4])


def read_node_link(path: Path, graph: Graph | None) -> Content:
    """A file of networkx's node-link JSON. Raises :class:`CircuitFileError` or :class:`NoGraphError`."""
    text = _read(path)
    with of_a_circuit(path):
        data = parse(lambda: json.loads(text.decode("utf-8-sig"), object_pairs_hook=distinct))
        check(data, {"nodes": list}, "")
        edges = data.get("edges", data.get("links"))  # networkx has called them links
        check(edges, list, "edges")
        if data.get("directed") is not True:
            raise ValueError("its edges have no direction (directed isn't true)")
        for place, part in enumerate([*data["nodes"], *edges]):
            check(part, dict, f"entry {place + 1} of its nodes and edges")
        attributes = data.get("graph", {})
        check(attributes, dict, "graph")
        nodes = [node.get("id") for node in data["nodes"]]
        found = [_Edge(edge.get("source"), edge.get("target"), edge.get("key"), edge) for edge in edges]
        return _content(path, attributes, nodes, found, graph, len(text))


def read_graphml(path: Path, graph: Graph | None) -> Content:
    """A file of GraphML. Raises :class:`CircuitFileError` or :class:`NoGraphError`."""
    text = _read(path)
    reader = _GraphMl()
    with of_a_circuit(path):
        reader.read(text)
        return _content(path, reader.attributes, reader.nodes, reader.edges, graph, len(text))


def _read(path: Path) -> bytes:
    try:
        return read_regular(path, at_most=_MOST_BYTES)
    except OSError as error:
        raise CircuitFileError(f"can't read {path}: {error.strerror}.") from error


def _content(
    path: Path,
    attributes: Mapping[str, Any],
    nodes: Iterable[Any],
    edges: Iterable[_Edge],
    graph: Graph | None,
    size: int,
) -> Content:
    """What a graph of networkx holds. Raises :class:`ValueError` or :class:`AcdcError`."""
    own = _graph(attributes, size)
    if own is None and graph is None:
        raise NoGraphError(f"{path} names nodes and edges", "give its `graph`, `Graph(load_model(...).graph_config)`")
    graph = own or graph
    assert graph is not None  # one of both
    for node in nodes:
        graph.node(_text(node, "a node"))
    scores, in_graph = np.full(graph.n_edges, np.nan), np.zeros(graph.n_edges, dtype=bool)
    for place, edge in enumerate(edges, 1):
        name = _name(edge, place)
        try:
            numbers = list(edges_named(graph, name))
        except AcdcError as error:
            raise CircuitFileError(f"{path}, edge {place}: {error}") from error
        if in_graph[numbers].any():
            raise ValueError(f"edge {place}, {quoted(name, 60)}, stands there already")
        in_graph[numbers], scores[numbers] = True, _score(edge.data.get("score"), place)
    return Content(graph, in_graph, scores, _provenance(attributes))


def _graph(attributes: Mapping[str, Any], size: int) -> Graph | None:
    given = attributes.get("cfg")
    if given is None:
        return None
    cfg = _unpacked(given)
    return Graph(config_of(cfg, max(size, _FREE_BYTES)))


def _name(edge: _Edge, place: int) -> str:
    """The name, or pattern, of our edge. Raises :class:`ValueError` where what is said of it contradicts itself."""
    source, target = (
        _text(edge.source, f"the source of edge {place}"),
        _text(edge.target, f"the target of edge {place}"),
    )
    letter = edge.data.get("letter")
    slot = f"{target}<{letter}>" if letter in ("q", "k", "v") else target
    if letter not in ("q", "k", "v", None, ""):
        raise ValueError(f"the letter of edge {place} must be q, k or v, not {shown(letter)}")
    if slot == target and isinstance(edge.key, str) and edge.key.partition("<")[0] == target:
        slot = edge.key  # as to_networkx has it
    named = edge.data.get("name")
    if not isinstance(named, str) or "->" not in named:
        return f"{source}->{slot}"
    here, _, there = (part.strip() for part in named.partition("->"))
    if (here, there.partition("<")[0]) != (source, target) or (slot != target and there != slot):
        raise ValueError(
            f"edge {place} is called {quoted(named, 60)}, and leads from {quoted(source)} to {quoted(slot)}"
        )
    return named


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{what} must be a node's name (text), not {asked.shown(value)}")
    return value


def _score(value: Any, place: int) -> float:
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"the score of edge {place} must be a number, not {asked.shown(value)}")
    try:
        score = float(value)
    except OverflowError:
        score = math.inf
    if math.isinf(score):
        raise ValueError(f"the score of edge {place} is out of all bounds")
    return score


def _provenance(attributes: Mapping[str, Any]) -> Provenance:
    """How it was found, as the graph's attributes say; attributes of a graph of nobody's method are its own."""
    given = {str(name): value for name, value in attributes.items() if name not in _APART and value is not None}
    found = {name: value for name, value in given.items() if name in KNOWN}
    for name in ("selection", "edited_from"):
        if name in found:
            found[name] = _unpacked(found[name])
    options = {name: value for name, value in given.items() if name not in KNOWN} if "method" in found else {}
    return Provenance.from_json({**found, "options": {name: _unpacked(value, "[") for name, value in options.items()}})


def _unpacked(value: Any, first: str = "{") -> Any:
    """What was written as JSON because it is no plain value."""
    if not isinstance(value, str) or not value.startswith(first):
        return value
    return parse(lambda: json.loads(value, object_pairs_hook=distinct))


class _GraphMl:
    """A reader of GraphML that knows no more than graphs, nodes, edges and their data; nothing is looked up elsewhere.

    Attributes:
        attributes: of the graph. nodes: their ids. edges: with their data.
    """

    def __init__(self) -> None:
        self.attributes: dict[str, Any] = {}
        self.nodes: list[str] = []
        self.edges: list[_Edge] = []
        self._keys: dict[str, tuple[str, str]] = {}  # name and type by id
        self._holder: list[dict[str, Any]] = []  # whose data comes, innermost last
        self._path: list[str] = []
        self._key: str | None = None
        self._said: list[str] = []

    def read(self, text: bytes) -> None:
        """Read a file's bytes. Raises :class:`ValueError`."""
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartElementHandler, parser.EndElementHandler = self._start, self._end
        parser.CharacterDataHandler = self._characters
        parser.StartDoctypeDeclHandler = self._doctype
        try:
            parser.Parse(text, True)
        except expat.ExpatError as error:
            raise ValueError(f"it isn't XML ({first_line(error).rstrip('.')})") from error
        except LookupError as error:  # an encoding that nobody knows
            raise ValueError(f"it isn't XML ({first_line(error).rstrip('.')})") from error
        if not self.nodes and not self.edges:
            raise ValueError("it is no GraphML, or a graph without nodes")

    def _doctype(self, *_: Any) -> None:
        raise ValueError(
            "it has a document type of its own, which GraphML needs none of; take the line with DOCTYPE out"
        )

    def _start(self, name: str, given: dict[str, str]) -> None:
        tag = name.rpartition(" ")[2]
        if not self._path and tag != "graphml":
            raise ValueError(f"it is XML, but no GraphML: it begins with {quoted(tag, 40)}")
        self._path.append(tag)
        if tag == "key":
            known = given.get("attr.name", given.get("id", ""))
            self._keys[given.get("id", "")] = (known, given.get("attr.type", "string"))
        elif tag == "graph":
            if "graph" in self._path[:-1] or self._holder:
                raise ValueError("a graph inside of a graph is no circuit")
            if given.get("edgedefault") != "directed":
                raise ValueError('its edges have no direction (edgedefault isn\'t "directed")')
            self._holder.append(self.attributes)
        elif tag == "node":
            self.nodes.append(given.get("id", ""))
            self._holder.append({})
        elif tag == "edge":
            if given.get("directed", "true") != "true":
                raise ValueError(f"edge {len(self.edges) + 1} has no direction")
            data: dict[str, Any] = {}
            self.edges.append(_Edge(given.get("source"), given.get("target"), given.get("id"), data))
            self._holder.append(data)
        elif tag == "data":
            self._key, self._said = given.get("key"), []

    def _characters(self, text: str) -> None:
        if self._path[-1:] == ["data"]:
            self._said.append(text)

    def _end(self, name: str) -> None:
        tag = self._path.pop()
        if tag == "data" and self._key in self._keys and self._holder:
            name, kind = self._keys[self._key]
            self._holder[-1][name] = _value("".join(self._said), kind, name)
        elif tag in ("graph", "node", "edge") and self._holder:
            self._holder.pop()


def _value(text: str, kind: str, name: str) -> Any:
    """A value of GraphML's by its type. Raises :class:`ValueError`."""
    try:
        if kind in ("int", "long"):
            return int(text)
        if kind in ("float", "double"):
            return float(text)
    except ValueError:
        raise ValueError(f"{quoted(name, 40)} must be a number, not {shown(text)}") from None
    if kind == "boolean":
        if text.strip().lower() not in ("true", "false", "1", "0"):
            raise ValueError(f"{quoted(name, 40)} must be true or false, not {shown(text)}")
        return text.strip().lower() in ("true", "1")
    return text
