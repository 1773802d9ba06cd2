"""Tasks by name, by file (of prompt pairs, a template, Python), by class, or of a list of prompt pairs."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from acdc.asked import said, shown
from acdc.errors import AcdcError, PromptError, SettingsError, UnknownNameError, warn
from acdc.pairs import PromptPair
from acdc.pairs.given import GivenPairs
from acdc.pairs.plainfile import PlainFileTask, named
from acdc.pairs.promptfile import SUFFIXES, FileTask
from acdc.pairs.task import Task, checked_task, made_of
from acdc.pairs.template import SUFFIX as TEMPLATE_SUFFIX
from acdc.pairs.template import TemplateTask
from acdc.wording import either

ENTRY_POINT_GROUP = "acdc.tasks"
#: Functions from a name to a task, for all names that begin with the entry point's own and "-".
FAMILIES_GROUP = "acdc.task_families"


def task_names() -> list[str]:
    """Names of all registered tasks, sorted; whether each loads, :func:`find_task` says."""
    return sorted(_registered())


def find_task(
    name: str | Path | Task | type[Task] | Sequence[PromptPair],
    answers: str | None = None,
    wrong_answers: str | None = None,
) -> Task:
    """A task by its name, by its file, by its class, or of a list of prompt pairs; a task is handed through.

    Files are prompt pairs (``pairs.jsonl`` and the like), a template (``mine.toml``), or a class in a plain Python
    file (``mytask.py:MyTask``), which is run.

        >>> find_task("ioi").name
        'ioi'

    Args:
        name: which.
        answers: of a file, the field or column that holds the right answers; see :mod:`acdc.pairs.promptfile`.
        wrong_answers: likewise the wrong ones.

    Raises:
        UnknownNameError: no task has that name and no such file exists.
        PromptError: the file holds no prompt pairs, or lacks a column.
        SettingsError: `name` is none of these, or columns are named without a file.
        AcdcError: another package registered a task that doesn't load.
    """
    for keyword, column in (("answers", answers), ("wrong_answers", wrong_answers)):
        if column is not None and not isinstance(column, str):
            raise SettingsError(f"`{keyword}` must be the name of a column, not {shown(column)}.")
    if isinstance(name, str | Path):
        if not str(name).strip():
            raise SettingsError("the task's name is empty; give a task's name or a prompt file.")
        path = Path(name)
        if path.suffix.lower() in SUFFIXES:
            return FileTask(path, answers, wrong_answers)
        if answers is wrong_answers is None:
            if path.suffix.lower() == TEMPLATE_SUFFIX:
                return TemplateTask(path)
            if (python := named(str(name))) is not None:
                return PlainFileTask(*python)
    if answers is not None or wrong_answers is not None:
        raise SettingsError("`answers` and `wrong_answers` name columns of a prompt file; this task isn't one.")
    if isinstance(name, Task):
        return checked_task(name)
    if isinstance(name, type) and issubclass(name, Task):
        return checked_task(made_of(name, f"the task {name.__name__}"))
    if isinstance(name, list | tuple):
        return GivenPairs.of_list(name)
    if not isinstance(name, str | Path):
        raise SettingsError(
            f"the task must be a task's name, a prompt file, a list of acdc.PromptPair or an acdc.Task, "
            f"not {shown(name)}."
        )
    return _of_name(str(name))


def file_of(name: str) -> Path | None:
    """The user's own file that a task's name names, whether it is there or not; ``None`` for a task by name."""
    python = named(name)
    if python is not None:
        return python[0]
    path = Path(name)
    return path if path.suffix.lower() in (*SUFFIXES, TEMPLATE_SUFFIX) else None


def word_files(name: str) -> tuple[Path, ...]:
    """The files beside a template that its words come from; none where it can't be read."""
    with contextlib.suppress(AcdcError, OSError):
        if Path(name).suffix.lower() == TEMPLATE_SUFFIX:
            return tuple(map(Path, TemplateTask(Path(name)).files[1:]))
    return ()


def _of_name(name: str) -> Task:
    """The task that some package registers under that name; acdc's own comes first."""
    points = _registered().get(name)
    if points is None:
        for family in sorted(entry_points(group=FAMILIES_GROUP), key=_is_own, reverse=True):
            if name.startswith(f"{family.name}-"):
                return _of_family(family, name)
        if _is_there(Path(name)):
            known = (*SUFFIXES, TEMPLATE_SUFFIX, ".py:CLASS")
            raise PromptError(f"{Path(name)}: a task file ends in {either(known)}.")
        files = [f"{name}{ending}" for ending in (TEMPLATE_SUFFIX, *SUFFIXES) if _is_there(Path(f"{name}{ending}"))]
        if files:
            raise PromptError(f"there is no task {name!r}; a file is given with its ending: {either(files)}.")
        raise UnknownNameError("task", name, _registered())
    own = [point for point in points if _is_own(point)]
    if own and len(points) > 1:
        others = ", ".join(point.value for point in points if point not in own)
        warn(f"another package registers a task {name!r} too ({others}); acdc's own is used.")
    if not own and len(points) > 1:
        raise AcdcError(
            f"several packages register a task {name!r} ({', '.join(point.value for point in points)}); "
            "uninstall all but one, or give the class."
        )
    return _loaded((own or points)[0])


def _is_own(point: EntryPoint) -> bool:
    """Whether a task is one of acdc's own."""
    package = None if point.dist is None else point.dist.name
    return point.value.startswith("acdc.tasks.") and package in (None, "acdc-circuits")


def _registered() -> dict[str, list[EntryPoint]]:
    """Entry points by name; what is registered twice alike counts once."""
    found: dict[str, dict[str, EntryPoint]] = {}
    for point in entry_points(group=ENTRY_POINT_GROUP):
        found.setdefault(point.name, {})[point.value] = point
    return {name: list(points.values()) for name, points in found.items()}


def _loaded(point: EntryPoint) -> Task:
    """The task of an entry point. Raises :class:`AcdcError` if it doesn't load, whatever the reason."""
    what = f"task {point.name!r} ({point.value})"
    try:
        kind = point.load()
    except (Exception, SystemExit) as error:
        raise AcdcError(f"{what} doesn't load: {said(error)}") from error
    return checked_task(made_of(kind, what), what)


def _of_family(family: EntryPoint, name: str) -> Task:
    """The task that a function from names to tasks gives. Raises :class:`AcdcError` if it fails, whatever for."""
    what = f"task {name!r} ({family.value})"
    try:
        task = family.load()(name)
    except AcdcError:
        raise
    except (Exception, SystemExit) as error:
        raise AcdcError(f"{what} doesn't load: {said(error)}") from error
    if not isinstance(task, Task):
        raise AcdcError(f"{what} is not an acdc.Task, but of the type {type(task).__name__}.")
    return checked_task(task, what)


def _is_there(path: Path) -> bool:
    """Whether a file or folder is there; no name is too long to ask."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False
