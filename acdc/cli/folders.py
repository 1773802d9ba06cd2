"""The folder of a run whose user named none."""

from __future__ import annotations

from pathlib import Path

import click

from acdc.cli.method_options import given_options, selection_for
from acdc.cli.selection_options import SELECTING
from acdc.methods.base import Method
from acdc.methods.registry import find_method

#: Options that don't change what is found, or have a place of their own in the name.
_UNNAMED = ("model", "method", "out", "resume", "engine", "batch_size", "device", "threads")


def default_folder(context: click.Context) -> Path:
    """``runs/TASK-MODEL-THRESHOLD``, with the options that aren't at their default.

    Where a run with other settings, or something else, has that name, it gets a number. A folder with a run of
    the same settings is handed out: whether to go on with it is the user's word.
    """
    from acdc.errors import RunFolderError
    from acdc.runs.differences import known_differences
    from acdc.runs.folder import is_free, read_record
    from acdc.runs.naming import numbered, run_name

    given = {
        option.name: context.params[option.name]
        for option in context.command.params
        if option.name is not None and option.name not in _UNNAMED and context.params.get(option.name) is not None
    }
    task, model = given.pop("task"), context.params["model"]
    method = find_method(context.params["method"], **given_options(context.params))
    leading = _leading(method)
    options = {name: value for name, value in method.options.items() if name != "seed"}
    defaults = {option.name: option.get_default(context) for option in context.command.params}
    defaults |= {name: value for name, value in type(method)().options.items() if name != "seed"}
    changed = {name: value for name, value in given.items() if value != defaults[name] and name != leading}
    selection = selection_for(method.name, **{name: context.params[name] for name in SELECTING})
    asked = {name: value for name, value in given.items() if name not in SELECTING}
    asked = {"dtype": "float32", "n": None, **asked, **options, "task": task, "method": method.name}
    asked["selection"] = None if selection is None else selection.to_json()
    asked["model"] = model.rstrip("/") or model
    first = method.name if leading is None else options[leading]
    for folder in numbered(Path("runs") / run_name(task, model, first, changed)):
        try:
            if not folder.is_symlink() and (not folder.exists() or (folder.is_dir() and is_free(folder))):
                break
            if not known_differences(read_record(folder), asked):
                break
        except RunFolderError:  # not a run's, or damaged
            continue
        except (OSError, ValueError):  # it can't be looked at, or have such a name; discover says so
            break
    return folder


def _leading(method: Method) -> str | None:
    """The option whose value stands for the method: of ACDC, as ever, its threshold, where that is given."""
    return "threshold" if method.name == "acdc" and not method.options["budget"] else None
