"""A model whose circuit is known, since its weights were set by hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from acdc import asked
from acdc.circuit import Circuit
from acdc.graph import Graph, GraphConfig
from acdc.provenance import Provenance


@dataclass(frozen=True)
class Settings:
    """Settings of a run that recovers a planted circuit.

    Attributes:
        task: by name.
        corruption: of the task.
        threshold: of ACDC.
        metric, ablation: by name.
        n: prompt pairs.
    """

    task: str
    corruption: str
    threshold: float
    metric: str = "kl"
    ablation: str = "corrupted"
    n: int = 50


@dataclass(frozen=True, eq=False)
class Planted:
    """A model whose circuit is known.

    An edge is true if, on the task under the corruption of :attr:`settings`, what it carries differs between
    clean and corrupted prompts in a direction that its reader reads, and the output depends on it. Edges that carry
    the same for every prompt, as those do that only tell positions, are none, since ablating them changes nothing.

    Attributes:
        name: it opens by it.
        summary: what is known of it, in one line.
        vocabulary: its symbols in the order of token ids.
        model_config: TransformerLens' configuration fields.
        weights: by TransformerLens' names, float32.
        edges: the true edges, by name.
        settings: those of a run that recovers them.
        branches: sets of true edges any one of which is enough. Greedy pruning keeps one of them, and all true
            edges outside of them.
    """

    name: str
    summary: str
    vocabulary: tuple[str, ...]
    model_config: Mapping[str, Any]
    weights: Mapping[str, np.ndarray]
    edges: frozenset[str]
    settings: Settings
    branches: tuple[frozenset[str], ...] = field(default=())

    @property
    def task(self) -> str:
        """The name of the task that it does."""
        return self.settings.task

    @property
    def graph(self) -> Graph:
        """The model's graph."""
        cfg = self.model_config
        shape = {name: cfg[name] for name in ("n_layers", "n_heads", "d_model", "attn_only")}
        return Graph(GraphConfig(**shape))

    @property
    def circuit(self) -> Circuit:
        """The true edges as a circuit, each with the score 1, all others with 0."""
        graph = self.graph
        kept = np.zeros(graph.n_edges, dtype=bool)
        kept[[graph.edge(name).number for name in self.edges]] = True
        about = self.settings
        found = Provenance(task=about.task, model=self.name, method="planted", corruption=about.corruption)
        return Circuit(graph, kept, kept.astype(np.float64), found)

    @property
    def known_part(self) -> frozenset[str]:
        """The true edges that no branch can stand for."""
        return self.edges.difference(*self.branches)

    def recovered_by(self, edges: Iterable[str]) -> bool:
        """Whether these are the true edges: exactly, or with branches the known part and exactly one branch."""
        found = frozenset(edges)
        if not self.branches:
            return found == self.edges
        return any(found == self.known_part | branch for branch in self.branches)

    def save(self, folder: str | Path) -> None:
        """Write the model as a folder that opens like any other; see :func:`acdc.planted.folder.save`.

        Raises:
            RunFolderError: something lies there, or it can't be written.
        """
        from acdc.planted.folder import save

        save(self, asked.path("folder", folder))
