"""Whether a circuit has all that the task needs, and nothing else: completeness and minimality of nodes.

Source: Wang et al. 2022 (arXiv 2211.00593), section 4. With F a measure of behaviour, C the circuit, M the whole graph
and K some nodes of C, taken out with all their edges:

- incompleteness for K is ``abs(F(C without K) - F(M without K))``: a complete circuit goes wrong as the model does;
- minimality of a node v is the largest ``abs(F(C without K and v) - F(C without K))`` over some K without v: in a
  minimal circuit every node has some K that shows what it is for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from acdc.circuit import Circuit
from acdc.engine.setting import Setting
from acdc.evaluation.running import metric_of, values_of
from acdc.graph import Node
from acdc.references import reference, reference_names
from acdc.waiting import waiting

#: Random sets of nodes, each of which has each node with one half; and most nodes of the greedy set.
_N_RANDOM, _MOST_GREEDY = 10, 10
_SEED = 0


@dataclass(frozen=True)
class Knockout:
    """A circuit and its model with the same nodes taken out.

    Attributes:
        name: ``none``, ``random 1`` and so on, ``greedy``, or a role that a published circuit gives nodes.
        nodes: that are taken out.
        circuit: F of the circuit without them, how much worse than the model it is.
        model: F of the model without them.
    """

    name: str
    nodes: tuple[str, ...]
    circuit: float
    model: float

    @property
    def incompleteness(self) -> float:
        """How far the two are apart."""
        return abs(self.circuit - self.model)


@dataclass(frozen=True)
class NodeMinimality:
    """What a node of a circuit is good for.

    Attributes:
        node: its name.
        value: the most that taking it out changes F, over the sets of nodes that were taken out before.
        without: the name of that set, see :class:`Knockout`.
    """

    node: str
    value: float
    without: str


@dataclass(frozen=True)
class Completeness:
    """A circuit's completeness and its nodes' minimality on some prompts.

    Attributes:
        metric: F.
        behaviour: F of the ablated model, to hold the others against.
        knockouts: what was taken out of the circuit and of the model.
        minimality: of every node of the circuit but input and logits, the least first.
    """

    metric: str
    behaviour: float
    knockouts: tuple[Knockout, ...]
    minimality: tuple[NodeMinimality, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        found = asdict(self)
        for plain, one in zip(found["knockouts"], self.knockouts, strict=True):
            plain["incompleteness"] = one.incompleteness
        return found

    def rows(self) -> list[dict[str, Any]]:
        """A row a set of nodes, then a row a node, for a table."""
        rows: list[dict[str, Any]] = [
            {
                "of": "knockout",
                "name": one.name,
                "nodes": " ".join(one.nodes),
                "circuit": one.circuit,
                "model": one.model,
                "value": one.incompleteness,
            }
            for one in self.knockouts
        ]
        nodes = [
            {"of": "minimality", "name": one.without, "nodes": one.node, "value": one.value} for one in self.minimality
        ]
        return rows + [dict.fromkeys(rows[0]) | row for row in nodes]


def completeness(
    setting: Setting, circuit: Circuit, task: str, metric: str, behaviour: float, convention: str
) -> Completeness:
    """Take nodes out of a circuit and of its model.

    Args:
        setting: model and prompts.
        circuit: which keeps an edge on a path.
        task: by its name, for the roles of nodes in its published circuit, if that is of such a graph.
        metric: F, by its name.
        behaviour: F of the ablated model.
        convention: see :mod:`acdc.evaluation.conventions`.
    """
    return _Knocking(setting, circuit, metric, convention).all(task, behaviour)


class _Knocking:
    """Takes nodes out, the same ones once.

    Args:
        setting, circuit, metric, convention: as for :func:`completeness`.
    """

    def __init__(self, setting: Setting, circuit: Circuit, metric: str, convention: str) -> None:
        self._setting, self._graph, self._convention = setting, circuit.graph, convention
        self._measure = metric_of(setting, metric, convention)
        self._metric, self._circuit = metric, circuit.in_graph
        self._model = np.ones(self._graph.n_edges, dtype=bool)
        slots, self._sources = self._graph.ends(np.arange(self._graph.n_edges))
        self._readers = np.array([slot.node.index for slot in self._graph.slots])[slots]
        live = self._graph.live_nodes(circuit.in_graph)
        self._nodes = [node for node in self._graph.nodes[self._graph.n_inputs : -1] if live[node.index]]
        self._known: dict[tuple[bool, frozenset[str]], float] = {}

    def all(self, task: str, behaviour: float) -> Completeness:
        """See :func:`completeness`."""
        sets = {"none": (), **self._random(), **self._roles(task)}
        self._run([(whole, nodes) for nodes in sets.values() for whole in (False, True)])
        greedy = self._greedy()
        knockouts = [self._knockout(name, nodes) for name, nodes in (*sets.items(), ("greedy", greedy))]
        return Completeness(self._metric, behaviour, tuple(knockouts), tuple(self._minimality(sets)))

    def _knockout(self, name: str, nodes: Iterable[Node]) -> Knockout:
        nodes = tuple(nodes)
        return Knockout(name, tuple(node.name for node in nodes), self._value(False, nodes), self._value(True, nodes))

    def _random(self) -> dict[str, tuple[Node, ...]]:
        rng = np.random.default_rng(_SEED)
        drawn = rng.random((_N_RANDOM, len(self._nodes))) < 0.5
        return {
            f"random {number}": tuple(node for node, out in zip(self._nodes, row, strict=True) if out)
            for number, row in enumerate(drawn, 1)
        }

    def _roles(self, task: str) -> dict[str, tuple[Node, ...]]:
        """The groups of nodes that a published circuit of the task names, as far as the circuit has them."""
        if task not in reference_names() or (known := reference(task)).circuit.graph.differences(self._graph):
            return {}
        groups = {role: tuple(node for node in self._nodes if node.name in set(of)) for role, of in known.roles.items()}
        return {role: nodes for role, nodes in groups.items() if nodes}

    def _greedy(self) -> tuple[Node, ...]:
        """One node after the other, each time the one that sets circuit and model farthest apart, while it does."""
        chosen: tuple[Node, ...] = ()
        for _ in waiting(range(min(_MOST_GREEDY, len(self._nodes))), "taking out nodes"):
            tried = [(*chosen, node) for node in self._nodes if node not in chosen]
            self._run([(whole, nodes) for nodes in tried for whole in (False, True)])
            best = max(tried, key=self._apart)  # the first of equals
            if self._apart(best) <= self._apart(chosen):
                break
            chosen = best
        return chosen

    def _apart(self, nodes: Sequence[Node]) -> float:
        return abs(self._value(False, nodes) - self._value(True, nodes))

    def _minimality(self, sets: dict[str, tuple[Node, ...]]) -> list[NodeMinimality]:
        wanted = []
        for node in self._nodes:
            for nodes in sets.values():
                rest = tuple(one for one in nodes if one is not node)
                wanted += [(False, rest), (False, (*rest, node))]
        self._run(wanted)
        found = []
        for node in self._nodes:
            others = {name: tuple(one for one in nodes if one is not node) for name, nodes in sets.items()}
            changes = {
                name: abs(self._value(False, (*without, node)) - self._value(False, without))
                for name, without in others.items()
            }
            name = max(changes, key=changes.__getitem__)
            found.append(NodeMinimality(node.name, changes[name], name))
        return sorted(found, key=lambda one: one.value)

    def _beside(self, nodes: Sequence[Node]) -> np.ndarray:
        """The edges that touch none of some nodes, ``[n_edges]`` bool."""
        out = np.zeros(len(self._graph.nodes), dtype=bool)
        out[[node.index for node in nodes]] = True
        return ~(out[self._sources] | out[self._readers])

    def _value(self, whole: bool, nodes: Sequence[Node]) -> float:
        """F of the circuit, or of the whole model, without some nodes; they must have been run."""
        return self._known[whole, frozenset(node.name for node in nodes)]

    def _run(self, wanted: Sequence[tuple[bool, Sequence[Node]]]) -> None:
        """Run what isn't known yet."""
        new = {
            key: nodes
            for whole, nodes in wanted
            if (key := (whole, frozenset(node.name for node in nodes))) not in self._known
        }
        if not new:
            return
        masks = ((self._model if whole else self._circuit) & self._beside(nodes) for (whole, _), nodes in new.items())
        values = values_of(self._setting, self._graph, masks, self._convention, self._measure)
        self._known |= dict(zip(new, values.mean(1).tolist(), strict=True))
