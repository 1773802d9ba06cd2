"""What a discovery method is: a frozen dataclass whose fields are its options.

An option is written down once, as a field made by :func:`acdc.asked.option`: its name, its type, its default and what
it means. The command line, a run's record and a circuit's provenance read the fields. Nothing here imports torch, so
that methods can be listed, and options be checked, before a model is opened.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from acdc.asked import check_options
from acdc.decision import Decision, TraceLine
from acdc.wording import counted

if TYPE_CHECKING:
    from acdc.engine.setting import Setting
    from acdc.graph import Graph
    from acdc.metrics import Metric


@dataclass(frozen=True)
class Cost:
    """What a method takes, in runs of the whole model over all prompts, before it begins.

    Attributes:
        forwards: runs of the model, patched or not.
        backwards: gradients through it.
        note: what to know of these numbers, e.g. that they are the most.
    """

    forwards: int
    backwards: int = 0
    note: str = ""

    @property
    def words(self) -> str:
        """``5 forwards and 5 backwards of all prompts``."""
        counts = counted(self.forwards, "forward")
        if self.backwards:
            counts += f" and {counted(self.backwards, 'backward')}"
        return f"{counts} of all prompts" + (f" ({self.note})" if self.note else "")

    def to_json(self) -> dict[str, Any]:
        """As a record has it."""
        return {"forwards": self.forwards, "backwards": self.backwards} | ({"note": self.note} if self.note else {})


@dataclass(frozen=True)
class Found:
    """What a method found.

    Attributes:
        scores: ``[n_edges]`` float64, how much the metric rises without each edge; one sign for all methods.
        kept: ``[n_edges]`` bool, the edges that the method itself keeps; ``None`` where a selection is to choose
            (:mod:`acdc.selection`).
        decisions: what was tried, in order.
        measured: what a run's record is to say of it, by the names of :class:`acdc.runs.record.Record`.
    """

    scores: np.ndarray
    kept: np.ndarray | None = None
    decisions: Sequence[Decision] = ()
    measured: Mapping[str, Any] = field(default_factory=dict)


class Log:
    """Where a method says what it does while it runs, and what an interrupted run has decided already.

    This one keeps nothing; that of a run writes the trace and moves a bar.

    Attributes:
        past: decisions of an interrupted run, which a method makes again without running the model.
    """

    past: Sequence[TraceLine] = ()

    def begin(self, total: int, unit: str) -> None:
        """Say how much there is to do.

        Args:
            total: of whatever is counted.
            unit: what that is called.
        """

    def at(self, done: int, said: str = "") -> None:
        """Say how much of it is done, and with a few words what has come of it."""

    def decide(self, decision: Decision) -> None:
        """Keep a decision, so that a killed run can go on after it."""


@dataclass(frozen=True)
class Method(ABC):
    """A way from a model on prompts to a circuit; its fields are its options.

    Attributes:
        name: as users write it.
        source: the paper.
        decides: whether it says itself which edges stay; if not, a selection does.
        prunes: whether it removes edges one after another on an engine: its run has a noise floor, and goes on after
            its last decision.

    Raises:
        SettingsError: an option is of another type, or makes no sense.
    """

    name: ClassVar[str]
    source: ClassVar[str]
    decides: ClassVar[bool]
    prunes: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_options(self)

    @abstractmethod
    def find(self, setting: Setting, metric: Metric, log: Log | None = None) -> Found:
        """Score the edges of a model on prompts.

        Args:
            setting: the model on its prompts, see :func:`acdc.set_up`.
            metric: how much worse a circuit is than the model.
            log: by default nothing is kept.
        """

    def cost(self, graph: Graph) -> Cost | None:
        """What it will take on a graph; ``None`` where it can't say. A run announces it before it begins."""
        return None

    @property
    def uses_gradients(self) -> bool:
        """Whether it needs gradients of the model, which take memory."""
        return False

    @property
    def options(self) -> dict[str, Any]:
        """Its options by name."""
        return {one.name: getattr(self, one.name) for one in fields(self)}
