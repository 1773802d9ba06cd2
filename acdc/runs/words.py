"""What the record of a run says, in words and rows, for the terminal and for a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from acdc.results import Behaviour, Evaluation, faithfulness
from acdc.runs.record import Record
from acdc.selection import words_of
from acdc.wording import counted

#: What the states of an evaluation are called, those that every version measured; and all of them.
STATES_IN_WORDS = {"model": "model", "circuit": "circuit", "ablated": "all ablated", "corrupted": "corrupted"}
ALL_IN_WORDS = {"model": "model", "circuit": "circuit", "complement": "complement"} | STATES_IN_WORDS


def how(record: Record) -> str:
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
    spent = cost(record.cost or {})
    return f"{' '.join(filter(None, words))} in {by}{spent and f' ({spent})'}, {record.seconds:.0f} s"


def cost(told: Mapping[str, Any]) -> str:
    """``5 forwards and 5 backwards``, and what is to be known of it."""
    counts = [counted(told[name], name.removesuffix("s")) for name in ("forwards", "backwards") if told.get(name)]
    return "; ".join(filter(None, (" and ".join(counts), str(told.get("note", "")))))


def conservation(told: Mapping[str, Any]) -> str:
    """How far the scores are from what they must add up to, in a line."""
    said = f"conservation: {told.get('identity')}"
    residual, at = told.get("residual"), told.get("at")
    if not isinstance(residual, int | float):
        return said
    of = "" if told.get("scale") == 1.0 else " of the metric's change"
    return f"{said}; off by {residual:.2g}{of} at most, at {at}"


def unseen(found: Mapping[str, Any]) -> str:
    """What was dropped untried, and the bound on what was missed."""
    dropped = counted(int(found["edges"]), "edge")
    if not found["edges"]:
        return "dropped unseen: no edge"
    return (
        f"dropped unseen: {dropped}; with {found['confidence']:.0%} confidence at most {found['at_most_alone']} of "
        f"them change the metric by more than {found['threshold']:g} (at most {found['at_most']}, if edges restored "
        "together don't undo each other's effects)"
    )


def left_out(record: Record, n_edges: int) -> list[str]:
    """What isn't in a circuit of so many edges though it was kept, and what was dropped unseen or by chance."""
    said = []
    if (dead_ends := (record.kept or 0) - n_edges) > 0:
        said.append(f"left out: {counted(dead_ends, 'more kept edge')} on no path from the input to the logits")
    if record.unseen is not None:
        said.append(unseen(record.unseen))
    if record.within_noise:
        within = counted(record.within_noise, "decision")
        said.append(f"within the noise floor of {record.noise_floor:.2g}: {within}")
    return said


def metrics_of(record: Record) -> list[str]:
    """The metrics that a reader wants: that which decided, ``kl``, the task's own."""
    return [str(record.request.metric), "kl", str(record.usual_metric)]


def result_rows(
    evaluation: Evaluation, metrics: Sequence[str], states: Mapping[str, str] = STATES_IN_WORDS
) -> list[tuple[str, ...]]:
    """States side by side, a figure a row, its name first; metrics say how much worse than the model each is.

    Args:
        evaluation: what was measured.
        metrics: those wanted, as far as they were measured.
        states: by name, in order; each must have been measured.
    """
    share = evaluation.faithfulness_metric
    found: list[Behaviour] = [evaluation.states[state] for state in states]
    rows: list[tuple[str, ...]] = []
    for name in dict.fromkeys(metrics):
        if name in evaluation.model.metrics:
            rows.append((f"worse by {name}", *(f"{one.metrics[name]:.4g}" for one in found)))
    if share is not None:
        rows.append(("faithfulness", *(_share(evaluation, one.metrics[share]) for one in found)))
    if evaluation.model.accuracy is not None:
        rows.append(("right", *(_percent(one.accuracy) for one in found)))
        rows.append(("top-1 right", *(_percent(one.top1) for one in found)))
    if evaluation.model.logit_difference is not None:
        differences = (one.logit_difference for one in found)
        rows.append(("logit difference", *("" if value is None else f"{value:.3g}" for value in differences)))
    return rows


def _words(values: Mapping[str, Any]) -> list[str]:
    return [f"{name} {value}" for name, value in values.items()]


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"


def _share(evaluation: Evaluation, value: float) -> str:
    """The share of the model's behaviour, by a value of the metric of faithfulness."""
    if evaluation.faithfulness is None or evaluation.faithfulness_metric is None:
        return "not defined"
    share = faithfulness(value, evaluation.ablated.metrics[evaluation.faithfulness_metric])
    return "not defined" if share is None else f"{round(share, 3) + 0.0:.1%}"  # no "-0.0%"
