"""Submissions to the MIB benchmark's leaderboard: a folder, in it one folder for each task and model.

A folder ``ioi_gpt2`` holds either one file of importances, by which MIB chooses circuits itself, or exactly nine
circuits of at most 0.1, 0.2, 0.5, 1, 2, 5, 10, 20 and 50 % of the edges. MIB's evaluator sorts several files by their
size, puts the whole model behind them and pairs them with those shares *by position*: of fewer than nine, each is
credited to a smaller share than it has, and a tenth is dropped; so nothing but one or nine is written or read here.
Facts are of MIB's README and evaluator (MIB-circuit-track ``b759df3``).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from acdc.asked import text
from acdc.circuit import Circuit
from acdc.errors import RunFolderError, SettingsError, UnknownNameError, warn
from acdc.export.eap_ig import check_readable, ties, write_eap_ig
from acdc.graph import GraphConfig
from acdc.reading import kind_at
from acdc.wording import counted, quoted

#: The tasks; MIB also takes an underscore for the hyphen.
TASKS = ("ioi", "mcqa", "arithmetic-addition", "arithmetic-subtraction", "arc-easy", "arc-challenge")
#: The models, by the shape of their graphs, and how the names begin by which they are opened.
MODELS = {
    "gpt2": GraphConfig(12, 12, 768),
    "qwen2.5": GraphConfig(24, 14, 896),
    "gemma2": GraphConfig(26, 8, 2304),
    "llama3": GraphConfig(32, 32, 4096),
}
_OPENED_BY = {"gpt2": "gpt2", "qwen2.5-0.5b": "qwen2.5", "gemma-2-2b": "gemma2", "llama-3.1-8b": "llama3"}
#: The shares of the edges that the nine circuits may have; the tenth is the whole model.
SHARES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
IMPORTANCES = "importances"
#: Fewer tasks, and fewer models, the leaderboard doesn't take.
_FEWEST = 2


def mib_name(name: str) -> str:
    """The name of a folder, ``TASK_MODEL``, in one spelling (``arc-easy_llama3``).

    Raises:
        UnknownNameError: MIB has no such task or model; says the nearest.
        SettingsError: it isn't of two parts.
    """
    task, _, model = text("name", name).rpartition("_")
    task = task.replace("_", "-")
    if not task or not model:
        raise SettingsError(f"a folder of MIB is called by task and model, e.g. ioi_gpt2, and not {quoted(name)}.")
    if task not in TASKS:
        raise UnknownNameError("task of MIB", task, TASKS, f"{name}: ")
    if model not in MODELS:
        raise UnknownNameError("model of MIB", model, MODELS, f"{name}: ")
    return f"{task}_{model}"


def name_of(circuit: Circuit, label: str) -> str:
    """The folder that a circuit belongs to, by the task and the model that it was found on.

    Args:
        circuit: the circuit.
        label: what it is called in a message.

    Raises:
        SettingsError: it doesn't say what it was found on.
        UnknownNameError: MIB has no such task or model; says the nearest.
    """
    found = circuit.found
    if found.task is None or found.model is None:
        raise SettingsError(f"{label} doesn't say what task and model it is of; give `name`, e.g. ioi_gpt2.")
    task = Path(found.task).stem.lower().replace("_", "-")
    if task not in TASKS:
        raise UnknownNameError("task of MIB", task, TASKS, f"{label} (`name` says another one): ")
    opened = Path(found.model).name.lower()
    model = _OPENED_BY.get(opened, opened)
    if model not in MODELS:
        raise UnknownNameError("model of MIB", opened, {*MODELS, *_OPENED_BY}, f"{label} (`name` says another one): ")
    return f"{task}_{model}"


def write_submission(folder: Path, given: Mapping[str, Sequence[Circuit]], ending: str = ".json") -> list[Path]:
    """Write circuits, or importances, as MIB's leaderboard takes them; into a folder that may hold others already.

    Args:
        folder: made where it isn't there.
        given: by ``TASK_MODEL``, one circuit with scores (its file is of importances) or exactly nine.
        ending: of the files, ``.json`` or ``.pt``.

    Returns:
        The files, each folder's importances or circuits from the smallest on.

    Raises:
        UnknownNameError: MIB has no such task or model.
        SettingsError: neither one nor nine, a circuit of another shape than the model's, one that is too large for its
            place, or importances that rank nothing.
        RunFolderError: a folder of that name is there already, or can't be made.
    """
    named = {mib_name(name): list(circuits) for name, circuits in given.items()}
    if len(named) < len(given):
        raise SettingsError(f"a task and model is given twice, as {' and '.join(map(quoted, given))}.")
    if ending not in (".json", ".pt"):
        raise SettingsError(f"MIB reads files ending in .json or .pt, not {quoted(ending)}.")
    for name, circuits in named.items():
        check_group(name, circuits)
        for circuit in circuits:
            check_readable(circuit)
        if kind_at(folder / name) is not None:
            raise RunFolderError(f"{folder / name} exists already; choose another folder.")
    written = []
    for name, circuits in named.items():
        try:
            (folder / name).mkdir(parents=True)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "no folder can have that name"
            raise RunFolderError(f"can't make {folder / name}: {reason}.") from error
        for stem, circuit in zip(_stems(len(circuits)), sorted(circuits, key=len), strict=True):
            written.append(write_eap_ig(circuit, folder / name / f"{stem}{ending}"))
    return written


def check_group(name: str, circuits: Sequence[Circuit]) -> None:
    """Check what one folder is to hold, and warn of what its results would suffer from.

    Args:
        name: of the folder, as :func:`mib_name` gives it.
        circuits: in any order.

    Raises:
        SettingsError: as by :func:`write_submission`.
    """
    if len(circuits) not in (1, len(SHARES)):
        raise SettingsError(
            f"{name}: MIB takes one file of importances or exactly {len(SHARES)} circuits, of at most "
            f"{', '.join(f'{100 * share:g}' for share in SHARES)} % of the edges, and {len(circuits)} "
            f"{'is' if len(circuits) == 1 else 'are'} given; it pairs files with sizes by their place."
        )
    shape = MODELS[name.rpartition("_")[2]]
    for circuit in circuits:
        own = circuit.graph.cfg
        differences = own.differences(shape)
        if own.d_model not in (0, shape.d_model):
            differences.append(f"d_model {own.d_model} against {shape.d_model}")
        if differences:
            model = name.rpartition("_")[2]
            raise SettingsError(f"{name}: a circuit is of another model than MIB's {model} ({', '.join(differences)}).")
    if len(circuits) == 1:
        _check_importances(name, circuits[0])
        return
    for share, circuit in zip(SHARES, sorted(circuits, key=len), strict=True):
        if circuit.n_edges > (most := int(share * circuit.graph.n_edges)):
            here, there = counted(circuit.n_edges, "edge"), counted(most, "edge")
            raise SettingsError(
                f"{name}: by size, circuit {SHARES.index(share) + 1} has {here}, and MIB takes it for one of at most "
                f"{100 * share:g} % ({there}); give a smaller one."
            )
    if any(first.n_edges == second.n_edges for first, second in pairwise(sorted(circuits, key=len))):
        warn(f"{name}: some of the nine circuits have the same number of edges; MIB orders them by their faithfulness.")


def warn_of_few(names: Sequence[str], folder: Path) -> None:
    """Warn where a submission has too few tasks or models for the leaderboard."""
    tasks, models = ({name.rpartition("_")[place] for name in names} for place in (0, 2))
    few = [counted(len(found), what) for found, what in ((tasks, "task"), (models, "model")) if len(found) < _FEWEST]
    if few:
        warn(
            f"{folder} has {' and '.join(few)} so far; MIB's leaderboard takes circuits for at least {_FEWEST} tasks "
            f"and {_FEWEST} models."
        )


def nearest_name(name: str) -> str | None:
    """A folder of MIB's whose name is near to one; ``None`` where none is."""
    every = [f"{task}_{model}" for task in TASKS for model in MODELS]
    found = difflib.get_close_matches(re.sub("_(?=.*_)", "-", name.lower()), every, n=1)
    return found[0] if found else None


def _stems(n: int) -> list[str]:
    return [IMPORTANCES] if n == 1 else [f"{100 * share:g}-percent" for share in SHARES]


def _check_importances(name: str, circuit: Circuit) -> None:
    scores = circuit.scores
    if not np.isfinite(scores).all() or (scores == scores[0]).all():
        raise SettingsError(
            f"{name}: one circuit is a file of importances for MIB, and the scores of this one rank nothing (unknown, "
            f"or all alike); give one that has a score for each edge, or {len(SHARES)} circuits."
        )
    if (note := ties(circuit)) is not None:
        warn(f"{name}: {note}")
