"""The conservation meter: how far a run's scores are from what they must add up to.

Attribution with gradients keeps an identity: over some edges its scores add up to a number that can be measured
without it, e.g. integrated gradients over the input's edges to what the metric changes when the input does
(Sundararajan et al. 2017, arXiv 1703.01365). What is left over says how far the scores can be trusted, and most
mistakes of code show in it. Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from acdc.errors import warn
from acdc.graph import Graph

#: A residual that is warned of, as a share of what the metric changes by.
LARGE = 0.25


@dataclass(frozen=True)
class Conservation:
    """What scores add up to, and what they must.

    Attributes:
        identity: what is conserved and where, as a clause: ``the scores of the edges across any cut add up to the
            change of the metric``. Where a method has none, the sentence that says so, and `sums` is empty.
        sums: what the scores add up to, by the name of a cut (see :func:`cut_sums`), a node or a slot.
        expected: what they must, by the same names.
        scale: what residuals are relative to, in units of the metric: by how much it changes between the clean and
            the ablated state. Where that is 0, residuals are absolute.
        advice: what to do where they are large, as a clause.
    """

    identity: str
    sums: Mapping[str, float]
    expected: Mapping[str, float]
    scale: float
    advice: str = ""

    @property
    def residuals(self) -> dict[str, float]:
        """How far each sum is off, as a share of `scale`."""
        scale = abs(self.scale) or 1.0
        return {name: abs(found - self.expected[name]) / scale for name, found in self.sums.items()}

    @property
    def worst(self) -> str | None:
        """Where the residual is largest; the first of equals."""
        residuals = self.residuals
        return max(residuals, key=residuals.__getitem__, default=None)

    @property
    def residual(self) -> float | None:
        """The largest residual; ``None`` where there is no identity."""
        return None if self.worst is None else self.residuals[self.worst]

    @property
    def is_large(self) -> bool:
        """Whether it is to be warned of; NaN is."""
        return self.residual is not None and not self.residual <= LARGE

    def warn_if_large(self, method: str) -> None:
        """Warn of a large residual of a method, by its name."""
        if not self.is_large or self.worst is None or self.residual is None:
            return
        at, advice = self.worst, f"; {self.advice}" if self.advice else ""
        warn(
            f"{method}: {self.identity}, but at {at} they are off by {self.residual:.0%} of it "
            f"({self.sums[at]:.3g} where it is {self.expected[at]:.3g}){advice}."
        )

    def to_json(self) -> dict[str, Any]:
        """As a run's record has it, in the field ``conservation``."""
        told: dict[str, Any] = {"identity": self.identity}
        if self.worst is not None:
            told |= {"residual": self.residual, "at": self.worst, "scale": self.scale}
            told["parts"] = {name: [found, self.expected[name]] for name, found in self.sums.items()}
        return told


def cut_sums(graph: Graph, scores: np.ndarray) -> dict[str, float]:
    """What the scores of the edges across each cut add up to.

    A cut parts the nodes into those that have written and those that are to come: all edges from the former to slots
    of the latter cross it. It is named by what wrote last: ``input``, then ``a0`` (behind the heads of a layer) and
    ``m0`` (behind its MLP), and so on. In between, within a layer's heads, none is taken: where these share a norm,
    no edge of theirs can be parted from the others.

    Args:
        graph: the graph.
        scores: ``[n_edges]``.

    Returns:
        The sums by the names of the cuts, in order.
    """
    sums = {}
    for name, n_written in _cuts(graph).items():
        behind = [slot for slot in graph.slots if slot.node.index >= n_written]
        crossing = [scores[slot.first_edge : slot.first_edge + min(slot.n_parents, n_written)] for slot in behind]
        sums[name] = float(np.concatenate(crossing).sum())
    return sums


def node_sums(graph: Graph, scores: np.ndarray) -> np.ndarray:
    """What the scores of the edges out of each source add up to, ``[n_sources]``; scores are ``[n_edges]``."""
    sums = np.zeros(graph.n_sources)
    for slot in graph.slots:
        sums[: slot.n_parents] += scores[slot.edges]
    return sums


def _cuts(graph: Graph) -> dict[str, int]:
    """How many nodes have written at each cut, by its name."""
    cuts = {"input": graph.n_inputs}
    for node in graph.nodes[graph.n_inputs : graph.n_sources]:
        cuts[f"a{node.layer}" if node.kind == "head" else node.name] = node.index + 1
    return cuts
