"""``acdc.compare``: circuits, runs and files, held against each other."""

from __future__ import annotations

import warnings
from pathlib import Path

from acdc import asked
from acdc.circuit import Circuit
from acdc.comparison import Comparison
from acdc.comparison import compare as compare_circuits
from acdc.comparison.comparison import label
from acdc.errors import AcdcWarning
from acdc.export.wanted import HasCircuit, circuit_of
from acdc.runs.folder import CIRCUIT
from acdc.runs.run import Run, load_circuit
from acdc.wording import quoted

Comparable = Circuit | HasCircuit | str | Path


def compare(*given: Comparable, reference: Comparable | None = None) -> Comparison:
    """Hold circuits of one graph against each other: those of two tasks, methods, thresholds or checkpoints.

        >>> acdc.compare("runs/ioi-0.01", "runs/ioi-0.001")  # doctest: +SKIP
        Comparison of 2 circuits
          A ('runs/ioi-0.01'): 34 edges, 23 nodes
          B ('runs/ioi-0.001'): 112 edges, 26 nodes
          A keeps 34 edges, B 112; 33 in both: Jaccard 0.29.

    Args:
        given: each a circuit, a run, or the path of a run's folder or a circuit file.
        reference: another one to judge them by: precision, recall, F1, and areas under the ROC curve by the
            step rule of the ACDC paper (arXiv 2304.14997).

    Raises:
        SettingsError: what is given is no circuit, they are too few or of different graphs (says which sizes
            differ), or the reference keeps all edges or none.
        CircuitFileError: a file can't be read as a circuit.
        RunFolderError: a folder can't be read as a run.
    """
    circuits = [_opened(one) for one in given]
    known = None if reference is None else _opened(reference)
    _warn_of_doubles([*given, *([] if reference is None else [reference])], len(given))
    return compare_circuits(
        circuits,
        known,
        sources=[_source(one) for one in given],
        reference_source=None if reference is None else _source(reference),
    )


def _opened(given: Comparable) -> Circuit:
    return load_circuit(asked.path("circuit", given)) if isinstance(given, str | Path) else circuit_of(given)


def _source(given: Comparable) -> str | None:
    if isinstance(given, Run):
        return None if given.folder is None else str(given.folder)
    return str(given) if isinstance(given, str | Path) else None


def _warn_of_doubles(given: list[Comparable], n_circuits: int) -> None:
    """Say of a file that is given twice, by whatever name, under which letters it stands."""
    seen: dict[Path, str] = {}
    for i, one in enumerate(given):
        name = label(i) if i < n_circuits else "the reference"
        if (source := _source(one)) is None:
            continue
        path = Path(source).resolve()
        first = seen.setdefault(path / CIRCUIT if path.is_dir() else path, name)
        if first != name:
            warnings.warn(f"{first} and {name} are the same file, {quoted(source)}.", AcdcWarning, stacklevel=3)
