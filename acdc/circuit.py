"""A circuit: the kept edges of one model on one task, with how they were found.

The file format is that of EAP-IG and MIB (``cfg``, ``nodes``, ``edges``) with one key
of our own beside theirs, ``found``. Nothing here imports torch.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from acdc import circuitfile
from acdc.errors import SettingsError
from acdc.graph import Edge, Graph
from acdc.provenance import EDITED, UNPROVEN, Provenance, fingerprint

__all__ = ["Circuit", "Provenance"]

if TYPE_CHECKING:
    import networkx as nx


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

        The graph carries how it was found, as far as that is known, the method's options by their names and what
        isn't a plain value as JSON; figures that can't be vouched for are left out, and ``doubt`` says why.
        """
        out = self.graph.to_networkx(self.in_graph)
        for _, _, data in out.edges(data=True):
            data["score"] = float(self.scores[self.graph.edge(data["name"]).number])
        found = self.found.known if self.doubt is None else self.found.without_figures | {"doubt": self.doubt}
        options = found.pop("options", {})
        for name, value in (options | found).items():
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
        return cls(*circuitfile.read(Path(path)))


def load_own(path: Path) -> Circuit:
    """The circuit in a run folder, where no link is followed. Raises like :meth:`Circuit.load`."""
    return Circuit(*circuitfile.read(path, follow=False))
