"""JSON that somebody may have damaged: parsed, and checked for what it must hold."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, get_args

_MOST_SHOWN = 40  # characters of a wrong value
_NAMES: dict[type, str] = {
    str: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    dict: "an object",
    list: "a list",
}


def parse(load: Callable[[], Any]) -> Any:
    """What `load` reads by the json module.

    Raises:
        ValueError: it isn't JSON, isn't UTF-8, is nested too deeply, or has a number too long to read.
    """
    try:
        return load()
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def check(value: Any, shape: Any, name: str) -> None:
    """Check that `value` is what `shape` says.

    Args:
        value: parsed JSON.
        shape: ``str``, ``bool``, ``int``, ``float`` (any number that fits one), ``dict``, ``list``; a union
            such as ``float | None``; or an object's keys, each with its shape. Further keys may be there.
        name: of the value, for messages; keys are added as in ``results.used``.

    Raises:
        ValueError: it isn't; the message names the part.
    """
    if isinstance(shape, Mapping):
        check(value, dict, name)
        for key, part in shape.items():
            inner = f"{name}.{key}" if name else key
            if key not in value:
                raise ValueError(f"it lacks {inner}")
            check(value[key], part, inner)
        return
    kinds = get_args(shape) or (shape,)
    if not any(_is_a(kind, value) for kind in kinds):
        wanted = " or ".join(_NAMES.get(kind, "null") for kind in kinds)
        raise ValueError(f"{name or 'it'} must be {wanted}, not {_show(value)}")


def _show(value: Any) -> str:
    """A value for a message, shortened."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 3]}..."


def _is_a(kind: type, value: Any) -> bool:
    if isinstance(value, bool) and kind is not bool:  # Python's True is an int
        return False
    if kind is not float:
        return isinstance(value, kind)
    if not isinstance(value, int | float):
        return False
    try:
        float(value)
    except OverflowError:  # an int of hundreds of digits
        return False
    return True
