"""What a model, a circuit and the ablated model do on some prompts, side by side. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

import numpy as np

from acdc.displayed import Displayed
from acdc.wording import counted

#: What is said of answers, beside the metrics, and the names that no metric of a caller's own may have.
QUANTITIES = ("accuracy", "top1", "logit_difference")
#: Predictions whose values a run's record keeps; of more it has the means alone, or it could not be read again.
MOST_KEPT = 10_000


@dataclass(frozen=True, eq=False)
class Behaviour(Displayed):
    """How well some logits do the task, over all predictions; ``None`` where answers aren't given.

    Attributes:
        accuracy: share of predictions with a right answer above every wrong one (or, where
            no wrong answers are given, above every other token).
        top1: share of predictions whose likeliest token is a right answer.
        logit_difference: mean of the best right answer's logit minus the best wrong one's.
        metrics: mean of each metric against the model on the clean prompts.
        values: what these are means of, by the same names (``accuracy``, ``top1``, ``logit_difference``, ``kl``
            ...), each ``[prediction]`` float64; ``None`` in a run of an older version.
    """

    accuracy: float | None
    top1: float | None
    logit_difference: float | None
    metrics: dict[str, float]
    values: Mapping[str, np.ndarray] | None = None
    _form: ClassVar = "figures:behaviour_form"

    @classmethod
    def of(cls, values: Mapping[str, np.ndarray]) -> Behaviour:
        """The means of some values, ``[prediction]`` each, at least one of them."""
        means = {name: float(each.mean()) for name, each in values.items()}
        metrics = {name: mean for name, mean in means.items() if name not in QUANTITIES}
        accuracy, top1, difference = (means.get(name) for name in QUANTITIES)
        return cls(accuracy, top1, difference, metrics, dict(values))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Behaviour) and _alike(self, other)

    def __repr__(self) -> str:
        known = [(name, self.mean(name)) for name in (*QUANTITIES, *self.metrics)]
        means = [f"{name} {mean:.4g}" for name, mean in known if mean is not None]
        n = max((len(each) for each in (self.values or {}).values()), default=0)
        return f"Behaviour({', '.join([*means, *([counted(n, 'prediction')] if n else [])])})"

    def mean(self, name: str) -> float | None:
        """A mean by its name, a metric's or one of :data:`QUANTITIES`; ``None`` where there is none."""
        found: float | None = getattr(self, name) if name in QUANTITIES else self.metrics.get(name)
        return found

    def to_json(self, *, values: bool = True) -> dict[str, Any]:
        """Its means and, each as one text of numbers, its values; :meth:`from_json` gives back the very same."""
        kept = None if self.values is None or not values else {name: _text(each) for name, each in self.values.items()}
        return {
            "accuracy": self.accuracy,
            "top1": self.top1,
            "logit_difference": self.logit_difference,
            "metrics": dict(self.metrics),
            "values": kept,
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any], metrics: Sequence[str], n: int | None, name: str) -> Behaviour:
        """What a record holds of it.

        Args:
            found: that part of the record; its means must have been checked.
            metrics: the metrics that are meant.
            n: predictions; ``None`` where no values are kept.
            name: of the part, for messages.

        Raises:
            ValueError: its values aren't `n` finite numbers each, or not of the quantities that it has means of.
        """
        means = {name: found["metrics"][name] for name in metrics}
        made = cls(found["accuracy"], found.get("top1"), found["logit_difference"], means)
        given = found.get("values")
        if given is None or n is None:
            return made
        expected = {key for key in QUANTITIES if made.mean(key) is not None} | set(metrics)
        if not isinstance(given, Mapping) or given.keys() != expected:
            raise ValueError(f"{name}.values must be an object of {', '.join(sorted(expected))}")
        return replace(made, values={key: _numbers(text, n, f"{name}.values.{key}") for key, text in given.items()})


@dataclass(frozen=True, eq=False)
class Evaluation(Displayed):
    """A circuit beside the model it is of, on one set of prompts.

    Attributes:
        n_prompts: prompt pairs.
        model: the model on the clean prompts.
        corrupted: the model on the corrupted prompts.
        circuit: the circuit on the clean prompts.
        ablated: no edge left.
        faithfulness: the share of the model's behaviour that the circuit keeps, see
            :func:`faithfulness`; ``None`` where it is not defined, or in a run of an older version.
        faithfulness_metric: the metric that this share is of.
        complement: what is left of the model when the circuit is taken out: all other edges of the graph;
            ``None`` in a run of an older version.
        prompt_of: ``[prediction]`` int64, the prompt of each prediction, ascending; ``None`` where no values are kept.
        rounding: values of the metric of faithfulness up to here may be rounding alone.
    """

    n_prompts: int
    model: Behaviour
    corrupted: Behaviour
    circuit: Behaviour
    ablated: Behaviour
    faithfulness: float | None = None
    faithfulness_metric: str | None = None
    complement: Behaviour | None = None
    prompt_of: np.ndarray | None = None
    rounding: float = 0.0
    _form: ClassVar = "figures:evaluation_form"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Evaluation) and _alike(self, other)

    def __repr__(self) -> str:
        share = "not defined" if self.faithfulness is None else f"{self.faithfulness:.1%} by {self.faithfulness_metric}"
        states = "".join(f"\n  {name}: {state!r}" for name, state in self.states.items())
        return f"Evaluation(on {counted(self.n_prompts, 'prompt')}: faithfulness {share}{states})"

    @property
    def states(self) -> dict[str, Behaviour]:
        """The behaviours by name, as far as they were measured."""
        found = {name: getattr(self, name) for name in STATES}
        return {name: state for name, state in found.items() if state is not None}

    def share(self, state: str, metric: str | None = None) -> float | None:
        """Faithfulness of one of :data:`STATES`, by the metric of faithfulness or another; ``None`` if undefined."""
        metric = self.faithfulness_metric if metric is None else metric
        found = self.states.get(state)
        if metric is None or found is None or metric not in found.metrics or not self._is_defined(metric):
            return None
        return faithfulness(found.metrics[metric], self.ablated.metrics[metric], self._floor(metric))

    def _is_defined(self, metric: str) -> bool:
        return metric != self.faithfulness_metric or self.faithfulness is not None

    def _floor(self, metric: str) -> float:
        return self.rounding if metric == self.faithfulness_metric else 0.0

    def of_prompts(self, chosen: Sequence[int]) -> Evaluation | None:
        """The same on some of the prompts, by their numbers, ascending; ``None`` where no values are kept."""
        if self.prompt_of is None:
            return None
        rows = np.isin(self.prompt_of, np.asarray(chosen))
        states = {
            name: Behaviour.of({key: each[rows] for key, each in (state.values or {}).items()})
            for name, state in self.states.items()
        }
        metric = self.faithfulness_metric
        share = None
        if metric is not None:
            share = faithfulness(states["circuit"].metrics[metric], states["ablated"].metrics[metric], self.rounding)
        renumbered = np.searchsorted(np.asarray(chosen), self.prompt_of[rows])
        return Evaluation(
            **states,
            n_prompts=len(chosen),
            faithfulness=share,
            faithfulness_metric=metric,
            prompt_of=renumbered,
            rounding=self.rounding,
        )

    def to_json(self) -> dict[str, Any]:
        """All of it for a record; of more than :data:`MOST_KEPT` predictions without their values."""
        few = self.prompt_of is not None and len(self.prompt_of) <= MOST_KEPT
        return {
            "n_prompts": self.n_prompts,
            **{name: state.to_json(values=few) for name, state in self.states.items()},
            "faithfulness": self.faithfulness,
            "faithfulness_metric": self.faithfulness_metric,
            "rounding": self.rounding,
            "prompt_of": _text(self.prompt_of) if few and self.prompt_of is not None else None,
        }

    @classmethod
    def from_json(cls, results: Mapping[str, Any], metrics: Sequence[str] = ("kl",)) -> Evaluation:
        """What a run's record holds of it, of this version or an older one; its means must have been checked.

        Args:
            results: that part of the record.
            metrics: of the first that is in it, faithfulness is computed where an older version didn't.

        Raises:
            ValueError: the values per prediction don't belong together; names the part.
        """
        prompt_of = _prompts(results.get("prompt_of"), results["n_prompts"])
        n = None if prompt_of is None else len(prompt_of)
        names = list(results["model"]["metrics"])
        states = {
            state: Behaviour.from_json(results[state], names, n, state)
            for state in STATES
            if results.get(state) is not None
        }
        if prompt_of is not None and any(state.values is None for state in states.values()):
            raise ValueError("prompt_of is given, but not the values of every state")
        if "faithfulness" in results:
            share, metric = results["faithfulness"], results["faithfulness_metric"]
        else:
            metric = next((name for name in metrics if name in states["circuit"].metrics), None)
            share = None
            if metric is not None:
                share = faithfulness(states["circuit"].metrics[metric], states["ablated"].metrics[metric], 1e-9)
        return cls(
            **states,
            n_prompts=results["n_prompts"],
            faithfulness=share,
            faithfulness_metric=metric,
            prompt_of=prompt_of,
            rounding=float(results.get("rounding") or 0.0),
        )


#: The behaviours of an :class:`Evaluation`. Runs of older versions lack the complement.
STATES = ("model", "circuit", "complement", "ablated", "corrupted")


def faithfulness(circuit: float, ablated: float, floor: float = 0.0) -> float | None:
    """The share of the model's behaviour that a circuit keeps: 1 as the model, 0 as with every edge ablated.

    With m any measure of behaviour it is (m(circuit) - m(ablated)) / (m(model) - m(ablated)), after Wang et al.
    2022 (arXiv 2211.00593) and Hanna et al. 2024 (arXiv 2403.17806). acdc's metrics say how much worse than the
    model something is, 0 for the model itself, which leaves 1 - M(circuit) / M(ablated). Means are taken first: it
    is a ratio of means, as in the MIB benchmark (arXiv 2504.13151).

    Args:
        circuit: the metric of the circuit.
        ablated: the metric with every edge ablated.
        floor: values up to here are no more than rounding.

    Returns:
        The share, in the metric's own unit; above 1 where the circuit does better than the model. ``None`` where
        ablating every edge moves the metric by no more than `floor`: there is nothing to have a share of.
    """
    return None if abs(ablated) <= floor else 1 - circuit / ablated


def _alike(some: Any, other: Any) -> bool:
    """Whether two results hold the same, arrays by their entries."""

    def same(a: Any, b: Any) -> bool:
        if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
            return a is not None and b is not None and np.array_equal(a, b)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
        return bool(a == b)

    return all(same(getattr(some, one.name), getattr(other, one.name)) for one in fields(some))


def _text(values: np.ndarray) -> str:
    """Numbers as one text: a list of them would take a line a number in an indented file."""
    return " ".join(repr(value).removesuffix(".0") for value in values.tolist())


def _numbers(text: Any, n: int, name: str) -> np.ndarray:
    """``[n]`` float64 of :func:`_text`. Raises :class:`ValueError`."""
    try:
        found = np.array([float(word) for word in text.split()], dtype=np.float64)
    except (AttributeError, ValueError):
        raise ValueError(f"{name} must be a text of numbers") from None
    if len(found) != n or not np.isfinite(found).all():
        raise ValueError(f"{name} must be {n} finite numbers, one a prediction")
    return found


def _prompts(text: Any, n_prompts: int) -> np.ndarray | None:
    """``[prediction]`` int64 of the record's ``prompt_of``. Raises :class:`ValueError`."""
    if text is None:
        return None
    found = _numbers(text, len(text.split()) if isinstance(text, str) else 0, "prompt_of")
    steps = np.diff(found, prepend=-1)
    if len(found) == 0 or not np.isin(steps, (0, 1)).all() or steps[0] != 1 or found[-1] != n_prompts - 1:
        raise ValueError(f"prompt_of must number the {n_prompts} prompts in order")
    return found.astype(np.int64)
