"""Lists of edges or nodes as text: one a line, by name or pattern; ``#`` begins a comment."""

from __future__ import annotations

import re
import shlex
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np

from acdc.circuitfile import Content
from acdc.editing import edges_among, edges_of
from acdc.errors import AcdcError, AcdcWarning, CircuitFileError
from acdc.graph import Graph, Node
from acdc.provenance import Provenance
from acdc.reading import read_regular
from acdc.wording import quoted

#: More than the names of all edges of the largest graph.
_MOST_BYTES = 2**30
_LONGEST_LINE = 40  # characters of one in a message
_BETWEEN = re.compile(r"[,;\s]+")
#: What a node or a slot may be called, in a graph that isn't known.
_NAME = r"(input|embed|pos_embed|logits|m\d+|a\d+\.h\d+)(<[qkv]>)?"
_NAMED = re.compile(rf"[\w.*]+\s*->\s*[\w.*]+(<\w>)?|{_NAME}([,;\s]+{_NAME})*")
_HEAD = re.compile(r"a\d+\.h\d+")
_Found = TypeVar("_Found")


def read_edges(path: Path, graph: Graph) -> Content:
    """The circuit of the edges that a file lists, one a line (``a0.h1->a2.h3<k>``); their scores are unknown.

    A line may be a pattern with an arrow: ``m0->*``, ``*->a0.h1<k>``, or ``m0->a1.h0`` for the edges into its q, k
    and v. A line that stands twice is warned of.

    Raises:
        CircuitFileError: it can't be read, isn't text, or has a line that is no edge of the graph; names the line
            and what is near.
    """

    def numbers(name: str) -> tuple[int, ...]:
        if "->" not in name and _is_a_list_of_nodes(name, graph):
            raise CircuitFileError(f"{quoted(name)} is a node, not an edge; for a list of nodes give `nodes=True`.")
        return edges_named(graph, name)

    mask = np.zeros(graph.n_edges, dtype=bool)
    mask[[number for line in _distinct(path, _lines(path), numbers, "edge") for number in line]] = True
    return _content(graph, mask)


def edges_named(graph: Graph, name: str) -> tuple[int, ...]:
    """The numbers of the edges that a name or pattern with an arrow stands for. Raises :class:`AcdcError`."""
    parts = [part.strip() for part in name.split("->")]
    if len(parts) == 2 and ("*" in parts or _HEAD.fullmatch(parts[1])):
        return tuple(np.flatnonzero(edges_of(graph, name)).tolist())
    return (graph.edge("->".join(parts)).number,)


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


def check_listed(path: Path) -> None:
    """Raise :class:`CircuitFileError` unless a file begins as a list of edges or nodes of some graph does."""
    number, line = next(_lines(path), (0, ""))
    if not number:
        raise CircuitFileError(f"{path} is an empty circuit: it lists nothing.")
    if not _NAMED.fullmatch(line):
        raise CircuitFileError(
            f"{path} is no circuit: it isn't JSON or a file of torch.save, and line {number}, "
            f"{quoted(line, _LONGEST_LINE)}, is no edge (a0.h1->a2.h3<k>) and no node (a2.h3); give a run's folder, a "
            "circuit's file, or a list of edges or nodes."
        )


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
