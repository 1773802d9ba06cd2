"""What all methods of learned masks ask: steps, their size, and prompts of each."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from acdc.asked import option
from acdc.errors import SettingsError
from acdc.methods.base import Cost, Found, Log, Method

if TYPE_CHECKING:
    from acdc.engine.setting import Setting
    from acdc.graph import Graph
    from acdc.methods.masks.training import Masks
    from acdc.metrics import Metric

#: More than any training takes: a slip of the keyboard, and days of work.
_MOST_STEPS, _MOST_BATCH = 1_000_000, 1_000_000


@dataclass(frozen=True)
class LearnedMasks(Method):
    """A method that trains masks; its options are those of the method itself and four that all have.

    An interrupted training begins anew: masks are worth little before they have settled. A metric that falls below 0
    where a circuit does better than the model, as all but kl and l2 do, rewards such circuits.

    Attributes:
        steps: of training.
        learning_rate: of Adam, of what the masks are made of.
        batch: prompts of a step; all, if there are no more.
        seed: of the masks drawn and the order of prompts.

    Raises:
        SettingsError: an option makes no sense.
    """

    steps: int = option(500, "Steps of training.")
    learning_rate: float = option(0.1, "Size of a step, of Adam.")
    batch: int = option(16, "Prompts of a step; all of them, if there are no more.")
    seed: int = option(0, "Seed of the masks that are drawn and of the order of prompts.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.steps <= _MOST_STEPS:
            raise SettingsError(f"`steps` must be from 1 to {_MOST_STEPS:,}, not {self.steps}.")
        if not 0 < self.learning_rate < math.inf:
            raise SettingsError(f"`learning_rate` must be a number above 0, not {self.learning_rate:g}.")
        if not 1 <= self.batch <= _MOST_BATCH:
            raise SettingsError(f"`batch` must be from 1 to {_MOST_BATCH:,} prompts, not {self.batch}.")
        if self.seed < 0:
            raise SettingsError(f"`seed` must be 0 or more, not {self.seed}.")

    @property
    def uses_gradients(self) -> bool:
        """They are what masks learn from."""
        return True

    @property
    def runs_engine(self) -> bool:
        """Training takes whole patched runs."""
        return False

    def cost(self, graph: Graph) -> Cost:
        """A run and a gradient a step, of a batch."""
        return Cost(self.steps, self.steps, note=f"at most: a step takes {self.batch} prompts")

    def find(self, setting: Setting, metric: Metric, log: Log | None = None) -> Found:
        """Train the masks.

        Raises:
            NumericsError: the metric, or its gradient, is no number at some step.
        """
        from acdc.methods.masks.training import trained  # torch, as in acdc.methods.acdc

        return trained(self, setting, metric, log or Log())

    @abstractmethod
    def learned(self, graph: Graph) -> Masks:
        """Masks of a graph, before training."""

    def check_positive(self, name: str, value: float) -> None:
        """Raise :class:`SettingsError` unless an option is a finite number of at least 0."""
        if not 0 <= value < math.inf:
            raise SettingsError(f"`{name}` must be a number of at least 0, not {value:g}.")
