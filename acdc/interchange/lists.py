"""Lists of edges or nodes as text: one a line, by name; ``#`` begins a comment."""

from __future__ import annotations

import re
import shlex
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np

from acdc.circuitfile import Content
from acdc.editing import edges_among
from acdc.errors import AcdcError, AcdcWarning, CircuitFileError
from acdc.graph import Graph, Node
from acdc.provenance import Provenance
from acdc.reading import read_regular
from acdc.wording import quoted

#: More than the names of all edges of the largest graph.
_MOST_BYTES = 2**30
_BETWEEN = re.compile(r"[,;\s]+")
_Found = TypeVar("_Found")


def read_edges(path: Path, graph: Graph) -> Content:
    """The circuit of the edges that a file lists, one a line (``a0.h1->a2.h3<k>``); their scores are unknown.

    An edge that is listed twice is warned of.

    Raises:
        CircuitFileError: it can't be read, isn't text, or has a line that is no edge of the graph; names the line
            and what is near.
    """

    def edge(name: str) -> int:
        if "->" not in name and _is_a_list_of_nodes(name, graph):
            raise CircuitFileError(f"{quoted(name)} is a node, not an edge; for a list of nodes give `nodes=True`.")
        return graph.edge("->".join(part.strip() for part in name.split("->"))).number

    mask = np.zeros(graph.n_edges, dtype=bool)
    mask[_distinct(path, _lines(path), edge, "edge")] = True
    return _content(graph, mask)


def read_nodes(path: Path, graph: Graph) -> Content:
    """The circuit of all edges among the nodes that a file lists, the input and the logits.

    Nodes stand one a line, or several with commas or blanks between (``a0.h1, m2``). One that is listed twice is
    warned of.

    Raises:
        CircuitFileError: as by :func:`read_edges`.
    """

    def node(name: str) -> Node:
        if "->" in name:
            raise CircuitFileError(
                f"{quoted(name)} is an edge, not a node; for a list of edges leave out `nodes=True`."
            )
        return graph.node(name)

    names = ((number, name) for number, line in _lines(path) for name in _BETWEEN.split(line) if name)
    nodes = _distinct(path, names, node, "node")
    return _content(graph, edges_among(graph, nodes) if nodes else np.zeros(graph.n_edges, dtype=bool))


def as_file(path: str | Path) -> str:
    """How a list becomes a circuit that says of what model it is, as the end of a sentence."""
    return f"make a circuit's file of it by acdc edit {shlex.quote(str(path))} --model NAME --out FILE.json"


def _content(graph: Graph, mask: np.ndarray) -> Content:
    return Content(graph, mask, np.full(graph.n_edges, np.nan), Provenance())


def _is_a_list_of_nodes(line: str, graph: Graph) -> bool:
    try:
        return all(bool(graph.node(name)) for name in _BETWEEN.split(line) if name)
    except AcdcError:
        return False


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines that hold something, each with its number; without comments."""
    try:
        text = read_regular(path, at_most=_MOST_BYTES).decode("utf-8-sig")
    except OSError as error:
        raise CircuitFileError(f"can't read {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise CircuitFileError(
            f"{path} is no circuit: it isn't JSON, a file of torch.save or text in UTF-8 (byte {error.start})."
        ) from error
    for number, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), 1):
        if line := line.partition("#")[0].strip():
            yield number, line


def _distinct(path: Path, named: Iterator[tuple[int, str]], found: Callable[[str], _Found], noun: str) -> list[_Found]:
    """What the names in a file stand for, each once."""
    lines: dict[_Found, int] = {}
    again: list[tuple[int, str, int]] = []
    for number, name in named:
        try:
            one = found(name)
        except AcdcError as error:
            raise CircuitFileError(f"{path}, line {number}: {error}") from error
        if one in lines:
            again.append((number, name, lines[one]))
        else:
            lines[one] = number
    if again:
        number, name, first = again[0]
        more = f" (and {len(again) - 1} more such)" if len(again) > 1 else ""
        warnings.warn(
            f"{path}, line {number}: the {noun} {name} stands in line {first} already{more}.",
            AcdcWarning,
            stacklevel=5,
        )
    return list(lines)
