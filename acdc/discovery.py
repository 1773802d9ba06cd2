"""``discover``: from a model and a task to a circuit, with a record that another can repeat."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from acdc.circuit import Circuit, Provenance
from acdc.decision import Decision
from acdc.engine.base import Engine
from acdc.engine.choice import check_engine, engine_for, make_engine
from acdc.engine.setting import Setting, check_ablation, prepare
from acdc.errors import MemoryLimitError, NumericsError, PromptError, SettingsError
from acdc.evaluation import Evaluation, ablated_behaviour, evaluate
from acdc.loading import load_model, memory_errors
from acdc.methods.acdc import Acdc, AcdcSettings
from acdc.methods.attribution import edge_attribution
from acdc.metrics import find_metric
from acdc.models.model import Model
from acdc.prompts import PromptSet
from acdc.runs.folder import RunFolder, check_free
from acdc.runs.introduction import introduce
from acdc.runs.planning import asked_batch_size, plan_memory
from acdc.runs.progress import run_pruner
from acdc.runs.record import peak_memory_bytes, versions
from acdc.runs.run import Run
from acdc.task import Split, Task, find_task
from acdc.threads import fit_threads, own_threads, set_threads
from acdc.wording import counted


@own_threads()
def discover(
    model: Model | str | Path | Any,
    task: Task | str | Path,
    *,
    threshold: float = 0.01,
    metric: str = "kl",
    ablation: str = "corrupted",
    order: str = "default",
    gates: bool = False,
    n: int | None = None,
    seed: int = 0,
    corruption: str | None = None,
    split_input: bool = False,
    engine: str = "fast",
    batch_size: int | str = "auto",
    device: str | None = None,
    dtype: str | None = None,
    threads: int | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    progress: bool = True,
    announce: Callable[[str], None] | None = None,
) -> Run:
    """Find the circuit of a model that does a task, by ACDC.

    Args:
        model: a model of :func:`acdc.load_model`, or whatever that opens.
        task: a task, its name, or a file of prompt pairs.
        threshold: the largest rise of the metric that removing an edge may cost.
        metric: see :mod:`acdc.metrics`.
        ablation: what removed edges carry: ``corrupted``, ``zero`` or ``mean``.
        order: in which a slot's parents are tried; see :mod:`acdc.methods.orders`.
        gates: try each q, k and v slot as a whole first, as the authors' code does.
        n: prompt pairs; by default 100, or all of a file.
        seed: of the prompts and of the random order.
        corruption: one of the task's; by default its first.
        split_input: ``embed`` and ``pos_embed`` in place of ``input``.
        engine: ``fast``, or ``reference``, which runs the whole model for every edge; both
            make the same decisions.
        batch_size: prompts that the whole model runs at a time, or ``auto``: all, or fewer where what
            they write would take much memory. It is kept only where all run at once; else it
            is computed anew when it is needed.
        device: see :func:`acdc.load_model`; not for a model that is open already.
        dtype: likewise.
        threads: that torch computes with; by default as many as suit the model's size (see
            :mod:`acdc.threads`). Its number is put back at the end.
        out: folder to write; by default nothing is written.
        resume: go on with the run in that folder, if there is one.
        progress: show a bar.
        announce: called with lines on what the run works on and how well the model does it.

    Raises:
        AcdcError: bad settings, prompts, models or folders, each as the subclass for it.
    """
    settings = AcdcSettings(threshold, order=order, gates=gates, seed=seed)
    measure = find_metric(metric)
    check_ablation(ablation)
    check_engine(engine)
    asked = asked_batch_size(batch_size)
    if isinstance(model, Model) and (device or dtype):
        raise SettingsError("the model is open already; give device and dtype to load_model.")
    set_threads(threads)
    announce = announce or _silent
    found_task = find_task(task)
    path = None if out is None else Path(out)
    if path is not None:
        check_free(path, resume=resume)
    with memory_errors():
        opened = model if isinstance(model, Model) else load_model(model, device=device, dtype=dtype)

        def prompts_for(split: Split, n: int | None) -> PromptSet:
            prompts = _prompts(opened, found_task, n, seed, split, corruption)
            measure.check(prompts)
            return prompts

        def setting_for(prompts: PromptSet) -> Setting:
            return prepare(opened, prompts, ablation=ablation, split_input=split_input, batch_size=together)

        prompts = prompts_for("train", n)
        used_threads = fit_threads(opened, prompts) if threads is None else threads
        together, memory = plan_memory(
            opened, prompts, asked, announce, ablation=ablation, engine=engine_for(engine, opened), order=order
        )
        announce("running the prompts, and two circuits for the noise floor")
        setting = setting_for(prompts)
        request = {
            "task": found_task.name,
            "model": opened.name,
            "method": "acdc",
            "threshold": threshold,
            "metric": metric,
            "ablation": ablation,
            "order": order,
            "gates": gates,
            "n": len(setting.prompts),
            "seed": seed,
            "corruption": corruption or next(iter(found_task.corruptions)),
            "split_input": split_input,
            "device": str(opened.device),
            "dtype": str(opened.dtype).removeprefix("torch."),
        }
        runner = make_engine(engine, setting, measure)
        if runner.name != engine:
            said = f"the {engine} engine doesn't run this model in {request['dtype']}"
            announce(f"{said}; the {runner.name} engine does, slowly")
        attribution = edge_attribution(setting, measure) if order == "attribution" else None
        setting.contributions.forget_clean()
        ablated = ablated_behaviour(setting)
        record = _new_record(request, setting, runner, ablated.metrics[metric], memory, together, used_threads)
        introduce(setting, record, announce)
        folder = None if path is None else RunFolder(path, record, resume=resume)
        if folder is not None:
            if folder.finished:
                announce(f"the run in {folder.path} is finished already")
                return Run.load(folder.path)
            record = folder.record
            if resume and not folder.resumed:
                announce(f"there is no run in {folder.path} to go on with; this is a new one")
            elif folder.resumed:
                announce(f"going on after {counted(len(folder.trace.past), 'decision')} in {folder.path}")
        pruner = Acdc(runner, settings, attribution=attribution, past=[] if folder is None else folder.trace.past)
        decisions = run_pruner(pruner, metric, folder, record, progress=progress)
        # What rounding did to the run itself, which sums otherwise than the reference; what its batches took is
        # freed by this, for the evaluation.
        drift = abs(runner.metric() - runner.metric_of(pruner.kept))
        record["noise_floor"] = max(record["noise_floor"], drift)
        in_graph = setting.graph.on_path(pruner.kept)
        used = evaluate(setting, in_graph, ablated)
        circuit = Circuit(setting.graph, in_graph, pruner.scores, _provenance(request, used))
        if folder is not None:
            folder.write_circuit(circuit)  # what is found is safe before the held-out prompts can fail
        del setting, runner, pruner.engine  # they need as much memory again
    try:
        with memory_errors():
            held_out = evaluate(setting_for(prompts_for("test", used.n_prompts)), in_graph)
    except (PromptError, NumericsError, MemoryLimitError) as error:
        announce(f"no result on held-out prompts: {error}")
        held_out = None
    last = decisions[-1]
    record.update(
        status="finished",
        tried=pruner.n_tried,
        kept=pruner.n_kept,
        in_circuit=circuit.n_edges,
        within_noise=_within_noise(decisions, threshold, record["noise_floor"]),
        last_metric=last.before if last.kept else last.after,
        results={"used": asdict(used), "held_out": None if held_out is None else asdict(held_out)},
        usual_metric=found_task.metric,
        peak_memory_bytes=peak_memory_bytes(),
    )
    if folder is not None:
        folder.write_record()
    return Run(circuit, decisions, record, path)


def _new_record(
    request: dict[str, Any],
    setting: Setting,
    engine: Engine,
    metric_ablated: float,
    memory: int,
    batch_size: int,
    threads: int,
) -> dict[str, Any]:
    """What ``run.json`` says of a run that begins."""
    return {
        "format": 1,
        "status": "running",
        "request": request,
        "engine": engine.name,
        "hashes": {"model": setting.model.sha256, "data": setting.prompts.sha256()},
        "versions": versions(),
        "graph": {"nodes": len(setting.graph.nodes), "edges": setting.graph.n_edges},
        "left_out": dict(setting.prompts.left_out),
        "noise_floor": engine.noise_floor(),
        "metric_ablated": metric_ablated,
        "batch_size": batch_size,
        "threads": int(threads),
        "estimated_memory_bytes": memory,
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "seconds": 0.0,
    }


def _silent(line: str) -> None:
    """Announce nothing."""


def _prompts(model: Model, task: Task, n: int | None, seed: int, split: Split, corruption: str | None) -> PromptSet:
    return task.prompts(
        model.tokenizer,
        n,
        seed,
        split,
        corruption,
        vocab_size=model.vocab_size,
        n_outputs=model.n_outputs,
        max_length=model.n_ctx,
    )


def _provenance(request: dict[str, Any], used: Evaluation) -> Provenance:
    """Where a circuit comes from, and how well it does on the prompts used."""
    fields = ("task", "model", "method", "metric", "ablation", "threshold", "order", "gates")
    return Provenance(
        **{name: request[name] for name in fields},
        n_prompts=used.n_prompts,
        metric_circuit=used.circuit.metrics[request["metric"]],
        metric_ablated=used.ablated.metrics[request["metric"]],
    )


def _within_noise(decisions: Sequence[Decision], threshold: float, noise: float) -> int:
    """Decisions that rounding could have turned."""
    return sum(abs(decision.after - decision.before - threshold) < noise for decision in decisions)
