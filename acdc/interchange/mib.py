"""Submissions to the MIB benchmark's leaderboard, read back; written by :mod:`acdc.export.mib`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from acdc import asked
from acdc.circuit import Circuit
from acdc.circuitfile import read
from acdc.errors import AcdcError, CircuitFileError
from acdc.export.mib import check_group, mib_name, nearest_name, warn_of_few
from acdc.interchange.torchfile import read_torch
from acdc.wording import quoted

_ENDINGS = (".json", ".pt")
#: More folders than there are tasks and models, and more files than one of them may have.
_MOST = 1000


def read_submission(folder: str | Path) -> Mapping[str, tuple[Circuit, ...]]:
    """The circuits of a submission to MIB, by ``TASK_MODEL``: one with importances, or nine from the smallest on.

    A folder of importances may mark any of its edges, or none; MIB chooses by the scores. Files that are no circuits by
    their ending (a README) are passed over.

    Raises:
        CircuitFileError: it isn't one: there is no folder by a task and model of MIB, one has neither one file nor
            nine, a file can't be read, or is of another model.
    """
    folder = asked.path("folder", folder)
    found: dict[str, tuple[Circuit, ...]] = {}
    for part in _inside(folder):
        if not part.is_dir() or part.name.startswith("."):
            continue
        try:
            name = mib_name(part.name)
        except AcdcError as error:
            near = nearest_name(part.name)
            hint = f"; did you mean {near}?" if near else "."
            raise CircuitFileError(
                f"{folder} is no submission to MIB: {quoted(part.name)} isn't a task and a model of it{hint}"
            ) from error
        if name in found:
            raise CircuitFileError(f"{folder} holds {name} twice, in two spellings; leave one out.")
        found[name] = _circuits(part, name)
    if not found:
        raise CircuitFileError(
            f"{folder} is no submission to MIB: it holds no folder called by task and model (ioi_gpt2)."
        )
    warn_of_few(list(found), folder)
    return found


def _inside(folder: Path) -> list[Path]:
    try:
        inside = sorted(folder.iterdir())
    except OSError as error:
        raise CircuitFileError(f"can't read {folder}: {error.strerror}.") from error
    if len(inside) > _MOST:
        raise CircuitFileError(f"{folder} is no submission to MIB: it holds {len(inside):,} files and folders.")
    return inside


def _circuits(folder: Path, name: str) -> tuple[Circuit, ...]:
    paths = [path for path in _inside(folder) if path.suffix.lower() in _ENDINGS and not path.name.startswith(".")]
    circuits = []
    for path in paths[:10]:  # one more than there may be
        content = read_torch(path) if path.suffix.lower() == ".pt" else read(path, lone_scores=len(paths) == 1)
        circuits.append(Circuit(content.graph, content.in_graph, content.scores, content.found))
    try:
        check_group(name, [*circuits, *circuits[:1] * (len(paths) - len(circuits))])
    except AcdcError as error:
        raise CircuitFileError(f"{folder}: {re.sub('^[^:]*: ', '', str(error))}") from error
    return tuple(sorted(circuits, key=len))
