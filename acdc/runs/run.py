"""A run as its user gets it: the circuit, the decisions, and the record of how it was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from acdc.circuit import Circuit
from acdc.decision import Decision
from acdc.displayed import Displayed
from acdc.errors import RunFolderError
from acdc.results import Evaluation
from acdc.runs.belonging import checked_circuit
from acdc.runs.folder import CIRCUIT, RECORD, TRACE, check_files, is_regular, read_raw, record_of, tidy
from acdc.runs.record import Record, Results
from acdc.runs.trace import read_trace
from acdc.runs.unnamed import refuse_unnamed
from acdc.verdict import verdict


@dataclass(frozen=True)
class Run(Displayed):
    """A finished run.

    Attributes:
        circuit: what was found.
        decisions: what was tried, in order; none where the method scores edges.
        record: what ``run.json`` holds: request, versions, hashes, noise floor, times, results.
        folder: where it was written, if it was.
    """

    circuit: Circuit
    decisions: Sequence[Decision]
    record: Record
    folder: Path | None = None
    _form: ClassVar = "circuits:run_form"

    def __repr__(self) -> str:
        request, folder = self.record.request, "" if self.folder is None else f", folder={str(self.folder)!r}"
        tried = f", {len(self.decisions)} decisions" if self.decisions else ""
        return f"Run({request.method or 'acdc'} on {request.task} and {request.model}: {self.circuit!r}{tried}{folder})"

    @property
    def used(self) -> Evaluation:
        """The circuit as evaluated on the prompts that it was found on."""
        return self._results.used

    @property
    def held_out(self) -> Evaluation | None:
        """The circuit as evaluated on held-out prompts, if there were any."""
        return self._results.held_out

    @property
    def verdict(self) -> list[str]:
        """What the figures amount to, in sentences; see :func:`acdc.verdict.verdict`."""
        if self.circuit.doubt is not None:
            return [f"The circuit was {self.circuit.doubt}."]
        if self.record.fingerprint is not None:
            return [str(sentence) for sentence in self.record.verdict or ()]
        return verdict_on(self.circuit, self.record)  # of an older version

    @property
    def _results(self) -> Results:
        if self.record.results is None:
            raise RunFolderError("a run that isn't finished has no results.")
        return self.record.results

    @classmethod
    def load(cls, folder: str | Path) -> Run:
        """Read a finished run's folder, and check that its files belong together.

        The trace is replayed: every decision must be the one that the rule makes, lead to the next, and all of
        them to the record's numbers and to the circuit. Where the method scores edges, the scores and the selection
        must give the circuit. A circuit that was edited since is handed back as it is
        (:attr:`acdc.Circuit.edited`); one that is lost or torn is rebuilt from the trace, with a warning.

        Raises:
            RunFolderError: it isn't a run folder, the run isn't finished, a file of it is damaged, or they don't
                belong together; names the file, and the line of the trace.
        """
        path = Path(folder)
        check_files(path)
        alone = tidy(path)
        raw = read_raw(path)
        record = record_of(path, raw)
        if not record.finished:
            if not alone:
                raise RunFolderError(f"the run in {path} isn't finished; another process is at work on it.")
            refuse_unnamed(path, record)
            raise RunFolderError(f"the run in {path} isn't finished; go on with it by acdc resume {path}.")
        try:
            record.check_whole()
        except ValueError as error:
            raise RunFolderError(f"{path / RECORD} is not the record of a run: {error}.") from error
        circuit, decisions = checked_circuit(path, raw, record, read_trace(path / TRACE))
        return cls(circuit, decisions, record, path)


def verdict_on(circuit: Circuit, record: Record) -> list[str]:
    """What the results of a record amount to, in sentences."""
    if record.results is None:
        raise RunFolderError("a run that isn't finished has no results.")
    return verdict(
        record.results.used,
        record.results.held_out,
        n_edges=circuit.n_edges,
        n_graph=circuit.graph.n_edges,
        metric=record.request.metric or "kl",
        threshold=record.threshold,
    )


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
