"""How much every source behind a change changes what it writes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from acdc.engine.fast.downstream import Downstream, Reads
from acdc.engine.fast.gains import MixtureChange, Squares, gains
from acdc.engine.fast.scratch import Scratch
from acdc.models.norms import Norm
from acdc.models.products import product


class Changes:
    """Filled in the plan's order.

    Attributes:
        runs: patched runs.
    """

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
        self.runs, self._answers = runs, answers
        self._at_answers = scratch.take("at answers", (len(down.changed), runs, len(answers), width), like)
        self._whole = scratch.take("whole", (len(down.changed_whole), runs, live, width), like)
        self._n_at_answers = self._n_whole = 0
        self._order, self._whole_order = down.changed, down.changed_whole
        self._mixtures: dict[int, tuple[MixtureChange, bool]] = {}  # by source; whether at all live places
        # Changes that aren't written out yet, by their place in the order: at the answers, and at all live places.
        self._later: dict[bool, dict[int, MixtureChange]] = {False: {}, True: {}}
        self._squares: dict[tuple[str, bool], Squares] = {}  # by the kind of norm, and whether at all live places

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

    def add_mixtures(self, mixtures: Iterable[MixtureChange], whole: bool) -> None:
        """Say how heads' mixtures change; what they write is made of that where somebody reads it in full."""
        for mixture in mixtures:
            self._mixtures[mixture.source] = mixture, whole
            if whole:
                self._later[True][self._n_whole] = mixture
                self._n_whole += 1
            self._later[False][self._n_at_answers] = self._at(mixture, whole, False)
            self._n_at_answers += 1

    def _at(self, mixture: MixtureChange, given: bool, wanted: bool) -> MixtureChange:
        """A mixture's change where it is wanted: at all live places, or at the answers."""
        if given == wanted:
            return mixture
        return MixtureChange(mixture.source, mixture.weight, mixture.change[:, self._answers])

    def _written(self, whole: bool, source: int, runs: slice) -> Float[Tensor, "run place d_model"]:
        """How much one of the sources changes what it writes, in some runs."""
        later, room = self._later[whole], self._whole if whole else self._at_answers
        if source in later:
            mixture = later[source]
            if runs.stop - runs.start == 1:  # one that is accepted, say: the others aren't needed for it
                return product(mixture.change[runs], mixture.weight)
            room[source] = product(mixture.change, mixture.weight)
            del later[source]
        return room[source, runs]

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
        later = self._later[reads.whole]
        shape = (n_slots, *changes.shape[1:])
        total = changes.new_empty(shape) if out is None else out
        # By passes over memory: adding up reads two and writes one; a product reads all sources, and then
        # what it has written is read once more.
        if not later and 3 * sum(map(len, reads.columns)) > n_sources + 4 * n_slots:
            mask = torch.from_numpy(reads.mask).to(changes, non_blocking=True)  # nothing waits for the device
            torch.mm(mask, changes.flatten(1), out=total.flatten(1))
            total += torch.stack(tuple(before))[:, None]
            return total
        for after, old, (first, *others) in zip(total, before, reads.columns, strict=True):
            torch.add(old, self._written(reads.whole, first, runs), out=after)
            for source in others:
                after += self._written(reads.whole, source, runs)
        return total

    def mixtures(self, reads: Reads) -> list[MixtureChange] | None:
        """The changes that some of the slots read as those of heads' mixtures, or ``None`` if one of them is not."""
        order = self._whole_order if reads.whole else self._order
        found = []
        for source in (order[i] for i in np.flatnonzero(reads.mask.any(0))):
            if source not in self._mixtures:
                return None
            found.append(self._at(*self._mixtures[source], reads.whole))
        return found

    def gains(
        self,
        norm: Norm,
        reads: Reads,
        before: Sequence[Float[Tensor, "place d_model"]],
        mixtures: Sequence[MixtureChange],
    ) -> Float[Tensor, "slot run place 1"] | None:
        """What a norm multiplies slots' changed inputs by, see :func:`acdc.engine.fast.gains.gains`.

        Args:
            norm: the norm; not none.
            reads: the slots.
            before: their inputs before the change.
            mixtures: what they read, of :meth:`mixtures`.
        """
        mask = reads.mask[:, reads.mask.any(0)]  # [slot, mixture]
        known = self._squares.setdefault((norm.kind, reads.whole), {})
        return gains(norm, torch.stack([*before]), mixtures, mask, known)
