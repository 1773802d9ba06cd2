"""A ranking of edges for others (MIB's CPR), from runs of ACDC at several thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from acdc.asked import shown
from acdc.circuit import Circuit
from acdc.editing import without_figures
from acdc.errors import SettingsError
from acdc.export.wanted import HasCircuit, circuit_of
from acdc.provenance import FIGURES, KNOWN, Provenance
from acdc.wording import quoted

#: What may differ between runs of one sweep, or is compared by itself.
_FREE = (*FIGURES, "faithfulness_metric", "fingerprint", "options", "directory", "edited_from", "model")


def ranking(circuits: Sequence[Circuit | HasCircuit]) -> Circuit:
    """The edges scored by the largest threshold at which ACDC keeps them; 0 for those that it never keeps.

    ACDC's own scores don't rank: most edges of a circuit were tried on another circuit than the rest, and all that
    needed no trial share the score 0. The threshold at which an edge goes does. The more thresholds, the fewer
    ties; edges that are never kept stay tied at 0.

    Args:
        circuits: of ACDC, or runs, at different thresholds above 0, and alike in all else.

    Returns:
        The edges kept at some threshold. Figures are left out; the option ``thresholds`` lists those of the runs.

    Raises:
        SettingsError: fewer than two circuits, one that was edited or isn't ACDC's, thresholds that are unknown,
            alike or not above 0, or circuits that don't belong together; says what differs.
    """
    if isinstance(circuits, Circuit) or not isinstance(circuits, Sequence):
        raise SettingsError(f"a ranking is of a list of circuits, not of {shown(circuits)}.")
    found = [circuit_of(one) for one in circuits]
    if len(found) < 2:
        raise SettingsError(f"a ranking needs circuits at two thresholds or more, and {len(found)} is given.")
    first = found[0]
    for number, one in enumerate(found, 1):
        _check(number, one)
        try:
            first.graph.check_same(one.graph)
        except SettingsError as error:
            raise SettingsError(f"circuits 1 and {number} don't belong together: {error}") from error
        if differences := _differences(first.found, one.found):
            raise SettingsError(f"circuits 1 and {number} don't belong together: {', '.join(differences)}.")
    thresholds = [float(one.found.threshold or 0) for one in found]
    for number, threshold in enumerate(thresholds, 1):
        if threshold in thresholds[: number - 1]:
            earlier = thresholds.index(threshold) + 1
            raise SettingsError(
                f"circuits {earlier} and {number} are of the same threshold, {threshold:g}; leave one out."
            )
    scores = np.zeros(first.graph.n_edges)
    for one, threshold in zip(found, thresholds, strict=True):
        scores[one.in_graph] = np.maximum(scores[one.in_graph], threshold)
    options = {name: value for name, value in first.found.options.items() if name != "threshold"}
    options["thresholds"] = sorted(thresholds, reverse=True)
    return Circuit(first.graph, scores > 0, scores, replace(without_figures(first.found), options=options, flat=False))


def _check(number: int, circuit: Circuit) -> None:
    """Raise unless it is a circuit as ACDC found it, at a threshold that can rank."""
    found = circuit.found
    if found.method != "acdc" or found.threshold is None:
        method = "an unknown method" if found.method is None else f"the method {quoted(found.method)}"
        raise SettingsError(
            f"circuit {number} is of {method}, at {'no' if found.threshold is None else 'a'} threshold; a ranking by "
            "thresholds is of runs of acdc."
        )
    if circuit.edited or found.edited_from is not None or found.selection is not None:
        raise SettingsError(
            f"circuit {number} was edited, or chosen anew, since acdc found it; give it as it was found."
        )
    if not found.threshold > 0:
        raise SettingsError(f"circuit {number} is of the threshold {found.threshold:g}; a ranking needs some above 0.")


def _differences(first: Provenance, other: Provenance) -> list[str]:
    """How two circuits were found differently, but for the threshold."""
    pairs = {name: (getattr(first, name), getattr(other, name)) for name in KNOWN if name not in _FREE}
    names = {**first.options, **other.options}.keys() - {"threshold"}
    pairs |= {name: (first.options.get(name), other.options.get(name)) for name in sorted(names)}
    if None in pairs["model_sha256"]:
        pairs["model"] = first.model, other.model
    return [f"{name} {quoted(here)} against {quoted(there)}" for name, (here, there) in pairs.items() if here != there]
