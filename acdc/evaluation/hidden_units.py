"""What a circuit does with some of the hidden units of its MLPs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from acdc.engine import circuits
from acdc.engine.setting import Setting
from acdc.evaluation.behaviour import behaviour, side_by_side
from acdc.results import Behaviour, faithfulness

#: What is run, in order: the model; the circuit with all hidden units (where it isn't the whole model), with those
#: kept, with all others, and with none; and every edge ablated.
STATES = ("model", "circuit", "kept", "others", "none", "ablated")


@dataclass(frozen=True, eq=False)
class UnitsEvaluation:
    """A circuit with some hidden units beside the model it is of, on one set of prompts.

    Attributes:
        n_prompts: prompt pairs.
        states: the behaviours by name, see :data:`STATES`.
        faithfulness_metric: the metric that :meth:`share` is of.
        rounding: its values up to here may be rounding alone.
    """

    n_prompts: int
    states: Mapping[str, Behaviour]
    faithfulness_metric: str
    rounding: float = 0.0

    def share(self, state: str) -> float | None:
        """Faithfulness, as :func:`acdc.results.faithfulness` has it: 1 as the model, 0 as with every edge ablated.

        What heads do alone is in it: hold ``kept`` against ``none``.
        """
        here, ablated = (self.states[name].metrics[self.faithfulness_metric] for name in (state, "ablated"))
        return faithfulness(here, ablated, self.rounding)

    def to_json(self) -> dict[str, Any]:
        """Its means, and the share of each state."""
        states = {
            name: {**found.to_json(values=False), "faithfulness": self.share(name)}
            for name, found in self.states.items()
        }
        return {"n_prompts": self.n_prompts, "faithfulness_metric": self.faithfulness_metric, "states": states}


def evaluate_units(
    setting: Setting, in_graph: np.ndarray, kept: np.ndarray, *, metrics: Sequence[str] = ("kl",)
) -> UnitsEvaluation:
    """Run a circuit with some hidden units, with the others, and with none.

    Args:
        setting: model and prompts.
        in_graph: ``[n_edges]`` bool, the circuit; all True for the whole model.
        kept: ``[n_layers, d_mlp]`` bool.
        metrics: faithfulness is of the first of these that the prompt pairs allow.

    Raises:
        SettingsError: either is no set of the model's.
        NumericsError: a logit is NaN or infinite; names the prompt.
    """
    setting.graph.check_mask(in_graph)

    def run(edges: np.ndarray, units: np.ndarray | None = None) -> Behaviour:
        (logits,) = circuits.run(setting, [edges], hidden_units=units)
        return behaviour(setting, logits)

    states = {"model": behaviour(setting, setting.model_logits)}
    if not in_graph.all():
        states["circuit"] = run(in_graph)
    states |= {"kept": run(in_graph, kept), "others": run(in_graph, ~np.asarray(kept))}
    states |= {"none": run(in_graph, np.zeros_like(kept)), "ablated": run(np.zeros_like(in_graph))}
    corrupted = behaviour(setting, setting.corrupted_logits)
    usual = {"circuit": states["kept"], "complement": states["others"], "corrupted": corrupted}
    found = side_by_side(setting, states | usual, metrics=metrics)
    return UnitsEvaluation(len(setting.prompts), states, str(found.faithfulness_metric), found.rounding)
