"""In what circuits were found otherwise: their tasks, models, methods, thresholds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from acdc.circuit import Circuit
from acdc.provenance import FIGURES, Provenance

#: What was measured on a circuit, and where its paths begin, isn't how it was found.
_ASIDE = (*FIGURES, "faithfulness_metric", "fingerprint", "directory")


def differences(circuits: Sequence[Circuit]) -> dict[str, list[Any]]:
    """Each field of their provenance that isn't alike, with its value for every circuit; ``None`` where unknown.

    A method's options stand beside the other fields.
    """
    found = [_settings(circuit.found) for circuit in circuits]
    names = dict.fromkeys(name for settings in found for name in settings)
    values = {name: [settings.get(name) for settings in found] for name in names}
    return {name: row for name, row in values.items() if any(value != row[0] for value in row)}


def _settings(found: Provenance) -> dict[str, Any]:
    given = found.to_json()
    settings = {name: value for name, value in given.items() if name not in (*_ASIDE, *found.further)}
    options = settings.pop("options", None)
    return settings | (dict(options) if isinstance(options, Mapping) else {})
