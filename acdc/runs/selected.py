"""A finished run of a method that scores edges: its scores and its selection must give its circuit again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from acdc.circuit import Circuit
from acdc.decision import Decision, TraceLine
from acdc.errors import AcdcError, CircuitFileError, RunFolderError
from acdc.graph import Graph
from acdc.runs.folder import CIRCUIT, RECORD, TRACE
from acdc.runs.record import Record, provenance_of
from acdc.selection import RULES, Selection, select
from acdc.wording import either


def rule_of(selection: Mapping[str, Any] | None) -> Selection:
    """The rule that a file has. Raises :class:`AcdcError` for what is none, :class:`ValueError` for a damaged one."""
    given = dict(selection or {})
    names = [name for name in given if name in RULES]
    if len(names) != 1 or given.keys() - {names[0], "by", "level"}:
        raise ValueError(
            f"request.selection must name one rule ({either(RULES)}), by what edges are ranked, and whether edges "
            "or nodes are chosen"
        )
    by, level = given.get("by", "magnitude"), given.get("level", "edges")
    return RULES[names[0]](given[names[0]], by, level)


def chosen_again(path: Path, record: Record, lines: Sequence[TraceLine], found: Circuit | CircuitFileError) -> Circuit:
    """The circuit of a run's folder, as it was measured or edited since.

    Args:
        path: the folder.
        record: of the finished run.
        lines: its trace, which must be empty where a rule chose.
        found: its circuit, or why it can't be read.

    Raises:
        RunFolderError: the files don't belong together, or the circuit, whose scores stand nowhere else, is lost.
    """
    by_rule = record.request.selection is not None  # else the method decided
    if lines and by_rule:
        raise RunFolderError(
            f"{path / TRACE}, line 1: a run of {record.request.method} decides on no edge; the trace is of another run."
        )
    if isinstance(found, CircuitFileError):
        raise RunFolderError(
            f"{found} The scores of {record.request.method} stand nowhere else; put the file back, or run it again."
        )
    if record.cfg is not None and found.graph.cfg != record.cfg and not found.edited:
        raise RunFolderError(f"{path / CIRCUIT} is of another graph than the run in {path / RECORD}.")
    measured = Circuit(found.graph, found.in_graph, found.scores, provenance_of(record)).measured()
    as_measured = measured.found.fingerprint == record.circuit
    if found.figures is None:  # edited, which it says itself, or robbed of its figures
        vouched = measured if as_measured else replace(measured, found=replace(measured.found, fingerprint=""))
        return found if found.edited else vouched
    try:
        kept = select(found.graph, found.scores, rule_of(record.request.selection)) if by_rule else found.in_graph
    except (AcdcError, ValueError) as error:
        raise RunFolderError(f"{path / RECORD} doesn't fit {path / CIRCUIT}: {str(error).rstrip('.')}.") from error
    if not np.array_equal(kept, found.in_graph):
        edge = found.graph.edge(int((kept != found.in_graph).argmax())).name
        raise RunFolderError(
            f"{path / CIRCUIT}: its scores and the selection of {path / RECORD} don't give its edges ({edge}); one of "
            "them was changed, or is of another run."
        )
    if not as_measured or found.found.fingerprint != record.circuit:
        raise RunFolderError(
            f"{path / CIRCUIT} is not the circuit that {path / RECORD} has the results of: one of them is of another "
            "run, or was changed."
        )
    return found


def decisions_of(path: Path, lines: Sequence[TraceLine], graph: Graph) -> tuple[Decision, ...]:
    """The decisions of a trace, of a method whose rule isn't known here. Raises :class:`RunFolderError`."""
    made = []
    for number, line in enumerate(lines, 1):
        try:
            if line.edge.startswith("gate:"):
                slot, source = graph.slot(line.edge.removeprefix("gate:")), None
            else:
                slot, source = graph.edge(line.edge).slot, graph.edge(line.edge).source
        except AcdcError as error:
            raise RunFolderError(f"{path / TRACE}, line {number}: {error}") from error
        made.append(Decision(slot, source, line.before, line.after, line.kept))
    return tuple(made)
