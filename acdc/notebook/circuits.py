"""Graphs, circuits and runs, as notebooks show them."""

from __future__ import annotations

import math

from acdc.circuit import Circuit
from acdc.errors import AcdcError
from acdc.export.diagram import to_dot
from acdc.export.excerpt import Excerpt
from acdc.export.render import render
from acdc.export.roles import roles_of
from acdc.export.summary import facts, title
from acdc.graph import Graph, NodeKind
from acdc.nodescores import node_scores
from acdc.notebook.figures import evaluation_table
from acdc.notebook.markup import Cell, Markup, folded, heading, page, paragraph, picture, table
from acdc.runs.run import Run
from acdc.wording import counted, one_line

#: Edges that a diagram in a notebook shows, the strongest; rows of a table.
_DRAWN, _ROWS = 200, 20
#: Edges of a circuit that is drawn: of more, to find the strongest takes longer than a notebook should.
_MOST_DRAWN = 50_000
#: What nodes read and write, by kind, in a few words.
_WORDS: dict[NodeKind, str] = {
    "input": "embeddings of tokens and positions",
    "embed": "embeddings of tokens",
    "pos_embed": "embeddings of positions",
    "head": "attention heads; each reads at its slots q, k and v",
    "mlp": "MLPs",
    "logits": "what reads the last residual stream",
}


def graph_form(graph: Graph) -> str:
    """A graph's nodes by kind, with what they are and how many edges go in and out."""
    cfg = graph.cfg
    layers = f"{counted(cfg.n_layers, 'layer')} of {counted(cfg.n_heads, 'head')}"
    blocks = "no MLPs" if cfg.attn_only else "parallel blocks" if cfg.parallel_attn_mlp else "MLPs behind attention"
    kinds: dict[NodeKind, list[int]] = {}
    for node in graph.nodes:
        kinds.setdefault(node.kind, []).append(node.index)
    into = {kind: sum(s.n_parents for s in graph.slots if s.node.kind == kind) for kind in kinds}
    rows: list[list[Cell]] = []
    for kind, indices in kinds.items():
        names = graph.nodes[indices[0]].name, graph.nodes[indices[-1]].name
        rows.append([" \N{HORIZONTAL ELLIPSIS} ".join(dict.fromkeys(names)), _WORDS[kind], len(indices), into[kind]])
    return page(
        heading(f"Graph of {len(graph.nodes):,} nodes and {graph.n_edges:,} edges"),
        paragraph(f"{layers}, {blocks}."),
        table(("nodes", "what they are", "how many", "edges in"), rows),
    )


def circuit_form(circuit: Circuit) -> str:
    """A circuit's facts, its diagram, its strongest nodes and edges."""
    return page(*circuit_parts(circuit))


def circuit_parts(circuit: Circuit) -> list[Markup | None]:
    """The same in parts."""
    said = [", ".join(facts(circuit)) + "."]
    if astray := circuit.n_astray:
        said.append(f"{counted(astray, 'edge')} of them on no path from the input to the logits.")
    if not circuit.n_edges:
        return [heading(title(circuit)), paragraph(*said), paragraph("No edge is kept.")]
    return [heading(title(circuit)), paragraph(*said), *diagram(circuit), _nodes(circuit), _edges(circuit)]


def diagram(circuit: Circuit) -> list[Markup | None]:
    """The diagram of the strongest edges, or why there is none."""
    if circuit.n_edges > _MOST_DRAWN:
        return [paragraph(f"No diagram of so many edges: acdc.export_circuit draws the strongest, with top={_DRAWN}.")]
    try:
        svg = render(to_dot(Excerpt(circuit, "", min(_DRAWN, circuit.n_edges))), "svg")
    except AcdcError as error:
        return [paragraph(f"No diagram: {error}")]
    return [picture(svg, f"diagram of a circuit of {counted(circuit.n_edges, 'edge')}")]


def run_form(run: Run) -> str:
    """A run's verdict, its figures, and its circuit."""
    request = run.record.request
    tables: list[Markup | None] = []
    if run.circuit.doubt is None and run.record.results is not None:
        tables.append(evaluation_table(run.used, f"on {counted(run.used.n_prompts, 'prompt')} used"))
        if run.held_out is not None:
            tables.append(evaluation_table(run.held_out, f"on {counted(run.held_out.n_prompts, 'prompt')}, held out"))
    tried = [f"{counted(len(run.decisions), 'decision')}."] if run.decisions else []
    where = [] if run.folder is None else [f"In {run.folder}."]
    return page(
        heading(f"Run of {request.method or 'acdc'} on {request.task} and {request.model}"),
        paragraph(*run.verdict, *tried, *where),
        *tables,
        *circuit_parts(run.circuit),
    )


def _nodes(circuit: Circuit) -> Markup:
    scores, labels = node_scores(circuit), labels_of(circuit)
    nodes, n_all = scores.strongest(_ROWS), int((scores.n_out > 0).sum())
    rows = [
        [node.name, labels.get(node.name, ""), _known(scores.out[node.index]), int(scores.n_out[node.index])]
        for node in nodes
    ]
    if not labels:
        rows = [[row[0], *row[2:]] for row in rows]
    columns = ("node", *(("role",) if labels else ()), "sum of |score| out", "edges out")
    return folded(_part(len(nodes), n_all, "node"), table(columns, rows))


def _edges(circuit: Circuit) -> Markup:
    edges = circuit.strongest(_ROWS)
    rows = [[edge.name, _known(circuit.scores[edge.number])] for edge in edges]
    return folded(_part(len(edges), circuit.n_edges, "edge"), table(("edge", "score"), rows))


def labels_of(circuit: Circuit) -> dict[str, str]:
    """What nodes do, by their names, as far as the circuit's file says it."""
    return {name: one_line(role) for role, names in roles_of(circuit).items() for name in names}


def _part(n: int, of: int, noun: str) -> str:
    return f"the strongest {n} of {counted(of, noun)}" if n < of else counted(of, noun)


def _known(score: float) -> float | str:
    return "unknown" if math.isnan(score) else float(score)
