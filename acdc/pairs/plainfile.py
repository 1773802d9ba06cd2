"""A task's class in a plain Python file of the user's own: ``mytask.py:MyTask``.

The file is run, as it would be by ``python mytask.py``, and only because the user names it so. Its folder isn't
put where Python looks for modules.
"""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from acdc.asked import said
from acdc.errors import AcdcError, UnknownNameError
from acdc.pairs import PromptPair, Tokenizer, TokenPair
from acdc.pairs.promptfile.door import read_text
from acdc.pairs.task import Generated, Split, Task, checked_task, made_of

_NAMED = re.compile(r"(?P<file>.+\.py)(?::(?P<kind>.*))?", re.DOTALL | re.IGNORECASE)
_MOST_BYTES = 4 * 2**20
#: What a task has beside what it does.
_ATTRIBUTES = ("summary", "metric", "corruptions", "control_corruptions", "source", "spans", "kind", "notes")


def named(name: str) -> tuple[Path, str | None] | None:
    """The file and the class that a task's name names; ``None`` if it names no Python file."""
    found = _NAMED.fullmatch(name)
    return None if found is None else (Path(found["file"]), found["kind"] or None)


class PlainFileTask(Task):
    """A task of a plain Python file.

    Args:
        path: the file, which is run.
        kind: the class in it.

    Raises:
        PromptError: the file can't be read.
        UnknownNameError: there is no such class.
        AcdcError: the file fails, with the line where it does, or the class is no task.
    """

    def __init__(self, path: Path, kind: str | None) -> None:
        module = _run(path)
        kinds = _tasks_in(module)
        if kind is None:
            names = " or ".join(f"{path}:{one}" for one in kinds) or "it has no subclass of acdc.Task"
            raise AcdcError(f"{path}: a Python file may hold several tasks; name the class: {names}.")
        if not hasattr(module, kind):
            raise UnknownNameError("class", kind, kinds, f"{path}: ")
        name = f"{path}:{kind}"
        made = checked_task(_within(path, lambda: made_of(getattr(module, kind), name)), name)
        self._task = made
        self._path = path
        self.files = (path,)
        for attribute in _ATTRIBUTES:
            setattr(self, attribute, getattr(made, attribute))
        self.name = name

    @property
    def default_n(self) -> int:
        """How many pairs it makes if it isn't told."""
        return _within(self._path, lambda: self._task.default_n)

    def generate(self, tokenizer: Tokenizer | None, n: int, seed: int, split: Split, corruption: str) -> Generated:
        """Have its class make `n` pairs. Raises :class:`AcdcError` with the line where it fails."""
        return _within(self._path, lambda: self._task.generate(tokenizer, n, seed, split, corruption))

    def refuse_unreadable(self) -> None:
        """As its class does."""
        _within(self._path, self._task.refuse_unreadable)

    def fitting(self, tokenized: Callable[[PromptPair], TokenPair], tokenizer: Tokenizer | None) -> Task:
        """As its class does."""
        fitting = _within(self._path, lambda: self._task.fitting(tokenized, tokenizer))
        return self if fitting is self._task else fitting


def _run(path: Path) -> ModuleType:
    """The module that a file makes. Raises :class:`AcdcError` where it fails."""
    source = read_text(path, at_most=_MOST_BYTES, what="Python")
    module = ModuleType(f"acdc_task_file_{abs(hash(path.absolute()))}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # dataclasses look there
    try:
        code = compile(source, str(path), "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        what = error.msg if isinstance(error, SyntaxError) else said(error).rstrip(".")
        raise AcdcError(f"{path}{line}: this is not Python: {what}.") from error
    _within(path, lambda: exec(code, module.__dict__))
    return module


def _within(path: Path, do: Callable[[], Any]) -> Any:
    """What a file's code gives. Raises :class:`AcdcError` with its line where it fails."""
    try:
        return do()
    except (AcdcError, MemoryError):
        raise
    except (Exception, SystemExit) as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        line = f", line {lines[-1]}" if lines else ""
        raise AcdcError(f"{path}{line}: {said(error)}") from error


def _tasks_in(module: ModuleType) -> Mapping[str, type]:
    """The classes of tasks that a module makes itself, by name."""
    return {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, Task) and value.__module__ == module.__name__
    }
