"""How sure the means of an evaluation are: 95 % intervals by the bootstrap, over prompts.

Prompts are drawn with replacement, each with all of its predictions: predictions on one prompt are no
independent evidence. Every mean of an evaluation, and faithfulness as a ratio of two of them, is taken on the same
drawn prompts. An interval holds for prompts that are drawn as these were, and for nothing else. Nothing here
imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from acdc.results import Behaviour, Evaluation

#: Share of the drawn means that lies in an interval.
LEVEL = 0.95
_DRAWS, _SEED = 2000, 0
#: Numbers held at a time.
_AT_A_TIME = 2**23
_FEWEST = 2
#: Shares of the model's behaviour no further apart than this differ by rounding.
_ALIKE = 1e-5


@dataclass(frozen=True)
class Interval:
    """Where a figure lies, or why that can't be said.

    Attributes:
        low, high: its ends; ``None`` where there are none.
        why: in words, why there are none.
    """

    low: float | None = None
    high: float | None = None
    why: str | None = None


class Measured(Protocol):
    """Behaviours on the same prompts."""

    @property
    def n_prompts(self) -> int:
        """How many prompts."""
        ...

    @property
    def states(self) -> Mapping[str, Behaviour]:
        """The behaviours by name, with their values per prediction."""
        ...

    @property
    def prompt_of(self) -> np.ndarray | None:
        """``[prediction]`` int64, the prompt of each prediction; ``None`` where no values are kept."""
        ...


class MeanIntervals:
    """The intervals of the means of some behaviours.

    Args:
        measured: what was measured, with its values per prediction.
    """

    def __init__(self, measured: Measured) -> None:
        self._measured = measured
        self._names = [(state, name) for state, found in measured.states.items() for name in found.values or {}]

    def of(self, state: str, name: str) -> Interval:
        """Of a mean, by its state (of an evaluation, see :data:`acdc.results.STATES`) and its name (``kl`` ...)."""
        if (why := self._unknown()) is not None:
            return Interval(why=why)
        if (state, name) not in self._names:
            return Interval(why="it wasn't measured")
        values = (self._measured.states[state].values or {})[name]
        if bool((values == values[0]).all()):
            return Interval(why="it is the same on every prompt")
        return ends(self._means[self._names.index((state, name))])

    def _unknown(self) -> str | None:
        """Why there is no interval at all."""
        if self._measured.prompt_of is None:
            return "values per prediction aren't kept"
        return "there is one prompt" if self._measured.n_prompts < _FEWEST else None

    @cached_property
    def _means(self) -> np.ndarray:
        """``[figure, draw]``, every mean on every draw of the prompts."""
        measured = self._measured
        prompt_of = np.zeros(0, dtype=np.int64) if measured.prompt_of is None else measured.prompt_of
        values = [(measured.states[state].values or {})[name] for state, name in self._names]
        return drawn_means(values, prompt_of, measured.n_prompts)


def drawn_means(values: Sequence[np.ndarray], prompt_of: np.ndarray, n_prompts: int) -> np.ndarray:
    """Means of some figures on prompts drawn with replacement, the same draws for all of them, and at every call.

    Args:
        values: ``[prediction]`` each.
        prompt_of: ``[prediction]``, the prompt of each.
        n_prompts: how many prompts, at least two.

    Returns:
        ``[figure, draw]``
    """
    from scipy.stats import bootstrap  # half a second, which reading a run needn't wait for

    counts = np.bincount(prompt_of, minlength=n_prompts).astype(np.float64)  # [prompt], its predictions
    sums = np.stack([np.bincount(prompt_of, weights=each, minlength=n_prompts) for each in values])  # [figure, prompt]

    def means(prompts: np.ndarray, axis: int) -> np.ndarray:
        """``[..., prompt]`` to ``[figure, ...]``."""
        return sums[:, prompts].sum(-1) / counts[prompts].sum(-1)

    found = bootstrap(
        (np.arange(n_prompts),),
        means,
        n_resamples=_DRAWS,
        batch=max(1, _AT_A_TIME // sums.size),
        vectorized=True,
        confidence_level=LEVEL,
        method="percentile",
        rng=np.random.default_rng(_SEED),
    )
    return np.asarray(found.bootstrap_distribution)


class Intervals(MeanIntervals):
    """The intervals of an evaluation's figures.

    Args:
        evaluation: what was measured, with its values per prediction.
    """

    def __init__(self, evaluation: Evaluation) -> None:
        super().__init__(evaluation)
        self._evaluation = evaluation

    def of_faithfulness(self, state: str = "circuit") -> Interval:
        """Of the share of the model's behaviour that a state keeps, by the evaluation's own metric."""
        if (why := self._unknown()) is not None:
            return Interval(why=why)
        evaluation, metric = self._evaluation, self._evaluation.faithfulness_metric
        if metric is None or (state, metric) not in self._names:
            return Interval(why="it wasn't measured")
        if evaluation.share(state) is None:
            return Interval(why="it is not defined")
        if state in ("model", "ablated"):
            return Interval(why="it is so by definition")
        part, whole = (self._means[self._names.index((one, metric))] for one in (state, "ablated"))  # [draw] each
        if bool((np.abs(whole) <= evaluation.rounding).any()) or float(whole.min()) < 0 < float(whole.max()):
            return Interval(why=f"in some resamples the model and the ablated model are too close by {metric}")
        shares = 1 - part / whole
        same = float(np.ptp(shares)) <= _ALIKE
        return Interval(why="it is the same on every draw") if same else ends(shares)


def ends(drawn: Sequence[float] | np.ndarray) -> Interval:
    """The interval that holds the middle of some drawn figures."""
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(low), float(high))
