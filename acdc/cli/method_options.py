"""Options of every command that finds a circuit: those of the methods, read from their fields, and the selection."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, get_type_hints

import click

from acdc.errors import SettingsError
from acdc.methods.registry import METHODS
from acdc.selection import RANKINGS, Above, Greedy, Selection, Top

#: Of a run as a whole, whatever the method.
_SHARED = ("seed",)
_METHOD = click.option(
    "--method", default="acdc", show_default=True, help=f"{' or '.join(METHODS)}; the options of each are its own."
)
_SELECTION = (
    click.option("--top", type=int, help="By scores, of a method or file that has them: so many of the largest edges."),
    click.option("--above", type=float, help="Likewise: those of at least this score."),
    click.option("--greedy", type=int, help="Likewise: so many, grown from the logits, the best edge first."),
    click.option(
        "--by", help=f"What --top, --above and --greedy rank by: {' or '.join(RANKINGS)}.  [default: magnitude]"
    ),
)
_RULES: Mapping[str, Callable[..., Selection]] = {"top": Top, "above": Above, "greedy": Greedy}


def method_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add them to a command, in this order. What isn't given is ``None``: an option of another method is an error."""
    for option in reversed((_METHOD, *_own_options(), *_SELECTION)):
        command = option(command)
    return command


def selection_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add those that choose edges by their scores alone."""
    for option in reversed(_SELECTION):
        command = option(command)
    return command


def _own_options() -> list[Callable[..., Any]]:
    """An option for each field of a method; of two methods with a field of one name, the first tells its meaning."""
    made = {}
    for method in METHODS.values():
        types = get_type_hints(method)
        for one in fields(method):
            if one.name in made or one.name in _SHARED:
                continue
            spelt = f"--{one.name.replace('_', '-')}"
            meaning = f"{method.name}: {one.metadata['help'][0].lower()}{one.metadata['help'][1:]}"
            if types[one.name] is bool:
                made[one.name] = click.option(spelt, is_flag=True, default=None, help=meaning)
            else:
                meaning = f"{meaning}  [default: {one.default}]"
                made[one.name] = click.option(spelt, type=types[one.name], help=meaning)
    return list(made.values())


def given_options(params: Mapping[str, Any]) -> dict[str, Any]:
    """The options of methods that were given, by name."""
    names = {one.name for method in METHODS.values() for one in fields(method)} - set(_SHARED)
    return {name: params[name] for name in params if name in names and params[name] is not None}


def selection_of(method: str, params: Mapping[str, Any]) -> Selection | None:
    """The selection that was given for a method.

    Raises:
        SettingsError: as :func:`given_selection`, or none is given where the method needs one.
    """
    selection = given_selection(params)
    if selection is None and method in METHODS and not METHODS[method].decides:
        raise SettingsError(
            f"the method {method} gives every edge a score and leaves open which of them are the circuit; give "
            "`top`, `above` or `greedy`."
        )
    return selection


def given_selection(params: Mapping[str, Any]) -> Selection | None:
    """The selection that was given, if one was.

    Raises:
        SettingsError: several are given, or a ranking without one.
    """
    given = [name for name in _RULES if params[name] is not None]
    if len(given) > 1:
        raise SettingsError(f"`{given[0]}` and `{given[1]}` contradict each other; give one of them.")
    if not given:
        if params["by"] is not None:
            raise SettingsError("`by` says what `top`, `above` and `greedy` rank by; give one of them with it.")
        return None
    name = given[0]
    return _RULES[name](params[name], params["by"] or "magnitude")
