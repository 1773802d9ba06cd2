"""``discover``: from a model and a task to a circuit, with a record that another can repeat.

Nothing here imports torch before it is needed: what is asked is checked, and a finished run handed back, at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acdc.discovery.asking import Asked
from acdc.discovery.handing_back import handed_back, handed_back_by_hashes, task_sha256
from acdc.errors import noting
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
    freeze: str | Sequence[str] | None = None,
    engine: str = "fast",
    batch_size: int | str = "auto",
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    threads: int | None = None,
    out: str | Path | None = None,
    cluster: str | None = None,
    resume: bool = False,
    progress: bool = True,
    announce: Callable[[str], None] | None = None,
    skip_bad_pairs: bool = False,
    answers: str | None = None,
    wrong_answers: str | None = None,
    **options: Any,
) -> Run:
    """Find the circuit of a model that does a task.

    In full, every option is told in :class:`acdc.discovery.asking.Asked`; here in short.

    What: `model` is one of :func:`acdc.load_model`, or whatever that opens (on `device`, in `dtype`), and `task` a
    task, its class or name, a file of prompt pairs, or a list of :class:`acdc.PromptPair`. How: `method` is ``acdc``
    (with `threshold`, `order` and `gates`), ``eap-ig`` (with `steps`), or a method of :mod:`acdc.methods`; one that
    scores edges needs a `select` of :mod:`acdc.selection`. `metric` says how much worse a circuit is (a name or a
    function), and `ablation` what removed edges carry: ``corrupted``, ``zero`` or ``mean``; `split_input` parts token
    and position embeddings, and `freeze` keeps ``attention`` patterns or ``norms`` as they are on the clean prompts.

    Prompts: `n` of them (by default 100, or all of a file) by `seed` and `corruption`; `bos` says how they begin,
    `allow_misaligned` and `skip_bad_pairs` what becomes of those that don't fit, `answers` and `wrong_answers` which
    columns of a file are meant. Running: `engine` is ``fast`` or ``reference``, `batch_size` how many prompts the
    model runs at a time, and `threads` what torch computes with. With `cluster` (``ray``, or ``ray://host:port``) the
    workers of a Ray cluster share the prompts of a method that tries edges, and decide as one process does.

    Results go to the folder `out`, if one is given; with `resume`, a run in it is gone on with, or handed back if it is
    finished. `progress` shows a bar, and `announce` takes lines on what the run works on.

    Raises:
        AcdcError: bad settings, prompts, models or folders, each as the subclass for it.
    """
    return run(Asked.checked(locals()), model, task)


@noting()  # so that the record has it
def run(asked: Asked, model: Any, task: Any) -> Run:
    """The steps of a run.

    Args:
        asked: the options; what several runs share is computed by its ``once``.
        model: as for :func:`discover`.
        task: likewise.
    """
    with bars(asked.progress):
        found_task = find_task(task, asked.answers, asked.wrong_answers)
    file_sha256 = task_sha256(found_task)
    if (run := handed_back(asked, model, task, found_task, file_sha256)) is not None:
        return run
    from acdc.discovery import setting_up, stages, writing  # torch, which takes seconds to import

    with stages.computing(asked, model) as cluster:
        opened, prompts = setting_up.open_and_draw(asked, model, found_task)
        setting, record = stages.begun(asked, opened, prompts, found_task, file_sha256)
        if (run := handed_back_by_hashes(asked, record)) is not None:
            return run
        with writing.folder_of(asked, record) as folder:
            record = record if folder is None else folder.record  # which remembers the run's beginning
            found = stages.found(asked, setting, record, folder, cluster)
            circuit, used = stages.judged(asked, found_task, setting, found, record, folder)
            del setting  # what is held out needs as much memory again
            results = stages.held_out(asked, found_task, opened, prompts, circuit, used, record)
            return writing.finished(asked, found_task, record, circuit, found, results, folder)
