"""Circuits as files, in the format of EAP-IG and MIB with a key of our own, ``found``, beside theirs.

A file of 1.6 million edges is read and written in seconds: nothing is made for an edge but its score and whether
it is kept. Nothing here imports torch.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

import numpy as np

from acdc.errors import AcdcError, CircuitFileError, NoGraphError
from acdc.files import atomic_write
from acdc.garbage import uncollected
from acdc.graph import Graph, GraphConfig
from acdc.jsondata import check, distinct, parse
from acdc.provenance import Provenance
from acdc.reading import opened

#: A file that leaves edges out may be of a graph of so many; a larger graph must be mostly in the file.
_FREE_NODES, _FREE_EDGES = 2**13, 2**21
_BYTES_A_NODE, _BYTES_AN_EDGE = 16, 16


#: What a node of a circuit has that chooses neurons inside nodes.
NEURON_KEYS = ("neurons", "neurons_scores", "neurons_in_graph")


class Content(NamedTuple):
    """What a file holds: the fields of :class:`acdc.Circuit`, and what is only in files of others.

    That is whether it says which edges are kept, and scores of nodes, ``[n_nodes]`` (0 for ``logits``), if it has any.
    """

    graph: Graph
    in_graph: np.ndarray
    scores: np.ndarray
    found: Provenance
    is_marked: bool = True
    node_scores: np.ndarray | None = None


def write(path: Path, graph: Graph, in_graph: np.ndarray, scores: np.ndarray, found: Provenance) -> None:
    """Write a circuit's file, slot by slot, so that large graphs stay light.

    Raises:
        RunFolderError: the folder can't be written.
    """
    with atomic_write(path) as file:
        file.write(f'{{"cfg": {json.dumps(asdict(graph.cfg))},\n')
        file.write(f'"found": {json.dumps(found.to_json())},\n"nodes": {{\n')
        live = graph.live_nodes(in_graph)
        rows = (f'"{node.name}": {{"in_graph": {_json_bool(live[node.index])}}}' for node in graph.nodes)
        file.write(",\n".join(rows))
        file.write('\n},\n"edges": {\n')
        for slot in graph.slots:
            file.write(",\n" if slot.index else "")
            edges = zip(graph.edge_names(slot), scores[slot.edges].tolist(), in_graph[slot.edges].tolist(), strict=True)
            file.write(
                ",\n".join(
                    f'"{name}": {{"score": {_json_float(score)}, "in_graph": {_json_bool(keep)}}}'
                    for name, score, keep in edges
                )
            )
        file.write("\n}}\n")


def read(path: Path, *, follow: bool = True, lone_scores: bool = False) -> Content:
    """Read a circuit's file of ours, of EAP-IG or of MIB.

    Args:
        path: the file.
        follow: whether it may be a link.
        lone_scores: also take a file in which no edge says whether it is kept.

    Raises:
        CircuitFileError: it is missing, isn't JSON, isn't a circuit, or chooses neurons inside nodes; the message
            says which edge or key is wrong.
    """
    try:
        with opened(path, follow=follow) as file, uncollected():  # parsing makes no cycles
            size = os.fstat(file.fileno()).st_size
            data = parse(lambda: json.load(file, object_pairs_hook=_light_object))
    except OSError as error:
        raise CircuitFileError(f"can't read {path}: {error.strerror}.") from error
    except ValueError as error:
        raise CircuitFileError(f"{path} isn't a circuit: it isn't JSON ({error}).") from error
    missing = {"cfg", "nodes", "edges"} - (data.keys() if isinstance(data, dict) else set())
    if missing:
        raise CircuitFileError(f"{path} isn't a circuit: it lacks {', '.join(sorted(missing))}.")
    with of_a_circuit(path):
        graph = Graph(config_of(data["cfg"], size))
        _refuse_neurons(path, data["nodes"])
        scores, in_graph, is_marked = parse(lambda: _read_edges(graph, data["edges"], lone_scores))
        node_scores = _node_scores(graph, data["nodes"])
        found = Provenance.from_json(data.get("found"))
        if found.fingerprint is not None and _contradicted(data["nodes"], graph, in_graph):
            found = replace(found, fingerprint="")  # that of nothing
    return Content(graph, in_graph, scores, found, is_marked, node_scores)


def _node_scores(graph: Graph, nodes: Any) -> np.ndarray | None:
    """``[n_nodes]`` of a file whose nodes are scored, as EAP-IG's at node level; ``None`` where none is."""
    scored = {}
    for name, node in nodes.items() if isinstance(nodes, dict) else ():
        score = node[0] if isinstance(node, tuple) else node.get("score") if isinstance(node, dict) else None
        if score is not None:
            scored[name] = score
    if not scored:
        return None
    found = np.zeros(len(graph.nodes))
    found[graph.n_inputs : -1] = np.nan  # of a node that is left out
    for name, score in scored.items():
        check(score, float, f"nodes.{name}.score")
        found[graph.node(name).index] = score
    return found


@contextmanager
def of_a_circuit(path: Path) -> Iterator[None]:
    """What is wrong with a file's content becomes :class:`CircuitFileError`, which names it."""
    try:
        yield
    except (CircuitFileError, NoGraphError):
        raise
    except AcdcError as error:
        raise CircuitFileError(f"{path} isn't a circuit of its own cfg: {error}") from error
    except ValueError as error:
        raise CircuitFileError(f"{path} isn't a circuit: {error}.") from error


def neuron_level(path: Path, where: str) -> CircuitFileError:
    """The error for a file that chooses neurons inside nodes; `where` is what says so."""
    return CircuitFileError(
        f"{path} is a neuron-level circuit (it has {where}): acdc runs whole nodes, and read without the choice of "
        "neurons it would be another circuit; give one at the level of edges."
    )


def _refuse_neurons(path: Path, nodes: Any) -> None:
    """Raise :class:`CircuitFileError` for a file that chooses neurons inside nodes."""
    for name, node in nodes.items() if isinstance(nodes, dict) else ():
        for key in NEURON_KEYS:
            if isinstance(node, dict) and node.get(key) is not None:
                raise neuron_level(path, f"nodes.{name}.{key}")


def config_of(cfg: Any, size: int, bytes_an_edge: int = _BYTES_AN_EDGE) -> GraphConfig:
    """The graph's shape, from a file of `size` bytes, which bounds it.

    Raises:
        ValueError: it isn't one, or is far too large for the file.
        SettingsError: it is no graph's.
    """
    check(cfg, {"n_layers": int, "n_heads": int}, "cfg")
    types = {name: type_ for name, type_ in get_type_hints(GraphConfig).items() if name in cfg}
    check(cfg, types, "cfg")  # other keys are another tool's
    made = GraphConfig(**{name: cfg[name] for name in types})
    if made.n_nodes > max(_FREE_NODES, size // _BYTES_A_NODE) or made.n_edges > max(_FREE_EDGES, size // bytes_an_edge):
        raise ValueError(
            f"its cfg is of a graph of {made.n_nodes:,} nodes and {made.n_edges:,} edges, "
            f"far more than a file of {size:,} bytes lists"
        )
    return made


def _read_edges(graph: Graph, edges: Any, lone_scores: bool) -> tuple[np.ndarray, np.ndarray, bool]:
    """Scores, kept edges, and whether it says which; edges that the file leaves out have score 0 and aren't kept."""
    check(edges, dict, "edges")
    scores = [0.0] * graph.n_edges  # lists: setting one entry of an array takes several times longer
    in_graph = [False] * graph.n_edges
    number, n_unmarked = _numbers(graph, edges), 0
    for name, value in edges.items():
        if not isinstance(value, tuple):
            check(value, dict, name)
            if not lone_scores and "score" in value and "in_graph" not in value:
                raise ValueError(
                    f"it gives {name} a score and doesn't say whether it is in_graph; of scores alone, a selection "
                    "chooses a circuit (acdc edit --top or --above; in Python acdc.interchange.open_circuit)"
                )
            if lone_scores and "score" in value and "in_graph" not in value:
                n_unmarked += 1
                value = {**value, "in_graph": False}
            value = value.get("score"), value.get("in_graph")
        score, kept = value
        if type(score) is not float or type(kept) is not bool:  # a full check of a million edges takes seconds
            check({"score": score, "in_graph": kept}, {"score": float | None, "in_graph": bool}, name)
        i = number[name]
        scores[i], in_graph[i] = math.nan if score is None else score, kept
    if 0 < n_unmarked < len(edges):
        raise ValueError(f"in_graph is missing in {n_unmarked} of its {len(edges)} edges, and stands in the others")
    return np.array(scores, dtype=np.float64), np.array(in_graph, dtype=bool), not n_unmarked


def _contradicted(nodes: Any, graph: Graph, in_graph: np.ndarray) -> bool:
    """Whether a file says of a node that it is in the circuit, or isn't, where its edges say otherwise."""
    check(nodes, dict, "nodes")
    live = graph.live_nodes(in_graph).tolist()
    said = {name: value.get("in_graph") for name, value in nodes.items() if isinstance(value, dict)}
    return any(said.get(node.name, live[node.index]) is not live[node.index] for node in graph.nodes)


def _numbers(graph: Graph, names: Mapping[str, Any]) -> dict[str, int]:
    """The number of each edge named. Raises :class:`AcdcError` for a name that is no edge's."""
    if 8 * len(names) < graph.n_edges:  # few: no table of all the graph's names
        return {name: graph.edge(name).number for name in names}
    every = (name for slot in graph.slots for name in graph.edge_names(slot))
    number = {name: i for i, name in enumerate(every)}
    for name in names:
        if name not in number:
            graph.edge(name)  # raises, and says what is wrong with it
    return number


def _light_object(pairs: list[tuple[str, Any]]) -> Any:
    """An edge's object as a tuple, any other as a dict: a third of the memory for 1.6 million edges."""
    if len(pairs) == 2:
        (first, a), (second, b) = pairs
        if (first, second) == ("score", "in_graph"):
            return a, b
        if (first, second) == ("in_graph", "score"):
            return b, a
    return distinct(pairs)


def _json_bool(value: bool) -> str:
    return "true" if value else "false"


def _json_float(value: float) -> str:
    """JSON has no NaN or infinity; a score that isn't a number becomes null."""
    return repr(value) if math.isfinite(value) else "null"
