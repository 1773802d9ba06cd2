"""Tasks: behaviours to look for, as clean and corrupted prompt pairs.

A task is found by name through the entry-point group ``acdc.tasks`` (another
package adds one the same way), or is a file of the user's own (``.jsonl``, ``.csv``).
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import ClassVar, Literal

from acdc.errors import AcdcError, AcdcWarning, PromptError, SettingsError, UnknownNameError
from acdc.prompts import PromptPair, PromptSet, Tokenizer, doubts, tokenize_pair

Split = Literal["train", "test"]
ENTRY_POINT_GROUP = "acdc.tasks"


@dataclass(frozen=True)
class Generated:
    """Prompt pairs as a task made them for one tokenizer.

    Attributes:
        pairs: the pairs, all of which line up token by token.
        left_out: words that don't fit the tokenizer, by kind: ``{"names": ["Beatrix"]}``.
    """

    pairs: Sequence[PromptPair]
    left_out: Mapping[str, Sequence[str]] = field(default_factory=dict)


class Task(ABC):
    """A behaviour: how its prompts are made, and what counts as right.

    Subclass it, implement :meth:`generate` and register the class under the
    entry-point group ``acdc.tasks``; the entry point's name is the task's name.
    """

    name: str
    #: One line for ``acdc tasks``.
    summary: ClassVar[str]
    #: The metric that its paper uses; ``acdc discover`` reports it beside the chosen one.
    metric: ClassVar[str]
    #: Name and meaning of each way to corrupt a prompt; the first is the default.
    corruptions: ClassVar[Mapping[str, str]]

    @property
    def default_n(self) -> int:
        """How many pairs :meth:`prompts` makes if it isn't told."""
        return 100

    @abstractmethod
    def generate(self, tokenizer: Tokenizer | None, n: int, seed: int, split: Split, corruption: str) -> Generated:
        """Make `n` different pairs.

        The same arguments give the same pairs; the two splits share no pair, and a
        larger `n` only adds pairs at the end.

        Raises:
            PromptError: the words that fit the tokenizer don't allow `n` different pairs.
        """

    def prompts(
        self,
        tokenizer: Tokenizer | None,
        n: int | None = None,
        seed: int = 0,
        split: Split = "train",
        corruption: str | None = None,
        *,
        vocab_size: int | None = None,
        n_outputs: int | None = None,
        max_length: int | None = None,
        bos: str = "auto",
        allow_misaligned: bool = False,
    ) -> PromptSet:
        """Generate, tokenize and check `n` pairs; see :func:`acdc.prompts.tokenize_pair`.

        Without `n` it's :attr:`default_n`: 100, or all pairs of a file. What may make the
        pairs mean something else than meant is warned of; see :mod:`acdc.prompts.lint`.

        Raises:
            PromptError: a pair fails its check.
            UnknownNameError: no such corruption, or `bos`.
            SettingsError: `n` below 1, or ``bos="yes"`` without a BOS.
        """
        if n is None:
            n = self.default_n
        if n < 1:
            raise SettingsError(f"n must be at least 1, got {n}.")
        if corruption is None:
            corruption = next(iter(self.corruptions))
        elif corruption not in self.corruptions:
            raise UnknownNameError("corruption", corruption, self.corruptions)
        made = self.generate(tokenizer, n, seed, split, corruption)
        checked = [
            (
                pair,
                tokenize_pair(
                    pair,
                    tokenizer,
                    vocab_size=vocab_size,
                    n_outputs=n_outputs,
                    max_length=max_length,
                    bos=bos,
                    allow_misaligned=allow_misaligned,
                ),
            )
            for pair in made.pairs
        ]
        prompts = PromptSet(
            tuple(pair for _, pair in checked), self.name, {kind: len(words) for kind, words in made.left_out.items()}
        )
        about = self.name if split == "train" else f"{self.name}, held out"
        for doubt in doubts(checked, tokenizer):
            warnings.warn(f"{about}: {doubt}", AcdcWarning, stacklevel=2)
        return prompts


def task_names() -> list[str]:
    """Names of all registered tasks, sorted."""
    return sorted(point.name for point in entry_points(group=ENTRY_POINT_GROUP))


def find_task(name: str | Path | Task) -> Task:
    """The task of that name, or the task in that file; a task is handed through.

    Raises:
        UnknownNameError: no task has that name and no such file exists.
        PromptError: the file isn't a task; the message names the line.
        AcdcError: another package registered a task that doesn't load.
    """
    if isinstance(name, Task):
        return name
    from acdc.promptfile import SUFFIXES, FileTask

    path = Path(name)
    if path.suffix in SUFFIXES or _is_file(path):
        if path.suffix not in SUFFIXES:
            raise PromptError(f"{path}: a task file ends in {' or '.join(SUFFIXES)}.")
        return FileTask(path)
    for point in entry_points(group=ENTRY_POINT_GROUP):
        if point.name == str(name):
            try:
                return point.load()()
            except Exception as error:
                raise AcdcError(f"task {name!r} ({point.value}) doesn't load: {error}") from error
    raise UnknownNameError("task", str(name), task_names())


def _is_file(path: Path) -> bool:
    """Whether a file is there; no name is too long to ask."""
    try:
        return path.is_file()
    except OSError:
        return False
