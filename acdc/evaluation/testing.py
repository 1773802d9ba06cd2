"""Hypothesis tests of a circuit on held-out prompts: as good as the model, complete, minimal, better than chance.

Source: Shi et al. 2024 (arXiv 2410.13032), mended (:mod:`acdc.evaluation.hypotheses`): prompts are others than those
that the circuit was found on; random circuits (:mod:`acdc.randomcircuits`) have exactly as many edges on paths; the
p-values of the edges are corrected after Holm. A prompt's score is that of a metric that has a direction, the logit
difference where there is one; KL has none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from acdc.circuit import Circuit
from acdc.engine.setting import Setting
from acdc.errors import SettingsError
from acdc.evaluation.behaviour import usable_metrics
from acdc.evaluation.hypotheses import N_RANDOM, at_least, at_most, equivalence, holm, independence
from acdc.evaluation.running import values_of
from acdc.metrics import Metric
from acdc.randomcircuits import random_circuit, random_walk

#: Metrics that are a score of the model minus that of the circuit, the first that prompts allow counts.
SCORES = ("logit-diff", "prob-diff", "answer-logprob")
#: A hypothesis is rejected where its p-value is lower.
LEVEL = 0.05
_SEED = 0
#: Walks in a row without an edge that a circuit lacks, after which it is taken to have all.
_IN_VAIN = 1000


@dataclass(frozen=True)
class HypothesisTest:
    """One test of a circuit.

    Attributes:
        name: ``equivalence``, ``independence``, ``sufficiency`` or ``partial necessity``.
        hypothesis: what is tested.
        statistic: what it is tested by.
        p: the probability of such a statistic, or a more extreme one, under the hypothesis.
        for_the_circuit: whether it speaks for the circuit to reject the hypothesis.
        said: the statistic in words.
    """

    name: str
    hypothesis: str
    statistic: float
    p: float
    for_the_circuit: bool
    said: str

    @property
    def rejected(self) -> bool:
        """Whether the hypothesis is rejected at :data:`LEVEL`."""
        return self.p < LEVEL


@dataclass(frozen=True)
class EdgeTest:
    """Whether an edge of a circuit changes more than edges that chance adds to it.

    Attributes:
        edge: its name.
        change: root mean square of what its removal does to the scores of prompts.
        beats: of so many random edges, the number whose removal changes less.
        p: the probability of no more, were the edge better than nine tenths of such.
        p_holm: corrected for the number of edges; below :data:`LEVEL` the edge is superfluous.
    """

    edge: str
    change: float
    beats: int
    p: float
    p_holm: float


@dataclass(frozen=True)
class HypothesisTests:
    """All tests of a circuit on some prompts.

    Attributes:
        score: of prompts, by the metric that is the model's minus the circuit's.
        n_prompts: how many.
        n_edges: of the circuit, on paths: that of random circuits too.
        tests: of the circuit.
        minimality: of its edges, in their order; empty where no edge can be added to it.
    """

    score: str
    n_prompts: int
    n_edges: int
    tests: tuple[HypothesisTest, ...]
    minimality: tuple[EdgeTest, ...]

    @property
    def superfluous(self) -> list[str]:
        """The edges that are no better than chance."""
        return [one.edge for one in self.minimality if one.p_holm < LEVEL]

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        found = asdict(self)
        for plain, one in zip(found["tests"], self.tests, strict=True):
            plain["rejected"] = one.rejected
        return found | {"superfluous": self.superfluous}

    def rows(self) -> list[dict[str, Any]]:
        """A row a test, then a row an edge, for a table."""
        rows: list[dict[str, Any]] = [
            {"test": one.name, "edge": None, "statistic": one.statistic, "p": one.p, "p_holm": None}
            for one in self.tests
        ]
        edges = [
            {"test": "minimality", "edge": one.edge, "statistic": one.beats, "p": one.p, "p_holm": one.p_holm}
            for one in self.minimality
        ]
        return rows + edges


def hypothesis_tests(setting: Setting, circuit: Circuit, convention: str) -> HypothesisTests:
    """Test a circuit.

    Args:
        setting: model and prompts, on which the circuit wasn't found.
        circuit: which keeps an edge on a path.
        convention: see :mod:`acdc.evaluation.conventions`.

    Raises:
        SettingsError: the prompts name no answers, or there are too few.
    """
    return _Testing(setting, circuit, convention).all()


class _Testing:
    """Runs what the tests need, each circuit once.

    Args:
        setting, circuit, convention: as for :func:`hypothesis_tests`.
    """

    def __init__(self, setting: Setting, circuit: Circuit, convention: str) -> None:
        self._setting, self._graph, self._convention = setting, circuit.graph, convention
        self._metric = _score(setting)
        if len(setting.prompts) < 2:
            raise SettingsError("hypothesis tests compare prompts, and there is one; draw more by `n`.")
        self._kept = circuit.graph.on_path(circuit.in_graph)
        self._rng = np.random.default_rng(_SEED)

    def all(self) -> HypothesisTests:
        """See :func:`hypothesis_tests`."""
        rng, graph, kept = self._rng, self._graph, self._kept
        n = int(kept.sum())
        whole = np.ones(graph.n_edges, dtype=bool)
        random = [random_circuit(graph, n, rng) for _ in range(N_RANDOM)]
        runs = self._scores([whole, kept, ~kept, *random, *(~one for one in random)])
        model, own, rest = runs[:3]
        tie = self._rounding()
        chosen, without = runs[3 : 3 + N_RANDOM], runs[3 + N_RANDOM :]
        found = (
            self._equivalence(own - model),
            self._independence(model, rest),
            _against_chance(
                "sufficiency",
                "it is nearer to the model than at most nine tenths of random circuits",
                int((_distance(chosen, model) >= _distance(own, model) - tie).sum()),
                "random circuits are no nearer",
            ),
            _against_chance(
                "partial necessity",
                "it is missed more than at most nine tenths of random circuits",
                int((_distance(without, model) < _distance(rest, model) - tie).sum()),
                "random circuits are missed less",
            ),
        )
        return HypothesisTests(self._metric.name, len(self._setting.prompts), n, found, tuple(self._minimality(own)))

    def _equivalence(self, difference: np.ndarray) -> HypothesisTest:
        tie = self._rounding()
        better, worse = int((difference > tie).sum()), int((difference < -tie).sum())
        n = better + worse
        said = f"better on {better}, worse on {worse}, the same on {len(difference) - n}"
        hypothesis = "it does better than the model on 40 to 60 % of the prompts"
        share = better / n if n else 0.5
        return HypothesisTest("equivalence", hypothesis, share, equivalence(better, worse), False, said)

    def _independence(self, model: np.ndarray, rest: np.ndarray) -> HypothesisTest:
        tie = self._rounding()
        model, rest = (one if np.ptp(one) > tie else np.zeros_like(one) for one in (model, rest))  # else constant
        statistic, p = independence(model, rest, self._rng)
        hypothesis = "scores of its complement say nothing of the model's"
        return HypothesisTest("independence", hypothesis, statistic, p, False, f"HSIC {statistic:.3g}")

    def _minimality(self, own: np.ndarray) -> Iterator[EdgeTest]:
        """Each edge against edges of random walks added to the circuit."""
        pairs = list(self._inflated())
        if not pairs:
            return
        runs = self._scores([mask for pair in pairs for mask in pair])
        by_chance = _distance(runs[0::2], runs[1::2])  # [random]
        numbers = np.flatnonzero(self._kept)
        changes = _distance(self._scores(self._less(numbers)), own)  # [edge]
        beats = [int((by_chance < change - self._rounding()).sum()) for change in changes]
        p_values = [at_most(x) for x in beats]
        for number, change, x, p, p_holm in zip(numbers, changes, beats, p_values, holm(p_values), strict=True):
            yield EdgeTest(self._graph.edge(number).name, float(change), x, p, p_holm)

    def _inflated(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The circuit with a random walk, and the same without one of the edges that it lacks itself."""
        for _ in range(N_RANDOM):
            for _ in range(_IN_VAIN):
                walk = random_walk(self._graph, self._rng)
                if len(new := walk[~self._kept[walk]]):
                    break
            else:
                return
            larger = self._kept.copy()
            larger[walk] = True
            smaller = larger.copy()
            smaller[self._rng.choice(new)] = False
            yield larger, smaller

    def _less(self, numbers: Sequence[int] | np.ndarray) -> Iterator[np.ndarray]:
        """The circuit without each of some edges."""
        for number in numbers:
            mask = self._kept.copy()
            mask[number] = False
            yield mask

    def _scores(self, masks: Any) -> np.ndarray:
        """The score of every prompt in every circuit, ``[circuit, prompt]``."""
        values = values_of(self._setting, self._graph, masks, self._convention, self._score_of)
        rows = self._setting.rows.cpu().numpy()
        n = len(self._setting.prompts)
        counts = np.bincount(rows, minlength=n)
        return np.stack([np.bincount(rows, weights=each, minlength=n) for each in values]) / counts

    def _score_of(self, logits: Tensor) -> Tensor:
        """The score itself, but for a constant of each prediction: above logits that are all alike."""
        return -self._metric.per_prediction(logits, torch.zeros_like(logits), self._setting.answers)

    def _rounding(self) -> float:
        """Scores no further apart are the same but for rounding."""
        precision = self._setting.contributions.inputs.dtype
        return 8 * torch.finfo(precision).eps * max(1.0, float(self._setting.model_logits.amax(-1).abs().max()))


def _score(setting: Setting) -> Metric:
    """The metric that scores prompts. Raises :class:`SettingsError` where there is none."""
    usable = {metric.name: metric for metric in usable_metrics(setting)}
    for name in SCORES:
        if name in usable:
            return usable[name]
    raise SettingsError(
        f"hypothesis tests need a score of every prompt, and the pairs of {setting.prompts.task} name no right "
        "answers; add them."
    )


def _against_chance(name: str, hypothesis: str, x: int, said: str) -> HypothesisTest:
    return HypothesisTest(name, hypothesis, float(x), at_least(x), True, f"{x} of {N_RANDOM} {said}")


def _distance(scores: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Root mean square of a difference over prompts, ``[..., prompt]`` to ``[...]``."""
    found: np.ndarray = ((scores - others) ** 2).mean(-1) ** 0.5
    return found
