"""What callers ask for, checked: a number is a number, yes or no is yes or no, and numpy's are as good as Python's."""

from __future__ import annotations

import operator
import os
import traceback
from contextlib import suppress
from dataclasses import field, fields
from functools import cache
from numbers import Real
from pathlib import Path
from typing import Any, get_type_hints

from acdc.errors import SettingsError
from acdc.wording import quoted

_MOST_SHOWN = 40  # characters
#: No number of anything is as large.
_TOO_LARGE = 2**63


def whole(name: str, value: Any) -> int:
    """A whole number, as Python's. Raises :class:`SettingsError` for everything else, True and 5.0 too."""
    if not _is_bool(value):
        try:
            found = operator.index(value)
        except TypeError:
            pass
        else:
            if abs(found) < _TOO_LARGE:
                return found
            raise SettingsError(f"`{name}` is out of all bounds, {shown(value)}; give a number that can be meant.")
    raise SettingsError(f"`{name}` must be a whole number, not {shown(value)}.")


def n_pairs(value: Any) -> int:
    """How many prompt pairs. Raises :class:`SettingsError` for what is no number of at least 1."""
    if (n := whole("n", value)) < 1:
        raise SettingsError(f"n must be at least 1, got {n}.")
    return n


def real(name: str, value: Any) -> float:
    """A number, as Python's float. Raises :class:`SettingsError` for everything else."""
    if isinstance(value, Real) and not _is_bool(value):
        try:
            return float(value)
        except OverflowError:  # a whole number of hundreds of digits
            pass
    raise SettingsError(f"`{name}` must be a number, not {shown(value)}.")


def flag(name: str, value: Any) -> bool:
    """Yes or no. Raises :class:`SettingsError` for everything else."""
    if not _is_bool(value):
        raise SettingsError(f"`{name}` must be True or False, not {shown(value)}.")
    return bool(value)


def text(name: str, value: Any) -> str:
    """A name. Raises :class:`SettingsError` for what isn't text."""
    if not isinstance(value, str):
        raise SettingsError(f"`{name}` must be a name (text), not {shown(value)}.")
    return value


def path(name: str, value: Any) -> Path:
    """A path. Raises :class:`SettingsError` for what can't be one."""
    if not isinstance(value, str | Path):
        raise SettingsError(f"`{name}` must be a path, not {shown(value)}.")
    try:
        if b"\0" in os.fsencode(value):
            raise ValueError
    except ValueError:  # or half of a character
        raise SettingsError(f"`{name}` can't be {shown(str(value))}: no path is written so.") from None
    return Path(value)


def batch_size(value: int | str) -> int | None:
    """``None`` for ``auto``. Raises :class:`SettingsError` for what is no number of prompts."""
    if isinstance(value, str) and value == "auto":
        return None
    size = value if isinstance(value, str | bool) or not hasattr(value, "__index__") else int(value)
    if isinstance(size, str) and size.isdecimal():
        with suppress(ValueError):  # of thousands of digits
            size = int(size)
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise SettingsError(f"the batch size must be at least 1 prompt, or auto, not {quoted(value)}.")
    return size


def option(default: Any, meaning: str, *, later: bool = False) -> Any:
    """A field of a dataclass of options.

    Args:
        default: its default.
        meaning: what it means, for help texts.
        later: it came after runs had been written that don't have it: at its default, a record leaves it out.
    """
    return field(default=default, metadata={"help": meaning, "later": later})


def check_options(options: Any) -> None:
    """Check every field of a frozen dataclass of options by its type; numpy's numbers become Python's.

    Raises:
        SettingsError: a value is of another type; names the field.
    """
    own: type = type(options)
    types = _types(own)
    for one in fields(options):
        if (kind := types[one.name]) not in _CHECKS:
            said = getattr(kind, "__name__", str(kind))
            raise SettingsError(f"the option `{one.name}` is of the type {said}; options are int, float, bool or str.")
        checked = _CHECKS[kind](one.name, getattr(options, one.name))
        object.__setattr__(options, one.name, checked)


@cache
def _types(kind: type) -> dict[str, Any]:
    """Types of a class's fields, which take Python long to work out, and a sweep makes thousands of methods."""
    return get_type_hints(kind)


def shown(value: object) -> str:
    """A value for a message: itself if it is short, else its type."""
    try:
        spelt = repr(value)
    except Exception:  # a class of somebody else's
        spelt = ""
    if spelt and "\n" not in spelt and " at 0x" not in spelt and len(spelt) <= _MOST_SHOWN:
        return spelt
    return f"something of the type {type(value).__name__}"


#: How a value is checked, by the type that it must be of.
_CHECKS = {int: whole, float: real, bool: flag, str: text}


def raised_at(error: BaseException) -> str:
    """Where a caller's own code ended Python, as " (mine.py, line 3)"; empty for errors that say what is wrong."""
    if not isinstance(error, SystemExit):
        return ""
    own = str(Path(__file__).parent)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(own)]
    return f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""


def said(error: BaseException) -> str:
    """What somebody else's error says, as the end of a sentence."""
    line = next(iter(str(error).strip().splitlines()), "")
    line = line if len(line) <= 200 else f"{line[:197]}..."
    return f"{type(error).__name__}: {line}".rstrip(": ").rstrip(".") + "."


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool) or type(value).__name__ in ("bool_", "bool")  # numpy's, which needn't be imported
