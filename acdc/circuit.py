"""A circuit: the kept edges of one model on one task, with how they were found.

The file format is that of EAP-IG and MIB (``cfg``, ``nodes``, ``edges``) with one key
of our own beside theirs, ``found``. Nothing here imports torch.
"""

from __future__ import annotations

import gc
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

import numpy as np

from acdc.errors import AcdcError, CircuitFileError, SettingsError
from acdc.files import atomic_write
from acdc.graph import Edge, Graph, GraphConfig
from acdc.jsondata import check, check_plain, distinct, parse
from acdc.provenance import EDITED, FIGURES, KNOWN, UNPROVEN, Provenance, fingerprint
from acdc.reading import opened

__all__ = ["Circuit", "Provenance"]

#: A file that leaves edges out may be of a graph of so many; a larger graph must be mostly in the file.
_FREE_NODES, _FREE_EDGES = 2**13, 2**21
_BYTES_A_NODE, _BYTES_AN_EDGE = 16, 16

if TYPE_CHECKING:
    import networkx as nx


@dataclass(frozen=True, eq=False)
class Circuit:
    """Some edges of a graph, with a score each.

    One can be made by hand::

        >>> graph = Graph.from_config(n_layers=1, n_heads=1)
        >>> kept = np.zeros(graph.n_edges, dtype=bool)
        >>> for name in ("input->m0", "m0->logits"):
        ...     kept[graph.edge(name).number] = True
        >>> circuit = Circuit(graph, kept, scores=np.zeros(graph.n_edges))
        >>> [edge.name for edge in circuit.edges()]
        ['input->m0', 'm0->logits']

    Attributes:
        graph: the graph of the model.
        in_graph: ``[n_edges]`` bool, the kept edges.
        scores: ``[n_edges]`` float64, the method's own number for each edge; for ACDC the
            change of the metric when the edge was tried, 0 for an untried one.
        found: how it was found.
    """

    graph: Graph
    in_graph: np.ndarray
    scores: np.ndarray
    found: Provenance = field(default_factory=Provenance)

    def __post_init__(self) -> None:
        self.graph.check_mask(self.in_graph)
        if self.scores.shape != (self.graph.n_edges,):
            raise SettingsError(f"scores must have shape ({self.graph.n_edges},), got {self.scores.shape}.")

    def __repr__(self) -> str:
        doubt = f", {self.doubt}" if self.doubt else ""
        return f"Circuit({self.n_edges} of {self.graph.n_edges} edges{doubt})"

    @property
    def edited(self) -> bool:
        """Whether it has figures that can't be vouched for: they carry no fingerprint, or another circuit's."""
        return self.found.has_figures and self.found.fingerprint != self._fingerprint(self.found)

    @property
    def figures(self) -> Provenance | None:
        """:attr:`found`, if it has figures and they are of exactly these edges; else ``None``."""
        return self.found if self.found.has_figures and not self.edited else None

    @property
    def doubt(self) -> str | None:
        """What to say in place of the figures, where they can't be vouched for."""
        if not self.edited:
            return None
        return UNPROVEN if self.found.fingerprint is None else EDITED

    def measured(self, **figures: Any) -> Circuit:
        """The same circuit, vouching that figures (fields of :class:`Provenance`) were measured on it.

        Only for whoever has just run it; to say that figures still hold after an edit makes them wrong.
        """
        found = replace(self.found, **figures)
        return replace(self, found=replace(found, fingerprint=self._fingerprint(found)))

    def _fingerprint(self, found: Provenance) -> str:
        scores = np.where(np.isfinite(self.scores), self.scores, np.nan)  # as they come back from a file
        names = (edge.name for edge in self.edges())
        return fingerprint(asdict(self.graph.cfg), names, scores.astype("<f8").tobytes(), found)

    @property
    def n_edges(self) -> int:
        """Number of kept edges."""
        return int(self.in_graph.sum())

    def edges(self) -> Iterator[Edge]:
        """The kept edges, in topological order of their slots."""
        return self.graph.edges(self.in_graph)

    def strongest(self, n: int | None = None) -> list[Edge]:
        """The kept edges by the size of their score, or `n` of them; unknown scores (NaN) come last, ties by number."""
        numbers = np.flatnonzero(self.in_graph)
        order = np.argsort(-np.abs(self.scores[numbers]), kind="stable")  # which puts NaN last
        return [self.graph.edge(number) for number in numbers[order[:n]]]

    def to_networkx(self) -> nx.MultiDiGraph:
        """The kept part as a networkx graph; edges carry ``name``, ``letter`` and ``score``.

        The graph carries how it was found, as far as that is known; figures that can't be vouched for are
        left out, and ``doubt`` says why.
        """
        out = self.graph.to_networkx(self.in_graph)
        for _, _, data in out.edges(data=True):
            data["score"] = float(self.scores[self.graph.edge(data["name"]).number])
        doubt = self.doubt
        hidden = () if doubt is None else (*FIGURES, "faithfulness_metric", "fingerprint")
        found = {name: getattr(self.found, name) for name in KNOWN if name not in hidden} | {"doubt": doubt}
        out.graph.update({name: value for name, value in found.items() if value is not None})
        return out

    def save(self, path: str | Path) -> None:
        """Write ``circuit.json``, slot by slot, so that large graphs stay light.

        Raises:
            RunFolderError: the folder can't be written.
        """
        graph = self.graph
        with atomic_write(Path(path)) as file:
            file.write(f'{{"cfg": {json.dumps(asdict(graph.cfg))},\n')
            file.write(f'"found": {json.dumps(self.found.to_json())},\n"nodes": {{\n')
            live = graph.live_nodes(self.in_graph)
            rows = (f'"{node.name}": {{"in_graph": {_json_bool(live[node.index])}}}' for node in graph.nodes)
            file.write(",\n".join(rows))
            file.write('\n},\n"edges": {\n')
            for slot in graph.slots:
                scores = self.scores[slot.edges].tolist()
                kept = self.in_graph[slot.edges].tolist()
                file.write(",\n" if slot.index else "")
                file.write(
                    ",\n".join(
                        f'"{name}": {{"score": {_json_float(score)}, "in_graph": {_json_bool(keep)}}}'
                        for name, score, keep in zip(graph.edge_names(slot), scores, kept, strict=True)
                    )
                )
            file.write("\n}}\n")

    @classmethod
    def load(cls, path: str | Path) -> Circuit:
        """Read a ``circuit.json`` of ours, of EAP-IG or of MIB.

        Raises:
            CircuitFileError: the file is missing, isn't JSON, or isn't a circuit; the
                message says which edge or key is wrong.
        """
        return cls._load(Path(path), follow=True)

    @classmethod
    def _load(cls, path: Path, *, follow: bool) -> Circuit:
        try:
            with opened(path, follow=follow) as file, _no_garbage_collection():
                size = os.fstat(file.fileno()).st_size
                data = parse(lambda: json.load(file, object_pairs_hook=_light_object))
        except OSError as error:
            raise CircuitFileError(f"can't read {path}: {error.strerror}.") from error
        except ValueError as error:
            raise CircuitFileError(f"{path} isn't a circuit: it isn't JSON ({error}).") from error
        missing = {"cfg", "nodes", "edges"} - (data.keys() if isinstance(data, dict) else set())
        if missing:
            raise CircuitFileError(f"{path} isn't a circuit: it lacks {', '.join(sorted(missing))}.")
        try:
            graph = Graph(_config(data["cfg"], size))
            scores, in_graph = parse(lambda: _read_edges(graph, data["edges"]))
            found = _provenance(data.get("found"))
            if found.fingerprint is not None and _contradicted(data["nodes"], graph, in_graph):
                found = replace(found, fingerprint="")  # that of nothing
        except AcdcError as error:
            raise CircuitFileError(f"{path} isn't a circuit of its own cfg: {error}") from error
        except ValueError as error:
            raise CircuitFileError(f"{path} isn't a circuit: {error}.") from error
        return cls(graph, in_graph, scores, found)


def load_own(path: Path) -> Circuit:
    """The circuit in a run folder, where no link is followed. Raises like :meth:`Circuit.load`."""
    return Circuit._load(path, follow=False)


def _config(cfg: Any, size: int) -> GraphConfig:
    """The graph's shape, from a file of `size` bytes, which bounds it."""
    check(cfg, {"n_layers": int, "n_heads": int}, "cfg")
    made = GraphConfig(**_known_fields(GraphConfig, cfg, "cfg"))
    if made.n_nodes > max(_FREE_NODES, size // _BYTES_A_NODE) or made.n_edges > max(
        _FREE_EDGES, size // _BYTES_AN_EDGE
    ):
        raise ValueError(
            f"its cfg is of a graph of {made.n_nodes:,} nodes and {made.n_edges:,} edges, "
            f"far more than a file of {size:,} bytes lists"
        )
    return made


def _provenance(found: Any) -> Provenance:
    if found is None:
        return Provenance()
    parse(lambda: check_plain(found, "found"))
    known = _known_fields(Provenance, found, "found", KNOWN)
    return Provenance(**known, further={key: value for key, value in found.items() if key not in known})


def _known_fields(kind: type, given: Any, name: str, known: tuple[str, ...] | None = None) -> dict[str, Any]:
    """What an object of the file says of a dataclass' fields, each of its type; other keys are passed over."""
    check(given, dict, name)
    types = {key: type_ for key, type_ in get_type_hints(kind).items() if key in given and key in (known or given)}
    check(given, types, name)
    return {key: given[key] for key in types}


def _read_edges(graph: Graph, edges: Any) -> tuple[np.ndarray, np.ndarray]:
    """Scores and kept edges; edges that the file leaves out have score 0 and aren't kept."""
    check(edges, dict, "edges")
    scores = [0.0] * graph.n_edges  # lists: setting one entry of an array takes several times longer
    in_graph = [False] * graph.n_edges
    number = _numbers(graph, edges)
    for name, value in edges.items():
        if not isinstance(value, tuple):
            check(value, dict, name)
            value = value.get("score"), value.get("in_graph")
        score, kept = value
        if type(score) is not float or type(kept) is not bool:  # a full check of a million edges takes seconds
            check({"score": score, "in_graph": kept}, {"score": float | None, "in_graph": bool}, name)
        i = number[name]
        scores[i], in_graph[i] = math.nan if score is None else score, kept
    return np.array(scores, dtype=np.float64), np.array(in_graph, dtype=bool)


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


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Parsing makes millions of objects and no cycles; looking for some takes longer than the parsing."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


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
