"""How sure the means of an evaluation are: 95 % intervals by the bootstrap, over prompts.

Prompts are drawn with replacement, each with all of its predictions: predictions on one prompt are no
independent evidence. Every mean of an evaluation, and faithfulness as a ratio of two of them, is taken on the same
drawn prompts. An interval holds for prompts that are drawn as these were, and for nothing else. Nothing here
imports torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from acdc.results import Evaluation

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


class Intervals:
    """The intervals of an evaluation's figures.

    Args:
        evaluation: what was measured, with its values per prediction.
    """

    def __init__(self, evaluation: Evaluation) -> None:
        self._evaluation = evaluation
        self._names = [(state, name) for state, found in evaluation.states.items() for name in found.values or {}]

    def of(self, state: str, name: str) -> Interval:
        """Of a mean, by its state (see :data:`acdc.results.STATES`) and its name (``kl``, ``accuracy`` ...)."""
        if (why := self._unknown()) is not None:
            return Interval(why=why)
        if (state, name) not in self._names:
            return Interval(why="it wasn't measured")
        values = (self._evaluation.states[state].values or {})[name]
        if bool((values == values[0]).all()):
            return Interval(why="it is the same on every prompt")
        return _ends(self._means[self._names.index((state, name))])

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
        return Interval(why="it is the same on every draw") if same else _ends(shares)

    def _unknown(self) -> str | None:
        """Why there is no interval at all."""
        if self._evaluation.prompt_of is None:
            return "values per prediction aren't kept"
        return "there is one prompt" if self._evaluation.n_prompts < _FEWEST else None

    @cached_property
    def _means(self) -> np.ndarray:
        """``[figure, draw]``, every mean on every draw of the prompts."""
        from scipy.stats import bootstrap  # half a second, which reading a run needn't wait for

        evaluation, n = self._evaluation, self._evaluation.n_prompts
        prompt_of = np.zeros(0, dtype=np.int64) if evaluation.prompt_of is None else evaluation.prompt_of
        counts = np.bincount(prompt_of, minlength=n).astype(np.float64)  # [prompt], its predictions
        sums = np.stack(
            [
                np.bincount(prompt_of, weights=(evaluation.states[state].values or {})[name], minlength=n)
                for state, name in self._names
            ]
        )  # [figure, prompt]

        def means(prompts: np.ndarray, axis: int) -> np.ndarray:
            """``[..., prompt]`` to ``[figure, ...]``."""
            return sums[:, prompts].sum(-1) / counts[prompts].sum(-1)

        found = bootstrap(
            (np.arange(n),),
            means,
            n_resamples=_DRAWS,
            batch=max(1, _AT_A_TIME // sums.size),
            vectorized=True,
            confidence_level=LEVEL,
            method="percentile",
            rng=np.random.default_rng(_SEED),
        )
        return np.asarray(found.bootstrap_distribution)


def _ends(drawn: Sequence[float] | np.ndarray) -> Interval:
    """The interval that holds the middle of some drawn figures."""
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(low), float(high))
