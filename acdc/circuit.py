"""A circuit: the kept edges of one model on one task, with how they were found.

The file format is that of EAP-IG and MIB (``cfg``, ``nodes``, ``edges``) with one key
of our own beside theirs, ``found``. Nothing here imports torch.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from acdc import circuitfile
from acdc.asked import shown
from acdc.displayed import Displayed
from acdc.editing import edges_joining, edges_of, edited, in_common, nodes_of, words_of
from acdc.errors import SettingsError
from acdc.graph import Edge, Graph, Node, Slot
from acdc.provenance import EDITED, UNPROVEN, Provenance, fingerprint
from acdc.wording import counted, shortened

__all__ = ["Circuit", "Provenance"]

if TYPE_CHECKING:
    import networkx as nx


@dataclass(frozen=True, eq=False)
class Circuit(Displayed):
    """Some edges of a graph, with a score each.

    It is a set of edges: ``len``, ``in``, iteration, and with a circuit of the same graph ``|``, ``&`` and ``-``.
    An edit gives a new circuit, which keeps how it was found, says what was done (``found.edited_from``) and loses
    all figures; one that changes nothing gives the circuit itself. Edges that an edit leaves on no path from the
    input to the logits stay: they carry nothing, and :meth:`on_path` drops them.

    One can be made by hand::

        >>> graph = Graph.from_config(n_layers=1, n_heads=1)
        >>> nothing = Circuit(graph, np.zeros(graph.n_edges, dtype=bool), np.zeros(graph.n_edges))
        >>> circuit = nothing.with_edges("input->m0", "m0->logits")
        >>> [edge.name for edge in circuit]
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
    _form: ClassVar = "circuits:circuit_form"

    def __post_init__(self) -> None:
        if not isinstance(self.graph, Graph):
            raise SettingsError(f"a circuit's graph must be an acdc.Graph, not {shown(self.graph)}.")
        self.graph.check_mask(self.in_graph)
        if not isinstance(self.scores, np.ndarray) or self.scores.dtype.kind not in "fiu":
            got = f"one of {self.scores.dtype}" if isinstance(self.scores, np.ndarray) else shown(self.scores)
            raise SettingsError(f"scores must be an array of numbers, one for each edge, not {got}.")
        if self.scores.shape != (self.graph.n_edges,):
            raise SettingsError(f"scores must have shape ({self.graph.n_edges},), got {self.scores.shape}.")

    def __repr__(self) -> str:
        said = [f"{self.n_edges} of {self.graph.n_edges} edges"]
        if astray := self.n_astray:
            said.append(f"{astray} of them on no path")
        if self.doubt:
            said.append(self.doubt)
        if self.found.edited_from is not None:
            said.append("edited")
        return f"Circuit({', '.join(said)})"

    def __len__(self) -> int:
        return self.n_edges

    def __iter__(self) -> Iterator[Edge]:
        return self.edges()

    def __contains__(self, what: object) -> bool:
        """Whether an edge is kept; of a node, slot or pattern (:meth:`with_edges`), whether any edge of it is.

        Raises:
            AcdcError: the graph has no such edge.
        """
        return bool((edges_of(self.graph, what) & self.in_graph).any())

    def __or__(self, other: Circuit) -> Circuit:
        """The edges of either.

        A score is the other circuit's where only that one keeps the edge, or where this one doesn't know it (NaN);
        else it is this one's. Where the two were found differently, it is unknown how.
        """
        if not isinstance(other, Circuit):
            return NotImplemented
        self.graph.check_same(other.graph)
        of_other = np.isnan(self.scores) | (other.in_graph & ~self.in_graph & ~np.isnan(other.scores))
        scores = np.where(of_other, other.scores, self.scores)
        found = in_common(self.found, other.found)
        return self._edited(self.in_graph | other.in_graph, f"joined with {other._words}", scores, found)

    def __and__(self, other: Circuit) -> Circuit:
        """The edges of both, with this circuit's scores."""
        if not isinstance(other, Circuit):
            return NotImplemented
        self.graph.check_same(other.graph)
        return self._edited(self.in_graph & other.in_graph, f"cut down to {other._words}")

    def __sub__(self, other: Circuit) -> Circuit:
        """The edges that only this circuit has."""
        if not isinstance(other, Circuit):
            return NotImplemented
        self.graph.check_same(other.graph)
        return self._edited(self.in_graph & ~other.in_graph, f"without those of {other._words}")

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

    @property
    def n_astray(self) -> int:
        """Number of kept edges that are on no path from the input to the logits."""
        return self.n_edges - int(self.graph.on_path(self.in_graph).sum())

    def nodes(self) -> list[Node]:
        """The nodes that kept edges touch, in topological order."""
        live = self.graph.live_nodes(self.in_graph)
        return [node for node in self.graph.nodes if live[node.index]]

    def with_edges(self, *edges: str | int | Edge | Node | Slot | Iterable[Any]) -> Circuit:
        """The circuit with further edges.

        Args:
            edges: each an edge, its name (``a0.h1->m1``) or number; a node (``a0.h1``) for all edges from and
                into it, a slot (``a0.h1<k>``) for all edges into it; a pattern such as ``m0->*``,
                ``*->a0.h1<k>`` or ``m0->a1.h0`` (into q, k and v); or a list of these.

        Raises:
            UnknownNameError: no such node or slot; names the nearest.
            SettingsError: no such edge, or none of these.
        """
        return self._edited(self.in_graph | edges_of(self.graph, edges), f"added {words_of(edges)}")

    def without_edges(self, *edges: str | int | Edge | Node | Slot | Iterable[Any]) -> Circuit:
        """The circuit without some edges, given and refused as by :meth:`with_edges`."""
        return self._edited(self.in_graph & ~edges_of(self.graph, edges), f"removed {words_of(edges)}")

    def with_nodes(self, *nodes: str | Node | Iterable[Any]) -> Circuit:
        """The circuit with nodes, and every edge between them and its own nodes, the input and the logits.

        Raises:
            UnknownNameError: no such node; names the nearest.
        """
        joining = edges_joining(self.graph, nodes, self.in_graph)
        return self._edited(self.in_graph | joining, f"added the nodes {words_of(nodes)}")

    def without_nodes(self, *nodes: str | Node | Iterable[Any]) -> Circuit:
        """The circuit without all edges from or into some nodes.

        Raises:
            UnknownNameError: no such node; names the nearest.
        """
        gone = [node for node, is_gone in zip(self.graph.nodes, nodes_of(self.graph, nodes), strict=True) if is_gone]
        return self._edited(self.in_graph & ~edges_of(self.graph, gone), f"removed the nodes {words_of(nodes)}")

    def on_path(self) -> Circuit:
        """The circuit without edges that are on no path from the input to the logits."""
        return self._edited(self.graph.on_path(self.in_graph), "dropped edges on no path")

    def _edited(
        self,
        in_graph: np.ndarray,
        what: str,
        scores: np.ndarray | None = None,
        found: Provenance | None = None,
    ) -> Circuit:
        """The circuit after an edit; itself, figures and all, if that changes nothing."""
        scores = self.scores if scores is None else scores
        n_changed = int((in_graph != self.in_graph).sum())
        if not n_changed and np.array_equal(scores, self.scores, equal_nan=True):
            return self
        found = edited(found or self.found, self._fingerprint(self.found), f"{what} ({counted(n_changed, 'edge')})")
        return Circuit(self.graph, in_graph, scores.copy(), found)

    @property
    def _words(self) -> str:
        """What it is, in the words of an edit."""
        found = " on ".join(shortened(name) for name in (self.found.task, self.found.model) if name)
        return f"a circuit of {counted(self.n_edges, 'edge')}{found and f' ({found})'}"

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

        The graph carries ``cfg``, its shape as JSON, and how it was found, as far as that is known, the method's
        options by their names and what isn't a plain value as JSON; figures that can't be vouched for are left out,
        and ``doubt`` says why. :func:`acdc.interchange.from_networkx` reads it.
        """
        out = self.graph.to_networkx(self.in_graph)
        for _, _, data in out.edges(data=True):
            data["score"] = float(self.scores[self.graph.edge(data["name"]).number])
        found = self.found.known if self.doubt is None else self.found.without_figures | {"doubt": self.doubt}
        options = found.pop("options", {})
        for name, value in (options | found | {"cfg": asdict(self.graph.cfg)}).items():
            if value is not None:
                out.graph[name] = json.dumps(value) if isinstance(value, dict | list) else value
        return out

    def save(self, path: str | Path) -> None:
        """Write ``circuit.json``, slot by slot, so that large graphs stay light.

        Raises:
            RunFolderError: the folder can't be written.
        """
        circuitfile.write(Path(path), self.graph, self.in_graph, self.scores, self.found)

    @classmethod
    def load(cls, path: str | Path) -> Circuit:
        """Read a ``circuit.json`` of ours, of EAP-IG or of MIB.

        Raises:
            CircuitFileError: the file is missing, isn't JSON, or isn't a circuit; the
                message says which edge or key is wrong.
        """
        return cls(*circuitfile.read(Path(path))[:4])


def load_own(path: Path) -> Circuit:
    """The circuit in a run folder, where no link is followed. Raises like :meth:`Circuit.load`."""
    return Circuit(*circuitfile.read(path, follow=False)[:4])
