"""Every error that a user can cause, as one small tree.

The command line prints the message of an :class:`AcdcError` as one sentence and
ends with exit code 2; Python callers catch the subclass they can act on. A message
says what was wrong, where (file, line, token), and what to do about it.
"""

from __future__ import annotations

import difflib
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from acdc.wording import message, quoted, shortened

_MOST_LISTED = 20
_LONGEST_NAME = 200  # characters of a name that others may be near to
#: Packages between a caller and what is warned of: ours, and what runs decorated functions.
_BETWEEN = ("acdc", "contextlib", "jaxtyping", "beartype")
#: What has been warned of, as keys, where somebody notes it.
_NOTED: ContextVar[dict[str, None] | None] = ContextVar("noted", default=None)


class AcdcError(Exception):
    """Base of all errors that acdc raises on purpose.

    A message may quote what stands in a file. However long that is, and whatever a terminal
    would make of it, the message is one line of some 2,000 characters at most.
    """

    def __init__(self, *args: object) -> None:
        super().__init__(*(message(arg) if isinstance(arg, str) else arg for arg in args))


class UnknownNameError(AcdcError):
    """A task, model, metric, format or order that doesn't exist.

    Args:
        kind: of what it should be the name.
        name: as it was given.
        known: all names that there are.
        where: where it was given, with the colon or comma after it.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], where: str = "") -> None:
        known = sorted(known)
        asked = shortened(name, _LONGEST_NAME).lower()
        folded = difflib.get_close_matches(asked, {other.lower() for other in known}, n=3, cutoff=0.5)
        near = [other for one in folded for other in known if other.lower() == one]
        listed = ", ".join(known[:_MOST_LISTED]) + (" and more" if len(known) > _MOST_LISTED else "")
        hint = f"did you mean {' or '.join(near)}?" if near else f"known: {listed or 'none'}."
        super().__init__(f"{where}unknown {kind} {quoted(name)}: {hint}")
        self.kind = kind
        self.nearest = near


class PromptError(AcdcError):
    """A prompt pair that can't be used; names the file and line, or the pair."""


class OverlapError(PromptError):
    """Prompts that should be held out are among those that are used; says what share."""


class NoTokenizerError(PromptError):
    """Prompts or answers are text, but there is no tokenizer."""

    def __init__(self, what: str, instead: str) -> None:
        super().__init__(
            f"{what} is text, but this model has no tokenizer; {instead}, "
            "or open it by load_model(model, tokenizer=...)."
        )
        self.what = what


class ModelError(AcdcError):
    """A model that can't be opened, or that failed its self-check."""


class SettingsError(AcdcError):
    """An option whose value makes no sense, or two that contradict each other."""


class UnchosenError(SettingsError):
    """A file holds scores of edges and no choice among them; a selection makes one."""


class NoGraphError(SettingsError):
    """A file names edges or nodes, and doesn't say of what graph."""

    def __init__(self, what: str, instead: str) -> None:
        super().__init__(f"{what}, which doesn't say of what model; {instead}.")
        self.what = what


class NumericsError(AcdcError):
    """NaN or infinite logits or gradients; names the prompt or the slot."""


class CircuitFileError(AcdcError):
    """A circuit or run file that can't be read as one."""


class RunFolderError(AcdcError):
    """A run folder that exists already, can't be written, or can't be resumed."""


class MemoryLimitError(AcdcError):
    """Out of memory; says what to lower."""


class ClusterError(AcdcError):
    """A Ray cluster that can't be reached or used, or Ray, which isn't installed."""


class RunInterrupted(KeyboardInterrupt):
    """Ctrl-C during a run; the decisions so far, if there are any, are in the folder.

    Args:
        folder: the run's.
        decisions: how many there are.
    """

    def __init__(self, folder: Path, decisions: int) -> None:
        nothing = f"nothing could be kept yet in {folder}, where it begins anew"
        super().__init__(f"all decisions are in {folder}" if decisions else nothing)
        self.folder = folder


class SweepInterrupted(KeyboardInterrupt):
    """Ctrl-C during a sweep; what has ended is in the folder, and a run that was at work goes on where it was.

    Args:
        folder: the sweep's.
        finished: how many cells are.
        n: how many there are.
    """

    def __init__(self, folder: Path, finished: int, n: int) -> None:
        super().__init__(f"{finished} of {n} cells are finished in {folder}")
        self.folder = folder


class AcdcWarning(UserWarning):
    """Something that a user should know before trusting a result; bounded as an error's message is."""

    def __init__(self, *args: object) -> None:
        super().__init__(*(message(arg) if isinstance(arg, str) else arg for arg in args))


def warn(text: str) -> None:
    """Warn of something, at the line outside of acdc that led to it."""
    note(text)
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _BETWEEN:
        frame = frame.f_back
        level += 1
    warnings.warn(text, AcdcWarning, stacklevel=level)


@contextmanager
def noting() -> Iterator[None]:
    """Note what is warned of, whether it is shown or not; inside another, that one notes it all."""
    token = _NOTED.set({} if (noted := _NOTED.get()) is None else noted)
    try:
        yield
    finally:
        _NOTED.reset(token)


@contextmanager
def unsaid() -> Iterator[None]:
    """Neither show nor note what is warned of."""
    token = _NOTED.set(None)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AcdcWarning)
            yield
    finally:
        _NOTED.reset(token)


def note(text: str) -> None:
    """Note what is warned of, as :func:`warn` does."""
    if (noted := _NOTED.get()) is not None:
        noted[text] = None


def noted() -> list[str]:
    """What was warned of since :func:`noting` began, each once."""
    return list(_NOTED.get() or ())
