"""An engine whose prompts are split: each part of them is another's, and the metric is the mean over all predictions.

A part is asked a question and gives an answer; where it lives is the business of a :class:`Team`. All parts are asked
at once, and a question carries what has become of the circuit since the last one, so that a chain of removals costs
one round trip: what was accepted of the last chain, what is to be tried next, and back come the values of as many
removals as the part's engine computes ahead.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from acdc.engine.base import PruningEngine
from acdc.engine.choice import make_engine
from acdc.engine.fast.engine import FastEngine
from acdc.engine.setting import Setting
from acdc.graph import Slot
from acdc.metrics import Metric
from acdc.models.torchstate import own_torch_state
from acdc.pruning.shrinking import Groups


@dataclass(frozen=True)
class Question:
    """What is asked of all parts.

    Attributes:
        what: a method of :class:`Part`.
        given: its argument, if it has one.
        decided: of the chain before, how many groups were decided on, and whether the last of them stays.
        removed: edges that are gone since the last question, ``[edge]`` each, in order.
    """

    what: str
    given: Any = None
    decided: tuple[int, bool] = (0, False)
    removed: tuple[np.ndarray, ...] = ()


@dataclass(frozen=True)
class Chain:
    """Groups of edges into a slot that may go one after another.

    Attributes:
        slot: number of the slot.
        edges, ends: see :class:`acdc.pruning.shrinking.Groups`.
        at: how many of the values are known already; those behind them are asked for.
    """

    slot: int
    edges: np.ndarray
    ends: list[int]
    at: int


class Part:
    """Some prompts of a setting, and the engine that runs them.

    Args:
        setting: model and prompts.
        measure: the metric.
    """

    def __init__(self, setting: Setting, measure: Metric) -> None:
        self._setting, self._measure = setting, measure
        self._engine: PruningEngine | None = None
        self._groups: Groups | None = None  # of the chain that goes on
        self._ahead: Iterator[Sequence[float]] = iter(())
        self._n_values = self._n_learnt = 0

    def answer(self, question: Question) -> Any:
        """Bring the circuit up to date and answer.

        Raises:
            AcdcError: a value is no number, or memory is short.
        """
        with own_torch_state():
            self._learn(*question.decided)
            for edges in question.removed:
                self.engine.remove(edges)
            method = getattr(self, question.what)
            return method() if question.given is None else method(question.given)

    @property
    def engine(self) -> PruningEngine:
        """The engine of the run that goes on."""
        assert self._engine is not None  # a run begins with `begin`
        return self._engine

    def begin(self) -> tuple[str, tuple[int, int]]:
        """Begin with the whole graph; gives the engine's name, and places that its costs are reckoned by."""
        self._engine, self._groups, self._ahead = None, None, iter(())  # there is room for one
        made = make_engine(self._setting.engine, self._setting, self._measure)
        assert isinstance(made, PruningEngine)  # a part isn't split again
        self._engine = made
        return made.name, made.places if isinstance(made, FastEngine) else (0, 0)

    def reckon(self, places: tuple[int, int]) -> None:
        """Compute as far ahead as all others."""
        if isinstance(self.engine, FastEngine):
            self.engine.places = places

    def chain(self, asked: Chain) -> tuple[int, list[float]]:
        """Go on with a chain, or begin one; gives where the values begin that it has computed."""
        if not asked.at or self._groups is None:
            self._groups = Groups(self.engine.graph.slots[asked.slot], asked.edges, asked.ends)
            self._ahead, self._n_values, self._n_learnt = self.engine.ahead(self._groups), 0, 0
        start, found = self._n_values, list[float]()
        while self._n_values <= asked.at:
            values = next(self._ahead)
            found.extend(values)
            self._n_values += len(values)
        return start, found

    def metric(self) -> float:
        """See :class:`acdc.pruning.protocol.Pruning`; likewise the next."""
        return self.engine.metric()

    def begin_again(self) -> None:
        """In the circuit as it is."""
        self._groups = None
        self.engine.begin_again()

    def effects(self, slot: int) -> np.ndarray:
        """Of a slot's number."""
        return self.engine.effects(self.engine.graph.slots[slot])

    def metric_of(self, kept: np.ndarray) -> float:
        """Of any circuit."""
        return self.engine.metric_of(kept)

    def noise_floor(self) -> float:
        """Of this part alone."""
        return self.engine.noise_floor()

    def catch_up(self) -> None:
        """Nothing but what the question carries."""

    def _learn(self, n: int, stayed: bool) -> None:
        """Tell the engine what has become of the first groups of its chain."""
        if self._groups is None:
            return
        for i in range(self._n_learnt, n):
            self.engine.learn(self._groups, i, stayed=stayed and i == n - 1)
        self._n_learnt = max(n, self._n_learnt)


class Past:
    """What a part has to be told that takes another's place in the middle of a run."""

    def __init__(self) -> None:
        self._reckoned: list[Question] = []
        self._before: list[np.ndarray] = []  # gone when slots were visited anew
        self._since: list[np.ndarray] = []

    def note(self, question: Question) -> None:
        """Remember a question that all parts have answered."""
        if question.what == "begin":
            self.__init__()  # type: ignore[misc]
        elif question.what == "reckon":
            self._reckoned = [question]
        self._since.extend(question.removed)
        if question.what == "begin_again":
            self._before, self._since = self._before + self._since, []

    def questions(self) -> Iterator[Question]:
        """What brings a new part to where the others are."""
        yield Question("begin")
        yield from self._reckoned
        if self._before:
            yield Question("begin_again", removed=(np.concatenate(self._before),))
        if self._since:
            yield Question("catch_up", removed=tuple(self._since))


class Team(ABC):
    """The parts of a setting's prompts.

    Attributes:
        shares: of the predictions, ``[part]``.
    """

    def __init__(self, setting: Setting, n_parts: int) -> None:
        """Split the prompts.

        Args:
            setting: all of them.
            n_parts: into how many parts, at most as many as prompts.
        """
        self.rows = split_rows(len(setting.prompts), n_parts)
        n = [len(setting.rows[setting.scored(rows)]) for rows in self.rows]
        self.shares = np.array(n) / len(setting.rows)
        self.past = Past()

    def ask(self, question: Question) -> list[Any]:
        """The answers of all parts.

        Raises:
            AcdcError: of one of them.
        """
        found = self.answers(question)
        self.past.note(question)
        return found

    @abstractmethod
    def answers(self, question: Question) -> list[Any]:
        """Ask all parts at once; one that is gone is replaced by another that is told the past."""


def split_rows(n: int, parts: int) -> list[slice]:
    """Which of so many prompts are whose: sizes differ by one at most."""
    bounds = np.linspace(0, n, min(n, parts) + 1).round().astype(int).tolist()
    return [slice(start, stop) for start, stop in pairwise(bounds)]


class SplitEngine(PruningEngine):
    """Asks a team; see :class:`acdc.pruning.protocol.Pruning`."""

    def __init__(self, setting: Setting, measure: Metric, team: Team) -> None:
        """Begin with the whole graph.

        Args:
            setting: all prompts.
            measure: the metric to report.
            team: who has the parts.
        """
        super().__init__(setting, measure)
        self._team = team
        self._pending: list[np.ndarray] = []
        self._decided = 0, False
        begun = self._ask("begin")
        self.name = begun[0][0]
        self._ask("reckon", tuple(max(places) for places in zip(*(places for _, places in begun), strict=True)))

    def metric(self) -> float:
        """See :class:`acdc.pruning.protocol.Pruning`; likewise the next."""
        return float(self._mean(self._ask("metric")))

    def metric_of(self, kept: np.ndarray) -> float:
        """Of any circuit."""
        self.graph.check_mask(kept)
        return float(self._mean(self._ask("metric_of", np.ascontiguousarray(kept))))

    def noise_floor(self) -> float:
        """That of means over prompts of their own."""
        return float(np.linalg.norm(self._team.shares * np.array(self._ask("noise_floor"))))

    def begin_again(self) -> None:
        """In the circuit as it is."""
        super().begin_again()
        self._ask("begin_again")

    def ahead(self, groups: Groups) -> Generator[Sequence[float], None, None]:
        """As far as all parts have computed; see :meth:`acdc.engine.base.PruningEngine.ahead`."""
        values: list[list[float]] = [[] for _ in self._team.rows]
        at = 0
        while at < len(groups):
            asked = Chain(groups.slot.index, groups.edges, groups.ends, at)
            for own, (start, found) in zip(values, self._ask("chain", asked), strict=True):
                own[start:] = found
            upto = min(len(own) for own in values)
            yield self._mean([own[at:upto] for own in values]).tolist()
            at = upto

    def learn(self, groups: Groups, i: int, *, stayed: bool) -> None:
        """Tell the parts with the next question."""
        self._decided = i + 1, stayed

    def _effects(self, slot: Slot) -> np.ndarray:
        return self._mean(self._ask("effects", slot.index))

    def _removed(self, slot: Slot, edges: np.ndarray) -> None:
        self._pending.append(edges)

    def _ask(self, what: str, given: Any = None) -> list[Any]:
        question = Question(what, given, self._decided, tuple(self._pending))
        found = self._team.ask(question)
        self._pending, self._decided = [], (0, False)
        return found

    def _mean(self, of_parts: Sequence[Any]) -> np.ndarray:
        """The mean over all predictions, from the means of parts, ``[part, ...]``."""
        return np.asarray(self._team.shares @ np.array(of_parts, dtype=np.float64))
