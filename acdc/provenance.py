"""How a circuit was found, the figures measured on it, and the fingerprint that ties them to its edges."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

#: What is said in place of figures that can't be vouched for.
EDITED = "edited since it was measured"
UNPROVEN = "measured by an older version; evaluate it again"


@dataclass(frozen=True)
class Provenance:
    """How a circuit was found; every field may be unknown (a circuit of another tool).

    Attributes:
        task: name of the task, or its file.
        model: name or path the model was opened by.
        method: the discovery method (``acdc``).
        metric: the metric that decided (``kl``).
        ablation: what removed edges carry (``corrupted``, ``zero``, ``mean``).
        threshold: the largest rise of the metric that a removal may cost.
        order: the order in which a slot's parents were tried.
        gates: whether whole q, k and v slots were tried first.
        n_prompts: prompt pairs used.
        metric_circuit: the metric of this circuit on those pairs.
        metric_ablated: the metric with every edge ablated.
        faithfulness: the share of the model's behaviour that the circuit keeps on those pairs, see
            :func:`acdc.results.faithfulness`; unknown also where it is not defined.
        faithfulness_metric: the metric that this share is of.
        n_held_out: prompt pairs held out.
        metric_held_out: the metric of this circuit on them.
        faithfulness_held_out: the share that it keeps on them.
        fingerprint: hex SHA-256 of the edges, scores and fields that the figures were measured with
            (:meth:`acdc.Circuit.measured`); figures are shown only where it still fits.
        further: keys of a circuit file that this version doesn't know; written back as they are.
    """

    task: str | None = None
    model: str | None = None
    method: str | None = None
    metric: str | None = None
    ablation: str | None = None
    threshold: float | None = None
    order: str | None = None
    gates: bool | None = None
    n_prompts: int | None = None
    metric_circuit: float | None = None
    metric_ablated: float | None = None
    faithfulness: float | None = None
    faithfulness_metric: str | None = None
    n_held_out: int | None = None
    metric_held_out: float | None = None
    faithfulness_held_out: float | None = None
    fingerprint: str | None = None
    further: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @property
    def has_figures(self) -> bool:
        """Whether anything measured is in it."""
        return any(getattr(self, name) is not None for name in FIGURES)

    def to_json(self) -> dict[str, Any]:
        """Its fields, and the further keys beside them; a number that JSON can't hold becomes ``None``."""
        known = _plain(self)
        return known | {name: value for name, value in self.further.items() if name not in known}


#: The fields that are measured on the circuit's own edges.
FIGURES = ("metric_circuit", "metric_ablated", "faithfulness", "n_held_out", "metric_held_out", "faithfulness_held_out")
#: The fields that a circuit file may give.
KNOWN = tuple(one.name for one in fields(Provenance) if one.name != "further")


def _plain(found: Provenance) -> dict[str, Any]:
    values = {name: getattr(found, name) for name in KNOWN}
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in values.items()
    }


def fingerprint(cfg: Mapping[str, Any], edges: Iterable[str], scores: bytes, found: Provenance) -> str:
    """Hex SHA-256 of a circuit with its figures.

    Args:
        cfg: the graph's configuration.
        edges: names of the kept edges, in order.
        scores: of all edges, as bytes.
        found: its known fields count, as far as they are given; the fingerprint itself doesn't.
    """
    given = {name: value for name, value in _plain(found).items() if value is not None and name != "fingerprint"}
    digest = hashlib.sha256(json.dumps([cfg, given], sort_keys=True).encode())
    digest.update(json.dumps(list(edges)).encode())
    digest.update(scores)
    return digest.hexdigest()
