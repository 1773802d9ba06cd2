"""What came out of a comparison with EAP-IG: as tables, as JSON, and what the tables don't say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from acdc.cli.printing import say

#: Scores that differ by no more than this share of the largest are equal.
EQUAL = 1e-5
#: An integral by a few dozen midpoints is this near to what it stands for.
NEAR = 0.02


@dataclass(frozen=True)
class Agreement:
    """Two sides' scores of all edges.

    Attributes:
        method: acdc's name of it.
        dtype: of the model on both sides.
        n_edges: how many there are.
        factor: what EAP-IG's are multiplied by.
        fitted: the factor by which they come nearest to acdc's.
        largest: acdc's score of the largest size.
        difference: the largest, as a share of that.
        each: the largest difference of two scores as a share of the score, and the edge's name; of edges
            whose score is no rounding, i.e. above a millionth of the largest.
        worst: that edge.
    """

    method: str
    dtype: str
    n_edges: int
    factor: int
    fitted: float
    largest: float
    difference: float
    each: float
    worst: str

    @property
    def equal(self) -> bool:
        """Whether they are the same but for rounding; scores that are all 0 are no agreement."""
        return self.largest > 0 and self.difference <= EQUAL


def agreement_of(
    method: str, dtype: str, ours: Mapping[str, float], theirs: Mapping[str, float], factor: int
) -> Agreement:
    """Compare scores edge by edge, by name."""
    names = list(ours)
    one = np.array([ours[name] for name in names])
    raw = np.array([theirs[name] for name in names])
    largest = float(np.abs(one).max())
    apart = np.abs(one - factor * raw)
    counts = np.abs(one) > 1e-6 * largest
    each = np.divide(apart, np.abs(one), out=np.zeros_like(apart), where=counts)
    worst = int(each.argmax())
    size = float(raw @ raw)
    return Agreement(
        method,
        dtype,
        n_edges=len(names),
        factor=factor,
        fitted=float(one @ raw) / size if size else float("nan"),
        largest=largest,
        difference=float(apart.max()) / largest if largest else float("nan"),
        each=float(each[worst]),
        worst=names[worst],
    )


@dataclass(frozen=True)
class Pace:
    """What a method took on one side.

    Attributes:
        side: ``acdc`` or ``EAP-IG``.
        method: acdc's name of it.
        took: ``cpu`` and ``wall`` seconds, and ``peak_bytes`` above the open model, or ``None``.
    """

    side: str
    method: str
    took: Mapping[str, Any]


@dataclass(frozen=True)
class Nodes:
    """What each way of counting says of nodes; the first of each is brute force.

    Attributes:
        names: of the nodes.
        steps: of integrals.
        patched: what it costs to patch a node everywhere, ``{way: {node: cost}}``.
        slope: how that begins, likewise.
    """

    names: Sequence[str]
    steps: int
    patched: Mapping[str, Mapping[str, float]]
    slope: Mapping[str, Mapping[str, float]]

    def off(self, table: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
        """How far each way is from brute force at most, as a share of the largest of that."""
        truth, *_ = table.values()
        scale = max(abs(value) for value in truth.values())
        return {
            way: max(abs(values[node] - truth[node]) for node in self.names) / scale for way, values in table.items()
        }


@dataclass
class Comparison:
    """What was measured so far.

    Attributes:
        agreements: of the edges' scores.
        paces: what they took.
        nodes: what was found of nodes.
        versions: of the peer's libraries.
        failure: why not all of it is measured, or ``None``.
    """

    agreements: list[Agreement] = field(default_factory=list)
    paces: list[Pace] = field(default_factory=list)
    nodes: Nodes | None = None
    versions: Mapping[str, str] | None = None
    failure: str | None = None


def notes_of(found: Comparison, *, factor: int, commit: str, changed: bool) -> list[str]:
    """What the tables don't say."""
    agreements, nodes = found.agreements, found.nodes
    notes = [f"the sources aren't those of EAP-IG's commit {commit}: another revision, or edited."] if changed else []
    if found.failure is not None:
        notes.append(f"EAP-IG isn't measured{' wholly' if agreements else ''}: {found.failure}")
    if agreements:
        notes += [
            f"EAP-IG divides a metric that is a mean over a batch once more by the number of prompts: its scores are "
            f"multiplied by {factor}, the one constant. It keeps them in float32 whatever the model's type.",
            *(_agreement_in_words(one) for one in agreements),
            "seconds and memory: float32, everything from the prompts on with the model open, the quickest of some "
            "times, each side and method in a process of its own; memory is what the process grew by.",
        ]
    if nodes is not None:
        notes.append(
            "nodes: a random GPT-2 of 2 layers in float64; what patching a node everywhere costs, and with what slope "
            "that begins, by hooks of TransformerLens alone; scores of edges are summed over those out of the node, "
            f"integrals have {nodes.steps} steps."
        )
        for table in (nodes.patched, nodes.slope):
            truth, *others = table
            notes += [_distance_in_words(way, truth, nodes.off(table)[way]) for way in others]
    return notes


def _agreement_in_words(one: Agreement) -> str:
    said = "equal" if one.equal else "NOT equal"
    return (
        f"{one.method}, {one.dtype}: {said} on {one.n_edges:,} edges; the largest difference is {one.difference:.1e} "
        f"of the largest score ({one.largest:.3g}); edge by edge at most {one.each:.1e} of the score ({one.worst})."
    )


def _distance_in_words(way: str, truth: str, off: float) -> str:
    said = "equal to" if off <= EQUAL else "near" if off <= NEAR else "NOT"
    return f"{way}: {said} what is found {truth}, off by at most {off:.1e} of the largest."


def as_json(found: Comparison) -> dict[str, Any]:
    """All of it for JSON."""
    nodes = found.nodes
    return {
        "not_measured": found.failure,
        "scores": [{**asdict(one), "equal": one.equal} for one in found.agreements],
        "pace": [
            {"side": one.side, "method": one.method, **one.took, "times_acdc": _ratio(one, found.paces)}
            for one in found.paces
        ],
        "nodes": None
        if nodes is None
        else {
            "steps": nodes.steps,
            "patched": nodes.patched,
            "patched_off": nodes.off(nodes.patched),
            "slope": nodes.slope,
            "slope_off": nodes.off(nodes.slope),
        },
    }


def _ratio(pace: Pace, paces: Sequence[Pace]) -> float:
    """Its seconds of the processor to acdc's by the same method."""
    (ours,) = (one for one in paces if one.method == pace.method and one.side == "acdc")
    return pace.took["cpu"] / ours.took["cpu"]


def print_all(found: Comparison, notes: Sequence[str]) -> None:
    """Tables, and the notes below them."""
    nodes = found.nodes
    _print_table(
        ["", "edges", "factor", "fitted", "difference", "edge by edge"],
        [
            [
                f"{one.method}, {one.dtype}",
                f"{one.n_edges:,}",
                str(one.factor),
                f"{one.fitted:.7g}",
                f"{one.difference:.1e}",
                f"{one.each:.1e}",
            ]
            for one in found.agreements
        ],
    )
    _print_table(
        ["", "CPU s", "wall s", "CPU ratio", "memory MB"],
        [
            [
                f"{one.method}, {one.side}",
                f"{one.took['cpu']:.3g}",
                f"{one.took['wall']:.3g}",
                f"{_ratio(one, found.paces):.3g}",
                _megabytes(one.took["peak_bytes"]),
            ]
            for one in found.paces
        ],
    )
    if nodes is not None:
        for title, table in (("patched", nodes.patched), ("slope", nodes.slope)):
            rows = [[name, *(f"{table[way][name]:.4f}" for way in table)] for name in nodes.names]
            _print_table([title, *table], rows)
    for note in notes:
        say(f"- {note}")


def _megabytes(size: int | None) -> str:
    return "" if size is None else f"{size / 1e6:,.0f}"


def _print_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.table import Table

    from acdc.cli.terminal import Terminal

    if not rows:
        return
    table = Table()
    table.add_column(titles[0], no_wrap=True)
    for title in titles[1:]:
        table.add_column(title, justify="right")
    for row in rows:
        table.add_row(*row)
    Terminal().print(table)
