"""What a run was of that no name opens again: from its folder alone, nobody can go on with it."""

from __future__ import annotations

from pathlib import Path

from acdc.errors import RunFolderError
from acdc.runs.record import Record
from acdc.wording import some

#: Ends the name of a model that was no file's.
IN_MEMORY = " in memory"


def refuse_unnamed(folder: Path, record: Record) -> None:
    """Raise :class:`RunFolderError` where going on takes what only a Python program has; says what.

    Args:
        folder: the run's.
        record: of the run, which isn't finished.
    """
    parts = [str(part) for part in record.unnamed]
    model = str(record.request.model)
    if not parts and model.endswith(IN_MEMORY):  # begun by an older version, which noted nothing
        parts = [model]
    if parts:
        raise RunFolderError(
            f"the run in {folder} isn't finished, and was of {some(parts, len(parts))}, which no name opens again; go "
            "on with it from Python, by discover with the same model, task and options, `out` and `resume=True`."
        )
