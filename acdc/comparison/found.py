"""In what circuits were found otherwise: their tasks, models, methods, thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from acdc.circuit import Circuit
from acdc.provenance import FIGURES, KNOWN, Provenance

#: What was measured on a circuit, and where its paths begin, isn't how it was found.
_ASIDE = (*FIGURES, "faithfulness_metric", "fingerprint", "directory")


def differences(circuits: Sequence[Circuit]) -> dict[str, list[Any]]:
    """Each field of their provenance of which they say different things, with its value for every circuit.

    ``None`` is unknown, which differs from nothing. A method's options stand beside the other fields.
    """
    return {name: values for name, values in _values(circuits).items() if _differ(values)}


def known_of_some(circuits: Sequence[Circuit]) -> list[str]:
    """The fields that some say and others don't, and those that do say the same."""
    return [name for name, values in _values(circuits).items() if None in values and not _differ(values)]


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
    return found | {f"{name} of the method" if name in KNOWN else name: options[name] for name in options}
