"""How much every source behind a change changes what it writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from acdc.engine.fast.downstream import Downstream, Reads
from acdc.engine.fast.scratch import Scratch


@dataclass(frozen=True)
class MixtureChange:
    """How one head's mixture changes: all that it writes is ``change @ weight``.

    Attributes:
        source: the head's node.
        weight: its ``W_O``.
        change: of its mixture.
    """

    source: int
    weight: Float[Tensor, "d_head d_model"]
    change: Float[Tensor, "run place d_head"]

    def of_runs(self, runs: slice) -> MixtureChange:
        """In some of the runs."""
        return MixtureChange(self.source, self.weight, self.change[runs])


class Changes:
    """Filled in the plan's order."""

    def __init__(
        self,
        down: Downstream,
        runs: int,
        live: int,
        answers: Int[Tensor, " answer"],
        like: Float[Tensor, "*any d_model"],
        scratch: Scratch,
    ) -> None:
        """Make room for all changes of a plan.

        Args:
            down: the plan.
            runs: patched runs.
            live: live places.
            answers: which of them are answers.
            like: a tensor of the width, the precision and device wanted.
            scratch: where there is room, until the next changes.
        """
        width = like.shape[-1]
        self._answers = answers
        self._at_answers = scratch.take("at answers", (len(down.changed), runs, len(answers), width), like)
        self._whole = scratch.take("whole", (len(down.changed_whole), runs, live, width), like)
        self._n_at_answers = self._n_whole = 0
        self._order, self._whole_order = down.changed, down.changed_whole
        self._mixtures: dict[int, tuple[MixtureChange, bool]] = {}  # by source; whether at all live places

    def room(self, n: int, whole: bool) -> Float[Tensor, "source run place d_model"]:
        """Where the next n sources' changes go; :meth:`fill` follows."""
        if whole:
            return self._whole[self._n_whole : self._n_whole + n]
        return self._at_answers[self._n_at_answers : self._n_at_answers + n]

    def fill(self, n: int, whole: bool) -> None:
        """Say that the room for the next n sources' changes is filled, at the live places or the answers."""
        if whole:
            filled = self.room(n, whole)
            self._at_answers[self._n_at_answers : self._n_at_answers + n] = filled[..., self._answers, :]
            self._n_whole += n
        self._n_at_answers += n

    def note_mixture(self, mixture: MixtureChange, whole: bool) -> None:
        """Say that a head's change is no more than one of its mixture."""
        self._mixtures[mixture.source] = mixture, whole

    def read(
        self, reads: Reads, before: Sequence[Float[Tensor, "place d_model"]], runs: slice, out: Tensor | None = None
    ) -> Float[Tensor, "slot run place d_model"]:
        """Inputs of slots after the changes that they read.

        Args:
            reads: the slots, and what they read.
            before: their inputs before.
            runs: of which runs.
            out: room for the result; by default it gets its own.
        """
        n_slots, n_sources = reads.mask.shape
        changes = (self._whole if reads.whole else self._at_answers)[:n_sources, runs]
        shape = (n_slots, *changes.shape[1:])
        total = changes.new_empty(shape) if out is None else out
        # By passes over memory: adding up reads two and writes one; a product reads all sources, and then
        # what it has written is read once more.
        if 3 * sum(map(len, reads.columns)) > n_sources + 4 * n_slots:
            mask = torch.from_numpy(reads.mask).to(changes, non_blocking=True)  # nothing waits for the device
            torch.mm(mask, changes.flatten(1), out=total.flatten(1))
            total += torch.stack(tuple(before))[:, None]
            return total
        for after, old, (first, *others) in zip(total, before, reads.columns, strict=True):
            torch.add(old, changes[first], out=after)
            for source in others:
                after += changes[source]
        return total

    def mixtures(self, reads: Reads) -> list[MixtureChange] | None:
        """The changes that some of the slots read as those of heads' mixtures, or ``None`` if one of them is not."""
        order = self._whole_order if reads.whole else self._order
        found = []
        for source in (order[i] for i in np.flatnonzero(reads.mask.any(0))):
            if source not in self._mixtures:
                return None
            mixture, whole = self._mixtures[source]
            change = mixture.change[:, self._answers] if whole and not reads.whole else mixture.change
            found.append(MixtureChange(source, mixture.weight, change))
        return found
