"""The selection that a command's options ask for, whichever of them it has."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from acdc.errors import SettingsError
from acdc.selection import Above, Greedy, Selection, Top
from acdc.wording import some

_RULES: Mapping[str, Callable[..., Selection]] = {"top": Top, "above": Above, "greedy": Greedy}


def selection_of(by: str | None, **numbers: float | None) -> Selection | None:
    """The selection that was given; ``None`` if none was.

    Args:
        by: what it ranks by; ``None`` where that wasn't said.
        numbers: of each rule that the command has; ``None`` where it wasn't given.

    Raises:
        SettingsError: several are given, or a ranking without one.
    """
    given = [name for name, number in numbers.items() if number is not None]
    if len(given) > 1:
        raise SettingsError(f"`{given[0]}` and `{given[1]}` contradict each other; give one of them.")
    if given:
        return _RULES[given[0]](numbers[given[0]], by or "magnitude")
    if by is not None:
        rules = [f"`{name}`" for name in numbers]
        raise SettingsError(f"`by` says what {some(rules, len(rules))} rank by; give one of them with it.")
    return None
