"""The interface between discovery methods that prune and whatever runs the model."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Protocol

import numpy as np

from acdc.graph import Graph, Slot


class Pruning(Protocol):
    """Runs one model on one set of prompts with a circuit that shrinks from the output back.

    A method asks what removals would cost and commits those that it accepts; how a
    patched run is computed, one by one or many at once, is the engine's business. What makes
    that fast is an order, which :class:`acdc.pruning.shrinking.Shrinking` keeps to: a slot
    is asked about, and loses edges, before any slot in front of it has lost one.
    """

    @property
    def name(self) -> str:
        """As users write it."""
        ...

    @property
    def graph(self) -> Graph:
        """The graph whose edges are removed."""
        ...

    @property
    def drops_are_free(self) -> bool:
        """Whether dropping the edges into a node that nothing reads leaves the metric as it is.

        It doesn't where heads share a norm behind their sum.
        """
        ...

    def metric(self) -> float:
        """The metric of the present circuit."""
        ...

    def removals(self, groups: Sequence[np.ndarray]) -> Generator[float, bool | None, None]:
        """The metric without the first group, without the second, and so on; each on top of those before it that went.

        Nothing is committed. Behind each value the caller sends whether that group stays; who only
        iterates lets them all go. An engine that computes ahead does so in batches, expects of each
        group that it goes or that it stays, and throws away what it ran beyond one that does otherwise.

        Args:
            groups: edge numbers, all into one slot; each edge once, and still in the circuit.

        Raises:
            SettingsError: a slot in front of theirs has lost an edge, the groups aren't as said
                above, or the circuit has changed before all of them were asked for.
        """
        ...

    def remove(self, edges: np.ndarray) -> None:
        """Take edges (their numbers) out of the present circuit, of several slots from the output back.

        Raises:
            SettingsError: a slot in front of one of theirs has lost an edge already, or an edge is given twice,
                isn't in the circuit any more, or doesn't exist. Nothing is removed then.
        """
        ...

    def begin_again(self) -> None:
        """Let all slots be visited once more, from the output back, in the circuit as it is now."""
        ...

    def effects(self, slot: Slot) -> np.ndarray:
        """How much the metric rises when one edge into a slot is removed from the whole graph, and no other.

        Args:
            slot: any slot, in any order: nothing is removed for good.

        Returns:
            ``[n_parents]`` float64.

        Raises:
            SettingsError: the circuit isn't the whole graph any more.
        """
        ...

    def metric_of(self, kept: np.ndarray) -> float:
        """The metric of any circuit, ``[n_edges]`` bool; the present one stays."""
        ...

    def noise_floor(self) -> float:
        """How far rounding alone moves the metric."""
        ...
