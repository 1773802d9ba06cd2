"""What a batch of patched runs found, and what would be written into the cache if one of them were accepted."""

from __future__ import annotations

from dataclasses import dataclass, field

from jaxtyping import Float, Float64
from torch import Tensor

from acdc.engine.fast.heads import VectorKind
from acdc.graph import Slot


@dataclass(frozen=True)
class NewInputs:
    """What slots read, at live places or at the answers."""

    slots: tuple[Slot, ...]
    values: Float[Tensor, "slot run place d_model"]


@dataclass(frozen=True)
class NewMlpOutput:
    """What a layer's MLP writes, at live places or at the answers."""

    layer: int
    values: Float[Tensor, "run place d_model"]


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


Effect = NewInputs | NewMlpOutput | NewVectors


@dataclass
class Trial:
    """A batch of patched runs.

    Attributes:
        values: the metric of each.
        effects: what each changes.
    """

    values: Float64[Tensor, " run"]
    effects: list[Effect] = field(default_factory=list)
