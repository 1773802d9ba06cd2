"""What a circuit's figures amount to, in words: the first thing that a reader should know of a run."""

from __future__ import annotations

from collections.abc import Iterator

from acdc.results import Behaviour, Evaluation

#: A circuit that keeps less of the model's behaviour doesn't explain it.
ENOUGH = 0.8
#: A circuit that has more of it does something else than the model.
TOO_MUCH = 1.1
#: Shares (of behaviour, of right answers) that lie further apart are far apart.
FAR = 0.1
#: Below this accuracy a model doesn't do the task well enough for a circuit to mean much.
POOR_ACCURACY = 0.75
#: Metrics that are an amount the model has; others say how far something is from it.
_AMOUNTS = ("logit-diff", "prob-diff", "answer-logprob")
_UNSEEN = "There is no result on held-out prompts: whether the circuit holds beyond the prompts used is unknown."


def verdict(
    used: Evaluation, held_out: Evaluation | None, *, n_edges: int, n_graph: int, metric: str, threshold: float | None
) -> list[str]:
    """Sentences on a circuit, the gravest doubt first; a plain good one where there is no doubt.

    Args:
        used: its evaluation on the prompts that it was found on.
        held_out: that on others, if there are any.
        n_edges: edges of the circuit.
        n_graph: edges of the graph.
        metric: the metric that decided.
        threshold: the largest rise of it that a removal could cost; ``None`` where a selection chose edges by scores.
    """
    found = list(_doubts(used, held_out, n_edges, n_graph, metric, threshold))
    if not found or found == [_UNSEEN]:
        found.insert(0, _good(used, held_out))
    return found


def _doubts(
    used: Evaluation, held_out: Evaluation | None, n_edges: int, n_graph: int, metric: str, threshold: float | None
) -> Iterator[str]:
    if n_edges == 0 and threshold is None:
        yield "The circuit is empty: the edges selected are on no path from the input to the logits. Select more edges."
        return
    if n_edges == 0:
        cost = used.ablated.metrics.get(metric)
        costs = "" if cost is None else f"; ablating every edge costs {cost:.3g} {metric} in all"
        yield f"The circuit is empty: no edge is worth its threshold of {threshold:g}{costs}. Lower the threshold."
        return
    if n_edges == n_graph:
        yield (
            f"Every one of the {n_graph:,} edges is in the circuit, which says nothing. "
            f"{'Select fewer' if threshold is None else 'Raise the threshold'}."
        )
        return
    larger = "a larger selection" if threshold is None else "a lower threshold"
    for evaluation, prompts in _each(used, held_out):
        yield from _worse_than_nothing(evaluation, prompts, metric)
    yield from _share(used, larger)
    if held_out is not None and (used.faithfulness or 0) <= TOO_MUCH:
        yield from _ablation_helps(held_out, " on held-out prompts")
        yield from _overshoot(held_out, " on held-out prompts", larger)
    for evaluation, prompts in _each(used, held_out):
        yield from _far_from_the_model(evaluation, prompts)
    yield from _overfitted(used, held_out, larger)
    if used.model.accuracy is not None and used.model.accuracy < POOR_ACCURACY:
        yield f"The model itself is right on {used.model.accuracy:.0%} of the predictions only."
    if held_out is None:
        yield _UNSEEN


def _each(used: Evaluation, held_out: Evaluation | None) -> Iterator[tuple[Evaluation, str]]:
    yield used, "the prompts used"
    if held_out is not None:
        yield held_out, "held-out prompts"


def _worse_than_nothing(evaluation: Evaluation, prompts: str, metric: str) -> Iterator[str]:
    """Where the circuit does no better than every edge ablated."""
    circuit, ablated = evaluation.circuit, evaluation.ablated
    if circuit.accuracy is not None and ablated.accuracy is not None and circuit.accuracy < ablated.accuracy:
        yield (
            f"On {prompts} the circuit is right on {circuit.accuracy:.0%} of the predictions, worse than with every "
            f"edge ablated ({ablated.accuracy:.0%})."
        )
    for name in dict.fromkeys((metric, evaluation.faithfulness_metric)):
        if name in circuit.metrics and circuit.metrics[name] > ablated.metrics[name] > 0:
            yield (
                f"On {prompts} the circuit is further from the model ({circuit.metrics[name]:.3g} {name}) than with "
                f"every edge ablated ({ablated.metrics[name]:.3g})."
            )


def _share(used: Evaluation, larger: str) -> Iterator[str]:
    """Where the share of the model's behaviour is not defined, too small or too large."""
    share, name = used.faithfulness, used.faithfulness_metric
    if name is None:
        return
    ablated = used.ablated.metrics[name]
    if share is None:
        yield (
            f"Faithfulness is not defined: ablating every edge leaves the {name} as it is. Check what the corruption "
            "changes, or judge by another metric."
        )
    elif ablated < 0:
        yield from _ablation_helps(used, "")
    elif 0 <= share < ENOUGH:
        yield (
            f"The circuit keeps {share:.0%} of {_behaviour(name)} on the prompts used, less than {ENOUGH:.0%}. "
            f"{larger.capitalize()} keeps more."
        )
    yield from _overshoot(used, "", larger)


def _ablation_helps(evaluation: Evaluation, prompts: str) -> Iterator[str]:
    """Where the model does the task better with every edge ablated."""
    share, name = evaluation.faithfulness, evaluation.faithfulness_metric
    if share is not None and name is not None and (ablated := evaluation.ablated.metrics[name]) < 0:
        yield (
            f"By {name} the model does better{prompts} with every edge ablated (by {-ablated:.3g}), so that the "
            f"circuit's share of {share:.0%} says little. Check what the corruption changes."
        )


def _overshoot(evaluation: Evaluation, prompts: str, larger: str) -> Iterator[str]:
    """Where the circuit has more of the behaviour than the model."""
    share, name = evaluation.faithfulness, evaluation.faithfulness_metric
    if share is not None and name is not None and share > TOO_MUCH and evaluation.ablated.metrics[name] > 0:
        yield (
            f"The circuit overshoots{prompts}: it has {share:.0%} of {_behaviour(name)}, more than the model. What "
            f"holds the model back was left out; {larger} keeps more of it."
        )


def _far_from_the_model(evaluation: Evaluation, prompts: str) -> Iterator[str]:
    """Where the circuit is right far less often than the model."""
    model, circuit, ablated = (one.accuracy for one in (evaluation.model, evaluation.circuit, evaluation.ablated))
    if model is None or circuit is None or (ablated is not None and circuit < ablated):
        return
    if model - circuit > FAR:
        yield f"On {prompts} the circuit is right on {circuit:.0%} of the predictions, the model on {model:.0%}."
        return
    likeliest, theirs = evaluation.circuit.top1, evaluation.model.top1
    if likeliest is not None and theirs is not None and theirs - likeliest > FAR:
        yield (
            f"On {prompts} the circuit's likeliest token is right on {likeliest:.0%} of the predictions, the model's "
            f"on {theirs:.0%}."
        )


def _overfitted(used: Evaluation, held_out: Evaluation | None, larger: str) -> Iterator[str]:
    """Where the circuit does far better on the prompts that it was found on."""
    if held_out is None:
        return
    first, second = used.faithfulness, held_out.faithfulness
    alike = used.faithfulness_metric == held_out.faithfulness_metric
    if alike and first is not None and second is not None and min(first, 1.0) - second > FAR:
        yield (
            f"The circuit keeps {first:.0%} of {_behaviour(used.faithfulness_metric)} on the prompts used, but "
            f"{second:.0%} on held-out ones; more prompts would help."
        )
    elif first is not None and second is not None and 0 <= second < ENOUGH <= first:
        yield (
            f"The circuit keeps {second:.0%} of {_behaviour(held_out.faithfulness_metric)} on held-out prompts, less "
            f"than {ENOUGH:.0%}. {larger.capitalize()} keeps more."
        )
    elif first is not None and second is None and held_out.faithfulness_metric is not None:
        yield (
            "Faithfulness is not defined on held-out prompts: ablating every edge leaves the "
            f"{held_out.faithfulness_metric} as it is."
        )
    gap = _lost(held_out) - _lost(used)
    if gap > FAR:
        right = [f"{one.circuit.accuracy:.0%}" for one in (used, held_out)]
        yield f"The circuit is right on {right[0]} of the predictions used, but on {right[1]} of those held out."


def _lost(evaluation: Evaluation) -> float:
    """How much less often the circuit is right than the model."""
    return (evaluation.model.accuracy or 0.0) - (evaluation.circuit.accuracy or 0.0)


def _good(used: Evaluation, held_out: Evaluation | None) -> str:
    """What the circuit keeps, where nothing speaks against it."""
    parts = []
    if used.faithfulness is not None:
        others = "" if held_out is None or held_out.faithfulness is None else f" ({held_out.faithfulness:.0%} held out)"
        parts.append(f"keeps {used.faithfulness:.0%} of {_behaviour(used.faithfulness_metric)}{others}")
    if (right := _right(used.circuit)) is not None:
        others = (
            "" if held_out is None or _right(held_out.circuit) is None else f" ({_right(held_out.circuit)} held out)"
        )
        parts.append(f"is right on {right} of the predictions{others}, the model on {_right(used.model)}")
    return f"The circuit {' and '.join(parts) or 'has no doubt against it'}."


def _behaviour(metric: str | None) -> str:
    """What a share by a metric is a share of."""
    return f"the model's {metric}" if metric in _AMOUNTS else f"the model's behaviour by {metric}"


def _right(behaviour: Behaviour) -> str | None:
    return None if behaviour.accuracy is None else f"{behaviour.accuracy:.0%}"
