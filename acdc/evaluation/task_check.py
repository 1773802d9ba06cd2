"""A task checked on a model, before any circuit is looked for: does it do the task, and is the task sound?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from acdc.asked import flag, text, whole
from acdc.displayed import Displayed
from acdc.engine.agreement import check_prompts
from acdc.engine.memory import available_memory, largest_batch
from acdc.engine.setting import Setting, prepare
from acdc.errors import SettingsError
from acdc.evaluation.behaviour import Behaviour, behaviour
from acdc.evaluation.model_doubts import model_doubts
from acdc.evaluation.prompts import judged_prompts, worst_prompts
from acdc.evaluation.task_figures import TaskFigures
from acdc.models.loading import load_model, memory_errors
from acdc.models.model import Model
from acdc.models.threads import fit_threads
from acdc.pairs import PromptPair, PromptSet
from acdc.pairs.checking import HELD_OUT, CheckedPairs, DrawnPairs, check_pairs, merged
from acdc.pairs.finding import find_task
from acdc.pairs.task import Task
from acdc.waiting import bars, waiting

#: Prompts that are run together at most: nothing is kept of them but their logits.
_TOGETHER = 64


@dataclass(frozen=True)
class TaskCheck(Displayed):
    """What was found of a task on a model.

    Attributes:
        pairs: what was drawn, corruption by corruption, with the doubts that need no model.
        model: the model's name.
        tokenizer: the model's, if it has one.
        figures: what the model does, for each of ``pairs.drawn``.
        notes: why something isn't known, in sentences.
        doubts: all of them in sentences, each once.
    """

    pairs: CheckedPairs
    model: str
    tokenizer: Any
    figures: tuple[TaskFigures, ...]
    notes: tuple[str, ...]
    doubts: tuple[str, ...]
    _form: ClassVar = "figures:task_check_form"

    def __repr__(self) -> str:
        lines = "".join(
            f"\n  {drawn.corruption}, {drawn.which}: clean {found.clean!r}, corrupted {found.corrupted!r}"
            for drawn, found in zip(self.pairs.drawn, self.figures, strict=True)
        )
        return f"TaskCheck({self.pairs.task.name} on {self.model}){lines}"

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return self.pairs.to_json() | {
            "model": self.model,
            "prompts": [
                drawn.to_json() | found.to_json() for drawn, found in zip(self.pairs.drawn, self.figures, strict=True)
            ],
            "notes": list(self.notes),
            "doubts": list(self.doubts),
        }


def check_task(
    model: Model | str | Path | Any,
    task: Task | type[Task] | Sequence[PromptPair] | str | Path,
    *,
    n: int | None = None,
    seed: int = 0,
    corruption: str | None = None,
    bos: str = "auto",
    allow_misaligned: bool = False,
    skip_bad_pairs: bool = False,
    answers: str | None = None,
    wrong_answers: str | None = None,
    worst: int = 5,
    progress: bool = True,
) -> TaskCheck:
    """How well a model does a task, and what of the task is to be doubted.

    Of every corruption, on used and on held-out prompts: the model on clean and on corrupted prompts, by template and
    by answer, and the prompts on which it is worst.

        >>> acdc.check_task("tiny-tasks", "ioi", n=20).figures[0].clean.accuracy  # doctest: +SKIP

    Args:
        model: a model of :func:`acdc.load_model`, or whatever that opens.
        task: a task or its class, its name, its file, or a list of :class:`acdc.PromptPair`.
        n: prompt pairs, and as many held out; by default 100, or all of a file or list.
        seed: of the draw.
        corruption: the only one to look at; by default all of the task's.
        bos: how prompts begin, see :func:`acdc.discover`; likewise the next two.
        allow_misaligned: take pairs whose words stand at other tokens.
        skip_bad_pairs: leave out pairs that don't fit.
        answers: of a prompt file, the field or column of the right answers.
        wrong_answers: likewise of the wrong ones.
        worst: of how many of the worst prompts to say what the model would say.
        progress: show a bar.

    Raises:
        AcdcError: a bad model, task or option, or a pair that doesn't fit, each as the subclass for it.
    """
    if (worst := whole("worst", worst)) < 0:
        raise SettingsError(f"`worst` must be at least 0, not {worst}.")
    skip_bad_pairs = flag("skip_bad_pairs", skip_bad_pairs)
    drawing: dict[str, Any] = {
        "n": n,
        "seed": whole("seed", seed),
        "corruption": None if corruption is None else text("corruption", corruption),
        "bos": text("bos", bos),
        "allow_misaligned": flag("allow_misaligned", allow_misaligned),
        "skip_bad_pairs": skip_bad_pairs,
    }
    with memory_errors(), bars(flag("progress", progress)):
        found = find_task(task, answers, wrong_answers)
        if not skip_bad_pairs:
            found.refuse_unreadable()
        opened = model if isinstance(model, Model) else load_model(model)
        pairs = check_pairs(found, opened.tokenizer, **drawing, **opened.limits)
        return on_model(opened, pairs, worst)


def on_model(model: Model, pairs: CheckedPairs, worst: int) -> TaskCheck:
    """What a model does on checked pairs. Raises :class:`AcdcError` where it can't run them.

    Args:
        model: the model.
        pairs: drawn and checked under its tokenizer.
        worst: of how many of the worst prompts to say what it would say.
    """
    fit_threads(model, pairs.drawn[0].prompts)
    doubts = list(pairs.doubts)
    figures = []
    ran: dict[str, Setting] = {}  # the last one of used and of held-out prompts: corruptions mostly share clean ones
    for drawn in waiting(pairs.drawn, "running the prompts"):
        setting = ran[drawn.which] = _run(model, drawn.prompts, ran.get(drawn.which))
        found, more = _figures(setting, drawn, worst)
        figures.append(found)
        about = pairs.task.name + (f", {HELD_OUT}" if drawn.which == HELD_OUT else "")
        doubts += [(drawn.corruption, f"{about}: {doubt}") for doubt in more]
    said = merged(doubts, len(pairs.corruptions))
    return TaskCheck(pairs, model.name, model.tokenizer, tuple(figures), pairs.notes, tuple(said))


def _run(model: Model, prompts: PromptSet, before: Setting | None) -> Setting:
    """Run some pairs; of the clean prompts of an earlier setting, none again. Raises :class:`AcdcError`."""
    available = available_memory(model.device)
    size = largest_batch(model, prompts, available, ablation="corrupted", engine="reference")
    known = before if before is not None and before.has_clean(prompts) else None
    setting = prepare(model, prompts, batch_size=min(size, _TOGETHER, len(prompts)), known=known)
    check_prompts(setting, corrupted_alone=known is not None)
    setting.contributions.forget()
    return setting


def _figures(setting: Setting, drawn: DrawnPairs, worst: int) -> tuple[TaskFigures, list[str]]:
    """Figures on some pairs, and doubts that come of them."""
    clean, corrupted = (behaviour(setting, logits) for logits in (setting.model_logits, setting.corrupted_logits))
    against = _against(setting, clean)
    shown = [] if against is None else worst_prompts(setting, against, setting.corrupted_logits, worst)
    found = TaskFigures(judged_prompts(setting), clean, corrupted, setting.rows.cpu().numpy(), shown)
    is_control = drawn.declared.is_control
    return found, [*model_doubts(setting, clean, corrupted, is_control=is_control), *found.too_few()]


def _against(setting: Setting, clean: Behaviour) -> np.ndarray | None:
    """How much speaks against a right answer, ``[prediction]``: the best wrong one's logit above the best right one's.

    Without wrong answers every other token is one. ``None`` where no answers are given.
    """
    if "logit_difference" in (clean.values or {}):
        return -(clean.values or {})["logit_difference"]
    if not setting.prompts.has_answers:
        return None
    logits, right = setting.model_logits, setting.answers.right
    right = torch.where(right < 0, right[:, :1], right)  # where there are fewer, the first once more
    others = logits.scatter(-1, right, -torch.inf)
    return (others.amax(-1) - logits.gather(-1, right).amax(-1)).cpu().numpy()
