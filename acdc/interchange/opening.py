"""Any file that holds a circuit, opened as one: its kind, the edges that are chosen, and what a user should know."""

from __future__ import annotations

import re
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from acdc import asked
from acdc.circuit import Circuit
from acdc.circuitfile import Content, read
from acdc.editing import without_figures
from acdc.errors import AcdcWarning, CircuitFileError, NoGraphError, SettingsError, UnchosenError
from acdc.graph import Graph
from acdc.interchange.lists import check_listed, read_edges, read_nodes
from acdc.interchange.network import read_graphml, read_node_link
from acdc.interchange.torchfile import read_torch
from acdc.reading import opened
from acdc.runs.folder import CIRCUIT, RECORD, is_regular
from acdc.runs.run import load_circuit
from acdc.selection import Selection, Top, check_rule, node_totals, select, select_nodes
from acdc.wording import counted

#: How a file of torch.save begins: a zip archive, or a bare pickle of older versions.
_TORCH = (b"PK\x03\x04", b"\x80")
_TORCH_ENDINGS = (".pt", ".pth", ".bin")
_BOM = b"\xef\xbb\xbf"
#: How networkx's node-link JSON begins; a circuit's file begins otherwise.
_NODE_LINK = re.compile(rb'\{\s*"(directed|multigraph|graph)"')


def open_circuit(
    path: str | Path, *, graph: Graph | None = None, selection: Selection | None = None, nodes: bool = False
) -> Circuit:
    """Open a circuit of ours or of others.

    Kinds of files, told apart by what they hold: a run's folder; a circuit's JSON of ours, EAP-IG's or MIB's, with
    or without the choice of edges; EAP-IG's ``.pt``, of which nothing is run; GraphML and networkx's node-link JSON
    (:mod:`acdc.interchange.network`); and text, a list of edges (``a0.h1->a2.h3<k>`` or ``m0->*``, one a line) or of
    nodes (``a0.h1, m2``), where ``#`` begins a comment.

    Where a file holds scores and no choice of edges (none is marked as ``in_graph``, or every edge of another
    tool's file is), a selection must choose. Scores of a list are unknown (NaN). Warned of are edges on no path from
    the input to the logits, which are kept as they are, marked edges that a selection passes over, and ties that
    :class:`acdc.selection.Top` cuts through.

    Args:
        path: a file, or a run's folder.
        graph: of the model that the circuit shall be of; a list needs it.
        selection: chooses edges by their scores (:mod:`acdc.selection`), whatever the file marks; nodes by their own
            where a file has them (EAP-IG's at node level), else by the sums of their edges'.
        nodes: the file is a list of nodes; the circuit is all edges among them, the input and the logits.

    Raises:
        CircuitFileError: it can't be read, is no circuit, is a neuron-level or an empty one, or another model's;
            says which sizes differ, or which line, edge or key is wrong.
        NoGraphError: a list without a graph.
        UnchosenError: scores without a selection.
        SettingsError: a selection that can't choose.
        RunFolderError: a run's folder that isn't whole.
    """
    path = asked.path("path", path)
    nodes = asked.flag("nodes", nodes)
    if graph is not None and not isinstance(graph, Graph):
        raise SettingsError(f"`graph` must be an acdc.Graph, not {asked.shown(graph)}.")
    check_rule("selection", selection)
    kind = kind_of(path)
    if kind != "list" and nodes:
        raise SettingsError(f"`nodes=True` is for a list of nodes, but {path} is a circuit's {kind}; leave it out.")
    content = _read(path, kind, graph, selection, nodes)
    if graph is not None:
        content = _of_graph(path, content, graph)
    if selection is not None:
        content = _chosen(path, content, selection)
    elif kind in ("file", "torch file") and _has_scores_only(content):
        raise _unchosen(path, content)
    if not content.in_graph.any():
        raise CircuitFileError(f"{path} is an empty circuit: it keeps none of {content.graph.n_edges:,} edges.")
    circuit = Circuit(content.graph, content.in_graph, content.scores, content.found)
    if astray := circuit.n_astray:
        warnings.warn(
            f"{path}: {astray} of {counted(circuit.n_edges, 'edge')} {'is' if astray == 1 else 'are'} on no path from "
            "the input to the logits; nothing is left out (on_path() does it).",
            AcdcWarning,
            stacklevel=2,
        )
    return circuit


def kind_of(path: Path) -> str:
    """What a path leads to, by name.

    A run's ``folder``; a circuit's ``file`` (JSON), ``torch file``, ``GraphML file`` or ``node-link file``; a ``list``.

    Raises:
        CircuitFileError: it can't be read.
    """
    try:
        if path.is_dir() or (path.name == CIRCUIT and is_regular(path.parent / RECORD)):
            return "folder"
        with opened(path) as file:
            start = file.read(512)
    except OSError as error:
        raise CircuitFileError(f"can't read {path}: {error.strerror}.") from error
    if start.startswith(_TORCH):
        return "torch file"
    text = start.removeprefix(_BOM).lstrip()
    if text[:1] in (b"{", b"["):
        return "node-link file" if _NODE_LINK.match(text) else "file"
    if (text[:1] == b"<" and b"graphml" in text) or path.suffix.lower() == ".graphml":
        return "GraphML file"
    ending = path.suffix.lower()
    return "torch file" if ending in _TORCH_ENDINGS else "file" if ending == ".json" else "list"


def _read(path: Path, kind: str, graph: Graph | None, selection: Selection | None, nodes: bool) -> Content:
    if kind == "folder":
        circuit = load_circuit(path)
        return Content(circuit.graph, circuit.in_graph, circuit.scores, circuit.found)
    if kind == "torch file":
        return read_torch(path)
    if kind == "file":
        return read(path, lone_scores=True)
    if kind in ("GraphML file", "node-link file"):
        return (read_graphml if kind == "GraphML file" else read_node_link)(path, graph)
    if graph is None:
        check_listed(path)
        what = f"{path} is a list of {'nodes' if nodes else 'edges'} by name"
        raise NoGraphError(what, "give its `graph`, `Graph(load_model(...).graph_config)`")
    if selection is not None:
        raise SettingsError(f"{path} is a list without scores to choose edges by; leave out the selection.")
    return read_nodes(path, graph) if nodes else read_edges(path, graph)


def _of_graph(path: Path, content: Content, graph: Graph) -> Content:
    """A circuit as one of a model's graph. Raises :class:`CircuitFileError` where their sizes differ."""
    here, there = content.graph.cfg, graph.cfg
    differences = here.differences(there)
    if here.d_model != there.d_model and here.d_model and there.d_model:
        differences.append(f"d_model {here.d_model} against {there.d_model}")
    if differences:
        raise CircuitFileError(
            f"{path} is a circuit of another model: {', '.join(differences)}; give the model that it is of, or "
            "another circuit."
        )
    return content._replace(graph=graph) if not here.d_model else content


def _has_scores_only(content: Content) -> bool:
    """Whether a file doesn't choose: no edge is marked, or all are by a tool that marks all before it chooses."""
    if not content.is_marked:
        return True
    if content.found.method is not None or not (np.nan_to_num(content.scores).any() or _scores_nodes(content)):
        return False
    return not content.in_graph.any() or bool(content.in_graph.all())


def _scores_nodes(content: Content) -> bool:
    """Whether a file scores nodes in place of edges, as EAP-IG does at node level."""
    return content.node_scores is not None and not np.nan_to_num(content.scores).any()


def _unchosen(path: Path, content: Content) -> UnchosenError:
    what = "nodes" if _scores_nodes(content) else "edges"
    return UnchosenError(
        f"{path} holds the scores of {what} and {_marks(content)}; choose its "
        "circuit by a selection, the number of edges or their least score (--top or --above of acdc evaluate, compare "
        "and edit; in Python `selection=Top(100)`)."
    )


def _marks(content: Content) -> str:
    if not content.is_marked:
        return "doesn't say which are in the circuit"
    return f"marks {'every edge' if content.in_graph.any() else 'no edge'} as in the circuit"


def _chosen(path: Path, content: Content, selection: Selection) -> Content:
    """The edges that a selection chooses."""
    graph, scores, words = content.graph, content.scores, selection.words
    own = content.node_scores if selection.level == "nodes" else None
    if own is None and _scores_nodes(content):
        raise SettingsError(f'{path} holds scores of nodes, and none of edges; choose nodes by them (`level="nodes"`).')
    if own is None and graph.n_edges > 1 and (scores == scores[0]).all():
        raise SettingsError(
            f"{path}: all {graph.n_edges:,} edges have the score {scores[0]:g}, so none can be chosen by it; score "
            "them first, or give a file that says which edges are in the circuit."
        )
    try:
        mask = select(graph, scores, selection) if own is None else select_nodes(graph, own, selection)
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") from error
    if not mask.any():
        raise SettingsError(
            f"{path}: of the edges chosen ({words}) none is on a path from the input to the logits, so the circuit is "
            "empty; choose more."
        )
    if not _has_scores_only(content):
        n_marked = counted(int(content.in_graph.sum()), "edge")
        warnings.warn(
            f"{path} marks {n_marked} as its circuit; edges are chosen by their scores instead ({words}).",
            AcdcWarning,
            stacklevel=3,
        )
    if selection.level == "nodes":
        scores = (node_totals(graph, scores) if own is None else own)[graph.n_inputs : -1]
    _tell_ties(path, scores, selection)
    found = replace(without_figures(content.found), selection=selection.to_json())
    return content._replace(in_graph=mask, found=found)


def _tell_ties(path: Path, scores: np.ndarray, selection: Any) -> None:
    """Warn where a number of edges or nodes cuts through some that have the same score."""
    if not isinstance(selection, Top):
        return
    keys = np.abs(scores) if selection.by == "magnitude" else scores
    least = np.partition(keys, -selection.n)[-selection.n]
    if (n_alike := int((keys == least).sum())) > (n_taken := selection.n - int((keys > least).sum())):
        warnings.warn(
            f"{path}: {n_alike:,} {selection.level} share the score {least:g}, and {n_taken:,} of them are chosen "
            f"({selection.words}): those that come first in the graph.",
            AcdcWarning,
            stacklevel=4,
        )
