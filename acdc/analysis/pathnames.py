"""Paths through a model's graph by name: ``a0.h1->a2.h3<k>->logits``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from acdc.asked import shown
from acdc.errors import SettingsError, UnknownNameError
from acdc.graph import Graph, Node, Slot
from acdc.wording import quoted

_HEAD = re.compile(r"a([0-9]+)\.h([0-9]+)(?:<[qkv]>)?")


@dataclass(frozen=True)
class NodePath:
    """A path from a node to the logits, or to where it is left open.

    Attributes:
        name: as it is written, every hop with its slot; a head without a letter stands for its three slots.
        nodes: indices of its nodes, from the first to the logits.
        slots: of each node but the first, the indices of the slots by which the path enters it.
        is_open: it names no way from its last node but one to the logits: every way there is one of it.
    """

    name: str
    nodes: tuple[int, ...]
    slots: tuple[frozenset[int], ...]
    is_open: bool

    def edges(self, graph: Graph) -> list[str]:
        """The edges of its hops by name, one for each slot, but for those to the logits where it is open."""
        hops = list(zip(self.nodes, self.slots, strict=False))
        return [
            f"{graph.nodes[node].name}->{graph.slots[slot].name}"
            for node, slots in (hops[:-1] if self.is_open else hops)
            for slot in sorted(slots)
        ]


def parse_paths(graph: Graph, given: Any) -> list[NodePath]:
    """Paths as a caller names them, each once.

    Args:
        graph: of the model.
        given: a path's name, or a list of them.

    Raises:
        UnknownNameError: no such node or slot; the message has the nearest.
        SettingsError: no path is given, one isn't written as a path, a head is out of range, or an edge of it doesn't
            exist; the message has the nearest edges.
    """
    names = [given] if isinstance(given, str) else given
    if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        raise SettingsError(f"paths must be text like a0.h1->a1.h0<k>->logits, or a list of it, not {shown(given)}.")
    if not names:
        raise SettingsError("no path is given; give one like a0.h1->a1.h0<k>->logits.")
    return list({path.name: path for path in (_parsed(graph, name) for name in names)}.values())


def _parsed(graph: Graph, text: str) -> NodePath:
    words = [word.strip() for word in text.split("->")]
    if not all(words):
        raise SettingsError(
            f"{quoted(text)} is no path: a name is missing beside an arrow; a path looks like a0.h1->a1.h0<k>->logits."
        )
    first, readers = _first(graph, words[0], text), [_reader(graph, word, text) for word in words[1:]]
    nodes, source = [first], first
    for slots in readers:
        if source.kind == "logits":
            raise SettingsError(f"the path {quoted(text)} goes on behind logits, where every path ends; end it there.")
        if source.index >= slots[0].n_parents:
            raise SettingsError(_no_edge(graph, source, slots, text))
        source = slots[0].node
        nodes.append(source)
    entered = [frozenset(slot.index for slot in slots) for slots in readers]
    is_open = source.kind != "logits"
    if is_open:
        nodes.append(graph.nodes[-1])
        entered.append(frozenset({graph.slots[-1].index}))
    name = "->".join([first.name, *words[1:]])
    return NodePath(name, tuple(node.index for node in nodes), tuple(entered), is_open)


def _first(graph: Graph, word: str, text: str) -> Node:
    """The node that a path begins at."""
    _check_range(graph, word, text)
    if word == "logits":
        raise SettingsError(f"the path {quoted(text)} begins at logits, which writes nothing; begin it elsewhere.")
    if word in {slot.name for slot in graph.slots if slot.letter}:
        raise SettingsError(
            f"the path {quoted(text)} begins at the slot {word}, which reads; begin it at {word[:-3]}, which writes."
        )
    names = [node.name for node in graph.sources]
    if word not in names:
        raise UnknownNameError("node", word, names, where=f"the path {quoted(text)}: ")
    return graph.node(word)


def _reader(graph: Graph, word: str, text: str) -> tuple[Slot, ...]:
    """The slots that a path enters a node by."""
    _check_range(graph, word, text)
    node = next((node for node in graph.nodes if node.name == word), None)
    if node is not None and not graph.slots_of(node):
        raise SettingsError(f"the path {quoted(text)} leads to {word}, which reads nothing; begin it there.")
    if node is not None:
        return graph.slots_of(node)
    names = [slot.name for slot in graph.slots]
    if word not in names:
        heads = [node.name for node in graph.nodes if node.kind == "head"]
        raise UnknownNameError("slot", word, [*names, *heads], where=f"the path {quoted(text)}: ")
    return (graph.slot(word),)


def _check_range(graph: Graph, word: str, text: str) -> None:
    """Raise :class:`SettingsError` for a head that the model is too small for."""
    found, cfg = _HEAD.fullmatch(word), graph.cfg
    if found and (int(found[1]) >= cfg.n_layers or int(found[2]) >= cfg.n_heads):
        raise SettingsError(
            f"the path {quoted(text)} names the head {word}; the model has layers 0 to {cfg.n_layers - 1} with heads "
            f"0 to {cfg.n_heads - 1}."
        )


def _no_edge(graph: Graph, source: Node, slots: Sequence[Slot], text: str) -> str:
    """That an edge doesn't exist, and which are nearest to it."""
    reader = slots[0].node
    name = reader.name if len(slots) > 1 else slots[0].name
    later = [slot for slot in graph.slots if slot.n_parents > source.index]
    alike = [slot for slot in later if (slot.letter, slot.node.head) == (slots[0].letter, reader.head)]
    to = (alike or later)[0]
    earlier = graph.nodes[: slots[0].n_parents]
    near = [node for node in earlier if (node.kind, node.head) == (source.kind, source.head)] or list(earlier)
    onward = to.node.name if len(slots) > 1 and to.letter else to.name
    return (
        f"the path {quoted(text)} has no edge {source.name}->{name} to go by: {source.name} doesn't write before "
        f"{name} reads; the nearest edges are {source.name}->{onward} and {near[-1].name}->{name}."
    )
