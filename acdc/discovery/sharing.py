"""What the runs of one process share: a model that is open, prompts that are drawn, and what was run on them.

One model and one set of prompts are held at a time. On these are computed once: the prompts, used and held-out ones;
the model's runs on both, and their checks; the whole model's values that the fast engine begins with; the noise floor,
the order by attribution, and what the ablated model does; and what a method that scores edges finds, for all selections
among them. All that is what a run alone computes, so that its record and its circuit are the same.
"""

from __future__ import annotations

import inspect
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from acdc.discovery.asking import OPENED, SET_UP, Asked
from acdc.discovery.discover import discover, run
from acdc.discovery.setting_up import open_and_draw, plan
from acdc.discovery.stages import computing, held_out_setting
from acdc.engine.contributions import contribution_bytes
from acdc.engine.fast.baseline import baseline_bytes
from acdc.engine.memory import available_memory, held_memory, sizes_of
from acdc.engine.once import Once, Remembered, anew, without_frames
from acdc.engine.setting import Setting, prediction_bytes
from acdc.errors import AcdcError, MemoryLimitError
from acdc.models.loading import load_model
from acdc.models.model import Model
from acdc.pairs import PromptSet
from acdc.pairs.finding import file_of, find_task, word_files
from acdc.pairs.task import Task
from acdc.runs.run import Run


@dataclass(frozen=True)
class Place:
    """Where a run begins.

    Attributes:
        asked: its options, as for a model that is open.
        model: the model.
        task: what the prompts are of.
        prompts: those that it uses.
        memory_bytes: that the process will hold in a usual run, with what is held already.
        shares: whether what the next run needs too is kept: not where there is no room for it.
    """

    asked: Asked
    model: Model
    task: Task
    prompts: PromptSet
    memory_bytes: int
    shares: bool


class Shared:
    """What the runs of one process share; the arguments of its methods are those of :func:`acdc.discover`."""

    def __init__(self) -> None:
        self._opening = Remembered()
        self._opened: Hashable = None  # the model that is, or was to be
        self._refused: dict[Hashable, AcdcError] = {}
        self._known = Remembered()
        self._of: Hashable = None

    def run(self, arguments: Mapping[str, Any], *, share: bool = True) -> Run:
        """As :func:`acdc.discover`.

        Args:
            arguments: with a model by name, and no metric of the caller's own.
            share: keep what is computed for the next run; else the model alone is kept.
        """
        asked, model = self._asked(arguments), self.opened(arguments)
        if not share:
            self._known.forget()
        return run(replace(asked, once=self._once(arguments) if share else anew), model, arguments["task"])

    def place(self, arguments: Mapping[str, Any]) -> Place:
        """Open the model and draw the prompts of a run. Raises :class:`AcdcError` as the run would."""
        asked = self._asked(arguments)
        task, model = find_task(arguments["task"], asked.answers, asked.wrong_answers), self.opened(arguments)
        asked = replace(asked, once=self._once(arguments))
        with computing(asked, model):
            _, prompts = open_and_draw(asked, model, task)
            together, usual = plan(asked, model, prompts)
            more = asked.once(
                ("shared", asked.method.runs_engine, together), lambda: _shared_bytes(asked, model, prompts, together)
            )
            fits = asked.once(("fits", usual, more), lambda: _fits(model, usual + more))
            return Place(asked, model, task, prompts, usual + (more if fits else 0), fits)

    def held_out(self, arguments: Mapping[str, Any], ran: Run) -> Setting:
        """The model on the held-out prompts of a run that is finished. Raises :class:`AcdcError`."""
        place = self.place(arguments)
        with computing(place.asked, place.model):
            return held_out_setting(place.asked, place.task, place.model, place.prompts, ran.record)[0]

    def opened(self, arguments: Mapping[str, Any]) -> Model:
        """The model of a run; what can't be opened is refused each time, and tried once. Raises :class:`AcdcError`."""
        name, device, dtype = (arguments.get(part) for part in OPENED)
        key = str(name), str(device), str(dtype)
        if key in self._refused:
            raise without_frames(self._refused[key])
        if self._opened != key:
            self.forget()
            self._opened = key
        try:
            return self._opening(key, lambda: load_model(name, device=device, dtype=dtype))
        except MemoryLimitError:  # another time there may be more
            self.forget()
            raise
        except AcdcError as error:
            self._refused[key] = without_frames(error)
            raise

    def forget(self) -> None:
        """Free all that is held."""
        self._known.forget()
        self._opening.forget()
        self._opened, self._of = None, None

    def _asked(self, arguments: Mapping[str, Any]) -> Asked:
        """The options, of a model that is open."""
        bound = inspect.signature(discover).bind(**arguments)
        bound.apply_defaults()
        return replace(Asked.checked(bound.arguments), device=None, dtype=None)

    def _once(self, arguments: Mapping[str, Any]) -> Once:
        """What computes the parts of a run; whatever is of other prompts than the run's is forgotten."""
        of = tuple((name, str(arguments.get(name))) for name in SET_UP) + _as_they_are(str(arguments["task"]))
        if of != self._of:
            self._known.forget()
            self._of = of
        return self._known


def _shared_bytes(asked: Asked, model: Model, prompts: PromptSet, together: int) -> int:
    """What is held besides where runs share: the held-out prompts' values, and what the fast engine begins with."""
    sizes = sizes_of(model, prompts, asked.ablation, together)
    kept = contribution_bytes(sizes) if sizes.together == sizes.tokens else 0
    return kept + (baseline_bytes(sizes) if asked.method.runs_engine else 0) + prediction_bytes(sizes)


def _fits(model: Model, needed: int) -> bool:
    """Whether a process can hold so much, with what it holds already."""
    held, available = held_memory(model.device), available_memory(model.device)
    return held is None or available is None or needed <= held + available


def _as_they_are(task: str) -> tuple[tuple[str, int, int], ...]:
    """A task's files as they stand now: one that is changed between two runs is read again."""
    own = file_of(task)
    found = []
    for file in () if own is None else (own, *word_files(task)):
        try:
            status = Path(file).stat()
        except OSError:  # said by whoever reads it
            continue
        found.append((str(file), status.st_mtime_ns, status.st_size))
    return tuple(found)
