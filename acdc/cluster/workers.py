"""Workers of a Ray cluster, each of which has the model and a part of a run's prompts."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from acdc import errors
from acdc.cluster.connection import Cluster, imported_ray, why_ended
from acdc.cluster.split import Part, Question, SplitEngine, Team
from acdc.engine.choice import engine_for
from acdc.engine.memory import available_memory, largest_batch, memory_estimate
from acdc.engine.setting import Setting
from acdc.errors import AcdcError, ClusterError, SettingsError
from acdc.metrics import Metric
from acdc.models.loading import load_model, memory_errors
from acdc.models.model import Model
from acdc.pairs import PromptSet
from acdc.runs.unnamed import IN_MEMORY
from acdc.wording import counted, first_line

#: That a worker may take to start, and to start in another's place. A cluster may start a machine for it.
_MOST_SECONDS = 300


@dataclass(frozen=True)
class Source:
    """What a worker opens the model from.

    Attributes:
        name: a name, or a path that is absolute.
        device, dtype: see :func:`acdc.load_model`.
        sha256: of the model that is to come of it.
    """

    name: str
    device: str
    dtype: str
    sha256: str

    @classmethod
    def of(cls, model: Model) -> Source:
        """That of a model that is open here. Raises :class:`SettingsError` where no name opens it again."""
        if model.name.endswith(IN_MEMORY):
            raise SettingsError(
                f"workers of a cluster open the model by its name, and {model.name} has none; save it as a folder, and "
                "give that."
            )
        here = Path(model.name).expanduser()
        name = str(here.absolute()) if here.exists() else model.name
        return cls(name, model.device.type, str(model.dtype).removeprefix("torch."), model.sha256)


@dataclass(frozen=True)
class Failure:
    """An error of acdc in a worker, which is raised where it was asked.

    Attributes:
        kind: name of its class.
        message: its sentence.
    """

    kind: str
    message: str

    def error(self) -> AcdcError:
        """The same error here."""
        kind = getattr(errors, self.kind, AcdcError)
        error: AcdcError = kind.__new__(kind, self.message)  # some classes make their message of other arguments
        return error


class Worker:
    """An actor: a model, and a part of the prompts.

    Args:
        threads: that torch computes with.
    """

    def __init__(self, threads: int) -> None:
        torch.set_num_threads(threads)
        self._model: Model | None = None
        self._part: Part | None = None

    def ready(self) -> None:
        """Say nothing, as soon as it can."""

    def open(self, source: Source) -> Failure | None:
        """Open the model; the same again is open already."""
        return _caught(partial(self._open, source))

    def take(self, packed: bytes, measure: Metric, batch_size: int | None, workers: int) -> Failure | None:
        """Take a part of the prompts.

        Args:
            packed: see :func:`packed`.
            measure: the metric.
            batch_size: prompts that are run together; ``None`` for as many as fit.
            workers: how many share the memory of the machine, at most.
        """
        return _caught(partial(self._take, packed, measure, batch_size, workers))

    def answer(self, question: Question) -> Any:
        """See :meth:`acdc.cluster.split.Part.answer`."""
        assert self._part is not None  # asked after `take`
        return _caught(partial(self._part.answer, question))

    def _open(self, source: Source) -> None:
        try:
            self._model = load_model(source.name, device=source.device, dtype=source.dtype)
        except AcdcError as error:
            raise ClusterError(
                f"a worker can't open the model: {str(error).rstrip('.')} (its folder has to be at the same path "
                "on every node)"
            ) from error
        if self._model.sha256 != source.sha256:
            raise ClusterError(
                f"the model {source.name} that a worker opens isn't the one that is open here: its weights differ; "
                "save this one as a folder that all nodes see, and give that."
            )

    def _take(self, data: bytes, measure: Metric, batch_size: int | None, workers: int) -> None:
        assert self._model is not None  # taken after `open`
        self._part = Part(unpacked(data, self._model, batch_size, workers), measure)


def packed(setting: Setting) -> bytes:
    """A setting without its model."""
    own = {"model", "own_metric", "split", "once"}  # of a process
    sent = {one.name: getattr(setting, one.name) for one in fields(setting) if one.name not in own}
    buffer = io.BytesIO()
    torch.save(sent | {"contributions": setting.contributions.without_model()}, buffer)
    return buffer.getvalue()


def unpacked(data: bytes, model: Model, batch_size: int | None = None, workers: int = 1) -> Setting:
    """The setting on the same model in this process.

    Args:
        data: of :func:`packed`.
        model: the model.
        batch_size: prompts that are run together; ``None`` for as many as fit.
        workers: how many share this machine's memory.
    """
    sent = torch.load(io.BytesIO(data), map_location=model.device, weights_only=False)
    prompts: PromptSet = sent["prompts"]
    if batch_size is None:
        free = available_memory(model.device)
        own = free if free is None or model.device.type != "cpu" else free // workers
        engine = engine_for(sent["engine"], model)
        batch_size = largest_batch(model, prompts, own, ablation=sent["ablation"], engine=engine)
    contributions = sent["contributions"].on(model, min(batch_size, len(prompts)))
    return Setting(**sent | {"model": model, "contributions": contributions})


def _caught(work: Callable[[], Any]) -> Any:
    """What comes of it, or why nothing does."""
    try:
        with memory_errors():
            return work()
    except AcdcError as error:
        return Failure(type(error).__name__, str(error))


class RayTeam(Team):
    """Actors of a Ray cluster, one a part.

    Args:
        setting: all prompts.
        measure: the metric.
        start: starts an actor.
        actors: those that are there.
        batch_size: prompts that an actor runs together.
        announce: called with a line where a worker died.
    """

    def __init__(
        self,
        setting: Setting,
        measure: Metric,
        start: Callable[[], Any],
        actors: list[Any],
        batch_size: int | None,
        announce: Callable[[str], None],
    ) -> None:
        super().__init__(setting, len(actors))
        self.actors = actors
        self._ray, self._start, self._announce = imported_ray(), start, announce
        self._measure, self._batch_size = self._sendable(measure), batch_size
        self._source = Source.of(setting.model)
        self._parts = [packed(setting.part(rows)) for rows in self.rows]
        lost: dict[int, Exception] = {}
        self._first([actor.open.remote(self._source) for actor in actors], lost)
        setting.contributions.forget()  # the workers have theirs
        self._first([self._given(i) for i in range(len(actors))], lost)
        for i, error in lost.items():
            self._replaced(i, None, error)

    def answers(self, question: Question) -> list[Any]:
        """See :meth:`acdc.cluster.split.Team.answers`."""
        asked = [actor.answer.remote(question) for actor in self.actors]
        found = []
        for i, answer in enumerate(asked):
            try:
                found.append(self._got(answer))
            except self._deaths as error:
                found.append(self._replaced(i, question, error))
        return [self._raised(answer) for answer in found]

    @property
    def _deaths(self) -> tuple[type[Exception], ...]:
        """What Ray raises where a worker is gone."""
        known = self._ray.exceptions
        return known.RayActorError, known.OutOfMemoryError, known.NodeDiedError, known.WorkerCrashedError

    def _replaced(self, i: int, question: Question | None, error: Exception) -> Any:
        """The answer of another worker in the place of one that died; without a question it only has all it needs."""
        whose = self.rows[i]
        prompts = f"prompts {whose.start + 1} to {whose.stop}"
        self._announce(f"the worker of {prompts} died; another takes them")
        with suppress(Exception):  # it may only be out of reach
            self._ray.kill(self.actors[i])
        try:
            return self._asked_anew(i, question)
        except self._ray.exceptions.GetTimeoutError as late:
            raise ClusterError(
                f"the worker of {prompts} died, and the cluster starts no other within {_MOST_SECONDS} seconds; see "
                "`ray status`, and go on with the run by `resume=True`."
            ) from late
        except self._deaths as again:
            raise ClusterError(
                f"the worker of {prompts} died twice over the same step, perhaps for want of memory "
                f"({why_ended(again)}); lower `n` or `batch_size`, or give workers more memory, and go on with the run "
                "by `resume=True`."
            ) from error

    def _asked_anew(self, i: int, question: Question | None) -> Any:
        self.actors[i] = self._start()
        self._ray.get(self.actors[i].ready.remote(), timeout=_MOST_SECONDS)
        self._raised(self._got(self.actors[i].open.remote(self._source)))
        self._raised(self._got(self._given(i)))
        if question is None:
            return None
        if question.what != "begin":
            for told in self.past.questions():
                self._raised(self._got(self.actors[i].answer.remote(told)))
        return self._got(self.actors[i].answer.remote(question))

    def _first(self, asked: list[Any], lost: dict[int, Exception]) -> None:
        """See that all workers have what they need, and which of them died. Raises :class:`AcdcError`."""
        for i, answer in enumerate(asked):
            try:
                self._raised(self._got(answer))
            except self._deaths as error:
                lost.setdefault(i, error)

    def _got(self, asked: Any) -> Any:
        """What a worker gives, as soon as it does."""
        try:
            return self._ray.get(asked)
        except self._ray.exceptions.RayTaskError as error:
            cause = error.cause or error
            raise ClusterError(
                f"a worker of the cluster failed: {type(cause).__name__}: {first_line(cause).rstrip('.')}; see that "
                "it has the packages and files of this machine."
            ) from error

    def _sendable(self, measure: Metric) -> Metric:
        """A metric that workers can be sent. Raises :class:`SettingsError`."""
        try:
            self._ray.cloudpickle.dumps(measure)
        except Exception as error:  # of whatever a caller's function holds
            raise SettingsError(
                f"the metric {measure.name} can't be sent to the workers of a cluster: {first_line(error)}"
            ) from error
        return measure

    def _given(self, i: int) -> Any:
        """A part, on its way to its worker."""
        return self.actors[i].take.remote(self._parts[i], self._measure, self._batch_size, len(self.actors))

    @staticmethod
    def _raised(answer: Any) -> Any:
        if isinstance(answer, Failure):
            raise answer.error()
        return answer


@contextmanager
def split_over(
    cluster: Cluster, setting: Setting, batch_size: int | None, threads: int, announce: Callable[[str], None]
) -> Iterator[Setting]:
    """A setting that methods prune on the cluster's workers, for as long as the block runs.

    There are as many workers as CPUs allow (or as GPUs, if the model is on one), but no more than prompts, and than
    memory holds.

    Args:
        cluster: that this process is connected to.
        setting: all prompts.
        batch_size: prompts that a worker runs together; ``None`` for as many as fit.
        threads: of a worker.
        announce: called with a line on what there is.

    Raises:
        ClusterError: there is no worker to be had.
        SettingsError: the model has no name that workers could open it by.
    """
    Source.of(setting.model)  # before a worker starts
    ray = imported_ray()
    on_gpus = setting.model.device.type != "cpu"
    places = cluster.gpus if on_gpus else cluster.cpus // threads
    wanted, memory = _that_fit(setting, max(1, min(places, len(setting.prompts))), batch_size)
    options = {"num_cpus": min(threads, cluster.cpus), "num_gpus": int(on_gpus), "max_restarts": 0}
    start = partial(ray.remote(Worker).options(**options, **memory).remote, threads)
    teams: list[RayTeam] = []
    actors = _started(ray, start, wanted)

    def engine(measure: Metric) -> SplitEngine:
        if not teams:
            teams.append(RayTeam(setting, measure, start, actors, batch_size, announce))
        return SplitEngine(setting, measure, teams[0])

    try:
        each = f"{counted(threads, 'thread')} each"
        announce(f"splitting the prompts over {counted(len(actors), 'worker')} of {cluster.given}, {each}")
        yield replace(setting, split=engine)
    finally:
        for actor in actors:  # a team puts others in their place
            with suppress(Exception):  # the cluster may be gone
                ray.kill(actor)


def _started(ray: Any, start: Callable[[], Any], wanted: int) -> list[Any]:
    """As many actors as the cluster gives at once; waits for the first."""
    actors = [start() for _ in range(wanted)]
    asked = {actor.ready.remote(): actor for actor in actors}
    ready, _ = ray.wait(list(asked), num_returns=wanted, timeout=_MOST_SECONDS)
    for answer, actor in asked.items():
        if answer not in ready:
            ray.kill(actor)
    found = [asked[answer] for answer in asked if answer in ready]
    if not found:
        raise ClusterError(
            f"the cluster starts no worker within {_MOST_SECONDS} seconds; others may use all of it, see `ray status`."
        )
    return found


def _that_fit(setting: Setting, most: int, batch_size: int | None) -> tuple[int, dict[str, int]]:
    """How many workers memory holds, and what of it Ray is to count for each."""
    total = int(imported_ray().cluster_resources().get("memory", 0))
    model = setting.model
    weights = sum(parameter.nbytes for parameter in model.bridge.parameters())
    engine = engine_for(setting.engine, model)
    for n in range(most, 0, -1):
        part = setting.prompts.part(slice(0, math.ceil(len(setting.prompts) / n)))
        needs = (
            weights
            + memory_estimate(model, part, ablation=setting.ablation, engine=engine, batch_size=batch_size).usual
        )
        if n * needs <= total:
            return n, {"memory": needs}
    return 1, {}
