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
    """An option for each name that fields of methods have; its help says what it means to each of them."""
    kinds: dict[str, type] = {}
    on_by_default: dict[str, bool] = {}
    meanings: dict[str, dict[str, list[str]]] = {}  # of each name: to which methods it means that
    for method in METHODS.values():
        types = get_type_hints(method)
        for one in fields(method):
            if one.name not in _SHARED:
                kinds[one.name] = types[one.name]
                on_by_default[one.name] = on_by_default.get(one.name, False) or one.default is True
                meaning = f"{one.metadata['help'][0].lower()}{one.metadata['help'][1:]}"
                meaning += "" if kinds[one.name] is bool else f"  [default: {one.default}]"
                meanings.setdefault(one.name, {}).setdefault(meaning, []).append(method.name)
    made = []
    for name, of in meanings.items():
        spelt = f"--{name.replace('_', '-')}"
        text = "  ".join(f"{', '.join(methods)}: {meaning}" for meaning, methods in of.items())
        if kinds[name] is bool:
            spelt += spelt.replace("--", "/--no-") if on_by_default[name] else ""  # on unless it is turned off
            made.append(click.option(spelt, is_flag=True, default=None, help=text))
        else:
            made.append(click.option(spelt, type=kinds[name], help=text))
    return made


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
        scoring = METHODS["eap-ig"]  # the usual one of those that score edges
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
