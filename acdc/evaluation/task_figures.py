"""What a model does on a task's clean and corrupted prompts, in figures. Nothing here imports torch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from acdc.evaluation.intervals import MeanIntervals
from acdc.evaluation.judgement import JudgedPrompt, WorstPrompt, by_label, kinds_of
from acdc.results import QUANTITIES, Behaviour

#: The two behaviours.
CLEAN, CORRUPTED = "clean", "corrupted"
#: An interval that reaches further from its mean, as a share of it, needs more pairs; likewise of a share of pairs.
_WIDE, _WIDE_SHARE = 0.25, 0.15
_MOST_ASKED = 10_000


@dataclass(frozen=True, eq=False)
class TaskFigures:
    """A model on a task's prompts under one corruption.

    Attributes:
        prompts: the prompts, in order.
        clean, corrupted: what the model does on them, with the values of every prediction.
        prompt_of: ``[prediction]`` int64, the prompt of each prediction, ascending.
        worst: the clean prompts on which least speaks for a right answer, the worst first; ``model`` is what the model
            says on the clean prompt, ``circuit`` on the corrupted one. Empty where answers aren't given.
    """

    prompts: Sequence[JudgedPrompt]
    clean: Behaviour
    corrupted: Behaviour
    prompt_of: np.ndarray
    worst: Sequence[WorstPrompt]

    @property
    def n_prompts(self) -> int:
        """How many prompts."""
        return len(self.prompts)

    @property
    def states(self) -> dict[str, Behaviour]:
        """The two behaviours by name."""
        return {CLEAN: self.clean, CORRUPTED: self.corrupted}

    @cached_property
    def intervals(self) -> MeanIntervals:
        """95 % intervals of the means of ``clean`` and ``corrupted``."""
        return MeanIntervals(self)

    def spread(self, state: str, name: str = "logit_difference") -> float | None:
        """The standard deviation over prompts of a value's mean on each; ``None`` where there is none."""
        values = (self.states[state].values or {}).get(name)
        if values is None or self.n_prompts < 2:
            return None
        means = np.bincount(self.prompt_of, weights=values) / np.bincount(self.prompt_of)
        return float(means.std(ddof=1))

    @property
    def kinds(self) -> list[str]:
        """The labels by which the prompts fall into groups: ``template``, ``group``, ``answer``."""
        return kinds_of(self.prompts)

    def groups(self, kind: str) -> dict[str, TaskFigures]:
        """The figures of the prompts of each label of a kind, the worst first."""
        parts = {label: self._of(numbers) for label, numbers in by_label(self.prompts, kind).items()}
        return dict(sorted(parts.items(), key=lambda item: item[1]._goodness))

    @property
    def _goodness(self) -> tuple[float, float]:
        return self.clean.accuracy or 0.0, self.clean.logit_difference or 0.0

    def _of(self, numbers: Sequence[int]) -> TaskFigures:
        rows = np.isin(self.prompt_of, numbers)
        clean, corrupted = (
            Behaviour.of({key: each[rows] for key, each in (one.values or {}).items()})
            for one in (self.clean, self.corrupted)
        )
        renumbered = np.searchsorted(np.asarray(numbers), self.prompt_of[rows])
        return TaskFigures([self.prompts[i] for i in numbers], clean, corrupted, renumbered, ())

    def too_few(self) -> Iterator[str]:
        """A sentence where the mean is uncertain for its size: how many pairs would do."""
        name = "accuracy" if self.clean.logit_difference is None else "logit_difference"
        mean = self.clean.mean(name)
        if mean is None:
            return
        what = "share of right answers" if name == "accuracy" else "logit difference"
        if self.n_prompts == 1:
            yield f"there is one pair, which tells nothing of how the {what} spreads; take dozens."
            return
        found = self.intervals.of(CLEAN, name)
        if found.low is None or found.high is None:
            return
        half, allowed = (found.high - found.low) / 2, _WIDE_SHARE if name == "accuracy" else _WIDE * abs(mean)
        if half > allowed:
            times = math.inf if allowed == 0 else (half / allowed) ** 2
            needed = self.n_prompts * times
            many = f"about {_rounded(needed):,}" if needed <= _MOST_ASKED else f"over {_MOST_ASKED:,}"
            yield (
                f"{self.n_prompts} pairs are few for so wide a spread: the {what} is {mean:.3g}, with a 95 % interval "
                f"from {found.low:.3g} to {found.high:.3g}; {many} pairs would tell it to {allowed:.2g} either way."
            )

    def to_json(self) -> dict[str, Any]:
        """Means with their intervals and spread, by template and answer too, the worst prompts, and every value."""
        return {
            "n_prompts": self.n_prompts,
            "figures": {state: self._figures(state) for state in self.states},
            "by": {kind: {label: part._means() for label, part in self.groups(kind).items()} for kind in self.kinds},
            "worst": [_worst_to_json(one) for one in self.worst],
            "prompts": [asdict(prompt) for prompt in self.prompts],
            "prompt_of": self.prompt_of.tolist(),
            "values": {
                state: {name: each.tolist() for name, each in (found.values or {}).items()}
                for state, found in self.states.items()
            },
        }

    def _figures(self, state: str) -> dict[str, Any]:
        found = self.states[state]
        return {
            name: {"mean": mean, "spread": self.spread(state, name), **asdict(self.intervals.of(state, name))}
            for name in (*QUANTITIES, *found.metrics)
            if (mean := found.mean(name)) is not None
        }

    def _means(self) -> Mapping[str, Any]:
        return {"n_prompts": self.n_prompts} | {
            state: {name: found.mean(name) for name in (*QUANTITIES, *found.metrics)}
            for state, found in self.states.items()
        }


def _worst_to_json(worst: WorstPrompt) -> dict[str, Any]:
    found = asdict(worst)
    return {key: value for key, value in found.items() if key not in ("model", "circuit")} | {
        CLEAN: found["model"],
        CORRUPTED: found["circuit"],
    }


def _rounded(needed: float) -> int:
    """Up to two figures."""
    digits = max(0, math.floor(math.log10(needed)) - 1)
    return math.ceil(needed / 10**digits) * 10**digits
