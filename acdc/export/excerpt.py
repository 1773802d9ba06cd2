"""What of a circuit is shown to a reader, and under which words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from acdc.circuit import Circuit
from acdc.errors import SettingsError
from acdc.export.labels import grouped
from acdc.export.roles import roles_of
from acdc.export.summary import facts, printable, title
from acdc.graph import Edge


@dataclass(frozen=True)
class Excerpt:
    """A circuit, or its strongest edges, with a title.

    Attributes:
        circuit: the circuit.
        title: stands above; ``None`` for the names of task and model, ``""`` for no title.
        top: how many of the strongest edges to show; ``None`` for all.
        labels: what nodes do, by their names, in place of what the circuit's file says.

    Raises:
        SettingsError: the title isn't text, or `top` isn't a number of edges.
    """

    circuit: Circuit
    title: str | None = None
    top: int | None = None
    labels: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        if self.title is not None and not isinstance(self.title, str):
            raise SettingsError(f"`title` must be text, not of type {type(self.title).__name__}.")
        if self.top is None:
            return
        if not isinstance(self.top, int | np.integer) or isinstance(self.top, bool):
            raise SettingsError(f"`top` must be a whole number of edges, not of type {type(self.top).__name__}.")
        if self.top < 1:
            raise SettingsError("`top` must be at least 1 edge; leave it out to show all.")

    @property
    def n_edges(self) -> int:
        """Number of edges shown."""
        kept = self.circuit.n_edges
        return kept if self.top is None else min(int(self.top), kept)

    def edges(self) -> list[Edge]:
        """The edges shown, strongest first; among equals in the graph's order."""
        edges = list(self.circuit.edges())
        return [edges[i] for i in self._strongest()]

    def sizes(self) -> np.ndarray:
        """The |score| of each of :meth:`edges`, ``[n_edges]`` float64 and finite.

        It is 0 where there is no number, and where it is infinite as much as the largest that isn't.
        """
        return self._sizes()[self._strongest()]

    def _sizes(self) -> np.ndarray:
        sizes = np.abs(self.circuit.scores[self.circuit.in_graph])
        return np.nan_to_num(sizes, posinf=sizes[np.isfinite(sizes)].max(initial=0.0) or 1.0)

    def _strongest(self) -> np.ndarray:
        return np.argsort(-self._sizes(), kind="stable")[: self.n_edges]

    def mask(self) -> np.ndarray:
        """The edges shown, ``[n_edges of the graph]`` bool."""
        mask = np.zeros_like(self.circuit.in_graph)
        mask[np.flatnonzero(self.circuit.in_graph)[self._strongest()]] = True
        return mask

    def roles(self) -> dict[str, list[str]]:
        """Names of nodes by what they do: by the labels given those shown, or by the roles that the file says."""
        if self.labels is None:
            return roles_of(self.circuit)
        return grouped(self.labels, self.shown_nodes())

    def shown_nodes(self) -> set[str]:
        """Names of the nodes that an edge shown touches."""
        live = self.circuit.graph.live_nodes(self.mask())
        return {node.name for node in self.circuit.graph.nodes if live[node.index]}

    def heading(self) -> str:
        """The title as one line of printable characters; may be empty."""
        return title(self.circuit) if self.title is None else printable(self.title)

    def facts(self) -> list[str]:
        """What is to be known of the circuit, and first of all if only a part of it is shown."""
        part = [f"{self.n_edges:,} strongest of {self.circuit.n_edges:,} edges shown"]
        return (part if self.n_edges < self.circuit.n_edges else []) + facts(self.circuit)
