"""Circuits held against each other, two or many, and against a reference."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, combinations_with_replacement
from typing import Any

import numpy as np

from acdc.asked import shown
from acdc.circuit import Circuit
from acdc.comparison.correlation import spearman
from acdc.comparison.found import differences, is_known, known_of_some, settings
from acdc.comparison.overlap import Overlap, Pair
from acdc.comparison.roc import Agreement, agreement, check_reference, mib_area, mib_points, ranking, step_area
from acdc.errors import SettingsError
from acdc.provenance import EDITED
from acdc.wording import counted, quoted


def label(i: int) -> str:
    """The letter of the circuit at index `i`: A, B, ... Z, AA, AB and so on."""
    text = ""
    i += 1
    while i:
        i, letter = divmod(i - 1, 26)
        text = chr(ord("A") + letter) + text
    return text


#: What the reference is called beside them.
REFERENCE = "reference"


def spoken(name: str) -> str:
    """What a circuit is called, within a sentence: ``A``, ``the reference``."""
    return f"the {name}" if name == REFERENCE else name


@dataclass(frozen=True, eq=False)
class Comparison:
    """Circuits of one graph, held against each other edge by edge.

    The kept edges are compared as they are; which lie on no path is counted in :attr:`off_path`. Whatever
    is named here is worked out when it is first asked for.

    Attributes:
        circuits: one or more; called A, B and so on.
        sources: where each came from (a path), if it is known.
        reference: a circuit to judge them by; else ``None``.
        reference_source: where that came from.

    Raises:
        SettingsError: too few circuits, different graphs, or a reference that keeps all edges or none.
    """

    circuits: tuple[Circuit, ...]
    sources: tuple[str | None, ...]
    reference: Circuit | None = None
    reference_source: str | None = None

    def __post_init__(self) -> None:
        if len(self.circuits) < (2 if self.reference is None else 1):
            given = "one circuit alone can't be compared" if self.circuits else "there is nothing to compare"
            raise SettingsError(f"{given}; give two circuits or more, or one and a `reference`.")
        for one in self.everyone:
            if not isinstance(one, Circuit):
                raise SettingsError(f"a circuit is wanted, not {shown(one)}.")
        if len(self.sources) != len(self.circuits):
            raise SettingsError(
                f"{counted(len(self.sources), 'source')} were given for {counted(len(self.circuits), 'circuit')}."
            )
        first, *others = self.circuits
        for i, other in enumerate(others, 1):
            if differing := first.graph.cfg.differences(other.graph.cfg):
                raise SettingsError(
                    f"{self._named(0)} and {self._named(i)} are of different graphs: {', '.join(differing)}; "
                    "compare circuits of models of one shape."
                )
        if self.reference is not None:
            check_reference(self.reference, first.graph)

    @property
    def labels(self) -> list[str]:
        """What the circuits are called: A, B and so on."""
        return [label(i) for i in range(len(self.circuits))]

    def _named(self, i: int) -> str:
        source = self.sources[i]
        return label(i) if source is None else f"{label(i)} ({quoted(source)})"

    @cached_property
    def pair(self) -> Pair | None:
        """The two that there are, if there are two: both circuits, or the only one and the reference."""
        if len(self.circuits) == 2:
            return Pair(*self.circuits)
        return None if self.reference is None or len(self.circuits) > 1 else Pair(self.circuits[0], self.reference)

    @property
    def pair_labels(self) -> tuple[str, str]:
        """What the two of :attr:`pair` are called."""
        return ("A", "B" if len(self.circuits) > 1 else REFERENCE)

    @cached_property
    def edge_overlaps(self) -> dict[tuple[int, int], Overlap]:
        """The overlap of kept edges of every two circuits, by their indices, the lower one first."""
        return self._overlaps([circuit.in_graph for circuit in self.circuits])

    @cached_property
    def node_overlaps(self) -> dict[tuple[int, int], Overlap]:
        """The overlap of nodes that a kept edge touches, likewise."""
        return self._overlaps(self._live_nodes)

    @property
    def edge_jaccard(self) -> np.ndarray:
        """Jaccard of the kept edges of every two, ``[n, n]`` float64; NaN where both keep none."""
        return self._matrix(self.edge_overlaps, self.n_edges)

    @property
    def node_jaccard(self) -> np.ndarray:
        """Jaccard of the nodes of every two, likewise."""
        return self._matrix(self.node_overlaps, self.n_nodes)

    @cached_property
    def score_spearman(self) -> np.ndarray:
        """Spearman's rank correlation of the scores of every two, likewise; NaN where it isn't defined."""
        n = len(self.circuits)
        found = np.full((n, n), math.nan)
        for i, j in combinations_with_replacement(range(n), 2):
            value = spearman(self.circuits[i].scores, self.circuits[j].scores)
            found[i, j] = found[j, i] = math.nan if value is None else 1.0 if i == j else value
        return found

    @property
    def n_edges(self) -> list[int]:
        """Kept edges of each."""
        return [circuit.n_edges for circuit in self.circuits]

    @property
    def n_nodes(self) -> list[int]:
        """Nodes of each that a kept edge touches."""
        return [int(live.sum()) for live in self._live_nodes]

    @cached_property
    def in_all(self) -> np.ndarray:
        """The edges that all of them keep, ``[n_edges]`` bool."""
        return np.logical_and.reduce([circuit.in_graph for circuit in self.circuits])

    @cached_property
    def in_any(self) -> np.ndarray:
        """The edges that at least one of them keeps, ``[n_edges]`` bool."""
        return np.logical_or.reduce([circuit.in_graph for circuit in self.circuits])

    @cached_property
    def off_path(self) -> list[int]:
        """How many of each one's kept edges lie on no path from the input to the logits. They are counted as kept."""
        return [one.n_edges - int(one.graph.on_path(one.in_graph).sum()) for one in self.circuits]

    @cached_property
    def differences(self) -> dict[str, list[Any]]:
        """In what they were found otherwise: each such field of :class:`acdc.Provenance` with every one's value.

        If there is a reference, its value comes last. ``None`` is unknown, which differs from nothing.
        """
        return differences(self.everyone)

    @cached_property
    def known_of_some(self) -> list[str]:
        """The fields that only some of them say, without a contradiction.

        Left out are circuits of which nothing is known, and what belongs to a method where the others are of another.
        """
        return known_of_some(self.everyone)

    @cached_property
    def nothing_known_of(self) -> list[str]:
        """What the circuits are called of which nothing is known but their edges and scores."""
        return [name for name, one in zip(self.all_labels, self.everyone, strict=True) if not is_known(one)]

    @property
    def all_labels(self) -> list[str]:
        """What the circuits are called, and the reference, if there is one, last."""
        return [*self.labels, *([] if self.reference is None else [REFERENCE])]

    @property
    def everyone(self) -> list[Circuit]:
        """The circuits, and the reference, if there is one, last."""
        return [*self.circuits, *([] if self.reference is None else [self.reference])]

    @cached_property
    def agreements(self) -> list[Agreement] | None:
        """Each one against the reference, if there is one."""
        return None if self.reference is None else [agreement(one, self.reference) for one in self.circuits]

    @cached_property
    def area(self) -> float | None:
        """Area under the step curve through all of them as points against the reference, if there is one."""
        if self.agreements is None:
            return None
        return step_area((found.false_positive_rate, found.recall) for found in self.agreements)

    @cached_property
    def score_areas(self) -> list[float | None] | None:
        """Area under the step curve of each one's scores alone (see :func:`ranking`) against the reference.

        ``None`` for scores that are all alike, which rank nothing.
        """
        reference = self.reference
        if reference is None:
            return None
        points = [ranking(one.scores, reference) for one in self.circuits]
        return [step_area(curve) if len(curve) > 1 else None for curve in points]

    @cached_property
    def mib_areas(self) -> list[float | None] | None:
        """The same as MIB counts it (see :func:`mib_area`), by circuits of its ten sizes; the two don't compare."""
        reference, step = self.reference, self.score_areas
        if reference is None or step is None:
            return None
        return [
            None if area is None else mib_area(mib_points(one.scores, reference))
            for one, area in zip(self.circuits, step, strict=True)
        ]

    def sentences(self) -> list[str]:
        """The answer in a sentence, and what is to be known beside it."""
        return [self._answer(), *self._notes()]

    def _answer(self) -> str:
        if self.pair is None:
            sizes = sorted(self.n_edges)
            found = [overlap.jaccard for overlap in self.edge_overlaps.values() if overlap.jaccard is not None]
            span = f"Jaccard of two {_span(min(found), max(found))}" if found else "they keep no edge"
            both = f"{np.count_nonzero(self.in_all)} in all of them, {np.count_nonzero(self.in_any)} in any"
            return f"{len(sizes)} circuits keep {_range(sizes[0], sizes[-1])}; {both}: {span}."
        (a, b), edges = self.pair_labels, self.pair.edges
        b = spoken(b)
        if edges.jaccard is None:
            return f"{a} and {b} keep no edge; only their scores can be compared."
        if edges.jaccard == 1:
            return f"{a} and {b} keep the same {counted(edges.both, 'edge')}."
        return f"{a} keeps {counted(edges.first, 'edge')}, {b} {edges.second}; {edges.both} in both: " + (
            f"Jaccard {share(edges.jaccard)}."
        )

    def _notes(self) -> Iterator[str]:
        for name, circuit, off_path in zip(self.labels, self.circuits, self.off_path, strict=True):
            if circuit.doubt == EDITED:  # no figures are shown, whose age would matter
                yield f"{name} was {EDITED}."
            if off_path:
                yield (
                    f"{name} keeps {counted(off_path, 'edge')} on no path from the input to the logits, "
                    "counted here as the others are."
                )

    def __repr__(self) -> str:
        lines = [f"Comparison of {counted(len(self.circuits), 'circuit')}"]
        for i, circuit in enumerate(self.circuits):
            edges = f"{counted(circuit.n_edges, 'edge')}, {counted(self.n_nodes[i], 'node')}"
            lines.append(f"  {self._named(i)}: {edges}")
        if self.agreements is not None:
            for name, found in zip(self.labels, self.agreements, strict=True):
                lines.append(f"  {name} against the reference: {in_words(found)}")
        return "\n".join([*lines, *(f"  {sentence}" for sentence in self.sentences())])

    def to_json(self) -> dict[str, Any]:
        """All of it as plain data for :mod:`json`, with a ``null`` where something isn't defined.

        ``circuits`` and ``pairs`` are lists, ``jaccard`` has a matrix for edges and for nodes, ``edges`` names
        every edge that a circuit keeps with the letters of those that keep it.
        """
        rows = zip(self.labels, self.sources, self.circuits, self.n_nodes, self.off_path, strict=True)
        graph = self.circuits[0].graph
        kept = [(name, circuit.in_graph) for name, circuit in zip(self.labels, self.circuits, strict=True)]
        return {
            "n_edges": graph.n_edges,
            "n_nodes": len(graph.nodes),
            "sentences": self.sentences(),
            "circuits": [
                {
                    "name": name,
                    "source": source,
                    "n_edges": circuit.n_edges,
                    "n_nodes": n_nodes,
                    "off_path": off_path,
                    "doubt": circuit.doubt,
                    "found": settings(circuit.found),
                }
                for name, source, circuit, n_nodes, off_path in rows
            ],
            "differences": {
                name: dict(zip([*self.labels, REFERENCE], values, strict=False))
                for name, values in self.differences.items()
            },
            "known_of_some": self.known_of_some,
            "nothing_known_of": self.nothing_known_of,
            "in_all": int(self.in_all.sum()),
            "in_any": int(self.in_any.sum()),
            "pairs": [{"first": a, "second": b, **pair.to_json()} for a, b, pair in self._pairs()],
            "jaccard": {"edges": _plain(self.edge_jaccard), "nodes": _plain(self.node_jaccard)},
            "spearman": _plain(self.score_spearman),
            "reference": self._reference_json(),
            "edges": {
                edge.name: [name for name, mask in kept if mask[edge.number]] for edge in graph.edges(self.in_any)
            },
        }

    def _pairs(self) -> Iterator[tuple[str, str, Pair]]:
        """Every two circuits with their names; the only one with the reference."""
        if self.pair is not None:
            yield *self.pair_labels, self.pair
            return
        for (a, first), (b, second) in combinations(zip(self.labels, self.circuits, strict=True), 2):
            yield a, b, Pair(first, second)

    def _reference_json(self) -> dict[str, Any] | None:
        if self.reference is None or self.agreements is None or self.score_areas is None or self.mib_areas is None:
            return None
        rows = zip(self.labels, self.agreements, self.score_areas, self.mib_areas, strict=True)
        return {
            "source": self.reference_source,
            "n_edges": self.reference.n_edges,
            "area": self.area,
            "circuits": [
                {"name": name, **found.to_json(), "score_area": area, "mib_area": mib}
                for name, found, area, mib in rows
            ],
        }

    @cached_property
    def _live_nodes(self) -> list[np.ndarray]:
        return [circuit.graph.live_nodes(circuit.in_graph) for circuit in self.circuits]

    @staticmethod
    def _overlaps(chosen: Sequence[np.ndarray]) -> dict[tuple[int, int], Overlap]:
        return {(i, j): Overlap.of(chosen[i], chosen[j]) for i, j in combinations(range(len(chosen)), 2)}

    @staticmethod
    def _matrix(overlaps: dict[tuple[int, int], Overlap], sizes: Sequence[int]) -> np.ndarray:
        found = np.diag([1.0 if size else math.nan for size in sizes])
        for (i, j), overlap in overlaps.items():
            found[i, j] = found[j, i] = math.nan if overlap.jaccard is None else overlap.jaccard
        return found


def compare(
    circuits: Sequence[Circuit],
    reference: Circuit | None = None,
    *,
    sources: Sequence[str | None] | None = None,
    reference_source: str | None = None,
) -> Comparison:
    """Hold circuits of one graph against each other, and against a reference.

    Args:
        circuits: two or more; one, if there is a reference.
        reference: a circuit to judge them by: precision, recall, F1, step-rule ROC.
        sources: where each came from.
        reference_source: where the reference came from.

    Raises:
        SettingsError: as :class:`Comparison`.
    """
    circuits = tuple(circuits)
    sources = (None,) * len(circuits) if sources is None else tuple(sources)
    return Comparison(circuits, sources, reference, reference_source)


def in_words(found: Agreement) -> str:
    """``precision 0.9, recall 0.5, F1 0.64``."""
    return f"precision {share(found.precision)}, recall {share(found.recall)}, F1 {share(found.f1)}"


def share(value: float | None) -> str:
    """A number from 0 to 1 in two digits, which are 0 or 1 only where it is."""
    if value is None or math.isnan(value):
        return "not defined"
    if value in (0, 1):
        return f"{value:.0f}"
    return "<0.01" if value < 0.005 else ">0.99" if value > 0.995 else f"{value:.2f}"


def _range(least: int, most: int) -> str:
    return counted(least, "edge") if least == most else f"{least} to {counted(most, 'edge')}"


def _span(least: float, most: float) -> str:
    return share(least) if share(least) == share(most) else f"{share(least)} to {share(most)}"


def _plain(matrix: np.ndarray) -> list[list[float | None]]:
    return [[None if math.isnan(value) else value for value in row] for row in matrix.tolist()]
