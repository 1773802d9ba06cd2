"""The methods by name, and their options."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from acdc.asked import shown, text
from acdc.errors import SettingsError, UnknownNameError
from acdc.methods.acdc import Acdc
from acdc.methods.base import Method
from acdc.methods.conductance import Conductance
from acdc.methods.eap import CleanCorrupted, Eap
from acdc.methods.eap_ig import EapIg
from acdc.methods.eap_ig_activations import EapIgActivations
from acdc.methods.edge_pruning import EdgePruning
from acdc.methods.gim import Gim
from acdc.methods.hisp import Hisp
from acdc.methods.hybrid import Hybrid
from acdc.methods.ifr import Ifr
from acdc.methods.patching import Patching
from acdc.methods.random import Random
from acdc.methods.relp import RelP
from acdc.methods.sp import Sp
from acdc.methods.ugs import Ugs
from acdc.wording import quoted, some

#: A new method's file is named here, in the order of the README's table.
METHODS: Mapping[str, type[Method]] = {
    method.name: method
    for method in (
        *(Acdc, Hybrid, Patching),
        *(Eap, EapIg, Conductance, EapIgActivations, CleanCorrupted, RelP, Gim, Ifr, Hisp),
        *(Sp, EdgePruning, Ugs, Random),
    )
}


def find_method(method: str | Method | Any, **options: Any) -> Method:
    """A method by its name with its options; a method is handed through.

    Args:
        method: a name, or a method, whose options are its own.
        options: of the method by that name; the others are as by default.

    Raises:
        UnknownNameError: no such method; the message has the nearest names.
        SettingsError: it has no such option (the message says which it has), or one makes no sense.
    """
    if isinstance(method, Method):
        if options:
            raise SettingsError(
                f"the method {method!r} has its options already; leave out {some([f'`{name}`' for name in options])}."
            )
        return method
    if not isinstance(method, str):
        example = "acdc.methods.EapIg(steps=5)"
        raise SettingsError(f"`method` must be a method's name or a method, e.g. {example}, not {shown(method)}.")
    if text("method", method) not in METHODS:
        raise UnknownNameError("method", method, METHODS)
    kind = METHODS[method]
    for name in options:
        if name not in option_names(kind):
            raise SettingsError(_no_such_option(kind, name))
    return kind(**options)


def option_names(kind: type[Method]) -> list[str]:
    """The options of a method, in order."""
    return [one.name for one in fields(kind)]


def _no_such_option(kind: type[Method], name: str) -> str:
    """What to say of an option that a method doesn't have."""
    own = option_names(kind)
    others = [other.name for other in METHODS.values() if name in option_names(other)]
    takes = some([f"`{known}`" for known in own], len(own)) if own else "no options"
    near = difflib.get_close_matches(name, own, n=1)
    hint = f" (did you mean `{near[0]}`?)" if near else ""
    why = f" (that is an option of {some(others)})" if others else hint
    spelt = f"`{name}`" if name.isidentifier() else quoted(name)
    return f"the method {kind.name} has no {spelt}{why}; it takes {takes}."
