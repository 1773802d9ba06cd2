"""Where a circuit is wanted, a run does as well."""

from __future__ import annotations

from typing import Any, Protocol

from acdc.asked import shown
from acdc.circuit import Circuit
from acdc.errors import SettingsError


class HasCircuit(Protocol):
    """What has a circuit: a run."""

    @property
    def circuit(self) -> Circuit:
        """The circuit that was found."""
        ...


def circuit_of(given: Circuit | HasCircuit | Any) -> Circuit:
    """A circuit, or that of a run. Raises :class:`SettingsError` for what is neither."""
    found = given if isinstance(given, Circuit) else getattr(given, "circuit", None)
    if not isinstance(found, Circuit):
        raise SettingsError(f"a circuit or a run is wanted, not {shown(given)}.")
    return found
