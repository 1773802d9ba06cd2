"""EAP-IG as a method: edge attribution with gradients integrated over the input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from acdc.asked import option
from acdc.errors import SettingsError
from acdc.methods.base import Cost, Found, Log, Method

if TYPE_CHECKING:
    from acdc.engine.setting import Setting
    from acdc.graph import Graph
    from acdc.metrics import Metric

#: More points than any integral needs: a slip of the keyboard, and days of work.
_MOST_STEPS = 1000


@dataclass(frozen=True)
class EapIg(Method):
    """An estimate of what each edge's removal costs, from a few gradients; see :mod:`acdc.methods.attribution`.

    Attributes:
        steps: points between the ablated and the clean input at which the gradient is taken.
    """

    name: ClassVar = "eap-ig"
    source: ClassVar = "Hanna et al. 2024, arXiv 2403.17806"
    decides: ClassVar = False

    steps: int = option(5, "Points between the ablated and the clean input.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.steps <= _MOST_STEPS:
            raise SettingsError(f"`steps` must be from 1 to {_MOST_STEPS}, not {self.steps}.")

    @property
    def uses_gradients(self) -> bool:
        """They are all that it needs."""
        return True

    def cost(self, graph: Graph) -> Cost:
        """A gradient a step."""
        return Cost(self.steps, self.steps)

    def find(self, setting: Setting, metric: Metric, log: Log | None = None) -> Found:
        """Score all edges; which to keep is for a selection."""
        from acdc.methods.attribution import edge_attribution  # torch, as in acdc.methods.acdc

        scores = edge_attribution(setting, metric, log, steps=self.steps)
        return Found(scores, measured={"cost": self.cost(setting.graph).to_json()})
