"""``discover``: from a model and a task to a circuit, with a record that another can repeat."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from acdc.asked import flag, path, real, text, whole
from acdc.circuit import Circuit
from acdc.engine.base import Engine
from acdc.engine.choice import check_engine, engine_for, make_engine
from acdc.engine.selfcheck import Comparison, check_prompts
from acdc.engine.setting import Setting, check_ablation, prepare
from acdc.errors import AcdcError, AcdcWarning, OverlapError, PromptError, SettingsError
from acdc.evaluation import ablated_behaviour, evaluate
from acdc.given import GivenPairs
from acdc.loading import load_model, memory_errors
from acdc.methods.acdc import Acdc, AcdcSettings
from acdc.methods.attribution import edge_attribution
from acdc.models.model import Model
from acdc.own_metric import MetricFunction, asked_metric, check_own_metric, is_own
from acdc.prompts import PromptPair, PromptSet
from acdc.runs.folder import RunFolder, check_free
from acdc.runs.introduction import introduce
from acdc.runs.planning import MANY_PAIRS, SAMPLE_PAIRS, asked_batch_size, plan_memory, refuse_too_many
from acdc.runs.progress import run_pruner
from acdc.runs.record import measured_provenance, peak_memory_bytes, versions, working_directory
from acdc.runs.replay import last_metric, within_noise
from acdc.runs.run import Run
from acdc.runs.seal import seal
from acdc.splitting import refuse_overlap
from acdc.task import Split, Task, find_task
from acdc.threads import fit_threads, own_threads, set_threads
from acdc.torchstate import own_torch_state
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
    device: str | None = None,
    dtype: str | None = None,
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
            the model's and the answers, to how much worse the circuit is, ``[prediction]``; see :mod:`acdc.own_metric`.
        ablation: what removed edges carry: ``corrupted``, ``zero`` or ``mean``.
        order: in which a slot's parents are tried; see :mod:`acdc.methods.orders`.
        gates: try each q, k and v slot as a whole first, as the authors' code does.
        n: prompt pairs; by default 100, or all of a file or list.
        seed: of the prompts (of a file or list: which are used and which are held out) and of the random order.
        corruption: one of the task's; by default its first.
        bos: ``auto``: prompts begin as the tokenizer has it; ``yes``: with exactly one BOS (as EAP-IG,
            MIB and AutoCircuit do); ``no``: none is added. See :func:`acdc.prompts.tokenize_pair`.
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
            :mod:`acdc.threads`). Its number is put back at the end.
        out: folder to write; by default nothing is written.
        resume: go on with the run in that folder, if there is one.
        progress: show a bar.
        announce: called with lines on what the run works on and how well the model does it.
        skip_bad_pairs: leave out prompt pairs that don't fit, with a warning that names them, instead of
            refusing them.
        answers: of a prompt file, the field or column that holds the right answers; see :mod:`acdc.promptfile`.
        wrong_answers: likewise the wrong ones.

    Raises:
        AcdcError: bad settings, prompts, models or folders, each as the subclass for it.
    """
    threshold, seed, n = real("threshold", threshold), whole("seed", seed), None if n is None else whole("n", n)
    gates, split_input = flag("gates", gates), flag("split_input", split_input)
    resume, progress = flag("resume", resume), flag("progress", progress)
    skip_bad_pairs = flag("skip_bad_pairs", skip_bad_pairs)
    for name, given in (("corruption", corruption), ("device", device), ("dtype", dtype)):
        if given is not None:
            text(name, given)
    if announce is not None and not callable(announce):
        raise SettingsError("`announce` must be a function that takes a line, e.g. print.")
    settings = AcdcSettings(threshold, order=text("order", order), gates=gates, seed=seed)
    measure = asked_metric(metric)
    check_ablation(text("ablation", ablation))
    check_engine(text("engine", engine))
    asked = asked_batch_size(batch_size)
    if isinstance(model, Model) and (device or dtype):
        raise SettingsError("the model is open already; give device and dtype to load_model.")
    set_threads(threads)
    announce = announce or _silent
    with bars(progress):
        found_task = find_task(task, answers, wrong_answers)
    folder_path = None if out is None else path("out", out)
    if folder_path is not None:
        known: dict[str, Any] = {
            "task": found_task.name,
            **{"threshold": threshold, "metric": measure.name, "ablation": ablation, "order": order, "gates": gates},
            **{"n": n, "seed": seed, "split_input": split_input, "bos": bos, "allow_misaligned": allow_misaligned},
            **{"skip_bad_pairs": skip_bad_pairs, "answers": answers, "wrong_answers": wrong_answers},
            "corruption": corruption or next(iter(found_task.corruptions)),
        }
        if isinstance(model, str | Path):
            known |= {"model": str(model).rstrip("/") or str(model), "dtype": dtype or "float32"}
        check_free(folder_path, resume=resume, asked=known)
    if not skip_bad_pairs:
        found_task.refuse_unreadable()
    for note in found_task.notes:
        announce(note)
    with ExitStack() as held, memory_errors(), bars(progress):
        opened = model if isinstance(model, Model) else load_model(model, device=device, dtype=dtype)

        def prompts_for(split: Split, n: int | None) -> PromptSet:
            prompts = _prompts(opened, found_task, n, seed, split, corruption, bos, allow_misaligned, skip_bad_pairs)
            measure.check(prompts)
            return prompts

        def setting_for(prompts: PromptSet) -> tuple[Setting, Comparison]:
            made = prepare(opened, prompts, ablation=ablation, split_input=split_input, batch_size=together)
            if is_own(measure):
                made = replace(made, own_metric=measure)
            return made, check_prompts(made)

        options = {"ablation": ablation, "engine": engine_for(engine, opened), "order": order}
        checks_all = skip_bad_pairs and isinstance(found_task, GivenPairs)  # even for a few of them
        if not checks_all and (wanted := found_task.default_n if n is None else n) > MANY_PAIRS:
            # What is to be said of the pairs is said of all of them, below.
            with warnings.catch_warnings(), suppress(PromptError):
                warnings.simplefilter("ignore", AcdcWarning)
                refuse_too_many(opened, prompts_for("train", SAMPLE_PAIRS), wanted, **options)
        prompts = prompts_for("train", n)
        used_threads = fit_threads(opened, prompts) if threads is None else threads
        together, memory = plan_memory(opened, prompts, asked, announce, **options)
        announce("running the prompts, and two circuits for the noise floor")
        setting, checked = setting_for(prompts)
        own = check_own_metric(measure, setting)
        request = {
            "task": found_task.name,
            "model": opened.name,
            "method": "acdc",
            "threshold": threshold,
            "metric": measure.name,
            "ablation": ablation,
            "order": order,
            "gates": gates,
            "n": len(setting.prompts),
            "seed": seed,
            "corruption": corruption or next(iter(found_task.corruptions)),
            "bos": bos,
            "allow_misaligned": allow_misaligned,
            "split_input": split_input,
            "device": str(opened.device),
            "dtype": str(opened.dtype).removeprefix("torch."),
            "skip_bad_pairs": skip_bad_pairs,
            "answers": answers,
            "wrong_answers": wrong_answers,
        }
        runner = make_engine(engine, setting, measure)
        if runner.name != engine:
            said = f"the {engine} engine doesn't run this model in {request['dtype']}"
            announce(f"{said}; the {runner.name} engine does, slowly")
        attribution = edge_attribution(setting, measure) if order == "attribution" else None
        setting.contributions.forget_clean()
        ablated = ablated_behaviour(setting)
        record = _new_record(request, setting, runner, ablated.metrics[measure.name], memory, together, used_threads)
        record |= {"asked": {"n": n, "engine": engine, "batch_size": asked or "auto"}, "directory": working_directory()}
        record["self_check"] = asdict(checked)
        if own is not None:
            record["hashes"]["metric"] = own
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
        pruner = Acdc(runner, settings, attribution=attribution, past=[] if folder is None else folder.trace.past)
        decisions = run_pruner(pruner, measure.name, folder, record, progress=progress)
        # What rounding did to the run itself, which sums otherwise than the reference; what its batches took is
        # freed by this, for the evaluation.
        drift = abs(runner.metric() - runner.metric_of(pruner.kept))
        record["noise_floor"] = max(record["noise_floor"], drift)
        in_graph = setting.graph.on_path(pruner.kept)
        metrics = (found_task.metric, measure.name)
        used = evaluate(setting, in_graph, ablated, metrics=metrics)
        request = record["request"]
        circuit = Circuit(setting.graph, in_graph, pruner.scores, measured_provenance(request, used, None)).measured()
        if folder is not None:
            folder.write_circuit(circuit)  # what is found is safe before the held-out prompts can fail
        del setting, runner, pruner.engine  # they need as much memory again
        rest = held.pop_all()
    with rest:
        try:
            with memory_errors(), bars(progress):
                others = prompts_for("test", n)
                refuse_overlap(prompts, others)
                unseen, unseen_checked = setting_for(others)
                held_out = evaluate(unseen, in_graph, metrics=metrics)
            record["self_check"] = asdict(checked | unseen_checked)
        except AcdcError as error:  # the circuit is found all the same
            why = f"no result on held-out prompts: {error}"
            if isinstance(error, OverlapError):
                warnings.warn(why, AcdcWarning, stacklevel=2)
            else:
                announce(why)
            record["no_held_out"] = str(error)
            held_out = None
        circuit = replace(circuit, found=measured_provenance(request, used, held_out)).measured()
        record.update(
            status="finished",
            tried=pruner.n_tried,
            kept=pruner.n_kept,
            in_circuit=circuit.n_edges,
            within_noise=within_noise(decisions, threshold, record["noise_floor"]),
            last_metric=last_metric(decisions),
            results={"used": asdict(used), "held_out": None if held_out is None else asdict(held_out)},
            usual_metric=found_task.metric,
            verdict=verdict(
                used,
                held_out,
                n_edges=circuit.n_edges,
                n_graph=circuit.graph.n_edges,
                metric=measure.name,
                threshold=threshold,
            ),
            peak_memory_bytes=peak_memory_bytes(),
        )
        seal(record, decisions, circuit.found.fingerprint)
        if folder is not None:
            folder.write_circuit(circuit)
            folder.write_record()
    return Run(circuit, decisions, record, folder_path)


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
        "cfg": asdict(setting.graph.cfg),
        "drops_are_free": engine.drops_are_free,
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


def _prompts(
    model: Model,
    task: Task,
    n: int | None,
    seed: int,
    split: Split,
    corruption: str | None,
    bos: str,
    allow_misaligned: bool,
    skip_bad_pairs: bool,
) -> PromptSet:
    return task.prompts(
        model.tokenizer,
        n,
        seed,
        split,
        corruption,
        vocab_size=model.vocab_size,
        n_outputs=model.n_outputs,
        max_length=model.n_ctx,
        bos=bos,
        allow_misaligned=allow_misaligned,
        skip_bad_pairs=skip_bad_pairs,
    )
