"""From a run's folder alone to what :func:`acdc.discover` was asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from acdc.bundled import bundled_models
from acdc.errors import RunFolderError
from acdc.reading import is_model
from acdc.runs.folder import RECORD, check_files, is_younger, read_record, task_changes, tidy
from acdc.runs.record import Asked, Record
from acdc.runs.unnamed import refuse_unnamed


def arguments(folder: Path) -> dict[str, Any] | None:
    """The arguments of :func:`acdc.discover` that go on with a run; ``None`` where it is finished.

    Paths that were relative are looked for where the run was begun, then here. Nothing is opened. ``selection`` is
    as the record has it.

    Raises:
        RunFolderError: it isn't a run's folder, another process is at work on it, or it was of what no name opens.
    """
    check_files(folder)
    alone = tidy(folder)
    record = read_record(folder)
    if record.finished:
        return None
    if not alone:
        raise RunFolderError(f"another process is at work on {folder}; wait for it.")
    request = record.request
    try:
        request.check_whole()
    except ValueError as error:
        raise RunFolderError(f"{folder / RECORD} is not the record of a run: {error}.") from error
    model, task = str(request.model), str(request.task)
    refuse_unnamed(folder, record)
    asked = record.asked or Asked(n=request.n, engine=record.engine or "fast", batch_size="auto")
    given = request.to_json() | {"n": asked.n, "engine": asked.engine, "batch_size": asked.batch_size}
    if model not in bundled_models():
        model = _place(model, record.directory, is_model)
    given |= {"model": model, "task": _place(task, record.directory, Path.is_file)}
    return {name: value for name, value in given.items() if value is not None}


def changed_since(record: Record) -> list[str]:
    """The files of a finished run's task and the place of its model, as far as they were changed after it began."""
    task, model = (
        _place(str(name), record.directory, Path.exists) for name in (record.request.task, record.request.model)
    )
    return task_changes(task, record) + ([model] if is_younger(model, record.started, folders=True) else [])


def _place(name: str, directory: str | None, is_there: Callable[[Path], bool]) -> str:
    """A name, or the path that it was when the run began."""
    try:
        begun = Path(name) if directory is None else Path(directory, Path(name).expanduser())
        return str(begun) if is_there(begun) else name
    except (OSError, RuntimeError, ValueError):  # no name of a file
        return name
