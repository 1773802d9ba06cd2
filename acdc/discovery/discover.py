"""``discover``: from a model and a task to a circuit, with a record that another can repeat.

Nothing here imports torch before it is needed: what is asked is checked, and a finished run handed back, at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acdc.discovery.asking import Asked
from acdc.discovery.handing_back import handed_back, handed_back_by_hashes, task_sha256
from acdc.methods.base import Method
from acdc.pairs import PromptPair
from acdc.pairs.finding import find_task
from acdc.pairs.task import Task
from acdc.runs.run import Run
from acdc.selection import Selection
from acdc.waiting import bars

if TYPE_CHECKING:
    import torch

    from acdc.engine.own_metric import MetricFunction
    from acdc.models.model import Model


def discover(
    model: Model | str | Path | Any,
    task: Task | type[Task] | Sequence[PromptPair] | str | Path,
    *,
    method: str | Method = "acdc",
    select: Selection | None = None,
    metric: str | MetricFunction = "kl",
    ablation: str = "corrupted",
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
    **options: Any,
) -> Run:
    """Find the circuit of a model that does a task.

    Args:
        model: a model of :func:`acdc.load_model`, or whatever that opens.
        task: a task or its class, its name, a file of prompt pairs, or a list of :class:`acdc.PromptPair`.
        method: ``acdc``, ``eap-ig``, or a method of :mod:`acdc.methods` with its options.
        select: for a method that scores edges (EAP-IG), which of them are the circuit: ``Top``, ``Above`` or
            ``Greedy`` of :mod:`acdc.selection`.
        metric: a name, see :mod:`acdc.metrics`; or a function of the circuit's logits ``[prediction, n_outputs]``,
            the model's and the answers, to how much worse the circuit is, ``[prediction]``; see
            :mod:`acdc.engine.own_metric`.
        ablation: what removed edges carry: ``corrupted``, ``zero`` or ``mean``.
        n: prompt pairs; by default 100, or all of a file or list.
        seed: of the prompts (of a file or list: which are used and which are held out) and of the random order; 0
            is that of a method that has one.
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
        resume: go on with the run in that folder, if there is one. A finished one is handed back: before the model
            is opened where the request is the same, and neither a prompt file (by its hash) nor a model's folder was
            changed since; a model of the hub and a task of acdc's are taken for the same by their names.
        progress: show a bar.
        announce: called with lines on what the run works on and how well the model does it.
        skip_bad_pairs: leave out prompt pairs that don't fit, with a warning that names them, instead of
            refusing them.
        answers: of a prompt file, the field or column that holds the right answers; see :mod:`acdc.pairs.promptfile`.
        wrong_answers: likewise the wrong ones.
        options: of a method by name: of ``acdc`` threshold, order and gates (:class:`acdc.methods.Acdc`), of
            ``eap-ig`` steps (:class:`acdc.methods.EapIg`).

    Raises:
        AcdcError: bad settings, prompts, models or folders, each as the subclass for it.
    """
    asked = Asked.checked(locals())
    with bars(asked.progress):
        found_task = find_task(task, answers, wrong_answers)
    file_sha256 = task_sha256(found_task)
    if (run := handed_back(asked, model, task, found_task, file_sha256)) is not None:
        return run
    from acdc.discovery import setting_up, stages, writing  # torch, which takes seconds to import

    with stages.computing(asked, model):
        opened, prompts = setting_up.open_and_draw(asked, model, found_task)
        setting, record = stages.begun(asked, opened, prompts, found_task, file_sha256)
        if (run := handed_back_by_hashes(asked, record)) is not None:
            return run
        with writing.folder_of(asked, record) as folder:
            record = record if folder is None else folder.record  # which remembers the run's beginning
            found = stages.found(asked, setting, record, folder)
            circuit, used = stages.judged(asked, found_task, setting, found, record, folder)
            del setting  # what is held out needs as much memory again
            results = stages.held_out(asked, found_task, opened, prompts, circuit, used, record)
            return writing.finished(asked, found_task, record, circuit, found, results, folder)
