"""The training of masks: batches of prompts, the metric's gradient at every edge's weight, and what came of it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from acdc.engine import circuits
from acdc.engine.setting import Setting
from acdc.errors import NumericsError, SettingsError, warn
from acdc.methods.base import Cost, Found, Log
from acdc.metrics import Metric
from acdc.models.patched import run_patched
from acdc.models.torchstate import own_torch_state

if TYPE_CHECKING:
    from acdc.methods.masks.options import LearnedMasks


class Masks(ABC):
    """Weights of edges that are learned, in float64 on the CPU.

    Attributes:
        parameters: for Adam, as groups with their learning rates or without.
    """

    parameters: Sequence[dict[str, Any]]

    @abstractmethod
    def draw(self, step: int, n_prompts: int, chance: torch.Generator) -> tuple[Tensor, Tensor]:
        """The weights of a step, ``[n_edges]`` or of every prompt ``[prompt, n_edges]``, and what is added to the loss.

        Both with a gradient to the parameters.
        """

    @abstractmethod
    def values(self) -> Tensor:
        """The scores, ``[n_edges]`` from 0 to 1, larger where an edge is kept."""

    @abstractmethod
    def settled(self) -> Tensor:
        """The weights without chance, ``[n_edges]``."""

    def expected_edges(self) -> float:
        """How many edges the masks keep on average."""
        return float(self.values().sum())

    def rounded(self) -> np.ndarray | None:
        """The edges kept, ``[n_edges]`` bool; ``None`` where a selection chooses."""
        return None

    def measured(self) -> dict[str, Any]:
        """What else a record is to say."""
        return {}


@own_torch_state()
def trained(method: LearnedMasks, setting: Setting, metric: Metric, log: Log) -> Found:
    """Train the masks of a method, round them, and measure what is left.

    Raises:
        NumericsError: the loss is no number at some step.
    """
    masks, chance = method.learned(setting.graph), chance_of(method.seed, 1)
    batches = _batches(setting, method.batch, chance_of(method.seed, 2))
    n_batches = math.ceil(len(setting.prompts) / method.batch)
    optimizer = torch.optim.Adam(list(masks.parameters), lr=method.learning_rate)
    log.begin(method.steps, "step")
    seen = 0
    for step in range(method.steps):
        rows = next(batches)
        weights, added = masks.draw(step, rows.stop - rows.start, chance)
        value, gradient = at_weights(setting, metric, rows, weights.detach())
        optimizer.zero_grad()
        # Its gradient is that of the metric, which is known at the weights, and of what is added.
        ((weights * gradient).sum() * n_batches + added).backward()
        _check(metric, value, masks, step)
        optimizer.step()
        seen += rows.stop - rows.start
        size = f"{masks.expected_edges():.0f} of {setting.graph.n_edges} edges expected"
        log.at(step + 1, f"{metric.name} {value * n_batches:.4g}, {size}")
    done = math.ceil(seen / len(setting.prompts))
    return _found(masks, setting, metric, Cost(done, done))


def at_weights(
    setting: Setting, metric: Metric, rows: slice, weights: Float[Tensor, "*prompt n_edges"]
) -> tuple[float, Float[Tensor, "*prompt n_edges"]]:
    """Run some prompts with weighted edges, and back again from a metric to the weights.

    Prompts run in chunks, as many at a time as in the rest of the setting, and their gradients are added up.

    Args:
        setting: model and prompts.
        metric: that has a gradient.
        rows: which of the prompts.
        weights: the share of its current value that each edge carries, ``[n_edges]``, or of every prompt of `rows`
            ``[prompt, n_edges]``.

    Returns:
        The metric's sum over the predictions of these prompts, divided by the number of *all* of the setting's, so
        that a prompt's weight doesn't depend on its batch; and the gradient of it at the weights.

    Raises:
        SettingsError: the metric has no gradient.
    """
    given, every = setting.contributions, len(setting.rows)
    together = max(chunk.stop - chunk.start for chunk in given.chunks)
    total, gradient = 0.0, torch.zeros_like(weights)
    for start in range(rows.start, rows.stop, together):
        part = slice(start, min(start + together, rows.stop))
        own = (slice(part.start - rows.start, part.stop - rows.start),) if weights.ndim == 2 else ()
        ablated, scored = given.ablated(part), setting.scored(part)
        leaf = weights[own].detach().to(given.inputs.device).requires_grad_()
        with torch.enable_grad():
            _, residual = run_patched(
                setting.model, setting.graph, setting.tokens[part], given.inputs[:, part], leaf, ablated
            )
            values = metric.per_prediction(
                setting.predictions(residual, part), setting.model_logits[scored], setting.answers[scored]
            )
            value = values.sum() / every
            if not value.requires_grad:
                raise SettingsError(
                    f"the metric {metric.name} has no gradient, and masks learn from it; take one that has, e.g. kl."
                )
            (found,) = torch.autograd.grad(value, leaf)
        total += float(value.detach())
        gradient[own] += found.to(gradient)
    return total, gradient


def chance_of(seed: int, part: int) -> torch.Generator:
    """A generator of its own for each thing that is drawn by a run's seed."""
    state = np.random.SeedSequence([seed, part]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0] >> np.uint64(1)))


def _batches(setting: Setting, batch: int, order: torch.Generator) -> Iterator[slice]:
    """Prompts that stand beside each other, so many at a time; all come before any comes again, in an order drawn."""
    n = len(setting.prompts)
    starts = range(0, n, batch)
    while True:
        for at in torch.randperm(len(starts), generator=order).tolist():
            yield slice(starts[at], min(starts[at] + batch, n))


def _check(metric: Metric, value: float, masks: Masks, step: int) -> None:
    """Raise :class:`NumericsError` where the loss or a gradient is no number."""
    gradients = [one.grad for group in masks.parameters for one in group["params"] if one.grad is not None]
    if math.isfinite(value) and all(bool(one.isfinite().all()) for one in gradients):
        return
    what = metric.name if not math.isfinite(value) else f"the gradient of {metric.name}"
    raise NumericsError(
        f"{what} is NaN or infinite at step {step + 1} of the masks' training; lower `learning_rate`, "
        'or take another metric or `dtype="float64"`.'
    )


def _found(masks: Masks, setting: Setting, metric: Metric, cost: Cost) -> Found:
    """Scores, the rounded circuit, and how it does beside the masks that it comes from."""
    graph, kept = setting.graph, masks.rounded()
    with torch.no_grad():
        scores, settled = masks.values().numpy().copy(), masks.settled()
    measured = {"expected_edges": masks.expected_edges(), **masks.measured()}
    to_run: list[Any] = [settled.clamp(0, 1)]
    if kept is not None:
        kept = graph.on_path(kept)
        to_run.append(kept)
        if not kept.any():
            warn(
                "the masks leave no edge on a path from the input to the logits (on average they keep "
                f"{masks.expected_edges():.3g} of {graph.n_edges:,}); ask for more edges, or for more `steps`."
            )
    with torch.no_grad():
        values = [
            float(metric.per_prediction(logits, setting.model_logits, setting.answers).mean())
            for logits in circuits.run(setting, to_run)
        ]
    measured["metric_soft"] = values[0]
    if kept is not None:
        measured |= {"edges": int(kept.sum()), "metric_rounded": values[1]}
    return Found(scores, kept, measured={"cost": cost.to_json(), "masks": measured})
