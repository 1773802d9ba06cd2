"""What methods share that take one gradient, at one end of the way from the ablated to the clean input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from acdc.asked import option
from acdc.methods.base import Cost, Method
from acdc.methods.choices import check_choice

if TYPE_CHECKING:
    from acdc.engine.setting import Setting
    from acdc.graph import Graph
    from acdc.metrics import Metric

#: Where on the way from the ablated to the clean input the gradient is taken.
SIDES = {"clean": 1.0, "corrupted": 0.0}


@dataclass(frozen=True)
class Sided(Method):
    """A method whose gradient is taken in one of the two runs.

    Attributes:
        side: which: ``clean`` or ``corrupted``.

    Raises:
        UnknownNameError: there is no such side.
    """

    side: str = option("clean", "The run in which the gradient is taken: clean or corrupted.")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("side", self.side, SIDES)

    @property
    def uses_gradients(self) -> bool:
        """It takes one."""
        return True

    def cost(self, graph: Graph) -> Cost:
        """One gradient, besides the runs of the clean and the corrupted prompts."""
        return Cost(1, 1)

    def check_metric(self, setting: Setting, metric: Metric) -> None:
        """Raise :class:`acdc.errors.SettingsError` for a metric without a gradient where it is taken."""
        from acdc.methods.attribution import check_gradient  # torch, as in acdc.methods.acdc

        if self.side == "clean":
            check_gradient(setting, metric, self.name, '`side="corrupted"`')
