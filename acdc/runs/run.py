"""A run as its user gets it: the circuit, the decisions, and the record of how it was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from acdc.circuit import Circuit
from acdc.decision import Decision
from acdc.errors import RunFolderError
from acdc.runs.folder import CIRCUIT, TRACE, check_record, read_record
from acdc.runs.trace import read_trace

_BEHAVIOUR = {"metrics": dict, "accuracy": float | None, "logit_difference": float | None}
_STATES = ("model", "corrupted", "circuit", "ablated")
#: What the record of a finished run has, as far as acdc reads it.
_FINISHED = {
    "request": {"task": str, "model": str, "threshold": float, "metric": str, "ablation": str},
    "noise_floor": float,
    "tried": int,
    "kept": int,
    "within_noise": int,
    "usual_metric": str,
    "results": {"used": dict, "held_out": dict | None},
}


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

    def __repr__(self) -> str:
        return f"Run({self.circuit!r}, {len(self.decisions)} decisions, folder={str(self.folder)!r})"

    @classmethod
    def load(cls, folder: str | Path) -> Run:
        """Read a finished run's folder.

        Raises:
            RunFolderError: it isn't a run folder, the run isn't finished, or a file of it is damaged.
            CircuitFileError: its circuit can't be read.
        """
        path = Path(folder)
        record = read_record(path)
        if record["status"] != "finished":
            raise RunFolderError(f"the run in {path} isn't finished; go on with it by acdc discover ... --resume.")
        check_record(path, record, _FINISHED)
        _check_results(path, record)
        return cls(Circuit.load(path / CIRCUIT), read_trace(path / TRACE), record, path)


def _check_results(path: Path, record: dict[str, Any]) -> None:
    """On both prompt sets, every state must have what the model has."""
    for prompts in ("used", "held_out"):
        results = record["results"][prompts]
        if results is None:
            continue
        check_record(path, record, {"results": {prompts: {"n_prompts": int, "model": _BEHAVIOUR}}})
        model = results["model"]
        alike = {
            "metrics": dict.fromkeys(model["metrics"], float),
            "accuracy": float | None if model["accuracy"] is None else float,
            "logit_difference": float | None,
        }
        check_record(path, record, {"results": {prompts: dict.fromkeys(_STATES, alike)}})
