"""Faithfulness over sizes of the circuits that a method's scores give: the yardstick that methods are held against.

Three ways to choose edges stand side by side, since published rows differ in it: ``signed`` takes the largest scores
(:class:`acdc.selection.Top` by value; MIB's CPR), ``absolute`` the largest magnitudes (MIB's CMD), ``greedy`` grows
from the logits by magnitude. Faithfulness is a ratio of means over prompts, as in MIB, clipped nowhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from acdc.circuit import Circuit
from acdc.comparison.areas import (
    LogAreas,
    MibAreas,
    log_areas,
    log_sizes,
    mib_areas,
    mib_sizes,
    smallest_faithful,
)
from acdc.engine.setting import Setting
from acdc.errors import SettingsError
from acdc.evaluation.intervals import Interval, drawn_means, ends
from acdc.evaluation.running import metric_of, values_of
from acdc.graph import Graph
from acdc.results import Evaluation
from acdc.selection import Greedy, Selection, Top, select

#: How edges are chosen, by name.
FAMILIES: dict[str, Callable[[int], Selection]] = {
    "signed": lambda n: Top(n, "value"),
    "absolute": lambda n: Top(n, "magnitude"),
    "greedy": lambda n: Greedy(n, "magnitude"),
}
#: A prompt whose own difference between model and ablated model is less than that share of the mean's says little.
_SMALL = 0.1


@dataclass(frozen=True)
class Point:
    """A circuit of a curve.

    Attributes:
        asked: edges asked for.
        n_edges: edges left, those on a path from the input to the logits.
        faithfulness: see :func:`acdc.results.faithfulness`.
        interval: of it, over prompts.
        in_mib: whether it has one of MIB's ten sizes.
    """

    asked: int
    n_edges: int
    faithfulness: float
    interval: Interval
    in_mib: bool


@dataclass(frozen=True)
class Family:
    """The circuits of one way to choose edges.

    Attributes:
        points: by size asked for.
        mib: MIB's figures of them.
        log: ours.
        smallest: edges of the smallest one that is faithful (:data:`acdc.comparison.areas.BAND`); the whole model, if
            no other is.
        smallest_interval: of that number, over prompts; an end is ``None`` too where prompts are drawn on which not
            even the whole graph is.
    """

    points: tuple[Point, ...]
    mib: MibAreas
    log: LogAreas
    smallest: int | None
    smallest_interval: Interval


@dataclass(frozen=True)
class Curve:
    """What a circuit file's scores are worth on some prompts.

    Attributes:
        metric: that faithfulness is of; MIB's is the logit difference.
        n_edges: of the whole graph.
        families: by name, see :data:`FAMILIES`; empty where faithfulness isn't defined.
        doubt: in a sentence, why it isn't, or how many prompts say little; ``None`` where there is nothing to say.
    """

    metric: str
    n_edges: int
    families: dict[str, Family]
    doubt: str | None

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)

    def rows(self) -> list[dict[str, Any]]:
        """A row a circuit, for a table."""
        return [
            {
                "selection": name,
                "asked": point.asked,
                "n_edges": point.n_edges,
                "faithfulness": point.faithfulness,
                "low": point.interval.low,
                "high": point.interval.high,
                "mib": int(point.in_mib),
            }
            for name, family in self.families.items()
            for point in family.points
        ]


def curve(setting: Setting, circuit: Circuit, evaluation: Evaluation, convention: str) -> Curve:
    """Run circuits of all sizes, chosen by a circuit's scores whatever edges it keeps.

    Args:
        setting: model and prompts.
        circuit: whose scores they are.
        evaluation: of any circuit on the same prompts: the metric of faithfulness, and what the ablated model does.
        convention: see :mod:`acdc.evaluation.conventions`.

    Raises:
        SettingsError: an edge has no score, or all have the same.
    """
    graph, metric = circuit.graph, str(evaluation.faithfulness_metric)
    _check_scores(circuit)
    if evaluation.faithfulness is None:
        return Curve(
            metric, graph.n_edges, {}, f"ablating every edge costs next to no {metric}: there is nothing to keep."
        )
    sizes = sorted({*mib_sizes(graph.n_edges), *log_sizes(graph.n_edges)})
    masks = [mask for name in FAMILIES for mask in _masks(graph, circuit.scores, name, sizes)]
    values = values_of(setting, graph, masks, convention, metric_of(setting, metric, convention))
    measured = [int(graph.on_path(mask).sum()) for mask in masks]
    at = {name: slice(i * len(sizes), (i + 1) * len(sizes)) for i, name in enumerate(FAMILIES)}
    families = {
        name: _family(graph.n_edges, sizes, measured[part], values[part], evaluation) for name, part in at.items()
    }
    return Curve(metric, graph.n_edges, families, _doubt(evaluation, metric))


def _check_scores(circuit: Circuit) -> None:
    """Raise :class:`SettingsError` unless the scores rank the edges."""
    unknown = int(np.isnan(circuit.scores).sum())
    if unknown or bool((circuit.scores == circuit.scores[0]).all()):
        what = f"{unknown:,} of them have none" if unknown else "all of them are the same"
        raise SettingsError(
            f"a curve needs a score of each of the {circuit.graph.n_edges:,} edges, and {what}; give the run or the "
            "file of a method that scores them."
        )


def _masks(graph: Graph, scores: np.ndarray, name: str, sizes: Sequence[int]) -> Iterator[np.ndarray]:
    """The circuit of each size."""
    for size in sizes:
        rule = FAMILIES[name]
        yield select(graph, scores, rule(size)) if size else np.zeros(graph.n_edges, dtype=bool)


def _family(
    n_edges: int, sizes: Sequence[int], measured: Sequence[int], values: np.ndarray, evaluation: Evaluation
) -> Family:
    """What some circuits amount to.

    Args:
        n_edges: of the whole graph.
        sizes: asked for.
        measured: what came of it.
        values: ``[size, prediction]``, of the metric of faithfulness.
        evaluation: with the same metric of the ablated model.
    """
    metric = str(evaluation.faithfulness_metric)
    shares = 1 - values.mean(1) / evaluation.ablated.metrics[metric]  # [size]
    drawn, why = _drawn(values, evaluation)
    within = mib_sizes(n_edges)
    points = tuple(
        Point(
            asked=size,
            n_edges=measured[i],
            faithfulness=float(shares[i]),
            interval=Interval(why=why) if drawn is None else ends(drawn[i]),
            in_mib=size in within,
        )
        for i, size in enumerate(sizes)
    )
    smallest = float(smallest_faithful(measured, shares))
    known = Interval(why=why)
    if drawn is not None:
        # Sizes are no means: an end is one of them, and none lies between two.
        low, high = np.quantile(smallest_faithful(measured, drawn), [0.025, 0.975], method="inverted_cdf")
        known = Interval(float(low) if np.isfinite(low) else None, float(high) if np.isfinite(high) else None)
    of_size = dict(zip(sizes, shares.tolist(), strict=True))
    return Family(
        points,
        mib_areas([of_size[size] for size in within]),
        log_areas(measured, shares.tolist(), n_edges),
        int(smallest) if np.isfinite(smallest) else None,
        known,
    )


def _drawn(values: np.ndarray, evaluation: Evaluation) -> tuple[np.ndarray | None, str | None]:
    """Faithfulness on drawn prompts, ``[size, draw]``; or why there is none."""
    if evaluation.n_prompts < 2 or evaluation.prompt_of is None:
        return None, "there is one prompt"
    ablated = (evaluation.ablated.values or {})[str(evaluation.faithfulness_metric)]
    means = drawn_means([*values, ablated], evaluation.prompt_of, evaluation.n_prompts)
    whole = means[-1]
    if bool((np.abs(whole) <= evaluation.rounding).any()) or float(whole.min()) < 0 < float(whole.max()):
        return None, "in some resamples the model and the ablated model are too close"
    return 1 - means[:-1] / whole, None


def _doubt(evaluation: Evaluation, metric: str) -> str | None:
    """How many prompts' own denominators are too small to say anything, if any are."""
    values, prompt_of = (evaluation.ablated.values or {})[metric], evaluation.prompt_of
    if prompt_of is None:
        return None
    n = evaluation.n_prompts
    each = np.bincount(prompt_of, weights=values, minlength=n) / np.bincount(prompt_of, minlength=n)
    small = int((each / evaluation.ablated.metrics[metric] < _SMALL).sum())
    if not small:
        return None
    return (
        f"on {small} of {n} prompts ablating every edge costs less than a tenth of what it costs on average: their "
        "own shares say nothing, and only the ratio of means is given."
    )
