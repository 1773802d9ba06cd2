"""A model on prompts: the prompts drawn, run once, and checked. Each step can be taken alone."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from acdc.asked import batch_size as asked_batch_size
from acdc.asked import flag, text, whole
from acdc.discovery.asking import Asked, check_fits
from acdc.discovery.planning import MANY_PAIRS, SAMPLE_PAIRS, plan_memory, refuse_too_many
from acdc.engine.ablations import check_ablation
from acdc.engine.agreement import check_prompts
from acdc.engine.choice import engine_for
from acdc.engine.memory import MemoryOptions
from acdc.engine.names import asked_freeze, check_engine
from acdc.engine.once import Once, anew, within
from acdc.engine.own_metric import MetricFunction, asked_metric, check_own_metric, is_own
from acdc.engine.setting import Setting, prepare
from acdc.errors import PromptError, SettingsError, unsaid
from acdc.metrics import Metric
from acdc.models.loading import load_model, memory_errors
from acdc.models.model import Model
from acdc.models.selfcheck import LogitComparison
from acdc.models.threads import own_threads
from acdc.models.torchstate import own_torch_state
from acdc.pairs import PromptPair, PromptSet
from acdc.pairs.finding import find_task
from acdc.pairs.given import GivenPairs
from acdc.pairs.task import Split, Task


def prompts(
    model: Model | str | Path | Any,
    task: Task | type[Task] | Sequence[PromptPair] | str | Path,
    *,
    n: int | None = None,
    seed: int = 0,
    split: Split = "train",
    corruption: str | None = None,
    bos: str = "auto",
    allow_misaligned: bool = False,
    skip_bad_pairs: bool = False,
    answers: str | None = None,
    wrong_answers: str | None = None,
) -> PromptSet:
    """A task's prompts for a model, checked, as :func:`acdc.discover` draws them.

    Args:
        model: a model of :func:`acdc.load_model`, or whatever that opens.
        task: a task or its class, its name, a file of prompt pairs, or a list of :class:`acdc.PromptPair`.
        n: prompt pairs; by default 100, or all of a file or list.
        seed: of the draw.
        split: ``train`` for those that a circuit is found on, ``test`` for those held out.
        corruption: one of the task's; by default its first.
        bos: how prompts begin, see :func:`acdc.discover`; likewise the next two.
        allow_misaligned: take pairs whose words stand at other tokens.
        skip_bad_pairs: leave out pairs that don't fit.
        answers: of a prompt file, the field or column of the right answers.
        wrong_answers: likewise of the wrong ones.

    Raises:
        AcdcError: a bad model, task or option, or a pair that doesn't fit, each as the subclass for it.
    """
    if split not in ("train", "test"):
        raise SettingsError(f"`split` must be train or test, not {split!r}.")
    skip_bad_pairs = flag("skip_bad_pairs", skip_bad_pairs)
    if corruption is not None:
        text("corruption", corruption)
    found = find_task(task, answers, wrong_answers)
    if not skip_bad_pairs:
        found.refuse_unreadable()
    opened = model if isinstance(model, Model) else load_model(model)
    return found.prompts(
        opened.tokenizer,
        n,
        whole("seed", seed),
        split,
        corruption,
        **opened.limits,
        bos=text("bos", bos),
        allow_misaligned=flag("allow_misaligned", allow_misaligned),
        skip_bad_pairs=skip_bad_pairs,
    )


def set_up(
    model: Model | str | Path | Any,
    given: PromptSet | Task | type[Task] | Sequence[PromptPair] | str | Path,
    *,
    metric: str | MetricFunction | Metric = "kl",
    ablation: str = "corrupted",
    split_input: bool = False,
    freeze: str | Sequence[str] | None = None,
    engine: str = "fast",
    batch_size: int | str = "auto",
    **drawn: Any,
) -> Setting:
    """Run prompts through a model once, and check on them that its components add up to it.

    What any method, and any circuit, is then run on: ``EapIg().find(setting, metric)``.

    Args:
        model: a model of :func:`acdc.load_model`, or whatever that opens.
        given: prompts of :func:`acdc.prompts`, or a task of which they are to be drawn.
        metric: a name or a function, see :func:`acdc.discover`; the prompts must have the answers it needs.
        ablation: what removed edges carry: ``corrupted``, ``zero`` or ``mean``.
        split_input: ``embed`` and ``pos_embed`` in place of ``input``.
        freeze: what stays as it is on the clean prompts: ``attention``, ``norms`` or both; see :func:`acdc.discover`.
        engine: that methods prune on, ``fast`` or ``reference``.
        batch_size: prompts that the whole model runs at a time, or ``auto``.
        drawn: where a task is given, how :func:`acdc.prompts` is to draw from it (`n`, `seed`, `split` ...).

    Raises:
        AcdcError: a bad model, task or option, prompts that don't fit, or a model that doesn't add up.
    """
    check_ablation(text("ablation", ablation))
    check_engine(text("engine", engine))
    size, split_input = asked_batch_size(batch_size), flag("split_input", split_input)
    frozen, measure = asked_freeze(freeze), metric if isinstance(metric, Metric) else asked_metric(metric)
    if isinstance(given, PromptSet) and drawn:
        raise SettingsError(f"`{next(iter(drawn))}` says how prompts are drawn, and they are given already.")
    with own_threads(), own_torch_state(), memory_errors():
        opened = model if isinstance(model, Model) else load_model(model)
        chosen = given if isinstance(given, PromptSet) else prompts(opened, given, **drawn)
        measure.check(chosen)
        runs = engine_for(engine, opened, frozen)
        together, _ = plan_memory(opened, chosen, size, lambda line: None, ablation=ablation, engine=runs)
        made, _ = _run_once(opened, chosen, ablation, split_input, together, frozen)
        made = _of_run(made, measure, engine)
        check_own_metric(measure, made)
        return made


def open_and_draw(asked: Asked, model: Any, task: Task) -> tuple[Model, PromptSet]:
    """The model of a run, open, and the prompts that it uses.

    Raises:
        MemoryLimitError: memory can't serve so many.
        SettingsError: more edges are to be selected than its graph has.
        AcdcError: the model can't be opened, or a prompt doesn't fit.
    """
    if not asked.skip_bad_pairs:
        task.refuse_unreadable()
    for note in task.notes:
        asked.announce(note)
    opened = model if isinstance(model, Model) else load_model(model, device=asked.device, dtype=asked.dtype)
    check_fits(asked.method, asked.select, replace(opened.graph_config, split_input=asked.split_input))
    checks_all = asked.skip_bad_pairs and isinstance(task, GivenPairs)  # even for a few of them
    if not checks_all and (wanted := task.default_n if asked.n is None else asked.n) > MANY_PAIRS:
        # What is to be said of the pairs is said of all of them, below.
        with unsaid(), suppress(PromptError):
            sample = asked.prompts(opened, task, "train", SAMPLE_PAIRS)
            refuse_too_many(opened, sample, wanted, **_planned(asked, opened))
    return opened, asked.prompts(opened, task, "train", asked.n)


def plan(asked: Asked, model: Model, prompts: PromptSet) -> tuple[int, int]:
    """How many prompts to run together, and bytes of a usual run; says how much memory that is."""
    options = _planned(asked, model)
    return asked.once(
        ("plan", *options.values()),
        lambda: plan_memory(model, prompts, asked.batch_size, asked.announce, **options),
    )


def set_up_asked(asked: Asked, model: Model, prompts: PromptSet, together: int) -> tuple[Setting, LogitComparison]:
    """A model on the prompts of a run, and how far the nodes are from the model on them."""
    same = asked.ablation, asked.split_input, together, asked.freeze
    what = "setting", prompts.sha256(), together
    made, checked = asked.once(what, lambda: _run_once(model, prompts, *same))
    return _of_run(made, asked.measure, asked.engine, within(asked.once, what)), checked


def _run_once(
    model: Model,
    prompts: PromptSet,
    ablation: str,
    split_input: bool,
    together: int,
    freeze: tuple[str, ...],
) -> tuple[Setting, LogitComparison]:
    made = prepare(model, prompts, ablation=ablation, split_input=split_input, freeze=freeze, batch_size=together)
    return made, check_prompts(made)


def _of_run(made: Setting, measure: Metric, engine: str, once: Once = anew) -> Setting:
    """A setting with what is of one run alone."""
    return replace(made, engine=engine, own_metric=measure if is_own(measure) else None, once=once)


def _planned(asked: Asked, model: Model) -> MemoryOptions:
    """What the memory of a run depends on."""
    engine = "reference"  # which patched runs are like
    if asked.method.runs_engine and asked.cluster is None:
        engine = engine_for(asked.engine, model, asked.freeze)
    return {"ablation": asked.ablation, "engine": engine, "gradients": asked.method.uses_gradients}
