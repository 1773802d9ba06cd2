"""What a run writes: its record from the beginning to the end, and its circuit."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, replace
from datetime import datetime, timezone

import numpy as np

from acdc.circuit import Circuit
from acdc.discovery.asking import Asked
from acdc.engine.choice import engine_for
from acdc.engine.own_metric import check_own_metric, is_own
from acdc.engine.setting import Setting
from acdc.errors import noted
from acdc.graph import Graph
from acdc.methods.base import Found
from acdc.methods.registry import METHODS
from acdc.models.model import Model
from acdc.models.selfcheck import LogitComparison
from acdc.pairs.finding import task_names
from acdc.pairs.task import Task
from acdc.results import Evaluation
from acdc.runs.environment import peak_memory_bytes, versions, working_directory
from acdc.runs.folder import RunFolder
from acdc.runs.record import FINISHED, FORMAT, RUNNING, Record, Results, measured_provenance
from acdc.runs.record import Asked as AskedOf
from acdc.runs.run import Run, verdict_on
from acdc.runs.seal import seal
from acdc.runs.unnamed import IN_MEMORY
from acdc.selection import select
from acdc.wording import counted


def new_record(
    asked: Asked, task: Task, file_sha256: str | None, setting: Setting, checked: LogitComparison, together: int
) -> Record:
    """What ``run.json`` says of a run that begins.

    Args:
        asked: the options.
        task: what the prompts are of.
        file_sha256: of its prompt file, if it is one's.
        setting: the model on its prompts.
        checked: how far the nodes are from the model on them.
        together: how many of them run at a time.
    """
    model, graph = setting.model, setting.graph
    hashes = {"model": asked.once("sha256", lambda: model.sha256), "data": setting.prompts.sha256()}
    if (own := check_own_metric(asked.measure, setting)) is not None:
        hashes["metric"] = own
    request = replace(
        asked.request(task),
        model=model.name,
        n=len(setting.prompts),
        device=str(model.device),
        dtype=str(model.dtype).removeprefix("torch."),
    )
    return Record(
        status=RUNNING,
        request=request,
        hashes=hashes,
        versions=versions(),
        started=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        seconds=0.0,
        format=FORMAT,
        engine=engine_for(asked.engine, model) if asked.method.runs_engine else None,
        graph={"nodes": len(graph.nodes), "edges": graph.n_edges},
        cfg=graph.cfg,
        left_out=dict(setting.prompts.left_out),
        self_check=asdict(checked),
        batch_size=together,
        asked=AskedOf(n=asked.n, engine=asked.engine, batch_size=asked.batch_size or "auto"),
        directory=working_directory(),
        task_sha256=file_sha256,
        unnamed=_unnamed(asked, model, None if file_sha256 is not None else task),
    )


def _unnamed(asked: Asked, model: Model, task: Task | None) -> list[str]:
    """What no name opens again, in words; the task is ``None`` where it is a file."""
    named = {
        model.name: not model.name.endswith(IN_MEMORY),
        f"the task {'' if task is None else task.name}": task is None or task.name in task_names(),
        f"the method {asked.method.name}": METHODS.get(asked.method.name) is type(asked.method),
        f"the metric {asked.measure.name}": not is_own(asked.measure),
    }
    return [part for part, known in named.items() if not known]


def folder_of(asked: Asked, record: Record) -> AbstractContextManager[RunFolder | None]:
    """The folder of a run, new or gone on with, held until the run ends; ``None`` where nothing is written.

    Raises:
        RunFolderError: it can't be had, or holds another run.
    """
    if asked.out is None:
        return nullcontext()
    folder = RunFolder(asked.out, record, resume=asked.resume)
    if asked.resume and not folder.resumed:
        asked.announce(f"there is no run in {folder.path} to go on with; this is a new one")
    elif folder.trace.past or (folder.resumed and asked.method.runs_engine):
        asked.announce(f"going on after {counted(len(folder.trace.past), 'decision')} in {folder.path}")
    elif folder.resumed:
        asked.announce(f"the run in {folder.path} had nothing to keep yet; it begins anew")
    return folder


def chosen(asked: Asked, graph: Graph, found: Found) -> np.ndarray:
    """The circuit's edges, ``[n_edges]`` bool: those that the method kept, or that the selection takes."""
    if asked.select is not None:
        return select(graph, found.scores, asked.select)
    assert found.kept is not None  # checked: the method decides
    return graph.on_path(found.kept)


def found_circuit(graph: Graph, in_graph: np.ndarray, found: Found, record: Record, used: Evaluation) -> Circuit:
    """What was found, with the figures on the prompts that it was found on."""
    return Circuit(graph, in_graph, found.scores, measured_provenance(record, used, None)).measured()


def finished(
    asked: Asked, task: Task, record: Record, circuit: Circuit, found: Found, results: Results, folder: RunFolder | None
) -> Run:
    """The run that has ended: its record whole and sealed, its circuit with all figures, both written."""
    circuit = replace(circuit, found=measured_provenance(record, results.used, results.held_out)).measured()
    record.status = FINISHED
    record.results, record.usual_metric = results, task.metric
    record.in_circuit = circuit.n_edges
    record.metric_ablated = results.used.ablated.metrics.get(asked.measure.name)
    record.verdict, record.warned = verdict_on(circuit, record), noted()
    record.peak_memory_bytes = peak_memory_bytes()
    seal(record, found.decisions, circuit.found.fingerprint)
    if folder is not None:
        folder.write_circuit(circuit)
        folder.write_record()
    return Run(circuit, found.decisions, record, asked.out)
