"""Options of every command that finds a circuit: those of the methods, read from their fields, and the selection."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, get_type_hints

import click

from acdc.cli.selection_options import selection_of, selection_options
from acdc.errors import SettingsError
from acdc.methods.registry import METHODS
from acdc.selection import Selection
from acdc.wording import either

#: Of a run as a whole, whatever the method.
_SHARED = ("seed",)
_METHOD = click.option(
    "--method", default="acdc", show_default=True, help=f"{either(METHODS)}; the options of each are its own."
)


def method_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add them to a command, in this order. What isn't given is ``None``: an option of another method is an error."""
    command = selection_options("Of a method that scores edges: take so many of the largest scores.")(command)
    for option in reversed((_METHOD, *_own_options())):
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
                if one.default:  # on unless it is turned off
                    spelt = f"{spelt}/{spelt.replace('--', '--no-')}"
                made[one.name] = click.option(spelt, is_flag=True, default=None, help=meaning)
            else:
                meaning = f"{meaning}  [default: {_defaults(one.name)}]"
                made[one.name] = click.option(spelt, type=types[one.name], help=meaning)
    return list(made.values())


def _defaults(name: str) -> str:
    """The default of an option; where methods differ, that of the first and the others with whose they are."""
    by_method = {kind.name: one.default for kind in METHODS.values() for one in fields(kind) if one.name == name}
    usual, *_ = by_method.values()
    others = [f"{method}: {default}" for method, default in by_method.items() if default != usual]
    return "; ".join([str(usual), *others])


def given_options(params: Mapping[str, Any]) -> dict[str, Any]:
    """The options of methods that were given, by name."""
    names = {one.name for method in METHODS.values() for one in fields(method)} - set(_SHARED)
    return {name: params[name] for name in params if name in names and params[name] is not None}


def selection_for(method: str, by: str | None, level: str | None, **numbers: float | None) -> Selection | None:
    """:func:`acdc.cli.selection_options.selection_of`, as a method needs it.

    Raises:
        SettingsError: as there, one is given where the method decides, or none where the method needs one.
    """
    select = selection_of(by, level, **numbers)
    if select is not None and method in METHODS and METHODS[method].decides:
        scoring = next(other for other in METHODS.values() if not other.decides)
        raise SettingsError(
            f"`{select.name}` chooses edges by their scores, and the method {method} decides by itself which stay; "
            f'give `method="{scoring.name}"` with it, or leave it out.'
        )
    if select is None and method in METHODS and not METHODS[method].decides:
        raise SettingsError(
            f"the method {method} gives every edge a score and leaves open which of them are the circuit; give "
            "`top`, `above` or `greedy`."
        )
    return select
