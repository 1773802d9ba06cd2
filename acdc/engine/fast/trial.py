"""What a batch of patched runs found, and what would be written into the cache if one of them were accepted.

Of most batches no run or one is. So inputs and MLPs' outputs, which are wide, aren't held for each run: they are made
of the batch's changes for the one that is asked for, as long as those are there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from jaxtyping import Float, Float64
from torch import Tensor

from acdc.engine.fast.heads import VectorKind
from acdc.graph import Slot


@dataclass(frozen=True)
class NewInputs:
    """What slots read, at live places or at the answers.

    Attributes:
        slots: the slots.
        of_run: makes it, ``[slot, place, d_model]``.
    """

    slots: tuple[Slot, ...]
    of_run: Callable[[int], Float[Tensor, "slot place d_model"]]

    def only(self, run: int) -> NewInputs:
        """Of one run, to keep."""
        values = self.of_run(run)
        return NewInputs(self.slots, lambda _: values)


@dataclass(frozen=True)
class NewMlpOutput:
    """What a layer's MLP writes, at live places or at the answers.

    Attributes:
        layer: the layer.
        of_run: makes it, ``[place, d_model]``.
    """

    layer: int
    of_run: Callable[[int], Float[Tensor, "place d_model"]]

    def only(self, run: int) -> NewMlpOutput:
        """Of one run, to keep."""
        values = self.of_run(run)
        return NewMlpOutput(self.layer, lambda _: values)


@dataclass(frozen=True)
class NewVectors:
    """Some heads' queries, keys, values or mixtures.

    Attributes:
        layer: their layer.
        kind: which of them.
        heads: their numbers.
        values: at live places or at the answers.
        whole: they are at all live places; keys and values always are.
    """

    layer: int
    kind: VectorKind
    heads: tuple[int, ...]
    values: Float[Tensor, "head run place d_head"]
    whole: bool

    def only(self, run: int) -> NewVectors:
        """Of one run, to keep."""
        return NewVectors(self.layer, self.kind, self.heads, self.values[:, run : run + 1].clone(), self.whole)


Effect = NewInputs | NewMlpOutput | NewVectors


@dataclass
class Trial:
    """A batch of patched runs.

    Attributes:
        values: the metric of each.
        effects: what each changes; to be asked before the next batch is run.
    """

    values: Float64[Tensor, " run"]
    effects: list[Effect] = field(default_factory=list)

    def only(self, run: int) -> Trial:
        """One run, which stands when the next batch is run."""
        return Trial(self.values[run : run + 1], [effect.only(run) for effect in self.effects])
