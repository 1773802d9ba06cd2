"""Whether a model that adds and subtracts does both with one circuit, as a table in Markdown.

    python benchmarks/same_circuit.py

Its two circuits are held against each other, and against those of models of the same sizes that learned to add or to
subtract alone. Heads of two models have no names in common: there, the heads of one are named so that the circuits
have most edges in common. What chance gives is the mean over random edge sets of the same sizes, named likewise.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from chosen import chosen, faithful, held_out, parser, table
from scipy.optimize import linear_sum_assignment

from acdc.bundled import bundled_models
from acdc.comparison import Overlap
from acdc.graph import Graph
from acdc.models.loading import load_model
from acdc.runs.run import Run

BOTH, ADDS, SUBTRACTS = "modular-add-sub", "modular-addition", "modular-subtraction"
ADDITION, SUBTRACTION = "modular_addition", "modular_subtraction"
NUMBERS, OPERATOR = "other-numbers", "other-operator"
DRAWS = 1000


@dataclass(frozen=True)
class Key:
    """A circuit to find: of which model, for which task, under which corruption."""

    model: str
    task: str
    corruption: str = NUMBERS

    def __str__(self) -> str:
        return f"{self.task} in {self.model}"


PAIRS = (
    (Key(BOTH, ADDITION), Key(BOTH, SUBTRACTION)),
    (Key(BOTH, ADDITION, OPERATOR), Key(BOTH, SUBTRACTION, OPERATOR)),
    (Key(ADDS, ADDITION), Key(SUBTRACTS, SUBTRACTION)),
    (Key(BOTH, ADDITION), Key(ADDS, ADDITION)),
    (Key(BOTH, SUBTRACTION), Key(SUBTRACTS, SUBTRACTION)),
)


def heads(graph: Graph) -> np.ndarray:
    """The edges of each head of a one-layer model, by their numbers, ``[head, edge]``; in one order for all heads."""
    found: list[list[int]] = [[] for _ in range(graph.cfg.n_heads)]
    for edge in graph.edges():
        for node in (edge.source, edge.slot.node):
            if node.head is not None:
                found[node.head].append(edge.number)
    return np.array(found)


def renamed(first: np.ndarray, second: np.ndarray, of_heads: np.ndarray) -> np.ndarray:
    """`second` with its heads named so that it has most edges in common with `first`; ``[edge]`` bool each."""
    shared = first[of_heads].astype(int) @ second[of_heads].T.astype(int)  # [head of first, head of second]
    mine, theirs = linear_sum_assignment(-shared)
    found = second.copy()
    found[of_heads[mine]] = second[of_heads[theirs]]
    return found


def overlaps(graph: Graph, first: np.ndarray, second: np.ndarray, *, rename: bool) -> tuple[Overlap, Overlap]:
    """What two circuits have in common: edges, and nodes that these touch."""
    if rename:
        second = renamed(first, second, heads(graph))
    nodes = [graph.live_nodes(mask) for mask in (first, second)]
    return Overlap.of(first, second), Overlap.of(*nodes)


def by_chance(graph: Graph, sizes: tuple[int, int], *, rename: bool) -> tuple[float, float]:
    """Mean Jaccard index of random edge sets of these sizes, and of the nodes that these touch."""
    chance = np.random.default_rng(0)

    def drawn(size: int) -> np.ndarray:
        mask = np.zeros(graph.n_edges, dtype=bool)
        mask[chance.choice(graph.n_edges, size, replace=False)] = True
        return mask

    found = [overlaps(graph, *map(drawn, sizes), rename=rename) for _ in range(DRAWS)]
    edges, nodes = np.array([[one.jaccard or 0.0 for one in both] for both in found]).mean(0)
    return float(edges), float(nodes)


def rows(runs: dict[Key, Run]) -> Iterator[list[str]]:
    """A line for each pair of circuits."""
    for a, b in PAIRS:
        first, second = runs[a].circuit, runs[b].circuit
        graph, rename = first.graph, a.model != b.model
        edges, nodes = overlaps(graph, first.in_graph, second.in_graph, rename=rename)
        chance = by_chance(graph, (edges.first, edges.second), rename=rename)
        yield [
            str(a),
            str(b),
            a.corruption,
            f"{edges.first}, {edges.second}",
            f"{edges.both}",
            f"{edges.jaccard or 0:.2f} ({chance[0]:.2f})",
            f"{nodes.both} of {nodes.first}, {nodes.second}",
            f"{nodes.jaccard or 0:.2f} ({chance[1]:.2f})",
        ]


def main() -> None:
    """Find the circuits and print two tables."""
    args = parser(__doc__ or "").parse_args()
    runs: dict[Key, Run] = {}
    for key in dict.fromkeys(key for pair in PAIRS for key in pair):
        model = load_model(str(bundled_models()[key.model]))
        runs[key] = chosen(model, key.task, args.n, key.corruption, args.faithful)
    table(
        ["circuit of", "corruption", "threshold", "edges", "faithful, held out", "right, held out"],
        [_found(key, run) for key, run in runs.items()],
    )
    print()
    table(
        ["circuit", "and", "corruption", "edges", "shared", "Jaccard (chance)", "nodes shared", "Jaccard (chance)"],
        list(rows(runs)),
    )


def _found(key: Key, run: Run) -> list[str]:
    return [
        str(key),
        key.corruption,
        f"{run.record.request.options['threshold']:g}",
        f"{run.circuit.n_edges} of {run.circuit.graph.n_edges}",
        f"{faithful(run):.0%}",
        f"{held_out(run).circuit.top1 or 0:.0%}",
    ]


if __name__ == "__main__":
    main()
