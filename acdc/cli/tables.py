"""Tables of a run, for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from acdc.cli.terminal import Terminal
from acdc.export.summary import score_words
from acdc.nodescores import node_scores
from acdc.runs.words import STATES_IN_WORDS, conservation, how, left_out, metrics_of, result_rows
from acdc.wording import counted

if TYPE_CHECKING:
    from acdc.circuit import Circuit
    from acdc.results import Evaluation
    from acdc.runs.run import Run

_STRONGEST_NODES = 10  # in the table


def print_summary(run: Run) -> None:
    """What was found, and how well it does the task."""
    out, record, circuit = Terminal(), run.record, run.circuit
    request = record.request
    share = circuit.n_edges / circuit.graph.n_edges
    found = f"{circuit.n_edges} of {circuit.graph.n_edges} edges ({share:.1%}), {how(record)}"
    out.print(Text.assemble((str(request.task), "bold"), " on ", (str(request.model), "bold"), ": ", found))
    if circuit.doubt:
        out.print(f"the circuit was {circuit.doubt}: its figures aren't shown")
        return
    for said in left_out(record, circuit.n_edges):
        out.print(said)
    if record.conservation is not None:
        out.print(conservation(record.conservation))
    for evaluation, title in ((run.used, "on the {} used"), (run.held_out, "on {}, held out")):
        if evaluation is not None:
            title = title.format(counted(evaluation.n_prompts, "prompt"))
            out.print(_results_table(title, evaluation, metrics_of(record)))
    for sentence in run.verdict:
        out.print(str(sentence))


def _results_table(title: str, evaluation: Evaluation, metrics: list[str]) -> Table:
    """Model, circuit, ablated and corrupted side by side."""
    table = Table(title=title, title_justify="left")
    table.add_column("", no_wrap=True)
    for label in STATES_IN_WORDS.values():
        table.add_column(label, justify="right")
    for row in result_rows(evaluation, metrics):
        table.add_row(*row)
    if evaluation.faithfulness_metric is not None:
        table.caption = f"faithfulness by {evaluation.faithfulness_metric}"
    return table


def print_circuit(circuit: Circuit, strongest: int = 20) -> None:
    """Nodes, heads by layer, the strongest nodes and the strongest edges."""
    out, graph = Terminal(), circuit.graph
    live = graph.live_nodes(circuit.in_graph)
    others = [node.name for node in graph.nodes if live[node.index] and node.kind not in ("head", "mlp")]
    doubt = f" ({circuit.doubt})" if circuit.doubt else ""
    table = Table(title=f"{int(live.sum())} of {len(graph.nodes)} nodes{doubt}", title_justify="left")
    table.add_column("layer", justify="right")
    table.add_column("heads")
    table.add_column("MLP")
    for layer in reversed(range(graph.cfg.n_layers)):
        nodes = [node for node in graph.nodes if node.layer == layer and live[node.index]]
        heads = " ".join(node.name for node in nodes if node.kind == "head")
        mlps = " ".join(node.name for node in nodes if node.kind == "mlp")
        table.add_row(str(layer), heads, mlps)
    table.caption = f"and {', '.join(others)}" if others else None
    out.print(table)
    if circuit.n_edges:
        out.print(_nodes_table(circuit, doubt))
    edges = circuit.strongest(strongest)
    table = Table(title=f"the strongest {len(edges)} of {circuit.n_edges} edges{doubt}", title_justify="left")
    table.add_column("edge")
    table.add_column("score", justify="right")
    for edge in edges:
        table.add_row(edge.name, score_words(circuit.scores[edge.number]))
    out.print(table)


def _nodes_table(circuit: Circuit, doubt: str) -> Table:
    """The nodes that matter most, by the scores of what they write."""
    scores = node_scores(circuit)
    nodes, n_all = scores.strongest(_STRONGEST_NODES), len(scores.strongest())
    part = f"the strongest {len(nodes)} of " if len(nodes) < n_all else ""
    heading = f"{part}{counted(n_all, 'node')} that write{'s' if n_all == 1 else ''}{doubt}"
    table = Table(title=heading, title_justify="left")
    table.add_column("node")
    for column in ("score", "edges out", "score of edges in", "edges in"):
        table.add_column(column, justify="right")
    for node in nodes:
        i = node.index
        into = f"{scores.into[i]:.4g}" if scores.n_into[i] else ""
        table.add_row(node.name, f"{scores.out[i]:.4g}", str(scores.n_out[i]), into, str(scores.n_into[i] or ""))
    table.caption = "a node's score is the sum of |score| over its kept edges out"
    return table
