"""ACDC as a method: the pruner of :mod:`acdc.pruning` on an engine that runs the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from acdc.decision import TraceLine
from acdc.errors import RunFolderError, SettingsError, warn
from acdc.methods.base import Cost, Found, Log, Method
from acdc.methods.budget import Trial, search
from acdc.pruning.protocol import Pruning
from acdc.pruning.pruner import Acdc as Pruner
from acdc.pruning.pruner import AcdcSettings

if TYPE_CHECKING:
    from acdc.engine.setting import Setting
    from acdc.graph import Graph
    from acdc.metrics import Metric

#: Where a search for a budget's threshold begins, and below which it tries none but 0, whatever the noise floor.
_THRESHOLD, _LEAST = AcdcSettings().threshold, 1e-12


@dataclass(frozen=True)
class Acdc(AcdcSettings, Method):
    """Greedy removal of edges from the output back, each decided by a patched run.

    The algorithm is in :mod:`acdc.pruning.pruner`.

    Attributes:
        threshold, order, gates, seed, passes, budget: see :class:`acdc.pruning.pruner.AcdcSettings`, which holds
            them, since a finished run is replayed by them without a model.
    """

    name: ClassVar = "acdc"
    source: ClassVar = "Conmy et al. 2023, arXiv 2304.14997, Algorithm 1"
    decides: ClassVar = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.budget and self.threshold != _THRESHOLD:
            raise SettingsError("`budget` searches for the threshold that leaves so many edges; leave `threshold` out.")

    @property
    def least_edges(self) -> int:
        """Those of its budget."""
        return self.budget

    @property
    def uses_gradients(self) -> bool:
        """For the order of attribution."""
        return self.order == "attribution"

    def cost(self, graph: Graph) -> Cost:
        """A run an edge and pass at most."""
        each = "for each threshold that is tried, at most" if self.budget else "at most"
        return Cost(self.passes * graph.n_edges, note=f"{each}: what a removal doesn't change isn't computed")

    def find(self, setting: Setting, metric: Metric, log: Log | None = None) -> Found:
        """Prune the whole graph; decisions of `log` that are past are replayed.

        Raises:
            RunFolderError: a past decision isn't the one that this run makes.
        """
        # torch takes seconds to import; a method is listed and its options are checked without it.
        from acdc.models.torchstate import own_torch_state

        with own_torch_state():
            return self._prune(setting, metric, log or Log())

    def _prune(self, setting: Setting, metric: Metric, log: Log) -> Found:
        from acdc.engine.choice import make_engine
        from acdc.methods.attribution import edge_attribution

        engine = make_engine(setting.engine, setting, metric)
        attribution = None
        if self.order == "attribution":
            attribution = setting.once(("attribution", metric), lambda: edge_attribution(setting, metric, log))
        setting.contributions.forget_clean()
        noise = engine.noise_floor()
        if self.budget:
            del engine  # each run has its own, and there is room for one
            return self._within_budget(setting, metric, log, attribution, noise)
        doubt_threshold(self.threshold, engine, metric, noise, setting)
        pruner = Pruner(engine, self, attribution=attribution, past=log.past, noise=noise)
        return found_by(pruner, log, metric, noise)

    def _within_budget(
        self, setting: Setting, metric: Metric, log: Log, attribution: np.ndarray | None, noise: float
    ) -> Found:
        """Search for the threshold, and give what a run at it finds."""
        from acdc.engine.choice import make_engine

        made = noted_trials(log.noted)
        known, best = tuple(made), (-1, 0.0, Found(np.zeros(0)))  # the best run's edges and threshold

        def prune_at(threshold: float, into: Log, past: Sequence[TraceLine] = ()) -> Found:
            engine, settings = (
                make_engine(setting.engine, setting, metric),
                replace(self, threshold=threshold, budget=0),
            )
            pruner = Pruner(engine, settings, attribution=attribution, past=past, noise=noise)
            return found_by(pruner, into, metric, noise, f"budget {self.budget}, threshold {threshold:.4g}, ")

        def run(threshold: float) -> Trial:
            nonlocal best
            found = prune_at(threshold, Undecided(log))
            assert found.kept is not None  # the pruner's
            trial = Trial.of(threshold, int(setting.graph.on_path(found.kept).sum()), found.decisions)
            if best[0] < trial.edges <= self.budget:
                best = trial.edges, threshold, found
            made.append(trial)
            log.note("search", [trial.to_json() for trial in made])
            return trial

        chosen = search(run, self.budget, self.threshold, known=known, least=max(noise, _LEAST))
        if log.past or best[:2] != (chosen.edges, chosen.threshold):
            found = prune_at(chosen.threshold, log, log.past)
            doubt_trial(chosen, setting, found)
        else:
            found = best[2]
            for decision in found.decisions:
                log.decide(decision)
        more = {"search": [trial.to_json() for trial in made], "found_threshold": chosen.threshold}
        return replace(found, measured={**found.measured, **more})


def noted_trials(noted: Mapping[str, Any]) -> list[Trial]:
    """The runs that an interrupted search made. Raises :class:`RunFolderError` where its record was changed."""
    try:
        return [Trial.from_json(trial) for trial in noted.get("search") or ()]
    except ValueError as error:
        raise RunFolderError(
            f"the run's record was changed, and its search can't be gone on with: {error}; put it back, or begin anew "
            "in another folder."
        ) from error


def doubt_trial(trial: Trial, setting: Setting, found: Found) -> None:
    """Warn where a run of an interrupted search comes out otherwise than its record says."""
    assert found.kept is not None  # the pruner's
    if (edges := int(setting.graph.on_path(found.kept).sum())) != trial.edges:
        warn(
            f"the record of the search says that the threshold {trial.threshold:g} leaves {trial.edges:,} edges, and "
            f"it leaves {edges:,}: it was changed, or rounds otherwise here; begin anew in another folder."
        )


class Undecided(Log):
    """The log of a run that another may follow: its decisions aren't the last word."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def begin(self, total: int, unit: str) -> None:
        """Likewise."""
        self._log.begin(total, unit)

    def at(self, done: int, said: str = "") -> None:
        """Likewise."""
        self._log.at(done, said)


def found_by(pruner: Pruner, log: Log, metric: Metric, noise: float, said: str = "") -> Found:
    """Run a pruner to its end.

    Args:
        pruner: it.
        log: of its decisions.
        metric: that its engine reports.
        noise: how far rounding alone moves the metric.
        said: beside the bar, before the counts.
    """
    passes = 0
    for decision in pruner.decisions():
        if passes != pruner.n_passes:
            passes = pruner.n_passes
            log.begin(pruner.n_to_settle, "edge")
        log.decide(decision)
        counts = f"tried {pruner.n_tried}, kept {pruner.n_kept}, {metric.name} {decision.left:.4g}"
        log.at(pruner.n_settled, f"{said}{counts}")
    log.at(pruner.n_settled)
    engine = pruner.engine
    # What rounding did to the run itself, which sums otherwise than the reference.
    noise = max(noise, abs(engine.metric() - engine.metric_of(pruner.kept)))
    measured = {"noise_floor": noise, "drops_are_free": engine.drops_are_free, **pruner.counts(noise)}
    return Found(pruner.scores, pruner.kept, tuple(pruner.made), measured)


def doubt_threshold(threshold: float, engine: Pruning, metric: Metric, noise: float, setting: Setting) -> None:
    """Warn of a threshold that lets nothing stay, or that rounding reaches."""
    nothing = np.zeros(engine.graph.n_edges, dtype=bool)
    ablated = setting.once(("ablated", metric), lambda: engine.metric_of(nothing))
    if threshold >= ablated > 0:
        warn(
            f"ablating every edge costs {ablated:.4g} {metric.name}, no more than the threshold "
            f"{threshold:g}; nothing may be kept. Lower it, or check what the corruption changes."
        )
    if 0 < threshold < noise:
        dtype = str(setting.model.dtype).removeprefix("torch.")
        warn(
            f"the threshold {threshold:g} is below the noise floor {noise:.2g} of "
            f"{metric.name} in {dtype}: some decisions will be rounding. Raise it, or use float64."
        )
