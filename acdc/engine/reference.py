"""The slow reference engine: a whole patched run for every number it gives."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from acdc.engine.alone import run_alone
from acdc.engine.base import Outcome, Path, PruningEngine
from acdc.engine.setting import Setting
from acdc.errors import NumericsError
from acdc.graph import Slot
from acdc.pruning.shrinking import Groups

#: Random circuits that the noise floor is measured on.
_NOISE_CIRCUITS = 2
#: Prompts on which it is measured, at most: twice as many predictions tell it to about a quarter of itself.
_NOISE_PROMPTS = 4


class ReferenceEngine(PruningEngine):
    """Runs every circuit from scratch; see :class:`acdc.pruning.protocol.Pruning`."""

    #: As users write it.
    name = "reference"

    def metric(self) -> float:
        """The metric of the present circuit."""
        return self.metric_of(self._circuit.kept)

    def ahead(self, groups: Groups) -> Generator[Path, Outcome, None]:
        """One at a time; see :meth:`acdc.engine.base.PruningEngine.ahead`."""
        kept = self.kept
        for i in range(len(groups)):
            kept[groups[i]] = False
            outcome = yield Path([self.metric_of(kept)], [False])
            kept[groups[i]] = outcome.stayed[0]

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
        return float(self._values(self.setting, self.logits(kept)).mean())

    def logits(self, kept: np.ndarray) -> Float64[Tensor, "prediction n_outputs"]:
        """A circuit's logits at the predictions that count.

        Args:
            kept: ``[n_edges]`` bool.

        Raises:
            SettingsError: it is no set of edges of this graph.
        """
        self.graph.check_mask(kept)
        return next(self._runs(self.setting, [kept]))

    def _runs(self, setting: Setting, masks: Sequence[np.ndarray]) -> Iterator[Float64[Tensor, "prediction n_outputs"]]:
        """The logits of circuits, each run from the beginning."""
        return (run_alone(setting, kept) for kept in masks)

    def noise_floor(self) -> float:
        """How far rounding alone moves the metric: the same circuits, from inputs one rounding apart.

        Random circuits of half the edges, and all into the logits, drawn with a fixed seed, on the first prompts; two
        standard errors of a mean over the predictions of all prompts. (The same circuit summed in two orders
        would say nothing of half precision, where products accumulate in float32 and are
        rounded once.)
        """
        return self._measured_noise

    @cached_property
    def _measured_noise(self) -> float:
        return self.setting.once(("noise floor", self.measure), self._noise_floor)

    def _noise_floor(self) -> float:
        draws = np.random.default_rng(0)
        masks = draws.random((_NOISE_CIRCUITS, self.graph.n_edges)) < 0.5
        masks[:, self.graph.slots[-1].edges] = True  # something comes through
        setting = self._some_prompts()
        given, inputs = setting.contributions, setting.contributions.inputs
        noise = torch.randn(inputs.shape, generator=torch.Generator().manual_seed(0)).to(inputs)
        rounded = given.with_inputs(inputs * (1 + torch.finfo(inputs.dtype).eps * noise))
        before = self._runs(setting, list(masks))
        after = self._runs(replace(setting, contributions=rounded), list(masks))
        moved = [self._values(setting, a) - self._values(setting, b) for a, b in zip(before, after, strict=True)]
        moves = torch.cat(moved)  # [circuit and prediction]
        return 2 * float(moves.square().mean().sqrt()) / math.sqrt(len(self.setting.rows))

    def _some_prompts(self) -> Setting:
        """The setting on as many prompts as tell what rounding does."""
        chunks, pairs = self.setting.contributions.chunks, self.setting.prompts.pairs
        if self.setting.model.frozen:  # what is frozen is so on all prompts
            return self.setting
        # A pair that isn't corrupted has the model's own values in every circuit.
        start = next((i for i, pair in enumerate(pairs) if pair.clean != pair.corrupted), 0)
        return self.setting.part(slice(start, min(len(pairs), start + min(chunks[0].stop, _NOISE_PROMPTS))))

    def _values(
        self, setting: Setting, logits: Float64[Tensor, "prediction n_outputs"]
    ) -> Float[Tensor, " prediction"]:
        """The metric of every prediction."""
        values = self.measure.per_prediction(logits, setting.model_logits, setting.answers)
        bad = ~values.isfinite()
        if bad.any():
            raise NumericsError(
                f"{setting.prompt_of(int(bad.nonzero()[0]))}: the {self.measure.name} of a patched run is NaN or "
                'infinite; try `dtype="float32"`, or leave the prompt out.'
            )
        return values
