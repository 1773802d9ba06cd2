"""A run as its user gets it: the circuit, the decisions, and the record of how it was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from acdc.circuit import Circuit
from acdc.decision import Decision
from acdc.errors import RunFolderError
from acdc.results import STATES, Evaluation
from acdc.runs.belonging import checked_circuit
from acdc.runs.folder import CIRCUIT, RECORD, TRACE, check_files, check_record, is_regular, read_record, tidy
from acdc.runs.trace import read_trace
from acdc.verdict import verdict

_FAITHFULNESS = {"faithfulness": float | None, "faithfulness_metric": str}
_ROUNDING = {"rounding": float}
_BEHAVIOUR = {"metrics": dict, "accuracy": float | None, "logit_difference": float | None}
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
#: What a request may have besides, where younger or older versions differ.
_OPTIONS = {"method": str, "order": str, "gates": bool, "seed": int}
#: What ties a record to its trace and circuit.
_SEALED = {"fingerprint": str, "trace": str, "circuit": str | None, "cfg": dict, "verdict": list}


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
        folder = None if self.folder is None else str(self.folder)
        return f"Run({self.circuit!r}, {len(self.decisions)} decisions, folder={folder!r})"

    @property
    def used(self) -> Evaluation:
        """The circuit as evaluated on the prompts that it was found on."""
        return Evaluation.from_json(self.record["results"]["used"], self._metrics)

    @property
    def held_out(self) -> Evaluation | None:
        """The circuit as evaluated on held-out prompts, if there were any."""
        results = self.record["results"]["held_out"]
        return None if results is None else Evaluation.from_json(results, self._metrics)

    @property
    def verdict(self) -> list[str]:
        """What the figures amount to, in sentences; see :func:`acdc.verdict.verdict`."""
        if self.circuit.doubt is not None:
            return [f"The circuit was {self.circuit.doubt}."]
        if "fingerprint" in self.record:
            return list(self.record["verdict"])
        request, graph = self.record["request"], self.circuit.graph  # of an older version
        return verdict(
            self.used,
            self.held_out,
            n_edges=self.circuit.n_edges,
            n_graph=graph.n_edges,
            metric=request["metric"],
            threshold=request["threshold"],
        )

    @property
    def _metrics(self) -> tuple[str, str]:
        return self.record["usual_metric"], self.record["request"]["metric"]

    @classmethod
    def load(cls, folder: str | Path) -> Run:
        """Read a finished run's folder, and check that its files belong together.

        The trace is replayed: every decision must be the one that the rule makes, lead to the next, and all of
        them to the record's numbers and to the circuit. A circuit that was edited since is handed back as it is
        (:attr:`acdc.Circuit.edited`); one that is lost or torn is rebuilt from the trace, with a warning.

        Raises:
            RunFolderError: it isn't a run folder, the run isn't finished, a file of it is damaged, or they don't
                belong together; names the file, and the line of the trace.
        """
        path = Path(folder)
        check_files(path)
        alone = tidy(path)
        record = read_record(path)
        if record["status"] != "finished":
            raise RunFolderError(
                f"the run in {path} isn't finished; "
                + (f"go on with it by acdc resume {path}." if alone else "another process is at work on it.")
            )
        check_record(path, record, _FINISHED)
        check_record(
            path, record, {"request": {name: _OPTIONS[name] for name in _OPTIONS if name in record["request"]}}
        )
        if "fingerprint" in record:
            check_record(path, record, _SEALED)
        _check_results(path, record)
        decisions = read_trace(path / TRACE)
        return cls(checked_circuit(path, record, decisions), decisions, record, path)


def load_circuit(path: str | Path) -> Circuit:
    """The circuit of a run's folder, checked as :meth:`Run.load` does, or that of a file.

    Raises:
        AcdcError: as :meth:`Run.load` or :meth:`acdc.Circuit.load`.
    """
    path = Path(path)
    if path.is_dir():
        return Run.load(path).circuit
    if path.name == CIRCUIT and is_regular(path.parent / RECORD):
        return Run.load(path.parent).circuit
    return Circuit.load(path)


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
        states = [state for state in STATES if state != "complement" or state in results]
        check_record(path, record, {"results": {prompts: dict.fromkeys(states, alike)}})
        if "rounding" in results:
            check_record(path, record, {"results": {prompts: _ROUNDING}})
        if "faithfulness" in results:
            check_record(path, record, {"results": {prompts: _FAITHFULNESS}})
            if results["faithfulness_metric"] not in model["metrics"]:
                raise RunFolderError(
                    f"{path / RECORD} is not the record of a run: results.{prompts}.faithfulness_metric is no metric "
                    "of it."
                )
        try:
            Evaluation.from_json(results)
        except ValueError as error:
            raise RunFolderError(f"{path / RECORD} is not the record of a run: results.{prompts}: {error}.") from error
