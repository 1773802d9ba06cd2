"""Passes over the vocabulary: sums of exponentials of many rows of logits, which are never held all at once.

They go block by block, so that logits are summed up while they are still in the cache.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from acdc.engine.fast.cost import machine_kind
from acdc.models.products import product

#: Logits of a block, in bytes, and its outputs: on a CPU what its cache holds beside the weights.
BLOCK_BYTES = {"cpu": 4 * 2**20, "cuda": 256 * 2**20}
BLOCK_OUTPUTS = {"cpu": 1024, "cuda": 16384}


def blocks(n_outputs: int, device: torch.device) -> Iterator[slice]:
    """Which outputs are in each block."""
    width = BLOCK_OUTPUTS[machine_kind(device)]
    for start in range(0, n_outputs, width):
        yield slice(start, min(start + width, n_outputs))


def expected(
    log_p: Float64[Tensor, "prediction output"], rows: Float[Tensor, "output d_model"]
) -> Float64[Tensor, "prediction d_model"]:
    """The mean row by the probabilities of each prediction."""
    found = log_p.new_zeros(len(log_p), rows.shape[1])
    wide = log_p.new_empty(min(BLOCK_OUTPUTS[machine_kind(rows.device)], len(rows)), rows.shape[1])  # for all blocks
    for some in blocks(len(rows), rows.device):
        found.addmm_(log_p[:, some].exp(), wide[: some.stop - some.start].copy_(rows[some]))
    return found


@dataclass(frozen=True)
class Logits:
    """``left @ right.T + base`` of many rows, and where the gain of a norm changes ``+ more * unscaled``.

    A row is one prediction of one run.

    Attributes:
        left: what differs between runs.
        prediction: of each row.
        rights: matrices that side by side are ``right``.
        base: of all runs; minus infinity for outputs that don't count.
        more: likewise different between runs, or ``None``.
        unscaled: with `more`.
        whole: rows are all predictions of some runs, one run behind another.
    """

    left: Float[Tensor, "row k"]
    prediction: Int[Tensor, " row"]
    rights: Sequence[Float[Tensor, "output part_of_k"]]
    base: Float[Tensor, "prediction output"]
    more: Float[Tensor, "row 1"] | None = None
    unscaled: Float[Tensor, "prediction output"] | None = None
    whole: bool = False

    @classmethod
    def of_runs(
        cls,
        left: Float[Tensor, "run prediction k"],
        rights: Sequence[Tensor],
        base: Tensor,
        more: Float[Tensor, "run prediction 1"] | None = None,
        unscaled: Tensor | None = None,
    ) -> Logits:
        """All predictions of some runs, one run behind another."""
        runs, n, _ = left.shape
        prediction = torch.arange(n, device=left.device).repeat(runs)
        flat = None if more is None else more.flatten(0, 1)
        return cls(left.flatten(0, 1), prediction, rights, base, flat, unscaled, whole=True)

    def __len__(self) -> int:
        return len(self.left)

    def pick(self, rows: Int[Tensor, " some"]) -> Logits:
        """Some rows."""
        more = None if self.more is None else self.more[rows]
        return replace(self, left=self.left[rows], prediction=self.prediction[rows], more=more, whole=False)

    def at(self, prediction: int, outputs: Int[Tensor, " some"]) -> Float[Tensor, "run some"]:
        """Some outputs of one prediction, of whole runs."""
        rows = slice(prediction, None, len(self.base))
        right = torch.cat([right[outputs] for right in self.rights], 1)
        found = product(self.left[rows], right.T, self.base[prediction, outputs])
        if self.more is None or self.unscaled is None:
            return found
        return found.addcmul_(self.more[rows], self.unscaled[prediction, outputs])

    def log_sum_exp(self) -> Float64[Tensor, " row"]:
        """Over all outputs, however large the logits are."""
        found = self.left.new_full((len(self),), -torch.inf, dtype=torch.float64)
        for rows, _, logits in self._parts():
            found[rows] = torch.logaddexp(found[rows], logits.logsumexp(-1).double())
        return found

    def sums(self) -> Float64[Tensor, " row"]:
        """Of exponentials, over all outputs; infinite where they are too large."""
        return self.sums_and_means(0, self.rights[0])[0]

    def sums_and_means(
        self, n: int, vectors: Float[Tensor, "output d"]
    ) -> tuple[Float64[Tensor, " row"], Float[Tensor, "first_row d"]]:
        """Sums of exponentials of all rows, and of the first n rows sums of vectors by their exponentials."""
        sums = self.left.new_zeros(len(self), dtype=torch.float64)
        means = self.left.new_zeros(n, vectors.shape[1])
        repeats = -(-len(vectors) // BLOCK_OUTPUTS[machine_kind(vectors.device)])
        for rows, outputs, logits in self._parts():
            exponentials = logits.exp_()
            sums[rows] += exponentials.sum(-1).double()
            if rows.start < n:
                own = slice(rows.start, min(rows.stop, n))
                means[own] += product(exponentials[: own.stop - own.start], vectors[outputs], repeats=repeats)
        return sums, means

    def everywhere(self) -> Float[Tensor, "row output"]:
        """All of them, for few rows."""
        found = self.left.new_empty(len(self), self.base.shape[1])
        for rows, outputs, logits in self._parts():
            found[rows, outputs] = logits
        return found

    def _parts(self) -> Iterator[tuple[slice, slice, Tensor]]:
        """Rows, outputs, and their logits, ``[row, output]``, to be used at once."""
        kind, (n, n_outputs) = machine_kind(self.left.device), self.base.shape
        widest = min(BLOCK_OUTPUTS[kind], n_outputs)
        step = max(1, BLOCK_BYTES[kind] // (widest * self.left.element_size()))
        step = max(1, step // n) * n if self.whole else step
        repeats = -(-n_outputs // widest)
        room = self.left.new_empty(min(step, len(self)) * widest)  # for all blocks
        for outputs in blocks(n_outputs, self.left.device):
            matrices, base = [right[outputs] for right in self.rights], self.base[:, outputs]
            right = matrices[0] if len(matrices) == 1 else torch.cat(matrices, 1)
            unscaled = None if self.unscaled is None else self.unscaled[:, outputs]
            for i in range(0, len(self), step):
                rows = slice(i, min(i + step, len(self)))
                logits = room[: (rows.stop - i) * base.shape[1]].view(-1, base.shape[1])
                self._begin(logits, rows, base, unscaled)
                yield rows, outputs, product(self.left[rows], right.T, logits, out=logits, repeats=repeats)

    def _begin(self, logits: Tensor, rows: slice, base: Tensor, unscaled: Tensor | None) -> None:
        """Write into a block of logits what isn't a product with `left`."""
        if not self.whole:
            torch.index_select(base, 0, self.prediction[rows], out=logits)
            if self.more is not None and unscaled is not None:
                logits.addcmul_(self.more[rows], unscaled[self.prediction[rows]])
            return
        by_run = logits.view(-1, *base.shape)
        if self.more is None or unscaled is None:
            by_run.copy_(base)
        else:
            torch.addcmul(base, self.more[rows].view(-1, len(base), 1), unscaled, out=by_run)
