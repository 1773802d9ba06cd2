"""A run that is finished already, handed back without doing its work again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from acdc.discovery.asking import Asked
from acdc.engine.own_metric import is_own
from acdc.pairs.finding import file_of
from acdc.pairs.task import Task
from acdc.reading import sha256_of
from acdc.runs.differences import differences, known_differences
from acdc.runs.environment import versions
from acdc.runs.folder import check_free, earlier_run, is_younger, refuse, refuse_differences
from acdc.runs.record import Record
from acdc.runs.run import Run

#: Of this program: what decides the prompts of a task by name.
_OWN = "acdc-circuits"


def handed_back(asked: Asked, model: Any, task: Any, found_task: Task, file_sha256: str | None) -> Run | None:
    """The finished run in the folder, where it can be known unopened that it is the one that is asked for.

    Compared are the request, a prompt file by its hash, a model that is open by its own, and when a model's folder
    was last changed; a model of the hub, and a task that comes with acdc, are taken for the same by their names.
    What can't be told so is told later, by the hashes of model and prompts.

    Args:
        asked: the options.
        model: as the caller gave it.
        task: likewise.
        found_task: the task.
        file_sha256: of its prompt file, if it is one's.

    Raises:
        RunFolderError: something is in the folder that isn't to be written over, or a finished run with other settings.
    """
    if asked.out is None:
        return None
    known = asked.request(found_task).to_json()
    for name in ("model", "device", "dtype"):
        del known[name]
    known |= {"n": asked.n, **_known_of(asked, model)}
    check_free(asked.out, resume=asked.resume, asked=known)
    earlier = earlier_run(asked.out)
    if earlier is None or not earlier.finished:
        return None
    sure = {name: value for name, value in known.items() if name != "n"}  # how many there are may be left open
    refuse(asked.out, differences(earlier.request.to_json(), sure, directory=earlier.directory, partly=True))
    if (
        is_own(asked.measure)
        or known_differences(earlier, known)
        or not _is_same_model(earlier, asked, model)
        or not _is_same_task(earlier, task, file_sha256)
        or any(is_younger(file, earlier.started) for file in found_task.files[1:])  # word lists, which have no hash
    ):
        return None
    return _loaded(asked, asked.out)


def handed_back_by_hashes(asked: Asked, record: Record) -> Run | None:
    """The finished run in the folder, now that model and prompts are known.

    Raises:
        RunFolderError: it is a finished run with other settings; says which differ.
    """
    earlier = None if asked.out is None else earlier_run(asked.out)
    if earlier is None or asked.out is None or not earlier.finished:
        return None
    refuse_differences(asked.out, earlier, record)
    return _loaded(asked, asked.out)


def task_sha256(task: Task) -> str | None:
    """Hex SHA-256 of the bytes of a task's file; ``None`` for a task that is no file, or one that is gone."""
    return sha256_of(Path(task.files[0])) if task.files else None


def _loaded(asked: Asked, folder: Path) -> Run:
    run = Run.load(folder)
    asked.announce(f"the run in {folder} is finished already")
    return run


def _known_of(asked: Asked, model: Any) -> dict[str, str]:
    """What a request says of a model: of one by name, and of one that is open."""
    if isinstance(model, str | Path):
        precision = "float32" if asked.dtype is None else _plain(asked.dtype)
        return {"model": str(model).rstrip("/") or str(model), "dtype": precision}
    if not _is_open(model) or asked.device is not None or asked.dtype is not None:  # refused for an open one
        return {}
    return {"model": model.name, "device": str(model.device), "dtype": _plain(model.dtype)}


def _plain(dtype: Any) -> str:
    return str(dtype).removeprefix("torch.")


def _is_open(model: Any) -> bool:
    """Whether it is an open model, which has a hash; its class isn't known without torch, and to hash it takes long."""
    return isinstance(getattr(type(model), "sha256", None), property)


def _is_same_model(earlier: Record, asked: Asked, model: Any) -> bool:
    if isinstance(model, str | Path):
        return not is_younger(model, earlier.started, folders=True)
    return bool(_known_of(asked, model)) and asked.once("sha256", lambda: model.sha256) == earlier.hashes.get("model")


def _is_same_task(earlier: Record, task: Any, file_sha256: str | None) -> bool:
    if not isinstance(task, str | Path):
        return False
    if file_sha256 is not None or earlier.task_sha256 is not None:
        return file_sha256 == earlier.task_sha256
    return file_of(str(task)) is None and earlier.versions.get(_OWN) == versions()[_OWN]
