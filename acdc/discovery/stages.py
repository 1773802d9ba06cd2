"""The steps of a run between the prompts and its record, as :func:`acdc.discover` takes them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, fields
from typing import Any

from acdc.circuit import Circuit
from acdc.cluster.connection import Cluster, connected
from acdc.cluster.workers import split_over
from acdc.discovery.asking import Asked
from acdc.discovery.checking import checked_found
from acdc.discovery.introduction import introduce
from acdc.discovery.progress import RunLog
from acdc.discovery.setting_up import plan, set_up_asked
from acdc.discovery.writing import chosen, found_circuit, new_record
from acdc.engine.setting import Setting
from acdc.errors import AcdcError, OverlapError, SettingsError, warn
from acdc.evaluation.behaviour import evaluate
from acdc.methods.base import Found
from acdc.models.loading import memory_errors
from acdc.models.model import Model
from acdc.models.selfcheck import LogitComparison
from acdc.models.threads import fit_threads, own_threads, set_threads
from acdc.models.torchstate import own_torch_state
from acdc.pairs import PromptSet
from acdc.pairs.splitting import refuse_overlap
from acdc.pairs.task import Task
from acdc.results import Evaluation
from acdc.runs.folder import RunFolder
from acdc.runs.record import Record, Results
from acdc.waiting import bars


@contextmanager
def computing(asked: Asked, model: Any) -> Iterator[Cluster | None]:
    """Torch as a run needs it, put back at the end, and the cluster that it is to run on.

    Raises:
        ClusterError: the cluster can't be reached.
        SettingsError: that is no number of threads, or the model is open already and was to be opened otherwise.
        MemoryLimitError: out of memory.
    """
    if isinstance(model, Model) and not (asked.device is None and asked.dtype is None):
        raise SettingsError("the model is open already; give device and dtype to load_model.")
    with own_threads(), own_torch_state(), memory_errors(), bars(asked.progress):
        set_threads(asked.threads)
        with nullcontext() if asked.cluster is None else connected(asked.cluster) as cluster:
            yield cluster


def begun(
    asked: Asked, model: Model, prompts: PromptSet, task: Task, file_sha256: str | None
) -> tuple[Setting, Record]:
    """The model on its prompts, and the record of a run on them; says what the run works on."""
    together, memory = plan(asked, model, prompts)
    threads = fit_threads(model, prompts) if asked.threads is None else asked.threads
    runs_engine = asked.method.runs_engine
    asked.announce(f"running the prompts{', and two circuits for the noise floor' if runs_engine else ''}")
    setting, checked = set_up_asked(asked, model, prompts, together)
    record = new_record(asked, task, file_sha256, setting, checked, together)
    record.threads, record.estimated_memory_bytes = int(threads), memory
    if record.engine not in (None, asked.engine):
        what = f"with frozen {' and '.join(asked.freeze)}" if asked.freeze else f"in {record.request.dtype}"
        said = f"the {asked.engine} engine doesn't run this model {what}"
        asked.announce(f"{said}; the {record.engine} engine does, slowly")
    if (cost := asked.method.cost(setting.graph)) is not None:
        asked.announce(f"cost of {asked.method.name}: {cost.words}")
    introduce(setting, record, asked.announce, is_control=task.declared(asked.corruption).is_control)
    return setting, record


def found(
    asked: Asked, setting: Setting, record: Record, folder: RunFolder | None, cluster: Cluster | None = None
) -> Found:
    """What the method finds, on the workers of a cluster if there is one; what it measured is put into the record."""
    with _split(asked, setting, cluster) as split, RunLog(record, folder, progress=asked.progress) as log:
        result, seconds = _found(asked, split, log)
    record.seconds = max(record.seconds, seconds)
    result = checked_found(asked.method, result, setting.graph, record, log.decided)
    known = {one.name for one in fields(Record)}
    for name, value in result.measured.items():
        if name in known:
            setattr(record, name, value)
        else:  # of a method that another package brings
            record.further = {**record.further, name: value}
    return result


def _split(asked: Asked, setting: Setting, cluster: Cluster | None) -> AbstractContextManager[Setting]:
    """The setting, whose prompts a cluster's workers have."""
    if cluster is None:
        return nullcontext(setting)
    return split_over(cluster, setting, asked.batch_size, asked.threads or 1, asked.announce)


def _found(asked: Asked, setting: Setting, log: RunLog) -> tuple[Found, float]:
    """What the method gives, and the seconds that it took; where a selection is to choose, it serves all selections."""

    def find() -> tuple[Found, float]:
        begun = time.monotonic()
        result = asked.method.find(setting, asked.measure, log)
        return result, time.monotonic() - begun

    return find() if asked.method.decides else setting.once(("found", asked.method, asked.measure), find)


def judged(
    asked: Asked, task: Task, setting: Setting, found: Found, record: Record, folder: RunFolder | None
) -> tuple[Circuit, Evaluation]:
    """The circuit, and what it does on the prompts that it was found on.

    It is written at once: what is found is safe before the held-out prompts can fail.
    """
    in_graph = chosen(asked, setting.graph, found)
    _say_left_out(asked, found, int(in_graph.sum()))
    used = evaluate(setting, in_graph, metrics=(task.metric, asked.measure.name))
    circuit = found_circuit(setting.graph, in_graph, found, record, used)
    if folder is not None:
        folder.write_circuit(circuit)
    return circuit, used


def held_out(
    asked: Asked,
    task: Task,
    model: Model,
    prompts: PromptSet,
    circuit: Circuit,
    used: Evaluation,
    record: Record,
) -> Results:
    """The results, with those on held-out prompts where there are any; says why there are none."""
    try:
        with memory_errors():
            setting, checked = held_out_setting(asked, task, model, prompts, record)
            unseen = evaluate(setting, circuit.in_graph, metrics=(task.metric, asked.measure.name))
        record.self_check = asdict(LogitComparison(**(record.self_check or {})) | checked)
        record.held_out_sha256 = setting.prompts.sha256()
        return Results(used, unseen)
    except AcdcError as error:  # the circuit is found all the same
        record.no_held_out = str(error)
        _say_why(error, asked)
    return Results(used)


def held_out_setting(
    asked: Asked, task: Task, model: Model, prompts: PromptSet, record: Record
) -> tuple[Setting, LogitComparison]:
    """The model on prompts of a run's task that are none of those used, and how far the nodes are from it on them.

    Raises:
        OverlapError: some of them are.
        AcdcError: the task has no others, or they don't fit.
    """
    others = asked.prompts(model, task, "test", asked.n)
    refuse_overlap(prompts, others)
    together = len(others) if asked.freeze else record.batch_size or len(others)
    setting, checked = set_up_asked(asked, model, others, together)
    setting.contributions.forget_clean()  # circuits run on what removed edges carry
    return setting, checked


def _say_left_out(asked: Asked, found: Found, n_edges: int) -> None:
    """Say how many edges of those that were asked for, drawn or learnt are on no path; ACDC tells by its decisions."""
    wanted = 0
    if asked.select is not None and asked.select.level == "edges":
        wanted = getattr(asked.select, "n", 0)
    elif found.kept is not None and not asked.method.runs_engine:
        wanted = int(found.kept.sum())
    if wanted > n_edges:
        asked.announce(f"{wanted - n_edges} of {wanted} edges are on no path from the input to the logits: left out")


def _say_why(error: AcdcError, asked: Asked) -> None:
    """Say why there is no result on held-out prompts; a task that doesn't hold any out is warned of."""
    why = f"no result on held-out prompts: {error}"
    if isinstance(error, OverlapError):
        warn(why)
    else:
        asked.announce(why)
