"""Whether what finished cells were run on is still what further cells would be."""

from __future__ import annotations

from acdc.errors import RunFolderError, warn
from acdc.runs.folder import is_younger, read_record, task_changes
from acdc.sweeps.folder import SweepFolder
from acdc.sweeps.outcome import FINISHED
from acdc.wording import some


def check_unchanged(folder: SweepFolder) -> None:
    """Refuse to go on with a sweep whose prompts were changed; warn of models that may have been.

    A finished cell of each task and model is looked at; before each time that the sweep went on, all were alike.

    Raises:
        RunFolderError: a task's file isn't what finished cells were run on.
    """
    seen: set[tuple[str, str]] = set()
    for cell in folder.grid.cells:
        outcome = folder.outcomes.get(cell.name)
        of = {("task", str(cell.settings["task"])), ("model", str(cell.settings["model"]))} - seen
        if outcome is None or outcome.status != FINISHED or not of:
            continue
        seen |= of
        try:
            record = read_record(folder.run_folder(cell))
        except RunFolderError:  # whoever reads the run says so
            continue
        for what, name in sorted(of):
            if what == "model" and is_younger(name, record.started, folders=True):
                warn(f"{name} was changed after cells of this sweep had run on it; the table may be of two models.")
            elif what == "task" and (changed := task_changes(name, record)):
                raise RunFolderError(
                    f"{some(changed)} was changed after cells of the sweep in {folder.path} had run on it; put it "
                    "back, or choose another folder with `out`."
                )
