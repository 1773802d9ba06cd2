"""What ties a finished run's files together: digests of its trace, its circuit and the record itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from acdc.decision import Decision, TraceLine
from acdc.errors import RunFolderError
from acdc.results import STATES
from acdc.runs.folder import RECORD, TRACE
from acdc.runs.record import Record
from acdc.runs.trace import line_of

#: What a record's fingerprint is of, as far as it is there; annotations and the keys of younger versions are not.
_SEALED = (
    *("format", "request", "engine", "hashes", "versions", "earlier_versions", "graph", "cfg", "drops_are_free"),
    *("left_out", "noise_floor", "metric_ablated", "trace", "circuit", "tried", "kept", "in_circuit"),
    *("within_noise", "last_metric", "verdict", "usual_metric", "cost", "task_sha256", "asked", "directory"),
    "conservation",
    *("passes", "search", "found_threshold", "unseen", "masks"),
)
#: Those of these that format 1 left out.
_NOT_BEFORE = ("asked", "directory")
_SEALED_STATES = ("accuracy", "top1", "logit_difference", "metrics", "values")
_SEALED_RESULTS = ("n_prompts", "faithfulness", "faithfulness_metric", "prompt_of", "rounding")


def trace_digest(decisions: Iterable[Decision | TraceLine]) -> str:
    """Hex SHA-256 of a trace."""
    digest = hashlib.sha256()
    for decision in decisions:
        digest.update(line_of(decision))
    return digest.hexdigest()


def record_digest(record: Mapping[str, Any]) -> str:
    """Hex SHA-256 of what acdc reads of a finished run's record; whatever else is in it doesn't count."""
    later = _NOT_BEFORE if record.get("format", 1) < 2 else ()
    sealed = {name: record[name] for name in _SEALED if name in record and name not in later}
    for prompts, results in record["results"].items():
        if prompts in ("used", "held_out") and results is not None:
            sealed[prompts] = {name: results[name] for name in _SEALED_RESULTS if name in results}
            for state in STATES:
                if results.get(state) is not None:
                    sealed[prompts][state] = {
                        name: results[state][name] for name in _SEALED_STATES if name in results[state]
                    }
    return hashlib.sha256(json.dumps(sealed, sort_keys=True).encode()).hexdigest()


def seal(record: Record, decisions: Iterable[Decision], circuit: str | None) -> None:
    """Put into a finished run's record what ties it to its trace and its circuit, by the circuit's fingerprint."""
    record.trace, record.circuit = trace_digest(decisions), circuit
    record.fingerprint = record_digest(record.to_json())


def check_seal(path: Path, record: Mapping[str, Any], lines: Iterable[TraceLine]) -> None:
    """Raise :class:`RunFolderError` where trace or record were changed after the run; older versions sealed neither.

    Args:
        path: the folder.
        record: what its ``run.json`` holds, word for word.
        lines: its trace.
    """
    if "fingerprint" not in record:
        return
    if record["fingerprint"] != record_digest(record):
        raise RunFolderError(
            f"{path / RECORD} was changed after the run: its fingerprint isn't that of what it says; put it back as "
            "it was."
        )
    if record["trace"] != trace_digest(lines):
        raise RunFolderError(
            f"{path / TRACE} isn't the one that {path / RECORD} was written with: a number was changed."
        )
