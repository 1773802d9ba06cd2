"""The table's row of a cell: its settings, its circuit's size, every figure of ``evaluate``, what it cost.

Figures are named ``QUANTITY[_STATE]_PROMPTS``: ``kl_held_out`` is the circuit's on held-out prompts, and
``kl_ablated_used`` that with every edge ablated, on the prompts that the circuit was found on; the ends of their 95 %
intervals have ``_low`` and ``_high`` behind it. Nothing here imports torch.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from acdc.circuit import Circuit, load_own
from acdc.comparison import agreement, mib_area, ranking, step_area
from acdc.comparison.roc import mib_points
from acdc.errors import AcdcError
from acdc.evaluation.intervals import Interval, Intervals
from acdc.jsondata import finite
from acdc.planted import Planted, is_planted, planted
from acdc.results import QUANTITIES, Evaluation
from acdc.runs.folder import CIRCUIT, read_record
from acdc.runs.record import Record
from acdc.sweeps.cells import Cell
from acdc.sweeps.folder import SweepFolder
from acdc.sweeps.outcome import FINISHED, Figure, Outcome

#: What a row begins with; then come the cell's settings, and these, filled in from the run where they weren't given.
FIRST = ("cell",)
FILLED = ("metric", "ablation", "corruption", "n", "seed")
#: How the cell ended.
ENDED = ("checkpoint", "status", "sentence", "warned")
SIZES = ("edges", "edges_all", "edges_share", "nodes", "nodes_all", "nodes_share")
#: Where a reference is known, see :mod:`acdc.comparison`: of the circuit, and areas under the ROC curve of its scores.
REFERENCE = ("precision", "recall", "f1", "false_positive_rate", "roc", "roc_mib")
#: Of curves over sizes, where they were asked for.
CURVE = ("cpr", "cmd", "log_distance", "smallest")
#: What the run took. ``seconds`` is the method's, ``cell_seconds`` the whole cell's.
COST = (
    *("seconds", "cell_seconds", "peak_memory_bytes", "estimated_memory_bytes", "forwards", "backwards"),
    *("tried", "kept", "passes", "found_threshold", "dropped_unseen"),
    *("residual", "expected_edges", "metric_soft", "metric_rounded"),
)
PROMPTS = ("held_out", "used")
#: The states, the circuit first, whose name is left out.
_STATES = {
    "circuit": "",
    "complement": "_complement",
    "ablated": "_ablated",
    "corrupted": "_corrupted",
    "model": "_model",
}
#: Those of which faithfulness says something.
_SHARED = ("circuit", "complement", "corrupted")
#: Their scores don't rank edges: no curve goes through their cuts.
UNRANKED = ("acdc", "hybrid", "random")
#: What checkpoints are called that have a model's name in their folder's.
_STEPS = ("", "step", "global_step", "checkpoint", "ckpt", "epoch", "iter")
_NUMBERED = re.compile(r"^(.*?)(\d+)$")


def row_of(folder: SweepFolder, cell: Cell, outcome: Outcome, reference: Circuit | None = None) -> dict[str, Any]:
    """The row of a cell that has ended; what isn't known isn't there.

    Args:
        folder: of the sweep.
        cell: which.
        outcome: how it ended.
        reference: to compare its circuit with, where it is of the same graph; a planted model's is compared with the
            true one besides, where none is given.
    """
    figures: dict[str, Figure] = dict(outcome.figures)
    sentence = outcome.sentence
    if outcome.status == FINISHED:
        run = folder.run_folder(cell)
        try:
            if "edges" not in figures:
                figures = figures_of(read_record(run), load_own(run / CIRCUIT), cell.settings) | figures
            if reference is not None:
                figures = {name: figures[name] for name in figures if name not in REFERENCE}
                figures |= against(load_own(run / CIRCUIT), cell.settings, reference)
        except AcdcError as error:  # somebody changed it since
            sentence = str(error)
    return {
        "cell": cell.name,
        **{column_of(name): value for name, value in cell.settings.items()},
        **{name: figures[name] for name in FILLED if name in figures and name not in cell.settings},
        "status": outcome.status,
        "sentence": sentence,
        "warned": " ".join(outcome.warned) or None,
        **{name: value for name, value in finite(figures).items() if name not in FILLED},
        "cell_seconds": outcome.seconds,
        **_memory(outcome, figures),
    }


def column_of(setting: str) -> str:
    """The column of a setting: its name, but for one that a figure has."""
    return f"asked_{setting}" if setting in (*FIRST, *ENDED, *SIZES, *REFERENCE, *CURVE, *COST) else setting


def figures_of(record: Record, circuit: Circuit, settings: Mapping[str, Any]) -> dict[str, Figure]:
    """What a finished run came to, by columns; of a planted model also how far its truth was found.

    It takes some hundredths of a second for the intervals, so that it is done where the run was: an outcome's figures
    hold it then.

    Args:
        record: of the run.
        circuit: of the run.
        settings: of its cell.
    """
    graph = circuit.graph
    n_nodes = len(circuit.nodes())
    found: dict[str, Figure] = {name: getattr(record.request, name) for name in FILLED}
    found |= {"edges": circuit.n_edges, "edges_all": graph.n_edges, "edges_share": circuit.n_edges / graph.n_edges}
    found |= {"nodes": n_nodes, "nodes_all": len(graph.nodes), "nodes_share": n_nodes / len(graph.nodes)}
    if (truth := _truth(settings, record)) is not None:
        found |= against(circuit, settings, truth)
    found |= _cost(record)
    if record.results is not None:
        for prompts, evaluation in (("held_out", record.results.held_out), ("used", record.results.used)):
            if evaluation is not None:
                found |= _evaluated(evaluation, prompts)
    return {name: value for name, value in found.items() if value is not None}


def against(circuit: Circuit, settings: Mapping[str, Any], reference: Circuit) -> dict[str, Figure]:
    """How far a cell's circuit agrees with a reference, and its scores do; nothing where that is of another graph."""
    if reference.graph.cfg.differences(circuit.graph.cfg) or reference.n_edges in (0, circuit.graph.n_edges):
        return {}
    found: dict[str, Figure] = dict(agreement(circuit, reference).to_json())
    if settings.get("method") not in UNRANKED:
        found["roc"] = step_area(ranking(circuit.scores, reference))
        found["roc_mib"] = mib_area(mib_points(circuit.scores, reference))
    return found


def columns_of(settings: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """The columns of a table, in order: those that some row has a value in, and those that all tables have.

    Args:
        settings: of all cells, in the order of the axes.
        rows: of the cells.
    """
    had = dict.fromkeys(name for row in rows for name, value in row.items() if value is not None)
    always = [*FIRST, *(column_of(name) for name in settings)]
    order = [*FILLED, *ENDED, *SIZES, *_shares(), *REFERENCE, *CURVE, *COST]
    names = dict.fromkeys([*always, *(name for name in order if name in had or name in ("status", "sentence"))])
    rest = dict.fromkeys(_base(name) for name in had if name not in names)
    ends = ("", "_low", "_high")
    return [*names, *(name for base in sorted(rest, key=_place) for end in ends if (name := base + end) in had)]


def checkpoints(models: Iterable[str]) -> dict[str, int]:
    """The numbers at the ends of models' names (``step-1000``), of those that differ in that number alone."""
    found: dict[str, dict[str, int]] = {}
    for model in dict.fromkeys(models):
        if (match := _NUMBERED.match(model.rstrip("/"))) is not None and not is_planted(model):
            found.setdefault(match[1], {})[model] = int(match[2])
    return {model: number for group in found.values() if len(group) > 1 for model, number in group.items()}


def stem(model: str) -> str:
    """The name of a checkpoint's model: without its number, and of ``pythia/step-1000`` that of the folder."""
    match = _NUMBERED.match(model.rstrip("/"))
    if match is None:
        return model
    folder, _, name = match[1].rpartition("/")
    name = name.rstrip("-_.")
    return folder if folder and name.lower() in _STEPS else "/".join(filter(None, (folder, name))) or model


def _memory(outcome: Outcome, figures: Mapping[str, Figure]) -> dict[str, Figure]:
    """What the cell's process held, or as far as that isn't known, what the run's own did."""
    names = ("peak_memory_bytes", "estimated_memory_bytes")
    return {name: figures.get(name) if (own := getattr(outcome, name)) is None else own for name in names}


def _shares() -> Iterator[str]:
    """The columns of faithfulness, and what they rest on."""
    for prompts in PROMPTS:
        for state in _SHARED:
            for end in ("", "_low", "_high"):
                yield f"faithfulness{_STATES[state]}_{prompts}{end}"
    yield "faithfulness_metric"
    yield from (f"n_prompts_{prompts}" for prompts in PROMPTS)


def _base(column: str) -> str:
    """A column's name without the end of an interval that it is of."""
    return column.removesuffix("_low").removesuffix("_high")


def _place(column: str) -> tuple[int, int]:
    """Where the columns of a behaviour stand: by prompts, then by state; quantities as they come."""
    prompts = next((i for i, name in enumerate(PROMPTS) if column.endswith(f"_{name}")), len(PROMPTS))
    quantity = column.removesuffix("_held_out").removesuffix("_used")
    return prompts, next((i for i, name in enumerate(_STATES.values()) if name and quantity.endswith(name)), 0)


def _cost(record: Record) -> dict[str, Figure]:
    """What the run took, and what its method measured."""
    cost, masks = record.cost or {}, record.masks or {}
    # Not the noise floor, which a run that was interrupted measures on other roundings: a table is the same either way.
    names = ("tried", "kept", "passes", "found_threshold")
    return {
        "seconds": record.seconds,
        "peak_memory_bytes": record.peak_memory_bytes,
        "estimated_memory_bytes": record.estimated_memory_bytes,
        **{name: cost.get(name) for name in ("forwards", "backwards")},
        **{name: getattr(record, name) for name in names},
        "dropped_unseen": (record.unseen or {}).get("edges"),
        "residual": (record.conservation or {}).get("residual"),
        **{name: masks.get(name) for name in ("expected_edges", "metric_soft", "metric_rounded")},
    }


def _evaluated(evaluation: Evaluation, prompts: str) -> dict[str, Figure]:
    """All figures of an evaluation, with the ends of their intervals."""
    intervals = Intervals(evaluation)
    found: dict[str, Figure] = {f"n_prompts_{prompts}": evaluation.n_prompts}
    if evaluation.faithfulness_metric is not None:
        found["faithfulness_metric"] = evaluation.faithfulness_metric
        for state in _SHARED:
            name = f"faithfulness{_STATES[state]}_{prompts}"
            found |= _with_ends(name, evaluation.share(state), intervals.of_faithfulness(state))
    for state, behaviour in evaluation.states.items():
        # How much worse the model is than itself says nothing.
        for name in (*QUANTITIES, *(() if state == "model" else behaviour.metrics)):
            column = f"{name.replace('-', '_')}{_STATES[state]}_{prompts}"
            if (mean := behaviour.mean(name)) is not None:
                found |= _with_ends(column, mean, intervals.of(state, name))
    return found


def _with_ends(name: str, value: float | None, interval: Interval) -> dict[str, Figure]:
    return {name: value, f"{name}_low": interval.low, f"{name}_high": interval.high}


def _truth(settings: Mapping[str, Any], record: Record) -> Circuit | None:
    """The true circuit of a planted model, where the run is of what it was planted for."""
    name, request = settings.get("model"), record.request
    if not isinstance(name, str) or not is_planted(name):
        return None
    made = _planted(name)
    about = made.settings
    return made.circuit if (request.task, request.corruption) == (about.task, about.corruption) else None


@lru_cache(maxsize=16)
def _planted(name: str) -> Planted:
    return planted(name)
