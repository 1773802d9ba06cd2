"""``evaluate``: any circuit, on the prompts that it was found on or on any others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from acdc.asked import batch_size as asked_batch_size
from acdc.asked import flag, text, whole
from acdc.circuit import Circuit
from acdc.engine.agreement import check_prompts
from acdc.engine.memory import available_memory, largest_batch
from acdc.engine.names import asked_freeze
from acdc.engine.own_metric import MetricFunction, asked_metric, check_own_metric, is_own
from acdc.engine.setting import Setting, check_ablation, prepare
from acdc.errors import SettingsError
from acdc.evaluation.cases import Case, cases
from acdc.evaluation.conventions import check_begins, check_convention, splits_input
from acdc.evaluation.drawing import Drawer, Drawn, DrawOptions
from acdc.evaluation.judgement import EAP_IG, Judgement
from acdc.evaluation.judging import Asked, judge
from acdc.evaluation.prompts import judged_prompts
from acdc.evaluation.report import Report
from acdc.evaluation.yardstick import Yardstick
from acdc.graph import Graph
from acdc.metrics import Metric, find_metric
from acdc.models.loading import load_model, memory_errors
from acdc.models.model import Model
from acdc.models.threads import fit_threads, own_threads, set_threads
from acdc.models.torchstate import own_torch_state
from acdc.pairs import PromptPair
from acdc.pairs.finding import find_task
from acdc.pairs.task import Task
from acdc.runs.run import Run
from acdc.selection import Selection, check_rule
from acdc.waiting import bars, waiting

CircuitLike = Circuit | Run | str | Path
TaskLike = Task | type[Task] | Sequence[PromptPair] | str | Path


@own_threads()
@own_torch_state()
def evaluate(
    circuits: CircuitLike | Sequence[CircuitLike],
    model: Model | str | Path | Any | None = None,
    task: TaskLike | Sequence[TaskLike] | None = None,
    *,
    metric: str | MetricFunction | None = None,
    ablation: str | None = None,
    freeze: str | Sequence[str] | None = None,
    n: int | None = None,
    seed: int | None = None,
    split: str = "both",
    corruption: str | None = None,
    bos: str | None = None,
    allow_misaligned: bool = False,
    skip_bad_pairs: bool = False,
    answers: str | None = None,
    wrong_answers: str | None = None,
    selection: Selection | None = None,
    nodes: bool = False,
    convention: str = "acdc",
    worst: int = 3,
    curve: bool = False,
    completeness: bool = False,
    tests: bool = False,
    batch_size: int | str = "auto",
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    threads: int | None = None,
    progress: bool = True,
) -> Report:
    """Run circuits on prompts and judge them beside their model.

    For each circuit and each set of prompts: the model, the circuit, its complement (all other edges), every edge
    ablated and the corrupted prompts, by every metric that the answers allow, with the value of every prediction.

        >>> report = acdc.evaluate("runs/ioi")  # doctest: +SKIP
        >>> report[0].evaluation.circuit.values["kl"]  # doctest: +SKIP

    `circuits` are circuits, runs, or paths: of a run's folder, of a file of ours, EAP-IG's or MIB's, or of edges by
    name (:func:`acdc.interchange.open_circuit`). `model` is one of :func:`acdc.load_model`, or whatever that opens
    (on `device`, in `dtype`); by default the one that each circuit was found on, if it is as it was then. `task` is as
    for :func:`acdc.discover`, or a list of tasks, on each of which every circuit is judged; by default the very prompts
    that each circuit was found on, and held-out ones. All other options are told in :class:`Options`.

    Returns:
        A sequence of :class:`acdc.evaluation.judgement.Judgement`: circuit by circuit, task by task, those used (or
        ``train``) before the held-out ones (or ``test``).

    Raises:
        AcdcError: a circuit that can't be read, is empty or of another model; a model, task or prompts that are gone
            or were changed; bad settings. The message says what to give instead.
    """
    asked = Options.checked(locals())
    set_threads(threads)
    with memory_errors(), bars(flag("progress", progress)):
        tasks = None if task is None else [find_task(one, answers, wrong_answers) for one in _tasks(task)]
        if tasks is None and (answers is not None or wrong_answers is not None):
            raise SettingsError("`answers` and `wrong_answers` name columns of a prompt file; give it by `task`.")
        return _report(circuits, tasks, asked, _Opener(model, device, dtype), threads)


def _report(circuits: Any, tasks: list[Task] | None, asked: Options, opener: _Opener, threads: int | None) -> Report:
    """Every circuit on every set of prompts."""
    found = cases(circuits, opener.graph, asked.selection, asked.nodes, scores=asked.yardstick.curve)
    drawer = Drawer(asked.draw)
    if tasks is None:
        for case in found:  # before a model is opened in vain
            drawer.own_task(case.label, case.source)
    jobs = [
        job
        for case in waiting(found, "opening models and drawing prompts")
        for job in _jobs(case, opener.of(case), tasks, drawer, asked)
    ]
    asked.yardstick.check([job.drawn.which for job in jobs])
    done = _judged(jobs, asked, threads)
    return Report(tuple(done), tuple(drawer.notes))


@dataclass(frozen=True)
class Options:
    """The options of :func:`evaluate`, as they are called there, but for what is opened.

    Attributes:
        measure: the metric: a name or a function, as for :func:`acdc.discover`; by default the one that each circuit
            was found by.
            Faithfulness is by it, or by default by the one that the task's paper uses.
        ablation: what removed edges carry; by default as each circuit was found, or ``corrupted``.
        freeze: what stays as it is on the clean prompts, see :func:`acdc.discover`; by default as for each circuit.
        n: prompt pairs; by default as many as the circuit was found on, or what the task has.
        seed: of the prompts; likewise, or 0.
        split: ``train``, ``test`` or ``both``; of the prompts that a circuit was found on, ``train`` are those used and
            ``test`` the held-out ones.
        corruption: one of the task's; likewise, or its first.
        bos: how prompts begin, see :func:`acdc.discover`; likewise, or ``auto``.
        allow_misaligned: take pairs whose words stand at other tokens, with a warning.
        skip_bad_pairs: leave out prompt pairs that don't fit, with a warning that names them.
        answers: of a prompt file, the field or column that holds the right answers.
        wrong_answers: likewise the wrong ones.
        selection: chooses the edges by their scores (:mod:`acdc.selection`), whatever is marked.
        nodes: files are lists of nodes; their circuits are all edges among them.
        convention: ``acdc``; or ``eap-ig``, to get the numbers of EAP-IG and the MIB benchmark, see
            :mod:`acdc.evaluation.conventions`.
        worst: on how many of the worst prompts to show what model and circuit would say.
        yardstick: `curve`, `completeness` and `tests`: measure these too, see :class:`Yardstick`.
        batch_size: prompts that the whole model runs at a time, or ``auto``.
    """

    measure: Metric | None
    ablation: str | None
    freeze: tuple[str, ...] | None
    draw: DrawOptions
    selection: Selection | None
    nodes: bool
    convention: str
    worst: int
    yardstick: Yardstick
    batch_size: int | None

    @classmethod
    def checked(cls, given: dict[str, Any]) -> Options:
        """Check options as a caller gave them. Raises :class:`SettingsError` or :class:`UnknownNameError`."""
        if given["ablation"] is not None:
            check_ablation(text("ablation", given["ablation"]))
        check_convention(text("convention", given["convention"]))
        draw = DrawOptions.checked(given)
        if given["convention"] == EAP_IG and draw.bos is None:
            draw = replace(draw, bos="yes")
        if (worst := whole("worst", given["worst"])) < 0:
            raise SettingsError(f"`worst` must be at least 0, not {worst}.")
        check_rule("selection", given["selection"])
        return cls(
            measure=None if given["metric"] is None else asked_metric(given["metric"]),
            ablation=given["ablation"],
            freeze=None if given["freeze"] is None else asked_freeze(given["freeze"]),
            draw=draw,
            selection=given["selection"],
            nodes=flag("nodes", given["nodes"]),
            convention=given["convention"],
            worst=worst,
            yardstick=Yardstick.checked(given, draw.split),
            batch_size=asked_batch_size(given["batch_size"]),
        )


@dataclass(frozen=True)
class _Job:
    """A circuit, and prompts to judge it on."""

    case: Case
    model: Model
    drawn: Drawn
    measure: Metric
    shares: tuple[str, ...]
    ablation: str
    split_input: bool
    freeze: tuple[str, ...]

    @property
    def setting(self) -> tuple[Any, ...]:
        """Equal for jobs that can share one."""
        prompts = self.drawn.prompts
        own = self.measure.name if is_own(self.measure) else None
        return id(self.model), prompts.task, prompts.sha256(), self.ablation, self.split_input, self.freeze, own


class _Opener:
    """Opens models, each once."""

    def __init__(self, given: Any, device: Any, dtype: Any) -> None:
        if isinstance(given, Model) and not (device is None and dtype is None):
            raise SettingsError("the model is open already; give device and dtype to load_model.")
        self._device, self._dtype = device, dtype
        self._given: Model | None = None
        if given is not None:
            self._given = given if isinstance(given, Model) else load_model(given, device=device, dtype=dtype)
        self._opened: dict[tuple[str, Any], Model] = {}

    @property
    def graph(self) -> Graph | None:
        """That of the model that was given, if one was."""
        return None if self._given is None else Graph(self._given.graph_config)

    def of(self, case: Case) -> Model:
        """The model that was given, or that of a circuit. Raises :class:`AcdcError` where it doesn't fit."""
        case.check_edges()
        model = self._given or case.source.open_model(case.label, lambda name: self._load(name, case.source.dtype))
        case.check_model(model)
        return model

    def _load(self, name: str, dtype: str | None) -> Model:
        wanted = dtype if self._dtype is None else self._dtype
        key = (name, str(wanted))
        if key not in self._opened:
            self._opened[key] = load_model(name, device=self._device, dtype=wanted)
        return self._opened[key]


def _tasks(given: Any) -> list[Any]:
    """One task or several, as a list; a list of pairs is one."""
    if not isinstance(given, list | tuple) or any(isinstance(one, PromptPair) for one in given):
        return [given]
    if not given:
        raise SettingsError("the list of tasks, or of prompt pairs, is empty; give at least one.")
    return list(given)


def _jobs(case: Case, model: Model, tasks: list[Task] | None, drawer: Drawer, asked: Options) -> list[_Job]:
    """What to judge a circuit on."""
    measure = asked.measure or find_metric(case.source.own_metric(case.label))
    ablation = asked.ablation or case.source.ablation or "corrupted"
    check_ablation(ablation)
    check_begins(asked.convention, asked.draw.bos, model)
    freeze = asked_freeze(case.source.freeze) if asked.freeze is None else asked.freeze
    split_input = splits_input(asked.convention, model, case.circuit.graph, ablation)
    if tasks is None:
        drawn = list(drawer.of_source(case.label, case.source, model))
    else:
        drawn = [one for task in tasks for one in drawer.of_task(case.label, task, case.source, model)]
    jobs = []
    for one in drawn:
        measure.check(one.prompts)
        shares = (measure.name,) if asked.measure is not None else (one.task.metric, measure.name)
        jobs.append(_Job(case, model, one, measure, shares, ablation, split_input, freeze))
    return jobs


def _judged(jobs: list[_Job], asked: Options, threads: int | None) -> list[Judgement]:
    """All judgements in the order of the jobs, a setting at a time."""
    together: dict[tuple[Any, ...], list[int]] = {}
    for number, job in enumerate(jobs):
        together.setdefault(job.setting, []).append(number)
    done: dict[int, Judgement] = {}
    for numbers in waiting(list(together.values()), "running circuits"):
        chosen = [jobs[number] for number in numbers]
        done |= dict(zip(numbers, _judged_together(chosen, asked, threads), strict=True))
    return [done[number] for number in range(len(jobs))]


def _judged_together(jobs: list[_Job], asked: Options, threads: int | None) -> list[Judgement]:
    """The judgements of jobs that share a setting."""
    setting = _setting(jobs[0], asked, threads)
    prompts = judged_prompts(setting)
    wanted = [Asked(job.case.circuit, job.measure.name, job.shares, asked.worst) for job in jobs]
    judged = [
        Judgement(
            circuit=job.case.label,
            n_edges=job.case.circuit.n_edges,
            of_edges=job.case.circuit.graph.n_edges,
            task=job.drawn.prompts.task,
            which=job.drawn.which,
            model=job.model.name,
            metric=job.measure.name,
            ablation=job.ablation,
            convention=asked.convention,
            bos=asked.draw.bos or job.case.source.bos or "auto",
            evaluation=evaluation,
            prompts=prompts,
            worst=worst,
            freeze=job.freeze,
        )
        for job, (evaluation, worst) in zip(jobs, judge(setting, wanted, asked.convention), strict=True)
    ]
    return [asked.yardstick.of(setting, job.case.circuit, one) for job, one in zip(jobs, judged, strict=True)]


def _setting(job: _Job, asked: Options, threads: int | None) -> Setting:
    """A job's prompts run once, and the nodes compared with the model on them."""
    model, prompts = job.model, job.drawn.prompts
    if threads is None:
        fit_threads(model, prompts)
    size = asked.batch_size
    if size is None:
        available = available_memory(model.device)
        size = largest_batch(model, prompts, available, ablation=job.ablation, engine="reference")
    made = prepare(
        model,
        prompts,
        ablation=job.ablation,
        split_input=job.split_input,
        freeze=job.freeze,
        batch_size=min(size, len(prompts)),
    )
    if is_own(job.measure):
        made = replace(made, own_metric=job.measure)
        check_own_metric(job.measure, made)
    check_prompts(made)
    return made
