"""What a circuit's figures amount to, in words: the first thing that a reader should know of a run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Words:
    """What a verdict calls things.

    Attributes:
        first, second: the prompts of the two evaluations.
        beside: where a figure of the second stands beside one of the first.
        larger, fewer: what keeps more, and what to do about a circuit of every edge.
        found: whether the circuit was found on the first ones, and has to prove itself on the second.
        model: what is to be known where the model itself does badly, behind a comma.
    """

    first: str = "the prompts used"
    second: str = "held-out prompts"
    beside: str = "held out"
    larger: str = "a lower threshold"
    fewer: str = "Raise the threshold"
    found: bool = True
    model: str = ""


#: Of a circuit whose edges a selection chose.
_SELECTED = Words(larger="a larger selection", fewer="Select fewer")


def verdict(
    used: Evaluation,
    held_out: Evaluation | None,
    *,
    n_edges: int,
    n_graph: int,
    metric: str,
    threshold: float | None,
    words: Words | None = None,
) -> list[str]:
    """Sentences on a circuit, the gravest doubt first; a plain good one where there is no doubt.

    Args:
        used: its evaluation on the prompts that it was found on.
        held_out: that on others, if there are any.
        n_edges: edges of the circuit.
        n_graph: edges of the graph.
        metric: the metric that decided.
        threshold: the largest rise of it that a removal could cost; ``None`` where a selection chose edges by scores.
        words: what is called how; by default as of a run.
    """
    if words is None:
        words = Words() if threshold is not None else _SELECTED
    if n_edges == 0:
        return [_empty(used, metric, threshold)]
    if n_edges == n_graph:
        return [f"Every one of the {n_graph:,} edges is in the circuit, which says nothing. {words.fewer}."]
    found = list(_doubts(used, held_out, metric, words)) or [_good(used, held_out, words)]
    return [*found, _UNSEEN] if held_out is None and words.found else found


def _empty(used: Evaluation, metric: str, threshold: float | None) -> str:
    if threshold is None:
        return (
            "The circuit is empty: the edges selected are on no path from the input to the logits. Select more edges."
        )
    cost = used.ablated.metrics.get(metric)
    costs = "" if cost is None else f"; ablating every edge costs {cost:.3g} {metric} in all"
    return f"The circuit is empty: no edge is worth its threshold of {threshold:g}{costs}. Lower the threshold."


def _doubts(used: Evaluation, held_out: Evaluation | None, metric: str, words: Words) -> Iterator[str]:
    both = [(used, words.first), *([] if held_out is None else [(held_out, words.second)])]
    for evaluation, prompts in both:
        yield from _worse_than_nothing(evaluation, prompts, metric)
    yield from _share(used, words)
    if held_out is not None and (used.faithfulness or 0) <= TOO_MUCH:
        yield from _ablation_helps(held_out, f" on {words.second}")
        yield from _overshoot(held_out, f" on {words.second}", words)
    for evaluation, prompts in both:
        yield from _not_needed(evaluation, prompts)
    for evaluation, prompts in both:
        yield from _far_from_the_model(evaluation, prompts)
    yield from _overfitted(used, held_out, words)
    right = used.model.accuracy
    if right is not None and right < (1 - FAR if words.model else POOR_ACCURACY):
        yield f"The model itself is right on {right:.0%} of the predictions only{words.model}."


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


def _share(used: Evaluation, words: Words) -> Iterator[str]:
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
            f"The circuit keeps {share:.0%} of {_behaviour(name)} on {words.first}, less than {ENOUGH:.0%}. "
            f"{words.larger.capitalize()} keeps more."
        )
    yield from _overshoot(used, "", words)


def _ablation_helps(evaluation: Evaluation, prompts: str) -> Iterator[str]:
    """Where the model does the task better with every edge ablated."""
    share, name = evaluation.faithfulness, evaluation.faithfulness_metric
    if share is not None and name is not None and (ablated := evaluation.ablated.metrics[name]) < 0:
        yield (
            f"By {name} the model does better{prompts} with every edge ablated (by {-ablated:.3g}), so that the "
            f"circuit's share of {share:.0%} says little. Check what the corruption changes."
        )


def _overshoot(evaluation: Evaluation, prompts: str, words: Words) -> Iterator[str]:
    """Where the circuit has more of the behaviour than the model."""
    share, name = evaluation.faithfulness, evaluation.faithfulness_metric
    if share is not None and name is not None and share > TOO_MUCH and evaluation.ablated.metrics[name] > 0:
        yield (
            f"The circuit overshoots{prompts}: it has {share:.0%} of {_behaviour(name)}, more than the model. What "
            f"holds the model back was left out; {words.larger} keeps more of it."
        )


def _not_needed(evaluation: Evaluation, prompts: str) -> Iterator[str]:
    """Where the rest of the model does the task when the circuit is taken out."""
    name, rest = evaluation.faithfulness_metric, evaluation.share("complement")
    if name is not None and rest is not None and rest >= ENOUGH and evaluation.ablated.metrics[name] > 0:
        yield (
            f"On {prompts} what is left without the circuit keeps {rest:.0%} of {_behaviour(name)}, the circuit "
            f"{evaluation.share('circuit'):.0%}: the model does the task without it."
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


def _overfitted(used: Evaluation, held_out: Evaluation | None, words: Words) -> Iterator[str]:
    """Where the circuit does far better on the prompts that it was found on."""
    if held_out is None:
        return
    first, second = used.faithfulness, held_out.faithfulness
    alike = used.faithfulness_metric == held_out.faithfulness_metric
    if alike and first is not None and second is not None and min(first, 1.0) - second > FAR:
        yield (
            f"The circuit keeps {first:.0%} of {_behaviour(used.faithfulness_metric)} on {words.first}, but "
            f"{second:.0%} on {words.second}{'; more prompts would help' if words.found else ''}."
        )
    elif first is not None and second is not None and 0 <= second < ENOUGH <= first:
        yield (
            f"The circuit keeps {second:.0%} of {_behaviour(held_out.faithfulness_metric)} on {words.second}, less "
            f"than {ENOUGH:.0%}. {words.larger.capitalize()} keeps more."
        )
    elif first is not None and second is None and held_out.faithfulness_metric is not None:
        yield (
            f"Faithfulness is not defined on {words.second}: ablating every edge leaves the "
            f"{held_out.faithfulness_metric} as it is."
        )
    gap = _lost(held_out) - _lost(used)
    if gap > FAR:
        right = [f"{one.circuit.accuracy:.0%}" for one in (used, held_out)]
        yield (
            f"The circuit is right on {right[0]} of the predictions on {words.first}, but on {right[1]} of those on "
            f"{words.second}."
        )


def _lost(evaluation: Evaluation) -> float:
    """How much less often the circuit is right than the model."""
    return (evaluation.model.accuracy or 0.0) - (evaluation.circuit.accuracy or 0.0)


def _good(used: Evaluation, held_out: Evaluation | None, words: Words) -> str:
    """What the circuit keeps, where nothing speaks against it."""
    parts = []
    share, right = used.faithfulness, _right(used.circuit)
    other = None if held_out is None else held_out.faithfulness
    others = None if held_out is None else _right(held_out.circuit)
    if share is not None:
        beside = "" if other is None else f" ({other:.0%} {words.beside})"
        parts.append(f"keeps {share:.0%} of {_behaviour(used.faithfulness_metric)}{beside}")
    if right is not None:
        beside = "" if others is None else f" ({others} {words.beside})"
        parts.append(f"is right on {right} of the predictions{beside}, the model on {_right(used.model)}")
    return f"The circuit {' and '.join(parts) or 'has no doubt against it'}."


def _behaviour(metric: str | None) -> str:
    """What a share by a metric is a share of."""
    return f"the model's {metric}" if metric in _AMOUNTS else f"the model's behaviour by {metric}"


def _right(behaviour: Behaviour) -> str | None:
    return None if behaviour.accuracy is None else f"{behaviour.accuracy:.0%}"
