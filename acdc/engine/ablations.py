"""What removed edges carry in place of what their source writes: a class an ablation.

The names are known without torch, before a model is opened.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar

from acdc.errors import UnknownNameError

if TYPE_CHECKING:
    from jaxtyping import Bool, Float
    from torch import Tensor

    Written = Float[Tensor, "n_sources prompt pos d_model"]
    Carried = Float[Tensor, "#n_sources #prompt #pos #d_model"]


class Ablation(ABC):
    """One ablation on one set of prompts."""

    #: As users write it.
    name: ClassVar[str]
    #: A removed edge carries what its source writes at that very position on the corrupted prompt.
    is_corrupted_run: ClassVar[bool] = False

    def see_clean(self, written: Written, filled: Bool[Tensor, "prompt pos"]) -> None:  # noqa: B027 - most need none
        """Take note of what every node writes on some of the clean prompts; all of them come by before any value.

        Args:
            written: that.
            filled: which positions hold a token.
        """

    @abstractmethod
    def values(self, corrupted: Callable[[], Written]) -> Carried:
        """What removed edges carry on some of the prompts.

        Args:
            corrupted: what every node writes on their corrupted prompts, kept or computed when it is called.

        Returns:
            ``[n_sources, prompt, pos, d_model]``, or broadcastable to it.
        """


class Corrupted(Ablation):
    """The value on the corrupted prompt."""

    name = "corrupted"
    is_corrupted_run = True

    def values(self, corrupted: Callable[[], Written]) -> Carried:
        """See :class:`Ablation`."""
        return corrupted()


class Zero(Ablation):
    """Nothing."""

    name = "zero"

    def see_clean(self, written: Written, filled: Bool[Tensor, "prompt pos"]) -> None:
        """See :class:`Ablation`."""
        self._zero = written.new_zeros(1, 1, 1, 1)

    def values(self, corrupted: Callable[[], Written]) -> Carried:
        """See :class:`Ablation`."""
        return self._zero


class Mean(Ablation):
    """The mean over the clean prompts, position by position over those that reach it."""

    name = "mean"

    def __init__(self) -> None:
        self._total: Tensor | float = 0.0  # [n_sources, pos, d_model]
        self._reach: Tensor | int = 0  # prompts that reach each position

    def see_clean(self, written: Written, filled: Bool[Tensor, "prompt pos"]) -> None:
        """See :class:`Ablation`."""
        import torch

        weights = filled[..., None].to(written.dtype)
        self._total = self._total + torch.stack([(source * weights).sum(0) for source in written])
        self._reach = self._reach + filled.sum(0)
        self._mean = (self._total / self._reach[:, None].clamp(min=1))[:, None]

    def values(self, corrupted: Callable[[], Written]) -> Carried:
        """See :class:`Ablation`."""
        return self._mean


#: A new ablation's class is named here, and found everywhere.
ABLATIONS: Mapping[str, type[Ablation]] = {ablation.name: ablation for ablation in (Corrupted, Zero, Mean)}


def check_ablation(name: str) -> None:
    """Raise :class:`UnknownNameError` unless there is such an ablation."""
    if name not in ABLATIONS:
        raise UnknownNameError("ablation", name, ABLATIONS)
