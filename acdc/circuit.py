"""A circuit: the kept edges of one model on one task, with how they were found.

The file format is that of EAP-IG and MIB (``cfg``, ``nodes``, ``edges``) with one key
of our own beside theirs, ``found``. Nothing here imports torch.
"""

from __future__ import annotations

import gc
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

import numpy as np

from acdc.errors import AcdcError, CircuitFileError, SettingsError
from acdc.files import atomic_write
from acdc.graph import Edge, Graph, GraphConfig
from acdc.jsondata import check, parse

if TYPE_CHECKING:
    import networkx as nx


@dataclass(frozen=True)
class Provenance:
    """How a circuit was found; every field may be unknown (a circuit of another tool).

    Attributes:
        task: name of the task, or its file.
        model: name or path the model was opened by.
        method: the discovery method (``acdc``).
        metric: the metric that decided (``kl``).
        ablation: what removed edges carry (``corrupted``, ``zero``, ``mean``).
        threshold: the largest rise of the metric that a removal may cost.
        order: the order in which a slot's parents were tried.
        gates: whether whole q, k and v slots were tried first.
        n_prompts: prompt pairs used.
        metric_circuit: the metric of this circuit on those pairs.
        metric_ablated: the metric with every edge ablated.
    """

    task: str | None = None
    model: str | None = None
    method: str | None = None
    metric: str | None = None
    ablation: str | None = None
    threshold: float | None = None
    order: str | None = None
    gates: bool | None = None
    n_prompts: int | None = None
    metric_circuit: float | None = None
    metric_ablated: float | None = None


@dataclass(frozen=True, eq=False)
class Circuit:
    """Some edges of a graph, with a score each.

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
        return f"Circuit({self.n_edges} of {self.graph.n_edges} edges)"

    @property
    def n_edges(self) -> int:
        """Number of kept edges."""
        return int(self.in_graph.sum())

    def edges(self) -> Iterator[Edge]:
        """The kept edges, in topological order of their slots."""
        return self.graph.edges(self.in_graph)

    def strongest(self, n: int | None = None) -> list[Edge]:
        """The kept edges by the size of their score, or `n` of them; unknown scores (NaN) come last, ties by number."""
        sizes = np.abs(self.scores)
        edges = sorted(self.edges(), key=lambda edge: -(-1.0 if np.isnan(sizes[edge.number]) else sizes[edge.number]))
        return edges[:n]

    def to_networkx(self) -> nx.MultiDiGraph:
        """The kept part as a networkx graph; edges carry ``name``, ``letter`` and ``score``."""
        out = self.graph.to_networkx(self.in_graph)
        for _, _, data in out.edges(data=True):
            data["score"] = float(self.scores[self.graph.edge(data["name"]).number])
        out.graph.update({key: value for key, value in asdict(self.found).items() if value is not None})
        return out

    def save(self, path: str | Path) -> None:
        """Write ``circuit.json``, slot by slot, so that large graphs stay light.

        Raises:
            RunFolderError: the folder can't be written.
        """
        graph = self.graph
        with atomic_write(Path(path)) as file:
            file.write(f'{{"cfg": {json.dumps(asdict(graph.cfg))},\n')
            file.write(f'"found": {json.dumps(asdict(self.found))},\n"nodes": {{\n')
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
        path = Path(path)
        try:
            with path.open(encoding="utf-8") as file, _no_garbage_collection():
                data = parse(lambda: json.load(file, object_pairs_hook=_light_object))
        except OSError as error:
            raise CircuitFileError(f"can't read {path}: {error.strerror}.") from error
        except ValueError as error:
            raise CircuitFileError(f"{path} isn't a circuit: it isn't JSON ({error}).") from error
        missing = {"cfg", "nodes", "edges"} - (data.keys() if isinstance(data, dict) else set())
        if missing:
            raise CircuitFileError(f"{path} isn't a circuit: it lacks {', '.join(sorted(missing))}.")
        try:
            graph = Graph(_config(data["cfg"]))
            scores, in_graph = _read_edges(graph, data["edges"])
            found = _provenance(data.get("found"))
        except AcdcError as error:
            raise CircuitFileError(f"{path} isn't a circuit of its own cfg: {error}") from error
        except ValueError as error:
            raise CircuitFileError(f"{path} isn't a circuit: {error}.") from error
        return cls(graph, in_graph, scores, found)


def _config(cfg: Any) -> GraphConfig:
    check(cfg, {"n_layers": int, "n_heads": int}, "cfg")
    return GraphConfig(**_known_fields(GraphConfig, cfg, "cfg"))


def _provenance(found: Any) -> Provenance:
    return Provenance() if found is None else Provenance(**_known_fields(Provenance, found, "found"))


def _known_fields(kind: type, given: Any, name: str) -> dict[str, Any]:
    """What an object of the file says of a dataclass' fields, each of its type; other keys are passed over."""
    check(given, dict, name)
    types = {key: type_ for key, type_ in get_type_hints(kind).items() if key in given}
    check(given, types, name)
    return {key: given[key] for key in types}


def _read_edges(graph: Graph, edges: Any) -> tuple[np.ndarray, np.ndarray]:
    """Scores and kept edges; edges that the file leaves out have score 0 and aren't kept."""
    check(edges, dict, "edges")
    scores = [0.0] * graph.n_edges  # lists: setting one entry of an array takes several times longer
    in_graph = [False] * graph.n_edges
    names = (name for slot in graph.slots for name in graph.edge_names(slot))
    number = {name: i for i, name in enumerate(names)}
    for name, value in edges.items():
        if name not in number:
            graph.edge(name)  # raises, and says what is wrong with it
        if not isinstance(value, tuple):
            check(value, dict, name)
            value = value.get("score"), value.get("in_graph")
        score, kept = value
        if type(score) is not float or type(kept) is not bool:  # a full check of a million edges takes seconds
            check({"score": score, "in_graph": kept}, {"score": float | None, "in_graph": bool}, name)
        i = number[name]
        scores[i], in_graph[i] = math.nan if score is None else score, kept
    return np.array(scores, dtype=np.float64), np.array(in_graph, dtype=bool)


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
    return dict(pairs)


def _json_bool(value: bool) -> str:
    return "true" if value else "false"


def _json_float(value: float) -> str:
    """JSON has no NaN or infinity; a score that isn't a number becomes null."""
    return repr(value) if math.isfinite(value) else "null"
