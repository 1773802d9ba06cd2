"""Cells checked before any work: what can be known wrong without torch is refused, once a value and not once a cell."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from acdc.discovery.asking import Asked
from acdc.discovery.discover import discover
from acdc.errors import AcdcError, PromptError, SettingsError, UnknownNameError
from acdc.knownmodels.checking import check_model
from acdc.pairs.bos import BOS
from acdc.pairs.finding import file_of, find_task
from acdc.pairs.plainfile import named
from acdc.pairs.promptfile import SUFFIXES, FileTask
from acdc.reading import open_regular
from acdc.sweeps.cells import Cell
from acdc.wording import quoted

#: What a model may be opened in.
_DTYPES = ("float32", "float64", "bfloat16", "float16")
#: What torch may know a device as; whether it is there, the cells find out where they run.
_DEVICES = ("cpu", "cuda", "hip", "hpu", "ipu", "maia", "mps", "mtia", "xla", "xpu")


def check_cells(cells: Iterable[Cell]) -> None:
    """Check what all cells ask for, but for the tasks, see :func:`corruptions_of`.

    Raises:
        UnknownNameError: an unknown value; names the nearest.
        AcdcError: a value makes no sense, two contradict each other, or there is no such model.
    """
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(discover).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    models: set[str] = set()
    asked: set[frozenset[tuple[str, Any]]] = set()
    for cell in cells:
        if (model := cell.settings["model"]) not in models:
            check_model(model)
            models.add(model)
        one = frozenset((name, value) for name, value in cell.settings.items() if name not in ("task", "model"))
        if one not in asked:
            _check(cell, defaults)
            asked.add(one)


def _check(cell: Cell, defaults: dict[str, Any]) -> None:
    given = {name: value for name, value in cell.arguments.items() if name not in ("task", "model")}
    options = {name: value for name, value in given.items() if name not in defaults}
    Asked.checked({**defaults, **{name: given[name] for name in given if name in defaults}, "options": options})
    for kind, known in (("dtype", _DTYPES), ("bos", BOS)):
        if given.get(kind, known[0]) not in known:
            raise UnknownNameError(kind, given[kind], known)
    kind, colon, number = str(given.get("device") or "cpu").partition(":")
    if kind not in _DEVICES:
        raise UnknownNameError("device", given["device"], _DEVICES)
    if colon and not (number.isascii() and number.isdecimal()):
        raise SettingsError(f"the device {quoted(given['device'])} has no number behind its colon; write e.g. cuda:1.")


def is_prompt_file(task: str) -> bool:
    """Whether a task is a file of prompt pairs, whose columns of answers may be named."""
    return Path(task).suffix.lower() in SUFFIXES


def corruptions_of(task: str) -> tuple[str, ...] | None:
    """The corruptions of a task, its default first; ``None`` where they can't be known yet.

    What is wrong inside a file is said by the cells that read it. A Python file isn't run.

    Raises:
        UnknownNameError: there is no such task; names the nearest.
        PromptError: there is no such file.
    """
    file = file_of(task)
    if file is None:
        return tuple(find_task(task).corruptions)
    _check_there(file)
    if is_prompt_file(task):
        return tuple(FileTask.corruptions)
    with suppress(AcdcError):
        if named(task) is None:
            return tuple(find_task(task).corruptions)
    return None


def _check_there(file: Path) -> None:
    try:
        os.close(open_regular(file))
    except FileNotFoundError:
        raise PromptError(f"{file} doesn't exist; check the path.") from None
    except OSError as error:
        raise PromptError(f"{file} can't be read: {error.strerror}.") from None
