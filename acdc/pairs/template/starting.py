"""A template file to begin with: a small task with comments, or a copy of another one's."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from acdc.errors import PromptError, SettingsError
from acdc.pairs.promptfile.door import read_text
from acdc.pairs.task import Task
from acdc.pairs.template.task import SUFFIX, TemplateTask
from acdc.pairs.template.toml import read_toml
from acdc.wording import quoted

_SMALL = Path(__file__).with_name("new.toml")


def start_template(name: str, copied: Task | None = None) -> Path:
    """Write a template file that runs as it stands; nothing is written over.

    Args:
        name: the file, with or without its ending.
        copied: the task to copy; by default a small one with comments.

    Returns:
        the file's path.

    Raises:
        SettingsError: the name is none, there is such a file, it can't be written, or the task is no template.
    """
    path = Path(name if name.lower().endswith(SUFFIX) else f"{name}{SUFFIX}")
    if not name.isprintable() or path.suffix.lower() != SUFFIX or not path.stem.strip():
        raise SettingsError(f"{quoted(name)} is no name for a template file; give one like mine.toml.")
    text = read_text(_SMALL).replace("NAME.toml", shlex.quote(path.name)) if copied is None else _copy(copied, path)
    try:
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError:
        raise SettingsError(f"{path} is there already; choose another name.") from None
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path} can't be written: {getattr(error, 'strerror', error)}.") from error
    return path


def _copy(task: Task, path: Path) -> str:
    """The text of a template file, with the word lists that it takes from other files in it."""
    if not isinstance(task, TemplateTask):
        raise SettingsError(
            f"{task.name} is no template file, but Python or pairs of prompts; leave it out for a small template, or "
            "copy a task that is one, like ioi, or a template file of yours."
        )
    text = read_text(task.path).replace("\r\n", "\n")
    given = read_toml(task.path).get("words", {})
    taken = {name: _file_of(name, entry) for name, entry in given.items()}
    names = set(given)
    for name, source in taken.items():
        if source is None:
            continue
        file, which = source
        lists = _needed(read_toml(task.path.parent / file), which)
        for other in lists:
            if other != which and other in names and taken.get(other) != (file, other):
                raise PromptError(f"{task.path}: it can't be copied, as two word lists are called {other!r}.")
        lines = [f"{name} = {_written(lists[which])}"]
        lines += [f"{other} = {_written(entry)}" for other, entry in lists.items() if other not in names | {which}]
        names |= set(lists) - {which}
        pattern = re.compile(rf"^[ \t]*{re.escape(name)}[ \t]*=[^\n]*{re.escape(SUFFIX)}[^\n]*$", re.MULTILINE)
        text, found = pattern.subn(lambda _, lines=lines: "\n".join(lines), text)  # type: ignore[misc]
        if found != 1:
            raise PromptError(f"{task.path}: it can't be copied, as the word list {name!r} isn't a line of its own.")
    return f"# A copy of {task.name}. Try: acdc task check {shlex.quote(path.name)}\n{text}"


def _file_of(name: str, entry: Any) -> tuple[str, str] | None:
    """The word file that a list is of, and its name there."""
    if isinstance(entry, str) and entry.endswith(SUFFIX):
        return entry, name
    if isinstance(entry, dict) and "file" in entry:
        return entry["file"], entry.get("list", name)
    return None


def _needed(lists: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A list and those that it is made of."""
    found = {name: lists[name]}
    for other in list(found):
        for part in _parts(lists[other]):
            found |= _needed(lists, part)
    return found


def _parts(entry: Any) -> list[str]:
    """The lists that one is made of."""
    if not isinstance(entry, dict):
        return []
    return [*entry.get("lists", ()), *([entry["flip_of"]] if "flip_of" in entry else [])]


def _written(value: Any) -> str:
    """A value as TOML has it, on one line but for long lists of rows."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_written(part)}" for key, part in value.items()) + " }"
    if isinstance(value, list):
        is_long = any(isinstance(part, list | dict) for part in value)
        inner = (",\n  " if is_long else ", ").join(map(_written, value))
        return f"[\n  {inner},\n]" if is_long else f"[{inner}]"
    if isinstance(value, str):
        value = " ".join(value.split()) if "\n" in value else value
    return json.dumps(value, ensure_ascii=False)
