"""How much every source behind a change changes what it writes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from acdc.engine.downstream import Downstream, Reads


class Changes:
    """Filled in the plan's order.

    Attributes:
        mixtures: how heads' mixtures change, by source, ``[run, batch, answer, d_head]``.
    """

    def __init__(
        self,
        down: Downstream,
        like: Tensor,
        batch: int,
        answers: int,
        length: int,
        at_answers: Callable[[Tensor], Tensor],
    ) -> None:
        """Make room for all changes of a plan.

        Args:
            down: the plan.
            like: inputs of the runs, ``[run, batch, pos or answer, d_model]``.
            batch: prompts.
            answers: answer positions of a prompt.
            length: positions of a prompt.
            at_answers: from values at every position to those at the answer positions.
        """
        runs, width = len(like), like.shape[-1]
        self._at_answers = at_answers
        self._answers = like.new_empty(len(down.changed), runs, batch, answers, width)
        self._whole = like.new_empty(len(down.changed_whole), runs, batch, length, width)
        self._n_answers = self._n_whole = 0
        self.mixtures: dict[int, Tensor] = {}  # of heads by source, [run, batch, answer, d_head]

    def write(self, change: Tensor, whole: bool) -> None:
        """Add the next sources' changes, ``[source, run, batch, pos or answer, d_model]``."""
        n = len(change)
        if whole:
            self._whole[self._n_whole : self._n_whole + n] = change
            self._n_whole += n
            change = self._at_answers(change)
        self._answers[self._n_answers : self._n_answers + n] = change
        self._n_answers += n

    def read(self, reads: Reads) -> Tensor:
        """Sums of the changes that slots read, ``[slot, run, batch, pos or answer, d_model]``."""
        changes = self._whole[: self._n_whole] if reads.whole else self._answers[: self._n_answers]
        return torch.tensordot(torch.from_numpy(reads.mask).to(changes), changes, 1)
