"""JSON that somebody may have damaged: parsed, and checked for what it must hold."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

_MOST_SHOWN = 40  # characters of a wrong value
_NAMES: dict[type, str] = {
    str: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    dict: "an object",
    list: "a list",
}


def finite(value: Any) -> Any:
    """A value as JSON can hold it: with null for NaN and infinity."""
    if isinstance(value, Mapping):
        return {key: finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def parse(load: Callable[[], Any]) -> Any:
    """What `load` reads by the json module.

    Raises:
        ValueError: it isn't JSON, isn't UTF-8, is nested too deeply, has a number too long to read, or
            doesn't fit into memory.
    """
    try:
        return load()
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except MemoryError:
        raise ValueError("it doesn't fit into memory") from None
    except ValueError as error:
        if "integer string conversion" in str(error):  # Python's advice is for programmers
            raise ValueError("a number has too many digits") from None
        raise


def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of distinct keys, for ``object_pairs_hook``. Raises :class:`ValueError`."""
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {shown(twice)} stands twice in one object")
    return made


def read_plain(text: bytes) -> Any:
    """JSON in UTF-8 without anything odd.

    Raises:
        ValueError: as by :func:`parse`, :func:`distinct` or :func:`check_plain`.
    """

    def load() -> Any:
        value = json.loads(text.decode(), object_pairs_hook=distinct)
        check_plain(value)
        return value

    return parse(load)


def check_plain(value: Any, name: str = "") -> None:
    r"""Check that all numbers in parsed JSON are finite and all texts whole characters.

    Raises:
        ValueError: NaN, infinity (also a number like ``1e999``), or half of a character (``"\ud83d"``).
    """
    if isinstance(value, dict):
        for key, part in value.items():
            check_plain(key, f"a key of {name or 'it'}")
            check_plain(part, f"{name}.{key}" if name else key)
    elif isinstance(value, list):
        for part in value:
            check_plain(part, name)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name or 'it'} must be a finite number, not {shown(value)}")
    elif isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError(f"{name or 'it'} holds half of a character, {shown(value)}") from None


def check(value: Any, shape: Any, name: str) -> None:
    """Check that `value` is what `shape` says.

    Args:
        value: parsed JSON.
        shape: ``str``, ``bool``, ``int``, ``float`` (any finite number that fits one), ``dict``, ``list``; a union
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
        raise ValueError(f"{name or 'it'} must be {wanted}, not {shown(value)}")


def typed_fields(kind: type, given: Any, name: str) -> dict[str, Any]:
    """What an object says of a dataclass' fields, each checked to be of its type; other keys are passed over.

    A field without a default must be there. One that may be ``None`` may be null, which is as good as nothing there.
    Fields that are dataclasses themselves stay objects.

    Args:
        kind: the dataclass.
        given: parsed JSON.
        name: of the object, for messages.

    Raises:
        ValueError: a field is missing or isn't of its type; the message names it.
    """
    check(given, dict, name)
    types = get_type_hints(kind)
    for one in fields(kind):
        shape = _shape(types[one.name])
        allowed = given.get(one.name) is None and type(None) in get_args(shape)
        if not allowed and (one.name in given or (one.default is MISSING and one.default_factory is MISSING)):
            check(given, {one.name: _without_none(shape)}, name)
    return {one.name: given[one.name] for one in fields(kind) if one.name in given}


def _without_none(shape: Any) -> Any:
    parts = tuple(part for part in get_args(shape) if part is not type(None))
    return Union[parts] if parts else shape  # noqa: UP007 - of types that are known only now


def _shape(hint: Any) -> Any:
    """The shape of a field's type, see :func:`check`."""
    if get_origin(hint) in (Union, UnionType):
        found = [_shape(part) for part in get_args(hint)]
        return Union[tuple(found)]  # noqa: UP007 - of types that are known only now
    kind = get_origin(hint) or hint
    if is_dataclass(kind) or (isinstance(kind, type) and issubclass(kind, Mapping)):
        return dict
    return list if kind is not str and isinstance(kind, type) and issubclass(kind, Sequence) else kind


def shown(value: Any) -> str:
    """A value for a message, shortened."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list"
    text = json.dumps(value, ensure_ascii=False).encode(errors="backslashreplace").decode()
    return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 3]}..."


def _is_a(kind: type, value: Any) -> bool:
    if isinstance(value, bool) and kind is not bool:  # Python's True is an int
        return False
    if kind is not float:
        return isinstance(value, kind)
    if not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an int of hundreds of digits
        return False
