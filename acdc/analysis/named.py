"""Nodes and prompts that a caller names, checked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from acdc.asked import shown, whole
from acdc.errors import SettingsError
from acdc.graph import Graph, Node

_HEAD = re.compile(r"a(\d+)\.h(\d+)")


def asked_heads(graph: Graph, heads: str | Iterable[str] | None) -> list[Node]:
    """Heads by their names, in the graph's order; all of them for ``None``.

    Raises:
        UnknownNameError: no such node.
        SettingsError: it is no head, it is out of range, there is none, or it is no name.
    """
    if heads is None:
        return [node for node in graph.nodes if node.kind == "head"]
    if isinstance(heads, str):
        heads = [heads]
    if not isinstance(heads, Iterable):
        raise SettingsError(f"`heads` must be names of heads, like a0.h1, not {shown(heads)}.")
    found = {node.index: node for node in (_head(graph, name) for name in heads)}
    if not found:
        raise SettingsError("`heads` is empty; name at least one, like a0.h1, or leave it out for all.")
    return [found[index] for index in sorted(found)]


def asked_prompts(n: int, prompts: int | Sequence[int] | None, default: int) -> tuple[int, ...]:
    """Numbers of prompts of a setting, from 0, as they are asked for; the first few for ``None``.

    Raises:
        SettingsError: one is out of range or no number, or there is none.
    """
    if prompts is None:
        return tuple(range(min(n, default)))
    given = prompts if isinstance(prompts, Iterable) else [prompts]
    asked = [whole("prompts", each) for each in given]
    if not asked:
        raise SettingsError("`prompts` is empty; give at least one number of a prompt, from 0.")
    for number in asked:
        if not 0 <= number < n:
            raise SettingsError(f"`prompts`: there is no prompt {number}; they are numbered from 0 to {n - 1}.")
    return tuple(dict.fromkeys(asked))


def _head(graph: Graph, name: Any) -> Node:
    if not isinstance(name, str):
        raise SettingsError(f"`heads` must be names of heads, like a0.h1, not {shown(name)}.")
    if found := _HEAD.fullmatch(name):
        cfg = graph.cfg
        layer, head = (int(digits) if len(digits) < 10 else cfg.n_layers + cfg.n_heads for digits in found.groups())
        if layer >= cfg.n_layers or head >= cfg.n_heads:
            raise SettingsError(
                f"{shown(name)} is out of range: this model's layers are 0 to {cfg.n_layers - 1}, and the heads of "
                f"each 0 to {cfg.n_heads - 1}."
            )
        name = f"a{layer}.h{head}"
    node = graph.node(name)
    if node.kind != "head":
        raise SettingsError(f"{name} is no head; heads are named like a0.h1.")
    return node
