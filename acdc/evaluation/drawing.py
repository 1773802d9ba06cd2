"""The prompts that circuits are judged on: those of a task, or the very ones that a circuit was found on."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from acdc.asked import flag, text, whole
from acdc.errors import AcdcError, AcdcWarning, UnknownNameError
from acdc.evaluation.judgement import HELD_OUT, USED
from acdc.evaluation.source import Source
from acdc.models.model import Model
from acdc.pairs import PromptSet
from acdc.pairs.splitting import refuse_overlap
from acdc.pairs.task import Split, Task
from acdc.wording import counted, quoted

#: Which of a task's prompts.
SPLITS = ("train", "test", "both")


@dataclass(frozen=True)
class DrawOptions:
    """How prompts are drawn; ``None`` for what isn't asked for.

    Attributes:
        n, seed, corruption, bos, allow_misaligned, skip_bad_pairs: see :func:`acdc.discover`.
        split: one of :data:`SPLITS`.
    """

    n: int | None = None
    seed: int | None = None
    corruption: str | None = None
    bos: str | None = None
    allow_misaligned: bool = False
    skip_bad_pairs: bool = False
    split: Literal["train", "test", "both"] = "both"

    @classmethod
    def checked(cls, given: Mapping[str, Any]) -> DrawOptions:
        """Check options as a caller gave them. Raises :class:`AcdcError` for what makes no sense."""
        split = text("split", given["split"])
        if split not in SPLITS:
            raise UnknownNameError("split", split, SPLITS)
        made: dict[str, Any] = {"split": split}
        for name, kind in (("n", whole), ("seed", whole), ("corruption", text), ("bos", text)):
            made[name] = None if given[name] is None else kind(name, given[name])
        for name in ("allow_misaligned", "skip_bad_pairs"):
            made[name] = flag(name, given[name])
        return cls(**made)

    def of(self, source: Source) -> dict[str, Any]:
        """The arguments of :meth:`Task.prompts` that draw the prompts of a source, but for what is asked for."""
        return {
            "n": source.n if self.n is None else self.n,
            "seed": (source.seed or 0) if self.seed is None else self.seed,
            "corruption": source.corruption if self.corruption is None else self.corruption,
            "bos": (source.bos or "auto") if self.bos is None else self.bos,
            "allow_misaligned": self.allow_misaligned or bool(source.allow_misaligned),
            "skip_bad_pairs": self.skip_bad_pairs or bool(source.skip_bad_pairs),
        }


@dataclass(frozen=True)
class Drawn:
    """Some prompts.

    Attributes:
        which: ``used``, ``held out``, ``train`` or ``test``; see :class:`acdc.evaluation.judgement.Judgement`.
        task: which task made them.
        prompts: themselves.
    """

    which: str
    task: Task
    prompts: PromptSet


class Drawer:
    """Draws prompts, the same ones once.

    Args:
        options: how.
    """

    def __init__(self, options: DrawOptions) -> None:
        self._options = options
        self._known: dict[Any, PromptSet | AcdcError] = {}
        self._tasks: dict[Any, Task] = {}
        self.notes: list[str] = []

    def own_task(self, label: str, source: Source) -> Task:
        """The task that a circuit was found on; raises as :meth:`Source.own_task` does."""
        key = (source.task, source.answers, source.wrong_answers, source.directory)
        if key not in self._tasks:
            self._tasks[key] = source.own_task(label)
        return self._tasks[key]

    def of_source(self, label: str, source: Source, model: Model) -> Iterator[Drawn]:
        """The prompts that a circuit was found on, and held-out ones.

        Raises:
            AcdcError: they can't be drawn again, or aren't the same; says what to give instead.
        """
        task = self.own_task(label, source)
        arguments, unchanged = self._options.of(source), DrawOptions().of(source)
        used = self._prompts(task, model, "train", arguments)
        if arguments == unchanged:
            source.check_prompts(label, used)
        yield from self._sides(label, task, model, arguments, source, used)

    def of_task(self, label: str, task: Task, source: Source, model: Model) -> Iterator[Drawn]:
        """The prompts of a task that somebody names; they begin as those that the circuit was found on."""
        arguments = self._options.of(Source(bos=source.bos))
        used = self._prompts(task, model, "train", arguments) if self._options.split != "test" else None
        yield from self._sides(label, task, model, arguments, source, used)

    def _sides(
        self, label: str, task: Task, model: Model, arguments: dict[str, Any], source: Source, used: PromptSet | None
    ) -> Iterator[Drawn]:
        same = self._is_found_on(used, task, model, arguments, source)
        if used is not None and self._options.split != "test":
            yield Drawn(USED if same else "train", task, used)
        if self._options.split == "train":
            return
        try:
            others = self._prompts(task, model, "test", arguments)
            if used is not None:
                refuse_overlap(used, others)
        except AcdcError as error:
            if self._options.split == "test":
                raise
            self._note(f"no result on held-out prompts: {error}")
            return
        if not same:
            self._tell_known(label, source, model, others)
        elif source.held_out_sha256 not in (None, others.sha256()):
            self._note(
                f"the held-out prompts of {quoted(task.name)} aren't those that {label} was judged on when it was "
                "found: the task or the file was changed since; its earlier figures on them don't compare."
            )
        yield Drawn(HELD_OUT if same else "test", task, others)

    def _is_found_on(
        self, used: PromptSet | None, task: Task, model: Model, arguments: dict[str, Any], source: Source
    ) -> bool:
        """Whether the prompts of the ``train`` side, drawn already or not, are those that a circuit was found on."""
        if used is None and source.data_sha256 is not None and source.is_of(task.name):
            try:
                used = self._prompts(task, model, "train", arguments)
            except AcdcError:  # nobody has asked for them
                return False
        return used is not None and used.sha256() == source.data_sha256

    def _tell_known(self, label: str, source: Source, model: Model, others: PromptSet) -> None:
        """Warn where a ``test`` side has prompts that the circuit was found on, as far as these can be drawn again."""
        try:
            if not source.is_of(others.task):
                return
            used = self._prompts(self.own_task(label, source), model, "train", DrawOptions().of(source))
        except AcdcError:
            return
        cleans = {pair.clean for pair in used.pairs}
        known = sum(pair.clean in cleans for pair in others.pairs)
        if known and used.sha256() == source.data_sha256:
            self._note(
                f"{label} was found on {known} of the {counted(len(others), 'test prompt')} of {others.task}: to it "
                "they are not held out; leave `seed` and `n` as they were."
            )

    def _note(self, line: str) -> None:
        if line not in self.notes:
            self.notes.append(line)
            warnings.warn(line, AcdcWarning, stacklevel=2)

    def _prompts(self, task: Task, model: Model, split: Split, arguments: dict[str, Any]) -> PromptSet:
        key = (id(task), id(model), split, *arguments.values())
        if key not in self._known:
            self._tasks[id(task)] = task  # so that no other gets its id
            try:
                self._known[key] = task.prompts(
                    model.tokenizer,
                    split=split,
                    **model.limits,
                    **arguments,
                )
            except AcdcError as error:
                self._known[key] = error
        found = self._known[key]
        if isinstance(found, AcdcError):
            raise found
        return found
