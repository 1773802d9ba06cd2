"""What can be told of bad input before torch is imported, which takes seconds. Nothing here imports torch."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from acdc.asked import path
from acdc.engine.ablations import check_ablation
from acdc.errors import SettingsError
from acdc.interchange.opening import kind_of
from acdc.metrics import find_metric
from acdc.pairs.finding import find_task
from acdc.runs.folder import read_record


def check_place(given: Any) -> None:
    """Raise :class:`AcdcError` unless there is something to read at a circuit's path."""
    if not str(given).strip():
        raise SettingsError("the circuit's path is empty; give a run folder or a file.")
    place = path("circuits", given)
    if kind_of(place) == "folder":
        read_record(place if place.is_dir() else place.parent)


def check_names(
    tasks: Sequence[str], metric: str | None, ablation: str | None, answers: str | None, wrong_answers: str | None
) -> None:
    """Raise :class:`AcdcError` for what isn't there: a task, its file, a metric, an ablation."""
    if metric is not None:
        find_metric(metric)
    if ablation is not None:
        check_ablation(ablation)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they come again when the task is used
        for task in tasks:
            find_task(task, answers, wrong_answers)
