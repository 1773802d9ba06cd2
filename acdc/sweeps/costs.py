"""About how long a run takes, of one plain and one patched run of the model on a few of its prompts.

It is rough. What comes before and behind the method is counted in such runs, and so is a method that says how many it
takes; a gradient counts as 1.8 of them (`eap-ig` with 5 steps took 13.7 at the size of GPT-2 small). What the fast
engine takes depends on how many edges go: of a plain run for each of all edges, ACDC took 0.7 % on ``tiny-tasks`` and
from 0.05 % (high thresholds) to 2.6 % at the size of GPT-2 small, where patching of all edges took 15 %. So expect runs
of ACDC to take a third to three times as long as is said, and at the ends of a range of thresholds more or less.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from acdc.discovery.sharing import Place
from acdc.discovery.stages import computing
from acdc.engine.alone import run_alone
from acdc.engine.choice import engine_for
from acdc.engine.once import anew
from acdc.engine.setting import Setting, prepare
from acdc.errors import AcdcError
from acdc.graph import Graph
from acdc.models.threads import fit_threads

#: Prompts that are run for the estimate, at first; or as many as take so many seconds.
_FEW, _ENOUGH = 8, 0.2
#: Plain runs that a gradient counts as, and that a try of an edge does, on average over all edges.
_BACKWARD, _FAST_TRY, _FAST_EFFECT, _SLOW_TRY = 1.8, 0.01, 0.1, 0.2
#: Thresholds that a search for a budget tries.
_TRIALS = 8
#: Patched runs: for the noise floor and at a pruning's ends; for a circuit and its complement, used and held out.
_NOISE, _ENDS, _JUDGED, _ABLATED = 4, 2, 4, 2


@dataclass(frozen=True)
class Seconds:
    """What a run takes.

    Attributes:
        setting: what it shares with all runs on the same prompts.
        method: what it shares with those of the same method on them, of a method that scores edges.
        own: the rest.
    """

    setting: float
    method: float
    own: float

    @property
    def alone(self) -> float:
        """All of it."""
        return self.setting + self.method + self.own


@dataclass(frozen=True)
class Pace:
    """Of a model on the prompts of a run.

    Attributes:
        drawing: seconds to draw them.
        plain: seconds of a plain run of all.
        patched: of a patched one.
    """

    drawing: float
    plain: float
    patched: float


def pace_of(place: Place) -> Pace:
    """Time some prompts. Raises :class:`AcdcError` where the model can't run them."""
    asked, n = replace(place.asked, once=anew), len(place.prompts)
    with computing(asked, place.model):
        if asked.threads is None:
            fit_threads(place.model, place.prompts)

        def set_up(some: int) -> Setting:
            prompts, frozen = place.prompts.part(slice(0, some)), asked.freeze
            return prepare(place.model, prompts, ablation=asked.ablation, split_input=asked.split_input, freeze=frozen)

        some, plain = min(_FEW, n), 0.0
        set_up(some)  # the first time takes longer
        while (plain := _timed(partial(set_up, some))) < _ENOUGH and some < n:
            some = min(2 * some, n)  # a run of few prompts takes hardly less
        setting = set_up(some)
        patched = _timed(lambda: run_alone(setting, np.zeros(setting.graph.n_edges, dtype=bool)))

        def draw() -> None:
            with suppress(AcdcError):  # a task may have no fewer
                asked.prompts(place.model, place.task, "train", min(_FEW, n))

        share = n / some
        return Pace(n / min(_FEW, n) * _timed(draw), share * plain / 2, share * patched)  # clean and corrupted


def seconds_of(place: Place, pace: Pace) -> Seconds | None:
    """What a run takes; ``None`` where its method doesn't say."""
    method, plain, patched = place.asked.method, pace.plain, pace.patched
    graph = Graph(replace(place.model.graph_config, split_input=place.asked.split_input))
    cost = method.cost(graph)
    if cost is None:
        return None
    # Prompts are drawn, run plainly, and by the model itself, clean and corrupted, used and held out.
    setting = 2 * pace.drawing + 8 * plain + _ABLATED * patched
    takes = plain * (cost.forwards + _BACKWARD * cost.backwards)
    if method.runs_engine and cost.forwards >= graph.n_edges:  # it tries edges
        fast = engine_for(place.asked.engine, place.model, place.asked.freeze) == "fast"
        share = (_FAST_TRY if method.decides else _FAST_EFFECT) if fast else (_SLOW_TRY if method.decides else 1.0)
        tries = graph.n_edges * (_TRIALS if getattr(method, "budget", 0) else 1)
        takes = tries * share * (plain if fast else patched) + plain * _BACKWARD * cost.backwards + _ENDS * patched
        setting += _NOISE * patched
    own = _JUDGED * patched
    return Seconds(setting, 0.0, own + takes) if method.decides else Seconds(setting, takes, own)


def _timed(do: Callable[[], object]) -> float:
    begun = time.perf_counter()
    do()
    return time.perf_counter() - begun
