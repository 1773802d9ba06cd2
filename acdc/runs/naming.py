"""Names of run folders that nobody chose: they hold what the run is of, and what differs from the defaults."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_MOST_BYTES = 120  # of a name; systems take 255, and files in the folder have names of their own
_MOST_PART = 40
#: Options whose values say what they are.
_SPEAKING = ("metric", "ablation", "order", "corruption", "dtype", "by", "level")


def run_name(task: str, model: str, leading: float | str, options: Mapping[str, Any]) -> str:
    """``ioi-gpt2-0.01-logit-diff-n50``.

    Args:
        task: a task's name, or its file.
        model: a model's name, or its folder.
        leading: what tells the run best: of ACDC its threshold, else the method's name.
        options: other options that aren't at their default: true or false, numbers and text.
    """
    parts = [_part(Path(task).stem), _part(model_name(model)), _leading(leading)]
    parts += [_option(name, value) for name, value in options.items()]
    name = "-".join(parts)
    if len(name.encode()) <= _MOST_BYTES:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]  # what is cut off keeps names apart
    return f"{name.encode()[: _MOST_BYTES - 9].decode(errors='ignore')}-{digest}"


def model_name(model: str) -> str:
    """The last part of a model's name or path; that of the folder it stands for, where that is ``.`` or ``..``."""
    last = Path(model).name
    if last in ("", ".", "..", "~"):
        try:
            last = Path(model).expanduser().resolve().name
        except (OSError, RuntimeError, ValueError):  # of no known user, or a name that the system doesn't take
            last = ""
    return last or "root"


def numbered(folder: Path) -> Iterator[Path]:
    """The folder, then ``folder-2``, ``folder-3`` ..."""
    yield folder
    number = 2
    while True:
        yield folder.with_name(f"{folder.name}-{number}")
        number += 1


def _leading(value: float | str) -> str:
    if isinstance(value, str):
        return _part(value)
    return short if float(short := f"{value:g}") == value else repr(value)


def _option(name: str, value: Any) -> str:
    if value is True:
        return _part(name)
    if value is False:
        return f"no-{_part(name)}"
    if isinstance(value, str):
        return _part(value if name in _SPEAKING else f"{name}-{value}")
    return _part(f"{name}{value}")


def _part(text: str) -> str:
    """Text as a part of a file's name: letters, digits and a few signs, and not too long."""
    plain = "".join(sign if sign.isalnum() or sign in "._+" else "-" for sign in text).strip("-.")
    if len(plain) > _MOST_PART:
        half = _MOST_PART // 2 - 1
        plain = f"{plain[:half]}..{plain[-half:]}"
    return plain or "x"
