"""A run as its user gets it: the circuit, the decisions, and the record of how it was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from acdc.circuit import Circuit
from acdc.decision import Decision
from acdc.errors import RunFolderError
from acdc.runs.folder import CIRCUIT, TRACE, read_record
from acdc.runs.trace import read_trace


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        circuit: what was found.
        decisions: what was tried, in order.
        record: what ``run.json`` holds: request, versions, hashes, noise floor, times, results.
        folder: where it was written, if it was.
    """

    circuit: Circuit
    decisions: Sequence[Decision]
    record: dict[str, Any]
    folder: Path | None = None

    @classmethod
    def load(cls, folder: str | Path) -> Run:
        """Read a finished run's folder.

        Raises:
            RunFolderError: it isn't a run folder, or the run isn't finished.
            CircuitFileError: its circuit can't be read.
        """
        path = Path(folder)
        record = read_record(path)
        if record.get("status") != "finished":
            raise RunFolderError(f"the run in {path} isn't finished; go on with it by acdc discover ... --resume.")
        return cls(Circuit.load(path / CIRCUIT), read_trace(path / TRACE), record, path)
