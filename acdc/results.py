"""What a model, a circuit and the ablated model do on some prompts, side by side. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Behaviour:
    """How well some logits do the task, over all predictions; ``None`` where answers aren't given.

    Attributes:
        accuracy: share of predictions with a right answer above every wrong one (or, where
            no wrong answers are given, above every other token).
        top1: share of predictions whose likeliest token is a right answer.
        logit_difference: mean of the best right answer's logit minus the best wrong one's.
        metrics: mean of each metric against the model on the clean prompts.
    """

    accuracy: float | None
    top1: float | None
    logit_difference: float | None
    metrics: dict[str, float]


@dataclass(frozen=True)
class Evaluation:
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
    """

    n_prompts: int
    model: Behaviour
    corrupted: Behaviour
    circuit: Behaviour
    ablated: Behaviour
    faithfulness: float | None = None
    faithfulness_metric: str | None = None

    def to_json(self) -> dict[str, Any]:
        """All of it for a record."""
        return asdict(self)

    @classmethod
    def from_json(cls, results: Mapping[str, Any], metrics: Sequence[str]) -> Evaluation:
        """What a run's record holds of it; its shape must have been checked.

        Args:
            results: that part of the record.
            metrics: of the first that is in it, faithfulness is computed where an older version didn't.
        """
        states = {
            state: Behaviour(
                results[state]["accuracy"],
                results[state].get("top1"),
                results[state]["logit_difference"],
                {name: results[state]["metrics"][name] for name in results["model"]["metrics"]},
            )
            for state in STATES
        }
        if "faithfulness" in results:
            share, metric = results["faithfulness"], results["faithfulness_metric"]
        else:
            metric = next((name for name in metrics if name in states["circuit"].metrics), None)
            share = None
            if metric is not None:
                share = faithfulness(states["circuit"].metrics[metric], states["ablated"].metrics[metric], 1e-9)
        return cls(results["n_prompts"], **states, faithfulness=share, faithfulness_metric=metric)


#: The behaviours of an :class:`Evaluation`.
STATES = ("model", "corrupted", "circuit", "ablated")


def faithfulness(circuit: float, ablated: float, floor: float = 0.0) -> float | None:
    """The share of the model's behaviour that a circuit keeps: 1 as the model, 0 as with every edge ablated.

    With m any measure of behaviour it is (m(circuit) - m(ablated)) / (m(model) - m(ablated)), after Wang et al.
    2022 (arXiv 2211.00593) and Hanna et al. 2024 (arXiv 2403.17806). acdc's metrics say how much worse than the
    model something is, 0 for the model itself, which leaves 1 - M(circuit) / M(ablated).

    Args:
        circuit: the metric of the circuit.
        ablated: the metric with every edge ablated.
        floor: values up to here are no more than rounding.

    Returns:
        The share, in the metric's own unit; above 1 where the circuit does better than the model. ``None`` where
        ablating every edge moves the metric by no more than `floor`: there is nothing to have a share of.
    """
    return None if abs(ablated) <= floor else 1 - circuit / ablated
