"""Circuits as ``acdc show`` and ``acdc export`` take them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from acdc.circuit import Circuit


def circuit_at(path: Path) -> Circuit:
    """The circuit of a run's folder, or of a file of ours, EAP-IG's or MIB's: JSON, an empty one too, or ``.pt``.

    Raises:
        AcdcError: as :func:`acdc.interchange.open_circuit`; a list of edges doesn't say of what model it is, and
            the message says what to make of it.
    """
    from acdc.errors import NoGraphError
    from acdc.interchange.lists import as_file
    from acdc.interchange.opening import kind_of, open_circuit
    from acdc.runs.run import load_circuit

    try:
        return load_circuit(path) if kind_of(path) in ("folder", "file") else open_circuit(path)
    except NoGraphError as error:
        raise NoGraphError(error.what, as_file(path)) from error
