"""``discover``: from a model and a task to a circuit, with a record that another can repeat."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch

from acdc.asked import flag, path
from acdc.circuit import Circuit
from acdc.discovery.introduction import introduce
from acdc.discovery.planning import MANY_PAIRS, SAMPLE_PAIRS, plan_memory, refuse_too_many
from acdc.discovery.progress import run_pruner
from acdc.discovery.request import Request
from acdc.engine.agreement import check_prompts
from acdc.engine.choice import engine_for, make_engine
from acdc.engine.memory import MemoryOptions
from acdc.engine.own_metric import MetricFunction, check_own_metric, is_own
from acdc.engine.setting import Setting, prepare
from acdc.errors import AcdcError, AcdcWarning, OverlapError, PromptError, SettingsError
from acdc.evaluation.behaviour import ablated_behaviour, evaluate
from acdc.methods.attribution import edge_attribution
from acdc.models.loading import load_model, memory_errors
from acdc.models.model import Model
from acdc.models.selfcheck import Comparison
from acdc.models.threads import fit_threads, own_threads, set_threads
from acdc.models.torchstate import own_torch_state
from acdc.pairs import PromptPair, PromptSet
from acdc.pairs.finding import find_task
from acdc.pairs.given import GivenPairs
from acdc.pairs.splitting import refuse_overlap
from acdc.pairs.task import Task
from acdc.pruning.protocol import Pruning
from acdc.pruning.pruner import Acdc
from acdc.runs.folder import RunFolder, check_free
from acdc.runs.record import measured_provenance, peak_memory_bytes, versions, working_directory
from acdc.runs.replay import last_metric, within_noise
from acdc.runs.run import Run
from acdc.runs.seal import seal
from acdc.verdict import verdict
from acdc.waiting import bars
from acdc.wording import counted


@own_threads()
@own_torch_state()
def discover(
    model: Model | str | Path | Any,
    task: Task | type[Task] | Sequence[PromptPair] | str | Path,
    *,
    threshold: float = 0.01,
    metric: str | MetricFunction = "kl",
    ablation: str = "corrupted",
    order: str = "default",
    gates: bool = False,
    n: int | None = None,
    seed: int = 0,
    corruption: str | None = None,
    bos: str = "auto",
    allow_misaligned: bool = False,
    split_input: bool = False,
    engine: str = "fast",
    batch_size: int | str = "auto",
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    threads: int | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    progress: bool = True,
    announce: Callable[[str], None] | None = None,
    skip_bad_pairs: bool = False,
    answers: str | None = None,
    wrong_answers: str | None = None,
) -> Run:
    """Find the circuit of a model that does a task, by ACDC.

    Args:
        model: a model of :func:`acdc.load_model`, or whatever that opens.
        task: a task or its class, its name, a file of prompt pairs, or a list of :class:`acdc.PromptPair`.
        threshold: the largest rise of the metric that removing an edge may cost.
        metric: a name, see :mod:`acdc.metrics`; or a function of the circuit's logits ``[prediction, n_outputs]``,
            the model's and the answers, to how much worse the circuit is, ``[prediction]``; see
            :mod:`acdc.engine.own_metric`.
        ablation: what removed edges carry: ``corrupted``, ``zero`` or ``mean``.
        order: in which a slot's parents are tried; see :mod:`acdc.pruning.orders`.
        gates: try each q, k and v slot as a whole first, as the authors' code does.
        n: prompt pairs; by default 100, or all of a file or list.
        seed: of the prompts (of a file or list: which are used and which are held out) and of the random order.
        corruption: one of the task's; by default its first.
        bos: ``auto``: prompts begin as the tokenizer has it; ``yes``: with exactly one BOS (as EAP-IG,
            MIB and AutoCircuit do); ``no``: none is added. See :func:`acdc.pairs.tokenize_pair`.
        allow_misaligned: take pairs whose words stand at other tokens, with a warning.
        split_input: ``embed`` and ``pos_embed`` in place of ``input``.
        engine: ``fast``, or ``reference``, which runs the whole model for every edge; both
            make the same decisions.
        batch_size: prompts that the whole model runs at a time, or ``auto``: all, or fewer where what
            they write would take much memory. It is kept only where all run at once; else it
            is computed anew when it is needed.
        device: see :func:`acdc.load_model`; not for a model that is open already.
        dtype: likewise.
        threads: that torch computes with; by default as many as suit the model's size (see
            :mod:`acdc.models.threads`). Its number is put back at the end.
        out: folder to write; by default nothing is written.
        resume: go on with the run in that folder, if there is one.
        progress: show a bar.
        announce: called with lines on what the run works on and how well the model does it.
        skip_bad_pairs: leave out prompt pairs that don't fit, with a warning that names them, instead of
            refusing them.
        answers: of a prompt file, the field or column that holds the right answers; see :mod:`acdc.pairs.promptfile`.
        wrong_answers: likewise the wrong ones.

    Raises:
        AcdcError: bad settings, prompts, models or folders, each as the subclass for it.
    """
    asked = Request.checked(locals())
    resume, progress = flag("resume", resume), flag("progress", progress)
    if announce is not None and not callable(announce):
        raise SettingsError("`announce` must be a function that takes a line, e.g. print.")
    if isinstance(model, Model) and not (device is None and dtype is None):
        raise SettingsError("the model is open already; give device and dtype to load_model.")
    set_threads(threads)
    announce = announce or _silent
    with bars(progress):
        found_task = find_task(task, answers, wrong_answers)
    folder_path = None if out is None else path("out", out)
    if folder_path is not None:
        known = {**asked.to_json(found_task), "n": asked.n}
        if isinstance(model, str | Path):
            precision = "float32" if dtype is None else str(dtype).removeprefix("torch.")
            known |= {"model": str(model).rstrip("/") or str(model), "dtype": precision}
        check_free(folder_path, resume=resume, asked=known)
    if not asked.skip_bad_pairs:
        found_task.refuse_unreadable()
    for note in found_task.notes:
        announce(note)
    with ExitStack() as held, memory_errors(), bars(progress):
        opened = model if isinstance(model, Model) else load_model(model, device=device, dtype=dtype)
        prompts, together, memory = _plan(asked, opened, found_task, announce)
        used_threads = fit_threads(opened, prompts) if threads is None else threads
        announce("running the prompts, and two circuits for the noise floor")
        setting, checked = _setting(asked, opened, prompts, together)
        hashes = {"model": opened.sha256, "data": prompts.sha256()}
        if (own := check_own_metric(asked.measure, setting)) is not None:
            hashes["metric"] = own
        request = {
            **asked.to_json(found_task),
            "model": opened.name,
            "n": len(prompts),
            "device": str(opened.device),
            "dtype": str(opened.dtype).removeprefix("torch."),
        }
        runner = make_engine(asked.engine, setting, asked.measure)
        if runner.name != asked.engine:
            said = f"the {asked.engine} engine doesn't run this model in {request['dtype']}"
            announce(f"{said}; the {runner.name} engine does, slowly")
        attribution = edge_attribution(setting, asked.measure) if asked.settings.order == "attribution" else None
        setting.contributions.forget_clean()
        ablated = ablated_behaviour(setting)
        record = {
            **_new_record(request, hashes, setting, runner),
            "metric_ablated": ablated.metrics[asked.measure.name],
            "self_check": asdict(checked),
            "batch_size": together,
            "threads": int(used_threads),
            "estimated_memory_bytes": memory,
            "asked": {"n": asked.n, "engine": asked.engine, "batch_size": asked.batch_size or "auto"},
            "directory": working_directory(),
        }
        introduce(setting, record, announce)
        folder = None if folder_path is None else RunFolder(folder_path, record, resume=resume)
        if folder is not None:
            if folder.finished:
                announce(f"the run in {folder.path} is finished already")
                return Run.load(folder.path)
            held.enter_context(folder)
            record = folder.record
            if resume and not folder.resumed:
                announce(f"there is no run in {folder.path} to go on with; this is a new one")
            elif folder.resumed:
                announce(f"going on after {counted(len(folder.trace.past), 'decision')} in {folder.path}")
        past = [] if folder is None else folder.trace.past
        pruner = Acdc(runner, asked.settings, attribution=attribution, past=past, noise=record["noise_floor"])
        decisions = run_pruner(pruner, asked.measure.name, folder, record, progress=progress)
        # What rounding did to the run itself, which sums otherwise than the reference; what its batches took is
        # freed by this, for the evaluation.
        drift = abs(runner.metric() - runner.metric_of(pruner.kept))
        record["noise_floor"] = max(record["noise_floor"], drift)
        in_graph = setting.graph.on_path(pruner.kept)
        metrics = (found_task.metric, asked.measure.name)
        used = evaluate(setting, in_graph, ablated, metrics=metrics)
        request = record["request"]
        circuit = Circuit(setting.graph, in_graph, pruner.scores, measured_provenance(request, used, None)).measured()
        if folder is not None:
            folder.write_circuit(circuit)  # what is found is safe before the held-out prompts can fail
        del setting, runner, pruner.engine  # they need as much memory again
        rest = held.pop_all()
    with rest:
        held_out = None
        try:
            with memory_errors(), bars(progress):
                others = asked.prompts(opened, found_task, "test", asked.n)
                refuse_overlap(prompts, others)
                unseen, unseen_checked = _setting(asked, opened, others, together)
                held_out = evaluate(unseen, in_graph, metrics=metrics)
            record["self_check"] = asdict(checked | unseen_checked)
        except AcdcError as error:  # the circuit is found all the same
            record["no_held_out"] = str(error)
            _say_why(error, announce)
        circuit = replace(circuit, found=measured_provenance(request, used, held_out)).measured()
        record.update(
            status="finished",
            tried=pruner.n_tried,
            kept=pruner.n_kept,
            in_circuit=circuit.n_edges,
            within_noise=within_noise(decisions, asked.settings.threshold, record["noise_floor"]),
            last_metric=last_metric(decisions),
            results={"used": used.to_json(), "held_out": None if held_out is None else held_out.to_json()},
            usual_metric=found_task.metric,
            verdict=verdict(
                used,
                held_out,
                n_edges=circuit.n_edges,
                n_graph=circuit.graph.n_edges,
                metric=asked.measure.name,
                threshold=asked.settings.threshold,
            ),
            peak_memory_bytes=peak_memory_bytes(),
        )
        seal(record, decisions, circuit.found.fingerprint)
        if folder is not None:
            folder.write_circuit(circuit)
            folder.write_record()
    return Run(circuit, decisions, record, folder_path)


def _plan(asked: Request, model: Model, task: Task, announce: Callable[[str], None]) -> tuple[PromptSet, int, int]:
    """The prompts used, how many of them to run together, and bytes of a usual run."""
    options: MemoryOptions = {
        "ablation": asked.ablation,
        "engine": engine_for(asked.engine, model),
        "gradients": asked.settings.order == "attribution",
    }
    checks_all = asked.skip_bad_pairs and isinstance(task, GivenPairs)  # even for a few of them
    if not checks_all and (wanted := task.default_n if asked.n is None else asked.n) > MANY_PAIRS:
        # What is to be said of the pairs is said of all of them, below.
        with warnings.catch_warnings(), suppress(PromptError):
            warnings.simplefilter("ignore", AcdcWarning)
            refuse_too_many(model, asked.prompts(model, task, "train", SAMPLE_PAIRS), wanted, **options)
    prompts = asked.prompts(model, task, "train", asked.n)
    return prompts, *plan_memory(model, prompts, asked.batch_size, announce, **options)


def _setting(asked: Request, model: Model, prompts: PromptSet, together: int) -> tuple[Setting, Comparison]:
    """The prompts run once, and how far the nodes are from the model on them."""
    made = prepare(model, prompts, ablation=asked.ablation, split_input=asked.split_input, batch_size=together)
    if is_own(asked.measure):
        made = replace(made, own_metric=asked.measure)
    return made, check_prompts(made)


def _say_why(error: AcdcError, announce: Callable[[str], None]) -> None:
    """Say why there is no result on held-out prompts; a task that doesn't hold any out is warned of."""
    why = f"no result on held-out prompts: {error}"
    if isinstance(error, OverlapError):
        warnings.warn(why, AcdcWarning, stacklevel=3)
    else:
        announce(why)


def _new_record(request: dict[str, Any], hashes: dict[str, str], setting: Setting, engine: Pruning) -> dict[str, Any]:
    """What ``run.json`` says of a run that begins."""
    return {
        "format": 1,
        "status": "running",
        "request": request,
        "engine": engine.name,
        "hashes": hashes,
        "versions": versions(),
        "graph": {"nodes": len(setting.graph.nodes), "edges": setting.graph.n_edges},
        "cfg": asdict(setting.graph.cfg),
        "drops_are_free": engine.drops_are_free,
        "left_out": dict(setting.prompts.left_out),
        "noise_floor": engine.noise_floor(),
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "seconds": 0.0,
    }


def _silent(line: str) -> None:
    """Announce nothing."""
