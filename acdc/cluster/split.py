"""An engine whose prompts are split: each part of them is another's, and the metric is the mean over all predictions.

A part is asked a question and gives an answer; where it lives is the business of a :class:`Team`. All parts are asked
at once, and a question carries what has become of the circuit since the last one, so that a chain of removals costs
one round trip: what was decided of it so far, what is to be tried next, and back come the values of as many
removals as the part's engine computes ahead. Where parts expect otherwise of a removal, what they have run beyond it
doesn't belong together.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from acdc.engine.base import Outcome, Path, PruningEngine
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
        outcome: of the chain that goes on, or has just ended, from its beginning.
        removed: edges that are gone since the last question, ``[edge]`` each, in order.
    """

    what: str
    given: Any = None
    outcome: Outcome = field(default_factory=lambda: Outcome([], []))
    removed: tuple[np.ndarray, ...] = ()


@dataclass(frozen=True)
class Chain:
    """Groups of edges into a slot that may go one after another.

    Attributes:
        slot: number of the slot.
        edges, ends: see :class:`acdc.pruning.shrinking.Groups`.
        at: how many of the groups are decided on already; the values of those behind them are asked for.
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
        self._outcome = Outcome([], [])  # of that
        self._ahead: Generator[Path, Outcome, None] | None = None
        self._start = 0  # where its last path begins
        self._path = Path([], [])

    def answer(self, question: Question) -> Any:
        """Bring the circuit up to date and answer.

        Raises:
            AcdcError: a value is no number, or memory is short.
        """
        with own_torch_state():
            self._outcome = question.outcome
            if self._groups is not None and len(self._outcome.stayed) == len(self._groups):
                with suppress(StopIteration):  # there is no other path
                    self._go_on(len(self._groups))
                self._groups = None
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
        self._engine, self._groups, self._ahead = None, None, None  # there is room for one
        made = make_engine(self._setting.engine, self._setting, self._measure)
        assert isinstance(made, PruningEngine)  # a part isn't split again
        self._engine = made
        return made.name, made.places if isinstance(made, FastEngine) else (0, 0)

    def reckon(self, places: tuple[int, int]) -> None:
        """Compute as far ahead as all others."""
        if isinstance(self.engine, FastEngine):
            self.engine.places = places

    def chain(self, asked: Chain) -> tuple[int, Path]:
        """Go on with a chain, or begin one; gives the path that goes on behind what is decided, and where it begins."""
        if not asked.at or self._groups is None:
            self._groups = Groups(self.engine.graph.slots[asked.slot], asked.edges, asked.ends)
            self._ahead = self.engine.ahead(self._groups)
            self._start, self._path = 0, next(self._ahead)
        while (end := self._end(asked.at)) <= asked.at:
            self._go_on(end)
        return self._start, self._path

    def _end(self, at: int) -> int:
        """Up to which group the last path holds, as far as is known when so many are decided on."""
        for i, expected in enumerate(self._path.stay, start=self._start):
            if i < at and self._outcome.stayed[i] != expected:
                return i + 1
        return self._start + len(self._path.stay)

    def _go_on(self, end: int) -> None:
        """Tell the engine what has become of the last path, up to a group, and get the next."""
        assert self._ahead is not None  # a chain goes on
        own = slice(self._start, self._start + len(self._path.values))
        path = self._ahead.send(Outcome(self._outcome.stayed[self._start : end], self._outcome.values[own]))
        self._start, self._path = end, path

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
        self._outcome = Outcome([], [])
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

    def ahead(self, groups: Groups) -> Generator[Path, Outcome, None]:
        """As far as all parts have computed, and alike; see :meth:`acdc.engine.base.PruningEngine.ahead`."""
        at, known = 0, Outcome([], [])
        while at < len(groups):
            self._outcome = known if at else self._outcome
            asked = Chain(groups.slot.index, groups.edges, groups.ends, at)
            found: list[tuple[int, Path]] = self._ask("chain", asked)
            n = min(start + len(path.values) for start, path in found) - at
            values = self._mean([path.values[at - start :][:n] for start, path in found]).tolist()
            expected = [path.stay[at - start :][:n] for start, path in found]
            alike = next((i for i, stay in enumerate(zip(*expected, strict=True), 1) if len(set(stay)) > 1), n)
            outcome = yield Path(values[:alike], expected[0][:alike])
            known = Outcome(known.stayed + outcome.stayed, known.values[:at] + values)
            at = len(known.stayed)
        self._outcome = known  # for the next question

    def _effects(self, slot: Slot) -> np.ndarray:
        return self._mean(self._ask("effects", slot.index))

    def _removed(self, slot: Slot, edges: np.ndarray) -> None:
        self._pending.append(edges)

    def _ask(self, what: str, given: Any = None) -> list[Any]:
        question = Question(what, given, self._outcome, tuple(self._pending))
        found = self._team.ask(question)
        self._pending, self._outcome = [], Outcome([], [])
        return found

    def _mean(self, of_parts: Sequence[Any]) -> np.ndarray:
        """The mean over all predictions, from the means of parts, ``[part, ...]``."""
        return np.asarray(self._team.shares @ np.array(of_parts, dtype=np.float64))
