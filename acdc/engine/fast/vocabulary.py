"""Passes over the vocabulary: sums of exponentials of many runs' logits, which are never held all at once.

They go block by block, so that logits are summed up while they are still in the cache.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from acdc.engine.fast.cost import machine_kind

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
    parts = (log_p[:, some].exp() @ rows[some].double() for some in blocks(len(rows), rows.device))
    return torch.stack(list(parts)).sum(0)


@dataclass(frozen=True)
class Logits:
    """``left @ right.T + base`` of many runs, and where the gain of a norm changes ``+ more * unscaled``.

    Attributes:
        left: what differs between runs.
        rights: matrices that side by side are ``right``.
        base: of all runs; minus infinity for outputs that don't count.
        more: likewise different between runs, or ``None``.
        unscaled: with `more`.
    """

    left: Float[Tensor, "run prediction k"]
    rights: Sequence[Float[Tensor, "output part_of_k"]]
    base: Float[Tensor, "prediction output"]
    more: Float[Tensor, "run prediction 1"] | None = None
    unscaled: Float[Tensor, "prediction output"] | None = None

    def __len__(self) -> int:
        return len(self.left)

    def pick(self, runs: Int[Tensor, " some"]) -> Logits:
        """Those of some runs."""
        more = None if self.more is None else self.more[runs]
        return Logits(self.left[runs], self.rights, self.base, more, self.unscaled)

    def log_sum_exp(self) -> Float64[Tensor, "run prediction"]:
        """Over all outputs, however large the logits are."""
        found = self.left.new_full(self.left.shape[:2], -torch.inf, dtype=torch.float64)
        for runs, _, logits, _ in self._parts():
            found[runs] = torch.logaddexp(found[runs], logits.logsumexp(-1).double())
        return found

    def sums(self) -> Float64[Tensor, "run prediction"]:
        """Of exponentials, over all outputs; infinite where they are too large."""
        return self.sums_and_slopes(0)[0]

    def sums_and_slopes(
        self, n: int
    ) -> tuple[Float64[Tensor, "run prediction"], Float[Tensor, "first_run prediction k"]]:
        """Sums of exponentials of all runs, and the gradients by `left` of those of the first n runs."""
        sums = self.left.new_zeros(self.left.shape[:2], dtype=torch.float64)
        slopes = self.left.new_zeros(n, *self.left.shape[1:])
        for runs, _, logits, right in self._parts():
            exponentials = logits.exp_()
            sums[runs] += exponentials.sum(-1).double()
            if runs.start < n:
                own = slice(runs.start, min(runs.stop, n))
                slopes[own].flatten(0, 1).addmm_(exponentials[: own.stop - own.start].flatten(0, 1), right)
        return sums, slopes

    def everywhere(self) -> Float[Tensor, "run prediction output"]:
        """All of them, for few runs."""
        found = self.left.new_empty(*self.left.shape[:2], self.base.shape[1])
        for runs, outputs, logits, _ in self._parts():
            found[runs, :, outputs] = logits
        return found

    def _parts(self) -> Iterator[tuple[slice, slice, Tensor, Tensor]]:
        """Runs, outputs, their logits, ``[run, prediction, output]``, to be used at once, and ``[output, k]``."""
        n_runs, n, k = self.left.shape
        widest = n * min(BLOCK_OUTPUTS[machine_kind(self.left.device)], self.base.shape[1])
        step = max(1, BLOCK_BYTES[machine_kind(self.left.device)] // (widest * self.left.element_size()))
        room = self.left.new_empty(min(step, n_runs) * widest)  # the same for all blocks, so that it stays in the cache
        for outputs in blocks(self.base.shape[1], self.left.device):
            matrices, base = [right[outputs] for right in self.rights], self.base[:, outputs]
            right = matrices[0] if len(matrices) == 1 else torch.cat(matrices, 1)
            for i in range(0, n_runs, step):
                left = self.left[i : i + step]
                logits = room[: len(left) * base.numel()].view(len(left), *base.shape)
                if self.more is None or self.unscaled is None:
                    logits.copy_(base)
                else:
                    torch.addcmul(base, self.more[i : i + step], self.unscaled[:, outputs], out=logits)
                logits.flatten(0, 1).addmm_(left.reshape(-1, k), right.T)
                yield slice(i, i + len(left)), outputs, logits, right
