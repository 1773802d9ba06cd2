"""Edges by names and patterns, and what an edit leaves of how a circuit was found.

Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from acdc.asked import shown
from acdc.errors import SettingsError
from acdc.graph import Edge, Graph, Node, Slot
from acdc.provenance import FIGURES, KNOWN, Provenance
from acdc.wording import counted, quoted, shortened, some

_ALL = "*"
_LONGEST_NAME = 60  # characters of one pattern in an edit's words


def edges_of(graph: Graph, what: object) -> np.ndarray:
    """The edges that something stands for, ``[n_edges]`` bool.

    Args:
        graph: the graph.
        what: an edge, by itself, its number or its name (``a0.h1->m1``); a node or its name (``a0.h1``) for all
            edges from and into it; a slot or its name (``a0.h1<k>``) for all edges into it; a pattern:
            ``m0->*``, ``*->a0.h1<k>``, or ``m0->a1.h0`` for the edges into its q, k and v; or several of
            these in a list, tuple, set or other collection.

    Raises:
        UnknownNameError: no such node or slot; names the nearest.
        SettingsError: there is no such edge, or it is none of these.
    """
    mask = np.zeros(graph.n_edges, dtype=bool)
    for number in _numbers(graph, what):
        mask[number] = True
    return mask


def words_of(what: object) -> str:
    """What was given to :func:`edges_of`, for a person: ``a0.h1, m0->* and 5 more``."""
    return some([shortened(name, _LONGEST_NAME) for name in _words(what)]) or "nothing"


def edges_among(graph: Graph, nodes: object) -> np.ndarray:
    """Every edge between the nodes, the input and the logits, ``[n_edges]`` bool.

    Raises:
        UnknownNameError: no such node; names the nearest.
    """
    inside = nodes_of(graph, nodes)
    inside[: graph.n_inputs] = inside[-1] = True
    return graph.among(inside)


def edges_joining(graph: Graph, nodes: object, in_graph: np.ndarray) -> np.ndarray:
    """Every edge from or into one of the nodes whose other end is one too, or is in a circuit, the input or the logits.

    Args:
        graph: the graph.
        nodes: to join to the circuit.
        in_graph: ``[n_edges]`` bool, the circuit's edges.

    Returns:
        ``[n_edges]`` bool.

    Raises:
        UnknownNameError: no such node; names the nearest.
    """
    new = nodes_of(graph, nodes)
    others = new | graph.live_nodes(in_graph)
    others[: graph.n_inputs] = others[-1] = True
    old_alone = others & ~new
    return graph.among(others) & ~graph.among(old_alone)


def nodes_of(graph: Graph, nodes: object) -> np.ndarray:
    """Nodes given by themselves or by name, ``[n_nodes]`` bool.

    Raises:
        UnknownNameError: no such node; names the nearest.
        SettingsError: one is something else.
    """
    mask = np.zeros(len(graph.nodes), dtype=bool)
    for node in _flat(nodes):
        if not isinstance(node, str | Node):
            raise SettingsError(f"nodes are given by name, as a0.h1 or m0, not by {shown(node)}.")
        mask[graph.node(node if isinstance(node, str) else node.name).index] = True
    return mask


def edited(found: Provenance, fingerprint: str, what: str) -> Provenance:
    """How a circuit was found, after an edit: nothing that was measured, and where it comes from.

    Args:
        found: of the circuit before the edit.
        fingerprint: of that circuit, where it isn't an edited one itself.
        what: was done, in words.
    """
    before = found.edited_from or {"fingerprint": fingerprint, "edits": []}
    return replace(without_figures(found), edited_from={**before, "edits": [*before.get("edits", []), what]})


def without_figures(found: Provenance) -> Provenance:
    """How a circuit was found, for other edges than those that the figures were measured on."""
    dropped: dict[str, Any] = dict.fromkeys((*FIGURES, "faithfulness_metric", "fingerprint"))
    return replace(found, **dropped)


def in_common(left: Provenance, right: Provenance) -> Provenance:
    """What is known of two circuits together: where they contradict each other, nothing."""
    apart = ("options", "selection", "edited_from")
    values = {name: _agreed(getattr(left, name), getattr(right, name)) for name in KNOWN if name not in apart}
    options: dict[str, Any] = {}
    selection = None
    if left.method == right.method or None in (left.method, right.method):
        selection = _agreed(left.selection, right.selection)
        for name in {**left.options, **right.options}:
            if (value := _agreed(left.options.get(name), right.options.get(name))) is not None:
                options[name] = value
    return replace(left, **values, options=options, selection=selection)


def _agreed(mine: Any, other: Any) -> Any:
    if mine is None or mine == other:
        return other
    return mine if other is None else None


def _flat(what: object) -> Iterable[object]:
    """One thing, or those in a collection, however deep."""
    if isinstance(what, Edge | str | bytes | Mapping) or not isinstance(what, Iterable):
        yield what
    else:
        for part in what:
            yield from _flat(part)


def _words(what: object) -> list[str]:
    named = (one.name if isinstance(one, Edge | Node | Slot) else " ".join(str(one).split()) for one in _flat(what))
    return list(dict.fromkeys(named))


def _numbers(graph: Graph, what: object) -> Iterable[int | slice | np.ndarray]:
    """Indices into an array of edges."""
    for one in _flat(what):
        if isinstance(one, Edge | Node | Slot):
            yield from _named(graph, one.name)
        elif isinstance(one, str):
            yield from _named(graph, one)
        elif isinstance(one, int | np.integer) and not isinstance(one, bool):
            yield graph.edge(one).number
        else:
            raise SettingsError(f"edges are given by name, as a0.h1->m1, or by number, not by {shown(one)}.")


def _named(graph: Graph, name: str) -> Iterable[int | slice | np.ndarray]:
    source, arrow, target = (part.strip() for part in name.partition("->"))
    if not arrow:
        if "<" in source:
            yield graph.slot(source).edges
            return
        node = graph.node(source)
        yield from (slot.edges for slot in graph.slots_of(node))
        yield from (slot.first_edge + node.index for slot in graph.slots if node.index < slot.n_parents)
        return
    slots = _slots(graph, target, name)
    if source == _ALL:
        yield from (slot.edges for slot in slots)
        return
    if target != _ALL and len(slots) == 1:
        yield graph.edge(f"{source}->{slots[0].name}").number  # which says what is wrong with it
        return
    node = graph.node(source)
    reading = [slot for slot in slots if node.index < slot.n_parents]
    if not reading:
        where = "anything" if target == _ALL else target
        raise SettingsError(f"there is no edge {shortened(name)}: {node.name} doesn't write before {where} reads.")
    yield from (slot.first_edge + node.index for slot in reading)


def _slots(graph: Graph, target: str, name: str) -> tuple[Slot, ...]:
    """Where the right side of an arrow reads."""
    if target == _ALL:
        return graph.slots
    if "<" in target:
        return (graph.slot(target),)
    slots = graph.slots_of(graph.node(target))
    if not slots:
        raise SettingsError(f"there is no edge {quoted(name)}: {target} reads nothing.")
    return slots


def changes(before: np.ndarray, after: np.ndarray) -> str:
    """``12 edges removed, 1 added``, of two sets of edges ``[n_edges]`` bool."""
    removed, added = int((before & ~after).sum()), int((after & ~before).sum())
    return f"{counted(removed, 'edge')} removed, {added} added"
