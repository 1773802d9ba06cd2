"""What a batch of patched runs found, and what would be written into the cache if one of them were accepted."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from acdc.engine.fast.heads import VectorKind
from acdc.graph import Slot


@dataclass(frozen=True)
class NewInputs:
    """What slots read, ``[slot, run, live place or answer, d_model]``."""

    slots: tuple[Slot, ...]
    values: Tensor


@dataclass(frozen=True)
class NewMlpOutput:
    """What a layer's MLP writes, ``[run, live place or answer, d_model]``."""

    layer: int
    values: Tensor


@dataclass(frozen=True)
class NewVectors:
    """Some heads' queries, keys, values or mixtures.

    Attributes:
        layer: their layer.
        kind: which of them.
        heads: their numbers.
        values: ``[head, run, live place or answer, d_head]``.
        whole: they are at all live places; keys and values always are.
    """

    layer: int
    kind: VectorKind
    heads: tuple[int, ...]
    values: Tensor
    whole: bool


Effect = NewInputs | NewMlpOutput | NewVectors


@dataclass
class Trial:
    """A batch of patched runs.

    Attributes:
        values: ``[run]`` float64, the metric of each.
        effects: what each changes.
    """

    values: Tensor
    effects: list[Effect] = field(default_factory=list)
