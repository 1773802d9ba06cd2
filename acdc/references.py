"""Reference circuits: what people have found by hand or by proof, as circuits to draw and to compare with.

They are data, ``tasks/references/NAME.toml``: groups of nodes by their role, edges between groups, where it all is
from, and what is to be known before a circuit is judged by it. No model is needed. Nothing here imports torch.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Any, Literal

import numpy as np

from acdc.circuit import Circuit
from acdc.editing import edges_among
from acdc.errors import SettingsError, UnknownNameError
from acdc.graph import Graph, Slot
from acdc.planted import is_planted, planted, planted_names
from acdc.provenance import Provenance

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_FOLDER, _ENDING = files("acdc.tasks") / "references", ".toml"


@dataclass(frozen=True, eq=False)
class Reference:
    """A published circuit.

    Attributes:
        name: the task's, or that of a compiled program.
        summary: what it is of, in a few words.
        circuit: its edges; their scores are unknown (NaN). Where only nodes are published (`level`), all edges
            among these, the input and the logits.
        level: whether ``"edges"`` are published, or ``"nodes"`` alone.
        roles: names of nodes by what they do.
        wholesale: ``[n_edges]`` bool, the edges that its authors took in unseen; see `note`.
        n_placeholders: edges from a slot's input to its projection that the ACDC paper counts besides.
        note: what to know before judging by it.
        source: papers and code that it is from.
    """

    name: str
    summary: str
    circuit: Circuit
    level: Literal["edges", "nodes"]
    roles: Mapping[str, tuple[str, ...]]
    wholesale: np.ndarray
    n_placeholders: int
    note: str
    source: str

    @property
    def n_wholesale(self) -> int:
        """Edges that were added wholesale."""
        return int(self.wholesale.sum())

    @property
    def verified(self) -> Circuit:
        """The circuit without the edges that were added wholesale."""
        return replace(self.circuit, in_graph=self.circuit.in_graph & ~self.wholesale)


def reference_names() -> list[str]:
    """Names of all published circuits, sorted; besides, every planted model has its own."""
    return sorted(path.name.removesuffix(_ENDING) for path in _FOLDER.iterdir() if path.name.endswith(_ENDING))


def reference(name: str) -> Reference:
    """The published circuit of a task, or the true one of a planted model (``planted-sort``).

        >>> ioi = reference("ioi")
        >>> ioi.circuit.n_edges, ioi.n_wholesale
        (963, 690)
        >>> ioi.roles["induction"]
        ('a5.h5', 'a5.h8', 'a5.h9', 'a6.h9')

    Raises:
        UnknownNameError: none is known; says the nearest.
        SettingsError: `name` isn't text.
    """
    if not isinstance(name, str):
        raise SettingsError(f"a reference circuit is given by its name, not by a {type(name).__name__}.")
    if is_planted(name):
        return _planted(name)
    if name not in (known := reference_names()):
        raise UnknownNameError("reference circuit", name, [*known, *planted_names()])
    given = tomllib.loads((_FOLDER / f"{name}{_ENDING}").read_text(encoding="utf-8"))
    graph = Graph.from_config(**given["graph"])
    roles = {role: tuple(nodes) for role, nodes in given["roles"].items()}
    level = given.get("level", "edges")
    if level == "nodes":
        mask = edges_among(graph, [node for nodes in roles.values() for node in nodes])
        wholesale = np.zeros_like(mask)
    else:
        verified = _edges(graph, roles, [rule for rule in given["edges"] if not rule.get("wholesale")])
        wholesale = _edges(graph, roles, [rule for rule in given["edges"] if rule.get("wholesale")]) & ~verified
        mask = verified | wholesale
    further = {"source": given["source"], "note": given["note"], "roles": {role: list(roles[role]) for role in roles}}
    found = Provenance(task=name, model=given["model"], further=further)
    return Reference(
        name,
        given["summary"],
        Circuit(graph, mask, np.full(graph.n_edges, np.nan), found),
        level,
        roles,
        wholesale,
        given.get("counts", {}).get("placeholders", 0),
        given["note"],
        given["source"],
    )


def _planted(name: str) -> Reference:
    """The true edges of a model whose weights were set by hand."""
    made = planted(name)
    circuit = made.circuit
    none = np.zeros_like(circuit.in_graph)
    note = "These are its true edges; acdc.planted says how the weights make them."
    return Reference(name, made.summary, circuit, "edges", {}, none, 0, note, "acdc.planted")


def _edges(graph: Graph, roles: Mapping[str, Sequence[str]], rules: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """The edges that some rules join, as far as the graph has them, ``[n_edges]`` bool."""
    mask = np.zeros(graph.n_edges, dtype=bool)
    for rule in rules:
        sources = [graph.node(name) for group in rule["from"] for name in roles.get(group, (group,))]
        for group in rule["into"]:
            for name in roles.get(group, (group,)):
                for slot in _slots(graph, name, rule.get("slots", "qkv")):
                    mask[[slot.first_edge + node.index for node in sources if node.index < slot.n_parents]] = True
    return mask


def _slots(graph: Graph, name: str, letters: str) -> list[Slot]:
    """Where a node reads, or the one slot that a name like ``a0.h5<v>`` is of."""
    if "<" in name:
        return [graph.slot(name)]
    return [slot for slot in graph.slots_of(graph.node(name)) if slot.letter is None or slot.letter in letters]
