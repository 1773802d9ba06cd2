"""The slow reference engine: a whole patched run for every number it gives."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from acdc.engine.alone import run_alone
from acdc.engine.base import PruningEngine
from acdc.errors import NumericsError
from acdc.graph import Slot
from acdc.pruning.shrinking import Groups

#: Random circuits that the noise floor is measured on.
_NOISE_CIRCUITS = 2


class ReferenceEngine(PruningEngine):
    """Runs every circuit from scratch; see :class:`acdc.pruning.protocol.Pruning`."""

    #: As users write it.
    name = "reference"

    def metric(self) -> float:
        """The metric of the present circuit."""
        return self.metric_of(self._circuit.kept)

    def ahead(self, groups: Groups) -> Generator[Sequence[float], None, None]:
        """One at a time; see :meth:`acdc.engine.base.PruningEngine.ahead`."""
        kept = self.kept
        for i in range(len(groups)):
            kept[groups[i]] = False
            yield (self.metric_of(kept),)

    def _effects(self, slot: Slot) -> np.ndarray:
        kept, before = self.kept, self.metric()
        found = np.empty(slot.n_parents)
        for source in range(slot.n_parents):
            kept[slot.first_edge + source] = False
            found[source] = self.metric_of(kept) - before
            kept[slot.first_edge + source] = True
        return found

    def metric_of(self, kept: np.ndarray) -> float:
        """The metric of any circuit, ``[n_edges]`` bool.

        Raises:
            NumericsError: it is NaN or infinite; names the prompt.
        """
        return float(self._values(self.logits(kept)).mean())

    def logits(
        self,
        kept: np.ndarray,
        *,
        inputs: Float[Tensor, "n_inputs batch pos d_model"] | None = None,
    ) -> Float64[Tensor, "prediction n_outputs"]:
        """A circuit's logits at the predictions that count.

        Args:
            kept: ``[n_edges]`` bool.
            inputs: in place of what the input nodes write.

        Raises:
            SettingsError: it is no set of edges of this graph.
        """
        self.graph.check_mask(kept)
        return run_alone(self.setting, kept, inputs=inputs)

    def noise_floor(self) -> float:
        """How far rounding alone moves the metric: the same circuits, from inputs one rounding apart.

        Random circuits of half the edges, and all into the logits, drawn with a fixed seed; two
        standard errors of a mean over the predictions. (The same circuit summed in two orders
        would say nothing of half precision, where products accumulate in float32 and are
        rounded once.)
        """
        return self.setting.once(("noise floor", self.measure), self._noise_floor)

    def _noise_floor(self) -> float:
        draws = np.random.default_rng(0)
        inputs = self.setting.contributions.inputs
        generator = torch.Generator().manual_seed(0)
        moved = []
        for _ in range(_NOISE_CIRCUITS):
            kept = draws.random(self.graph.n_edges) < 0.5
            kept[self.graph.slots[-1].edges] = True  # something comes through
            noise = torch.randn(inputs.shape, generator=generator).to(inputs)
            rounded = inputs * (1 + torch.finfo(inputs.dtype).eps * noise)
            moved.append(self._values(self.logits(kept)) - self._values(self.logits(kept, inputs=rounded)))
        moves = torch.cat(moved)  # [circuit and prediction]
        return 2 * float(moves.square().mean().sqrt()) / math.sqrt(len(self.setting.rows))

    def _values(self, logits: Float64[Tensor, "prediction n_outputs"]) -> Float[Tensor, " prediction"]:
        """The metric of every prediction."""
        values = self.measure.per_prediction(logits, self.setting.model_logits, self.setting.answers)
        bad = ~values.isfinite()
        if bad.any():
            raise NumericsError(
                f"{self.setting.prompt_of(int(bad.nonzero()[0]))}: the {self.measure.name} of a patched run is NaN or "
                'infinite; try `dtype="float32"`, or leave the prompt out.'
            )
        return values
