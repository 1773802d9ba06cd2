"""A circuit's model opened and its prompts drawn once more, so that a page can show what they do."""

from __future__ import annotations

import warnings
from contextlib import suppress
from dataclasses import replace
from typing import Any

from acdc.analysis.seeing import Side, see
from acdc.engine.agreement import check_prompts
from acdc.engine.memory import available_memory, largest_batch
from acdc.engine.names import asked_freeze
from acdc.engine.setting import Setting, check_ablation, prepare
from acdc.errors import AcdcError, AcdcWarning
from acdc.evaluation.cases import Case
from acdc.evaluation.drawing import Drawer, Drawn, DrawOptions
from acdc.evaluation.judgement import HELD_OUT
from acdc.evaluation.source import Source
from acdc.explorer.seen import Seen
from acdc.explorer.subject import Subject
from acdc.models.loading import load_model, memory_errors
from acdc.models.model import Model
from acdc.models.threads import fit_threads, own_threads
from acdc.models.torchstate import own_torch_state
from acdc.pairs.finding import find_task
from acdc.pairs.task import Task
from acdc.wording import counted


class Redrawer:
    """Runs circuits on their own prompts, or on given ones; a model is opened once.

    Args:
        model: one that is given, for all circuits.
        task: one that is given, likewise.
        n: prompts to run, of those used and of those held out.
    """

    def __init__(self, model: Model | None, task: Any, n: int) -> None:
        self._model, self._n = model, n
        self._task = None if task is None else find_task(task)
        self._drawer = Drawer(DrawOptions())
        self._opened: dict[tuple[str, str | None], Model] = {}

    @own_threads()
    @own_torch_state()
    def see(self, subject: Subject) -> Seen:
        """What running its model adds to a circuit's page.

        Raises:
            AcdcError: the model or the prompts can't be had, aren't those that it was found on, or don't fit; says
                what to give.
        """
        circuit, label = subject.circuit, subject.label
        run = subject.run
        source = Source.of_circuit(circuit) if run is None else Source.of_record(run.record)
        case = Case(label, circuit, source)
        if self._task is None:
            self._drawer.own_task(label, source)  # before a model is opened in vain
        with memory_errors():
            model = self._model or source.open_model(label, lambda name: self._load(name, source.dtype))
            case.check_model(model)
            drawn, missing = self._drawn(label, source, model)
            sides = []
            for one in drawn:
                held_out = one.which in (HELD_OUT, "test")
                if len(one.prompts) > self._n:
                    which = "those held out" if held_out else "those used"
                    missing.append(f"Of {which}, {len(one.prompts)}, the first {counted(self._n, 'prompt')} were run.")
                sides.append(Side(self._setting(circuit.graph.cfg.split_input, source, model, one), held_out))
            seen = see(circuit, sides, _share_metric(subject))
        return replace(seen, missing=[*missing, *seen.missing])

    def _drawn(self, label: str, source: Source, model: Model) -> tuple[list[Drawn], list[str]]:
        """The prompts, and what there is to say of them."""
        drawer = self._drawer
        if self._task is None:
            known = len(drawer.notes)
            drawn = list(drawer.of_source(label, source, model))
        else:
            drawer, known = Drawer(_options(self._task, source, model)), 0
            drawn = list(drawer.of_task(label, self._task, source, model))
        return drawn, [f"{note[:1].upper()}{note[1:]}" for note in drawer.notes[known:]]

    def _load(self, name: str, dtype: str | None) -> Model:
        if (name, dtype) not in self._opened:
            self._opened[name, dtype] = load_model(name, dtype=dtype)
        return self._opened[name, dtype]

    def _setting(self, split_input: bool, source: Source, model: Model, drawn: Drawn) -> Setting:
        """The prompts run once, and the nodes compared with the model on them."""
        ablation = source.ablation or "corrupted"
        check_ablation(ablation)
        prompts = replace(drawn.prompts, pairs=drawn.prompts.pairs[: self._n])
        fit_threads(model, prompts)
        available = available_memory(model.device)
        size = largest_batch(model, prompts, available, ablation=ablation, engine="reference")
        freeze = asked_freeze(source.freeze)
        together = len(prompts) if freeze else min(size, len(prompts))  # what is frozen is of all prompts at once
        made = prepare(model, prompts, ablation=ablation, split_input=split_input, batch_size=together, freeze=freeze)
        check_prompts(made)
        return made


def _options(task: Task, source: Source, model: Model) -> DrawOptions:
    """How a given task is drawn from: as when the circuit was found, if that gives the prompts that it was found on."""
    as_found = DrawOptions().of(source)
    with warnings.catch_warnings(), suppress(AcdcError):
        warnings.simplefilter("ignore", AcdcWarning)  # what is to be said is said when they are drawn to be run
        prompts = task.prompts(model.tokenizer, split="train", **model.limits, **as_found)
        if prompts.sha256() == source.data_sha256:
            return DrawOptions(**as_found)
    return DrawOptions()


def _share_metric(subject: Subject) -> str:
    """The metric that faithfulness is of, as the run has it."""
    of_run = None if subject.run is None else subject.run.used.faithfulness_metric
    return of_run or subject.circuit.found.faithfulness_metric or "kl"
