"""From what a user gives for an axis (a value, a list, or text such as ``0.001:0.1:5log``) to its values."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from acdc.asked import flag, real, shown, text, whole
from acdc.engine.names import asked_freeze
from acdc.errors import SettingsError
from acdc.sweeps.axes import AXES
from acdc.sweeps.modelpatterns import folders_of, is_pattern
from acdc.wording import counted, quoted, some

#: More cells than this are a slip.
MOST_CELLS = 100_000
_RANGE = re.compile(r"(?P<first>[^:]*):(?P<last>[^:]*)(?::(?P<how>[^:]*))?", re.DOTALL)
_HOW = re.compile(r"(?P<count>[+-]?\d+)(?P<spacing>log|lin)")
_MOST_COUNT_DIGITS = 12  # of a range's number of values
_FLAGS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
#: Digits that the values of a range have at least; more where fewer would make two the same.
_DIGITS = 4


def values_of(axis: str, given: Any) -> list[Any]:
    """The values of an axis, plain and of the axis's type, in the order given.

        >>> values_of("threshold", "0.001:0.1:3log")
        [0.001, 0.01, 0.1]
        >>> values_of("seed", "0:3,7")
        [0, 1, 2, 7]

    Args:
        axis: its name, one of :data:`acdc.sweeps.axes.AXES`.
        given: a value, a list of them, or text: values with commas between them; of numbers also ranges, ``0:5`` of
            whole numbers (the end left out), and ``0.01:1:5log`` or ``0:1:5lin`` of so many with both ends, which are
            rounded to four digits, or as many as keep them apart; of ``model`` also a pattern of folders, and those
            are sorted by the numbers in them. Text in a list is taken whole: a file's name may have a comma.

    Raises:
        SettingsError: there is none, or one is no value of this axis.
    """
    if isinstance(given, str | Path):
        found = list(_of_text(axis, str(given)))
    else:
        _refuse_many(axis, _length(given))  # before a list is made of it
        listed = given.tolist() if hasattr(given, "tolist") else given  # numpy's
        listed = list(listed) if isinstance(listed, list | tuple | range) else [listed]
        found = [value for one in listed for value in _of_one(axis, one)]
    if not found:
        raise SettingsError(f"the axis `{axis}` is empty; give it a value, or leave it out.")
    return found


def _of_text(axis: str, given: str) -> Iterator[Any]:
    """The values of text; a name with a comma is itself where there is such a file or folder."""
    if "," not in given or (AXES[axis] is str and _is_there(given)):
        yield from _of_one(axis, given)
        return
    for part in given.split(","):
        if not part.strip():
            raise SettingsError(
                f"the axis `{axis}` has an empty value between commas in {quoted(given)}; write value,value."
            )
        yield from _of_one(axis, part.strip())


def _of_one(axis: str, given: Any) -> Iterator[Any]:
    kind = AXES[axis]
    if isinstance(given, Path):
        given = str(given)
    if isinstance(given, list | tuple | dict):
        raise SettingsError(f"a value of the axis `{axis}` must be plain, not {shown(given)}; lists don't hold lists.")
    if given is None or (not isinstance(given, str | bool | int | float) and not hasattr(given, "item")):
        raise SettingsError(
            f"a value of the axis `{axis}` must be plain ({_words(axis)}), not {shown(given)}: a sweep's cells are run "
            "in other processes, too, and are written down."
        )
    if kind is str:
        yield from _names(axis, text(axis, given))
    elif not isinstance(given, str):
        yield _number(axis, given)
    elif (span := _RANGE.fullmatch(given.strip())) and kind is not bool:
        yield from _range(axis, given.strip(), span["first"], span["last"], span["how"])
    else:
        yield _number(axis, _read(axis, given.strip()))


def _names(axis: str, name: str) -> Iterator[str]:
    if not name.strip():
        raise SettingsError(f"the axis `{axis}` has an empty name; give one, or leave the axis out.")
    if axis == "freeze":
        name = ",".join(asked_freeze(name)) or "none"
    if axis == "model" and is_pattern(name):
        yield from folders_of(name)
    else:
        yield name


def _read(axis: str, given: str) -> Any:
    """Text as the number, or the yes or no, that it writes."""
    kind = AXES[axis]
    if kind is bool:
        if given.lower() not in _FLAGS:
            raise SettingsError(f"`{axis}` must be true or false, not {quoted(given)}.")
        return _FLAGS[given.lower()]
    if axis == "batch_size" and given == "auto":
        return given
    try:
        return int(given) if kind is int else float(given)
    except ValueError:  # or of thousands of digits
        raise SettingsError(f"a value of `{axis}` must be {_words(axis)}, not {quoted(given)}.") from None


def _number(axis: str, value: Any) -> Any:
    """A number, or yes or no, of the axis's type."""
    kind = AXES[axis]
    if kind is bool:
        return flag(axis, value)
    if kind is int:
        return value if axis == "batch_size" and value == "auto" else whole(axis, value)
    found = real(axis, value)
    if not math.isfinite(found):
        raise SettingsError(f"a value of `{axis}` must be a finite number, not {found}.")
    return found


def _range(axis: str, given: str, first: str, last: str, how: str | None) -> Iterator[Any]:
    """The values of ``FIRST:LAST`` or ``FIRST:LAST:COUNTlog``."""
    kind = AXES[axis]
    if not first.strip() or not last.strip():
        raise SettingsError(
            f"the range {quoted(given)} of `{axis}` lacks an end; write both, e.g. "
            f"{'0:5' if kind is int else '0.001:0.1:5log'}."
        )
    begin, end = (_number(axis, _read(axis, part.strip())) for part in (first, last))
    if "auto" in (begin, end):
        raise SettingsError(f"a range of `{axis}` goes from a number to a number, not {quoted(given)}.")
    if how is None:
        if kind is not int:
            raise SettingsError(
                f"{quoted(given)} doesn't say how many values `{axis}` has between its ends; write "
                f"{first}:{last}:5lin, or 5log."
            )
        if end <= begin:
            swap = f"; write {last}:{first}" if end < begin else f"; write {first}:{end + 1}, or {first}"
            raise SettingsError(f"the range {quoted(given)} of `{axis}` is empty: its end is left out{swap}.")
        _refuse_many(axis, end - begin)
        yield from range(begin, end)
        return
    told = _HOW.fullmatch(how.strip())
    if told is None:
        raise SettingsError(
            f"the range {quoted(given)} of `{axis}` must end in a number of values with log or lin, e.g. "
            f"{first}:{last}:5log, not in {quoted(how)}."
        )
    if len(told["count"]) > _MOST_COUNT_DIGITS:
        raise SettingsError(
            f"the range {quoted(given)} of `{axis}` has too many values: a sweep has {MOST_CELLS:,} cells at most; "
            "give fewer."
        )
    _refuse_many(axis, count := int(told["count"]))
    if count < 2 or begin == end:
        why = "it has both its ends" if count < 2 else "its ends are the same"
        raise SettingsError(
            f"the range {quoted(given)} of `{axis}` can't be of {counted(count, 'value')}: {why}; give {first}."
        )
    yield from _spaced(axis, given, begin, end, count, told["spacing"])


def _spaced(axis: str, given: str, begin: float, end: float, count: int, spacing: str) -> list[Any]:
    shares = [step / (count - 1) for step in range(count)]
    if spacing == "log":
        if begin <= 0 or end <= 0:
            raise SettingsError(
                f"the range {quoted(given)} of `{axis}` is spaced by logarithms, and {min(begin, end):g} has none; "
                "begin above 0, or space it by lin."
            )
        exact = [math.exp(math.log(begin) * (1 - share) + math.log(end) * share) for share in shares]
    else:
        exact = [begin * (1 - share) + end * share for share in shares]
    exact[0], exact[-1] = begin, end
    if AXES[axis] is int:
        return list(dict.fromkeys(round(value) for value in exact))
    if spacing == "lin":
        least = max(abs(begin), abs(end)) * 1e-12  # less is what rounding left of a zero
        exact[1:-1] = [0.0 if abs(value) < least else value for value in exact[1:-1]]
    return _rounded(exact)


def _rounded(exact: list[float]) -> list[float]:
    """To as few digits as keep values apart; the ends are as they were given."""
    inside = exact[1:-1]
    rounded: list[float] = []
    for digits in range(_DIGITS, 18):
        rounded = [float(f"{value:.{digits}g}") for value in inside]
        if len({exact[0], *rounded, exact[-1]}) == len(exact):
            break
    return list(dict.fromkeys([exact[0], *rounded, exact[-1]]))


def _length(given: Any) -> int:
    """How many values a list, a range or numpy's array has, even where that is more than Python's ``len`` can say."""
    if isinstance(given, range):
        return max(0, (given.stop - given.start + given.step - (1 if given.step > 0 else -1)) // given.step)
    if isinstance(given, list | tuple):
        return len(given)
    size = getattr(given, "size", 1)
    return size if isinstance(size, int) else 1


def _refuse_many(axis: str, count: int) -> None:
    if count > MOST_CELLS:
        raise SettingsError(
            f"the axis `{axis}` alone has {count:,} values, and a sweep has {MOST_CELLS:,} cells at most; give fewer."
        )


def _words(axis: str) -> str:
    """What a value of an axis is, in words."""
    kinds: dict[type, str] = {str: "a name", int: "a whole number", float: "a number", bool: "true or false"}
    return kinds[AXES[axis]] + (" or auto" if axis == "batch_size" else "")


def _is_there(name: str) -> bool:
    try:
        return Path(name).expanduser().exists()
    except (OSError, RuntimeError, ValueError):
        return False


def each_once(axis: str, values: list[Any], say: Callable[[str], None]) -> list[Any]:
    """The values without repetitions, which are said."""
    counts = Counter(values)
    if twice := [str(value) for value, count in counts.items() if count > 1]:
        say(f"the axis `{axis}` has {some(twice)} more than once; each counts once.")
    return list(counts)
