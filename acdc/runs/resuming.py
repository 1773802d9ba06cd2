"""From a run's folder alone to what :func:`acdc.discover` was asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from acdc.bundled import bundled_models
from acdc.errors import RunFolderError
from acdc.runs.folder import check_files, check_record, read_record, tidy

#: What the record of a run says that can be asked for again: what is always there, and what may be.
_ASKED = {"task": str, "model": str, "threshold": float, "metric": str, "ablation": str}
_MAY_BE_ASKED = {
    **{"order": str, "gates": bool, "seed": int, "corruption": str | None, "split_input": bool},
    **{"device": str | None, "dtype": str | None, "n": int | None, "engine": str, "batch_size": int | str},
}
_IN_MEMORY = " in memory"  # ends the name of a model that was no file's


def arguments(folder: Path) -> dict[str, Any] | None:
    """The arguments of :func:`acdc.discover` that go on with a run; ``None`` where it is finished.

    Paths that were relative are looked for where the run was begun, then here. Nothing is opened.

    Raises:
        RunFolderError: it isn't a run's folder, another process is at work on it, or its model was in memory only.
    """
    check_files(folder)
    alone = tidy(folder)
    record = read_record(folder)
    if record["status"] == "finished":
        return None
    if not alone:
        raise RunFolderError(f"another process is at work on {folder}; wait for it.")
    check_record(folder, record, {"request": _ASKED})
    request, directory = record["request"], record.get("directory")
    if request["model"].endswith(_IN_MEMORY):
        raise RunFolderError(
            f"the run in {folder} was of {request['model']}, which no name opens again; go on with it from Python, by "
            "discover with the same model, task and options, `out` and `resume=True`."
        )
    given = {name: value for name, value in request.items() if name != "method"} | _given(folder, record)
    check_record(folder, given, {name: shape for name, shape in _MAY_BE_ASKED.items() if name in given})
    model = request["model"]
    if model not in bundled_models():
        given["model"] = _place(model, directory, Path.is_dir)
    return given | {"task": _place(request["task"], directory, Path.is_file)}


def _given(folder: Path, record: Mapping[str, Any]) -> dict[str, Any]:
    """What was asked that the request has only the outcome of; older versions noted the engine alone."""
    asked = record.get("asked", {"engine": record.get("engine", "fast")})
    check_record(folder, {"asked": asked}, {"asked": dict})
    return {name: asked[name] for name in ("n", "engine", "batch_size") if name in asked}


def _place(name: str, directory: object, is_there: Callable[[Path], bool]) -> str:
    """A name, or the path that it was when the run began."""
    try:
        begun = Path(directory, Path(name).expanduser()) if isinstance(directory, str) else Path(name)
        return str(begun) if is_there(begun) else name
    except (OSError, RuntimeError, ValueError):  # no name of a file
        return name
