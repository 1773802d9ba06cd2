"""Tables of a run, for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from acdc.cli.terminal import Terminal
from acdc.export.summary import score_words
from acdc.nodescores import node_scores
from acdc.results import Behaviour, Evaluation, faithfulness
from acdc.selection import words_of
from acdc.wording import counted

if TYPE_CHECKING:
    from acdc.circuit import Circuit
    from acdc.runs.record import Record
    from acdc.runs.run import Run

_STRONGEST_NODES = 10  # in the table
_STATES = {
    "model": "model",
    "circuit": "circuit",
    "ablated": "all ablated",
    "corrupted": "corrupted",
}


def print_summary(run: Run) -> None:
    """What was found, and how well it does the task."""
    out, record, circuit = Terminal(), run.record, run.circuit
    request = record.request
    share = circuit.n_edges / circuit.graph.n_edges
    found = f"{circuit.n_edges} of {circuit.graph.n_edges} edges ({share:.1%}), {_how(record)}"
    out.print(Text.assemble((str(request.task), "bold"), " on ", (str(request.model), "bold"), ": ", found))
    if circuit.doubt:
        out.print(f"the circuit was {circuit.doubt}: its figures aren't shown")
        return
    dead_ends = (record.kept or 0) - circuit.n_edges
    if dead_ends > 0:
        what = counted(dead_ends, "more kept edge")
        out.print(f"left out: {what} on no path from the input to the logits")
    if record.unseen is not None:
        out.print(_unseen(record.unseen))
    if record.within_noise:
        within = counted(record.within_noise, "decision")
        out.print(f"within the noise floor of {record.noise_floor:.2g}: {within}")
    if record.conservation is not None:
        out.print(_conservation(record.conservation))
    for evaluation, title in ((run.used, "on the {} used"), (run.held_out, "on {}, held out")):
        if evaluation is not None:
            title = title.format(counted(evaluation.n_prompts, "prompt"))
            metrics = [str(request.metric), "kl", str(record.usual_metric)]
            out.print(_results_table(title, evaluation, metrics))
    for sentence in run.verdict:
        out.print(str(sentence))


def _conservation(told: Mapping[str, Any]) -> str:
    """How far the scores are from what they must add up to, in a line."""
    said = f"conservation: {told.get('identity')}"
    residual, at = told.get("residual"), told.get("at")
    if not isinstance(residual, int | float):
        return said
    of = "" if told.get("scale") == 1.0 else " of the metric's change"
    return f"{said}; off by {residual:.2g}{of} at most, at {at}"


def _how(record: Record) -> str:
    """The method with its options, and what it took."""
    request = record.request
    by = f"{request.metric}, {request.ablation} ablation"
    if request.freeze is not None:
        by += f", frozen {request.freeze}"
    if record.tried is not None:
        method = "" if request.method in (None, "acdc") else f"{request.method}, "
        budget = f"budget {asked}, " if (asked := request.options.get("budget")) else ""
        passes = "" if record.passes is None else f" in {record.passes} {'pass' if record.passes == 1 else 'passes'}"
        threshold = f"{method}{budget}threshold {record.threshold or 0.0:g} in {by}"
        return f"{threshold}, {record.tried} tried{passes} in {record.seconds:.0f} s"
    words = [str(request.method), *_words(request.options), words_of(request.selection or {})]
    cost = _cost(record.cost or {})
    return f"{' '.join(filter(None, words))} in {by}{cost and f' ({cost})'}, {record.seconds:.0f} s"


def _cost(cost: Mapping[str, Any]) -> str:
    """``5 forwards and 5 backwards``, and what is to be known of it."""
    counts = [counted(cost[name], name.removesuffix("s")) for name in ("forwards", "backwards") if cost.get(name)]
    return "; ".join(filter(None, (" and ".join(counts), str(cost.get("note", "")))))


def _unseen(found: Mapping[str, Any]) -> str:
    """What was dropped untried, and the bound on what was missed."""
    dropped = counted(int(found["edges"]), "edge")
    if not found["edges"]:
        return "dropped unseen: no edge"
    return (
        f"dropped unseen: {dropped}; with {found['confidence']:.0%} confidence at most {found['at_most_alone']} of "
        f"them change the metric by more than {found['threshold']:g} (at most {found['at_most']}, if edges restored "
        "together don't undo each other's effects)"
    )


def _words(values: Mapping[str, Any]) -> list[str]:
    return [f"{name} {value}" for name, value in values.items()]


def _results_table(title: str, evaluation: Evaluation, metrics: list[str]) -> Table:
    """Model, circuit, ablated and corrupted side by side; metrics say how much worse than the model each is."""
    share = evaluation.faithfulness_metric
    table = Table(title=title, title_justify="left")
    table.add_column("", no_wrap=True)
    for label in _STATES.values():
        table.add_column(label, justify="right")
    states: list[Behaviour] = [getattr(evaluation, state) for state in _STATES]
    for name in dict.fromkeys(metrics):
        if name in evaluation.model.metrics:
            table.add_row(f"worse by {name}", *(f"{found.metrics[name]:.4g}" for found in states))
    if share is not None:
        table.add_row("faithfulness", *(_share(evaluation, found.metrics[share]) for found in states))
        table.caption = f"faithfulness by {share}"
    if evaluation.model.accuracy is not None:
        table.add_row("right", *(_percent(found.accuracy) for found in states))
        table.add_row("top-1 right", *(_percent(found.top1) for found in states))
    if evaluation.model.logit_difference is not None:
        differences = (found.logit_difference for found in states)
        table.add_row("logit difference", *("" if value is None else f"{value:.3g}" for value in differences))
    return table


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"


def _share(evaluation: Evaluation, value: float) -> str:
    """The share of the model's behaviour, by a value of the metric of faithfulness."""
    if evaluation.faithfulness is None or evaluation.faithfulness_metric is None:
        return "not defined"
    share = faithfulness(value, evaluation.ablated.metrics[evaluation.faithfulness_metric])
    return "not defined" if share is None else f"{round(share, 3) + 0.0:.1%}"  # no "-0.0%"


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
