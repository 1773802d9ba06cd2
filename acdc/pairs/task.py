"""Tasks: behaviours to look for, as clean and corrupted prompt pairs.

A task is found by name through the entry-point group ``acdc.tasks`` (another
package adds one the same way), or is a file of the user's own (``.jsonl``, ``.csv``), or a
list of prompt pairs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

from acdc.asked import n_pairs, raised_at, said, shown, whole
from acdc.displayed import Displayed
from acdc.errors import AcdcError, PromptError, UnknownNameError, unsaid, warn
from acdc.pairs import PromptPair, PromptSet, Tokenizer, TokenPair, doubts, tokenize_pair
from acdc.pairs.corrupting import Declared
from acdc.pairs.skipping import BAD_PAIRS, none_left, warn_of_bad
from acdc.waiting import waiting

Split = Literal["train", "test"]


@dataclass(frozen=True)
class Generated:
    """Prompt pairs as a task made them for one tokenizer.

    Attributes:
        pairs: the pairs, all of which line up token by token.
        left_out: words that don't fit the tokenizer, by kind: ``{"names": ["Beatrix"]}``.
    """

    pairs: Sequence[PromptPair]
    left_out: Mapping[str, Sequence[str]] = field(default_factory=dict)


class Task(Displayed, ABC):
    """A behaviour: how its prompts are made, and what counts as right.

    Subclass it, implement :meth:`generate` and register the class under the
    entry-point group ``acdc.tasks``; the entry point's name is the task's name.
    """

    name: str
    #: One line for ``acdc tasks``.
    summary: ClassVar[str] = ""
    #: The metric that its paper uses; ``acdc discover`` reports it beside the chosen one.
    metric: ClassVar[str] = "kl"
    #: Name and meaning of each way to corrupt a prompt; the first is the default.
    corruptions: ClassVar[Mapping[str, str]]
    #: Those that leave the right answer as it is, by name: it must not move.
    control_corruptions: frozenset[str] = frozenset()
    #: The paper, or where the facts are from.
    source: str = ""
    #: Names of the parts that its pairs mark in their prompts, see :class:`acdc.PromptPair`.
    spans: tuple[str, ...] = ()
    #: Of language, with any tokenizer's words, or of symbols.
    kind: Literal["language", "algorithmic"] = "language"
    #: Files of the user's own that its prompts come from, the one that it is named by first.
    files: Sequence[Path] = ()
    #: What is to be said of how its prompts are read, before they are used.
    notes: Sequence[str] = ()
    _form: ClassVar = "prompts:task_form"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({getattr(self, 'name', '')!r}: {self.summary})"

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

    def refuse_unreadable(self) -> None:
        """Raise :class:`PromptError` for pairs that were read already and are none; by default nothing is."""

    def fitting(self, tokenized: Callable[[PromptPair], TokenPair], tokenizer: Tokenizer | None) -> Task:
        """The task without the pairs that `tokenized` refuses, where they are known before any are made."""
        return self

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
        skip_bad_pairs: bool = False,
    ) -> PromptSet:
        """Generate, tokenize and check `n` pairs; see :func:`acdc.pairs.tokenize_pair`.

        Without `n` it's :attr:`default_n`: 100, or all pairs of a file. What may make the
        pairs mean something else than meant is warned of; see :mod:`acdc.pairs.lint`.

        With `skip_bad_pairs`, pairs that fail their check are left out and counted, and warnings name the
        first ten; of given pairs, `n` others are taken where there are as many.

        Raises:
            PromptError: a pair fails its check, or with `skip_bad_pairs` all do.
            UnknownNameError: no such corruption, or `bos`.
            SettingsError: `n` below 1, or ``bos="yes"`` without a BOS.
            AcdcError: the task fails, or makes something else than pairs.
        """
        tokenized = _guarded(
            partial(
                tokenize_pair,
                tokenizer=tokenizer,
                vocab_size=vocab_size,
                n_outputs=n_outputs,
                max_length=max_length,
                bos=bos,
                allow_misaligned=allow_misaligned,
            )
        )
        task = self._without_bad(tokenized, tokenizer, split) if skip_bad_pairs else self
        n = n_pairs(whole("default_n", task.default_n) if n is None else n)
        made = _generated(task, tokenizer, n, whole("seed", seed), split, self._corruption(corruption))
        found, bad = _tokenized(made.pairs, tokenized, skip_bad_pairs=skip_bad_pairs)
        left_out = {kind: len(words) for kind, words in made.left_out.items()}
        if bad:
            if not found:
                raise none_left(self.name, bad)
            warn_of_bad(self.name, bad, len(made.pairs))
            left_out[BAD_PAIRS] = left_out.get(BAD_PAIRS, 0) + len(bad)
        prompts = PromptSet(tuple(pair for _, pair in found), self.name, left_out, tokenizer)
        about = self.name if split == "train" else f"{self.name}, held out"
        for doubt in doubts(found, tokenizer, self.declared(corruption)):
            warn(f"{about}: {doubt}")
        return prompts

    def replaced(self, corruption: str) -> frozenset[str] | None:
        """The spans that a corruption replaces; ``None`` where the task doesn't say."""
        return None

    def declared(self, corruption: str | None) -> Declared:
        """What the task says of a corruption, by default its first."""
        name = self._corruption(corruption)
        return Declared(
            is_default=name == self._corruption(None),
            is_control=name in self.control_corruptions,
            replaced=self.replaced(name),
            is_algorithmic=self.kind == "algorithmic",
        )

    def _corruption(self, name: str | None) -> str:
        """The corruption of that name, or the first. Raises :class:`UnknownNameError`."""
        if name is None:
            return next(iter(self.corruptions))
        if name not in self.corruptions:
            raise UnknownNameError("corruption", name, self.corruptions)
        return name

    def _without_bad(
        self, tokenized: Callable[[PromptPair], TokenPair], tokenizer: Tokenizer | None, split: Split
    ) -> Task:
        """:meth:`fitting`; for held-out pairs in silence, as the same ones are left out as for the used, and named."""
        with unsaid() if split == "test" else nullcontext():
            return self.fitting(tokenized, tokenizer)


def made_of(kind: Any, what: str) -> Task:
    """An instance of a task's class; a task is handed through.

    Raises:
        AcdcError: it's no task, or can't be made without arguments.
    """
    if isinstance(kind, Task):
        return kind
    try:
        made = kind()
    except (AcdcError, MemoryError):
        raise
    except (Exception, SystemExit) as error:
        raise AcdcError(f"{what} can't be made without arguments{raised_at(error)}: {said(error)}") from error
    if not isinstance(made, Task):
        raise AcdcError(f"{what} is not an acdc.Task, but of the type {type(made).__name__}.")
    return made


def checked_task(task: Task, what: str | None = None) -> Task:
    """Hand a task through. Raises :class:`AcdcError` if an attribute is missing, or isn't what every task's is."""
    what = what or f"the task {type(task).__name__}"
    for attribute, is_right, meaning in _ATTRIBUTES:
        try:
            value = getattr(task, attribute)
        except (Exception, SystemExit) as error:
            raise AcdcError(f"{what} lacks `{attribute}`{raised_at(error)}: {said(error)}") from error
        if not is_right(value):
            raise AcdcError(f"{what}: its `{attribute}` must be {meaning}, not {shown(value)}.")
    for name in task.control_corruptions:
        if name not in task.corruptions:
            raise UnknownNameError("corruption", name, task.corruptions, f"{what}, `control_corruptions`: ")
    return task


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _are_meanings(value: Any) -> bool:
    return isinstance(value, Mapping) and bool(value) and all(map(_is_text, (*value, *value.values())))


def _are_texts(value: Any) -> bool:
    return isinstance(value, list | tuple | set | frozenset) and all(map(_is_text, value))


#: What every task has: how it is told that it is right, and what it must be.
_ATTRIBUTES: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    ("name", _is_name, "text"),
    ("summary", _is_text, "text"),
    ("metric", _is_name, "a metric's name"),
    ("corruptions", _are_meanings, "a mapping of names to meanings"),
    ("control_corruptions", _are_texts, "names of corruptions, like frozenset({'other'})"),
    ("source", _is_text, "text"),
    ("spans", _are_texts, "names of spans, like ('subject',)"),
    ("kind", lambda value: value in ("language", "algorithmic"), "'language' or 'algorithmic'"),
    ("notes", _are_texts, "a list of sentences"),
)


def _guarded(tokenized: Callable[[PromptPair], TokenPair]) -> Callable[[PromptPair], TokenPair]:
    """`tokenized`, whose tokenizer's own errors become a :class:`PromptError` that names the pair."""

    def guarded(pair: PromptPair) -> TokenPair:
        try:
            return tokenized(pair)
        except (AcdcError, MemoryError):
            raise
        except Exception as error:
            raise PromptError(f"{pair.where}: it can't be tokenized: {said(error)}") from error

    return guarded


def _tokenized(
    pairs: Sequence[PromptPair], tokenized: Callable[[PromptPair], TokenPair], *, skip_bad_pairs: bool
) -> tuple[list[tuple[PromptPair, TokenPair]], list[PromptError]]:
    """Pairs with their tokens, and the errors of those that are skipped, if they may be."""
    found: list[tuple[PromptPair, TokenPair]] = []
    bad: list[PromptError] = []
    for pair in waiting(pairs, "tokenizing prompts"):
        try:
            found.append((pair, tokenized(pair)))
        except PromptError as error:
            if not skip_bad_pairs:
                raise
            bad.append(error)
    return found, bad


def _generated(task: Task, tokenizer: Tokenizer | None, n: int, seed: int, split: Split, corruption: str) -> Generated:
    """What a task makes. Raises :class:`AcdcError` if it fails or makes something else than pairs."""
    try:
        made = task.generate(tokenizer, n, seed, split, corruption)
        if isinstance(made, Generated):
            left_out = {kind: list(words) for kind, words in made.left_out.items()}
            made = Generated(list(made.pairs), left_out)
    except (AcdcError, MemoryError):
        raise
    except (Exception, SystemExit) as error:
        raise AcdcError(f"task {task.name}: making prompts failed{raised_at(error)}: {said(error)}") from error
    if not isinstance(made, Generated):
        raise AcdcError(f"task {task.name}: `generate` must give acdc.pairs.task.Generated, not {shown(made)}.")
    for pair in made.pairs:
        if not isinstance(pair, PromptPair):
            raise AcdcError(f"task {task.name}: `generate` must give pairs of acdc.PromptPair, not {shown(pair)}.")
    pairs = [
        replace(pair, where=f"task {task.name}, {split} pair {number}") if pair.where == PromptPair.where else pair
        for number, pair in enumerate(made.pairs, start=1)
    ]
    return Generated(pairs, made.left_out)
