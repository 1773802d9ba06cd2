"""The circuit that a sweep's are compared with, by its file or its name."""

from __future__ import annotations

from pathlib import Path

from acdc.circuit import Circuit
from acdc.comparison import check_reference
from acdc.interchange import open_circuit
from acdc.reading import kind_at
from acdc.references import reference


def reference_circuit(name: str, directory: str | None = None) -> Circuit:
    """A circuit's file, a run's folder, or a published circuit where no file has that name.

    Args:
        name: of it.
        directory: where a relative path begins that leads nowhere from here.

    Raises:
        UnknownNameError: it is neither a file nor a published circuit; says the nearest.
        AcdcError: the file can't be read as a circuit, or the circuit keeps all edges or none.
    """
    path = Path(name).expanduser()
    if kind_at(path) is None and directory is not None and kind_at(Path(directory) / path) is not None:
        path = Path(directory) / path
    is_name = kind_at(path) is None and path.name == name and not path.suffix
    found = reference(name).circuit if is_name else open_circuit(path)
    check_reference(found, found.graph)
    return found
