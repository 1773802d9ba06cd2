"""Attribution for what is clear, exact ACDC for the rest, and a bound on what attribution got wrong."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from acdc.asked import option
from acdc.errors import SettingsError
from acdc.methods.acdc import doubt_threshold, found_by
from acdc.methods.base import Cost, Found, Log, Method
from acdc.methods.eap_ig import EapIg
from acdc.methods.missed import SETS, halvings, missed
from acdc.pruning.pruner import Acdc as Pruner
from acdc.pruning.pruner import AcdcSettings

if TYPE_CHECKING:
    from acdc.engine.setting import Setting
    from acdc.graph import Graph
    from acdc.metrics import Metric


@dataclass(frozen=True)
class Hybrid(Method):
    """ACDC that doesn't try what attribution takes for nothing.

    Edges whose estimated effect, by EAP-IG, is in magnitude below `margin` times the threshold are dropped unseen, all
    at once; ACDC decides on the others, exactly, in the circuit from which those are gone. What is estimated is the
    effect in the whole model, so that an edge may be dropped that matters once others are gone: how many, at most, is
    measured at the end, by putting random sets of them back (:mod:`acdc.methods.missed`).

    Attributes:
        threshold: of ACDC, and what counts as an effect in that bound.
        margin: share of the threshold; 0 drops nothing unseen.
        steps: of EAP-IG.
        seed: of the sets that are put back.
    """

    name: ClassVar = "hybrid"
    source: ClassVar = "arXiv 2304.14997, Algorithm 1, behind arXiv 2403.17806; the bound after arXiv 2403.00745"
    decides: ClassVar = True

    threshold: float = option(0.01, "Largest rise of the metric for an edge.")
    margin: float = option(0.1, "Share of the threshold below which an estimate drops an edge unseen.")
    steps: int = option(5, "Points between the ablated and the clean input, for the estimates.")
    seed: int = option(0, "Of the sets of edges that are put back.")

    def __post_init__(self) -> None:
        super().__post_init__()
        AcdcSettings(threshold=self.threshold, seed=self.seed)  # refuses what makes no sense
        EapIg(steps=self.steps)
        if not (math.isfinite(self.margin) and self.margin >= 0):
            raise SettingsError(f"`margin` must be a number of at least 0, not {self.margin}.")

    @property
    def uses_gradients(self) -> bool:
        """For the estimates."""
        return True

    def cost(self, graph: Graph) -> Cost:
        """The estimates, a run for each edge that is left, and the sets that are put back."""
        sets = SETS * len(halvings(graph.n_edges))
        return Cost(self.steps + graph.n_edges + sets, self.steps, note="at most: what is dropped unseen isn't run")

    def find(self, setting: Setting, metric: Metric, log: Log | None = None) -> Found:
        """Estimate, drop, prune, and bound the error.

        Raises:
            RunFolderError: a past decision isn't the one that this run makes.
        """
        from acdc.models.torchstate import own_torch_state  # torch, as in acdc.methods.acdc

        with own_torch_state():
            return self._find(setting, metric, log or Log())

    def _find(self, setting: Setting, metric: Metric, log: Log) -> Found:
        from acdc.engine.choice import make_engine
        from acdc.methods.attribution import edge_attribution

        steps = self.steps
        what = "attribution", metric, steps
        estimates = setting.once(what, lambda: edge_attribution(setting, metric, log, steps=steps))
        unseen = np.abs(estimates) < self.margin * self.threshold
        setting.contributions.forget_clean()
        engine = make_engine(setting.engine, setting, metric)
        noise = engine.noise_floor()
        doubt_threshold(self.threshold, engine, metric, noise, setting)
        if unseen.any():
            engine.remove(np.flatnonzero(unseen))
            engine.begin_again()
        pruner = Pruner(engine, AcdcSettings(self.threshold), kept=~unseen, past=log.past, noise=noise)
        found = found_by(pruner, log, metric, noise)
        kept = pruner.kept
        del engine, pruner  # their memory serves the sets that are put back
        log.begin(SETS * len(halvings(int(unseen.sum()))), "circuit")
        bound = missed(
            lambda circuits: _metrics(setting, metric, circuits),
            kept,
            np.flatnonzero(unseen),
            self.threshold,
            self.seed,
            log.at,
        )
        scores = np.where(unseen, estimates, found.scores)
        return replace(found, scores=scores, measured={**found.measured, "unseen": bound.to_json()})


def _metrics(setting: Setting, metric: Metric, circuits: Iterable[np.ndarray]) -> list[float]:
    """The metric of circuits."""
    from acdc.engine.circuits import run

    logits = run(setting, list(circuits))
    return [float(metric.per_prediction(own, setting.model_logits, setting.answers).mean()) for own in logits]
