"""What a method has found, checked before a record and a circuit are made of it: anybody can write a method."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np

from acdc.asked import shown
from acdc.decision import TraceLine
from acdc.errors import SettingsError
from acdc.graph import Graph
from acdc.jsondata import check_plain, typed_fields
from acdc.methods.base import Found, Method
from acdc.runs.record import MEASURED, Record


def checked_found(method: Method, found: Any, graph: Graph, record: Record, logged: Sequence[TraceLine]) -> Found:
    """What a method found: scores as float64, what it measured as JSON has it.

    Args:
        method: whose it is.
        found: what its ``find`` gave.
        graph: that it was to score.
        record: of the run so far.
        logged: the decisions that its log has.

    Raises:
        SettingsError: it isn't what :class:`acdc.methods.Found` says, or not of this graph, or not what was logged.
    """
    if not isinstance(found, Found):
        raise SettingsError(f"the method {method.name} must give an acdc.methods.Found, not {shown(found)}.")
    if method.decides and found.kept is None:
        raise SettingsError(f"the method {method.name} says that it decides, and found no `kept`; give the edges kept.")
    if not method.decides and found.kept is not None:
        raise SettingsError(
            f"the method {method.name} leaves the choice to a selection; leave `kept` out of its Found."
        )
    if found.kept is not None:
        graph.check_mask(found.kept)
    if [TraceLine.of(decision) for decision in found.decisions] != list(logged):
        raise SettingsError(
            f"the method {method.name} found other decisions than it told its log; give each to `log.decide` as it is "
            "made, and those of `log.past` first."
        )
    return replace(
        found, scores=_scores(method, found.scores, graph), measured=_measured(method, found.measured, record)
    )


def _scores(method: Method, scores: Any, graph: Graph) -> np.ndarray:
    """Scores as a circuit has them, ``[n_edges]`` float64."""
    try:
        made = np.asarray(scores, dtype=np.float64)
    except (TypeError, ValueError):
        made = np.empty(0)
    if made.shape != (graph.n_edges,):
        raise SettingsError(
            f"the scores of the method {method.name} must be numbers of shape ({graph.n_edges},), one for each edge, "
            f"not {shown(scores) if made.shape == (0,) else f'of shape {made.shape}'}."
        )
    return made


def _measured(method: Method, given: Any, record: Record) -> dict[str, Any]:
    """What it measured, of plain values."""
    try:
        made = json.loads(json.dumps(dict(given), default=_plain))
        check_plain(made)
        if taken := sorted({one.name for one in fields(Record)} & made.keys() - set(MEASURED)):
            raise ValueError(f"{taken[0]} is a key of the run's own")
        typed_fields(Record, record.to_json() | made, "")
    except (TypeError, ValueError) as error:
        raise SettingsError(f"the method {method.name} measured what no record can hold: {error}.") from error
    return made


def _plain(value: Any) -> Any:
    """A number of numpy or torch as Python's. Raises :class:`TypeError` for what JSON doesn't know."""
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{shown(value)} is neither a number nor text, a list or an object")
