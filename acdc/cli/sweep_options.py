"""The axes of a sweep as options: those of ``acdc discover`` that say what is found, each taking values or ranges."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from acdc.cli.discover import discover
from acdc.errors import RunFolderError
from acdc.runs.naming import model_name, numbered, run_name
from acdc.sweeps.axes import AXES
from acdc.sweeps.folder import SweepFolder
from acdc.sweeps.grid import Grid

_VALUES, _FLAGS = "VALUES", "true|false"
_TASKS = "Names (see: acdc tasks) or files, with commas between them."
_MOST_NAMED = 2  # values in a folder's name


def axis_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add them to a command, as text; what isn't given is ``None``."""
    of_a_run = [one for one in discover.params if isinstance(one, click.Option) and one.name in AXES]
    for option in reversed(of_a_run):
        command = _as_axis(option)(command)
    return click.option("--task", metavar=_VALUES, help=_TASKS)(command)


def _as_axis(option: click.Option) -> Callable[..., Any]:
    """An option of one run as an axis: by the same name, for text in which values stand."""
    told = (option.help or "").strip()
    if option.show_default and option.default is not None:
        told += f"  [default: {option.default}]"
    if option.name == "model":
        told += "  Also a pattern of folders: 'models/step-*'."
    if option.is_flag:  # alone it means yes
        return click.option(*option.opts, metavar=_FLAGS, is_flag=False, flag_value="true", help=told)
    return click.option(*option.opts, metavar=_VALUES, help=told)


def default_folder(grid: Grid, file: Path | None, *, curve: bool) -> Path:
    """``sweeps/NAME``: the file's name, or task, model and method.

    Where another sweep, or something else, has that name, it gets a number; a folder of the same sweep is handed out.

    Args:
        grid: what is run.
        file: that its axes are from.
        curve: whether curves are measured.
    """
    name = file.stem if file is not None else _name(grid)
    for folder in numbered(Path("sweeps") / name):
        earlier = same_sweep(folder, grid)
        if _is_free(folder) or (earlier is not None and earlier.curve == curve):
            break
    return folder


def _is_free(folder: Path) -> bool:
    """Whether nothing stands there, or an empty folder."""
    if folder.is_symlink() or not folder.exists():
        return not folder.is_symlink()
    return folder.is_dir() and next(folder.iterdir(), None) is None


def same_sweep(folder: Path, grid: Grid) -> SweepFolder | None:
    """The sweep in a folder, if it has these cells."""
    try:
        found = SweepFolder.load(folder)
    except RunFolderError:  # another's, or damaged
        return None
    return None if found.grid.differences(grid) else found


def _name(grid: Grid) -> str:
    parts = {}
    for axis, short in (("task", _stem), ("model", model_name), ("method", str)):
        values = sorted({short(cell.settings[axis]) for cell in grid.cells})
        parts[axis] = "+".join(values) if len(values) <= _MOST_NAMED else f"{len(values)}-{axis}s"
    return run_name(parts["task"], parts["model"], parts["method"], {})


def _stem(task: str) -> str:
    return Path(task).stem
