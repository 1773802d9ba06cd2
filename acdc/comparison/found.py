"""In what circuits were found otherwise: their tasks, models, methods, thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from acdc.circuit import Circuit
from acdc.provenance import FIGURES, KNOWN, Provenance

#: What was measured on a circuit, and where its paths begin, isn't how it was found.
_ASIDE = (*FIGURES, "faithfulness_metric", "fingerprint", "directory")

#: Ends the name of a method's option where another field has that name.
OF_METHOD = " of the method"


def differences(circuits: Sequence[Circuit]) -> dict[str, list[Any]]:
    """Each field of their provenance of which they say different things, with its value for every circuit.

    ``None`` is unknown, which differs from nothing. A method's options stand beside the other fields.
    """
    return {name: values for name, values in _values(circuits).items() if _differ(values)}


def known_of_some(circuits: Sequence[Circuit]) -> list[str]:
    """The fields that some say and others don't, and those that do say the same.

    Circuits of which nothing is known are passed over, and so is what belongs to one method where the others are of
    another. That a circuit doesn't say that it was edited is nothing unknown.
    """
    known = [one for one in circuits if is_known(one)]
    return [
        name
        for name, values in _values(known).items()
        if None in values and not _differ(values) and name != "edited_from" and not _of_one_method(name, values, known)
    ]


def is_known(circuit: Circuit) -> bool:
    """Whether anything is known of how a circuit was found; of a list of names nothing is."""
    return bool(_flattened(settings(circuit.found)).keys() - {"edited_from"})


def own_of_method(circuits: Sequence[Circuit]) -> list[dict[str, Any]]:
    """Of each circuit the options and the selection that belong to its method, where others are of another one."""
    known = [i for i, one in enumerate(circuits) if is_known(one)]
    found = [circuits[i] for i in known]
    own: list[dict[str, Any]] = [{} for _ in circuits]
    for name, values in _values(found).items():
        if _of_one_method(name, values, found):
            for i, value in zip(known, values, strict=True):
                own[i] |= {} if value is None else {name: value}
    return own


def _of_one_method(name: str, values: Sequence[Any], circuits: Sequence[Circuit]) -> bool:
    """Whether a field is an option of a method, or its selection, that all lack which are of another, known method."""
    if name in KNOWN and name != "selection":
        return False
    having = {one.found.method for one, value in zip(circuits, values, strict=True) if value is not None}
    lacking = {one.found.method for one, value in zip(circuits, values, strict=True) if value is None}
    return bool(lacking) and None not in lacking | having and not lacking & having


def _differ(values: Sequence[Any]) -> bool:
    known = [value for value in values if value is not None]
    return any(value != known[0] for value in known)


def settings(found: Provenance) -> dict[str, Any]:
    """How a circuit was found, as far as it is known: its provenance without what was measured on it."""
    return {
        name: value
        for name, value in found.to_json().items()
        if value is not None and name not in (*_ASIDE, *found.further)
    }


def _values(circuits: Sequence[Circuit]) -> dict[str, list[Any]]:
    found = [_flattened(settings(circuit.found)) for circuit in circuits]
    names = dict.fromkeys(name for one in found for name in one)
    return {name: [one.get(name) for one in found] for name in names}


def _flattened(found: dict[str, Any]) -> dict[str, Any]:
    """With a method's options beside the others: it may have a seed, as the prompts have."""
    options = found.pop("options", None) or {}
    return found | {f"{name}{OF_METHOD}" if name in KNOWN else name: options[name] for name in options}
