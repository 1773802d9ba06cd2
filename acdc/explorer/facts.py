"""What a page says of a run at a glance: a handful of figures."""

from __future__ import annotations

from acdc.circuit import Circuit
from acdc.results import Evaluation
from acdc.runs.run import Run
from acdc.runs.words import metrics_of, result_rows


def glance(circuit: Circuit, run: Run | None) -> list[list[str]]:
    """Names and figures: the circuit's size, and how well it does on the prompts used and on those held out.

    Figures that can't be vouched for (:attr:`acdc.Circuit.doubt`) are left out.

    Args:
        circuit: of the page.
        run: that found it, where it is known.
    """
    graph = circuit.graph
    found = [
        ["edges", f"{circuit.n_edges:,} of {graph.n_edges:,}"],
        ["nodes", f"{len(circuit.nodes()):,} of {len(graph.nodes):,}"],
    ]
    if circuit.doubt is not None:
        return [*found, ["figures", circuit.doubt]]
    if run is None:
        return [*found, *_of_file(circuit)]
    metrics = metrics_of(run.record)
    for evaluation, which in ((run.used, "used"), (run.held_out, "held out")):
        if evaluation is not None:
            behind = "" if which == "used" else f", {which}"
            found.append([f"prompts{behind}", f"{evaluation.n_prompts:,}"])
            found += _figures(evaluation, metrics, behind)
    return found


def _figures(evaluation: Evaluation, metrics: list[str], behind: str) -> list[list[str]]:
    rows = result_rows(evaluation, metrics, {"circuit": "circuit"})
    return [[f"{name}{behind}", value] for name, value in rows if value]


def _of_file(circuit: Circuit) -> list[list[str]]:
    """Figures that a circuit's file has, of the run that found it."""
    known = circuit.figures
    if known is None:
        return []
    found = []
    if known.n_prompts is not None:
        found.append(["prompts", f"{known.n_prompts:,}"])
    for name, value in ((known.metric, known.metric_circuit), (f"{known.metric}, held out", known.metric_held_out)):
        if value is not None and known.metric is not None:
            found.append([f"worse by {name}", f"{value:.4g}"])
    for name, share in (("", known.faithfulness), (", held out", known.faithfulness_held_out)):
        if share is not None:
            found.append([f"faithfulness{name}", f"{share:.1%}"])
    return found
