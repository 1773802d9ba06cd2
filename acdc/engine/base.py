"""What the engines have in common: a circuit that shrinks, and who may ask what of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import NoReturn

import numpy as np

from acdc.engine.setting import Setting
from acdc.errors import NumericsError, SettingsError
from acdc.graph import Graph, Slot
from acdc.metrics import Metric
from acdc.pruning.shrinking import Groups, Shrinking


@dataclass(frozen=True)
class Path:
    """Groups of edges tried in a row, each on top of those before it that are expected to go.

    Attributes:
        values: ``[group]`` the metric without each.
        stay: ``[group]`` which of them are expected to stay.
    """

    values: list[float]
    stay: list[bool]


@dataclass(frozen=True)
class Outcome:
    """What has become of a path.

    Attributes:
        stayed: ``[group]`` which of them stayed, up to the first that did otherwise than was expected, or the last.
        values: ``[group]`` the metric behind the decisions; as far as they are known those beyond, too.
    """

    stayed: list[bool]
    values: list[float]


class PruningEngine(ABC):
    """An :class:`acdc.pruning.protocol.Pruning`; whatever is asked of it is checked here, once for all engines.

    The reference engine could serve any order, and refuses it all the same: a method that runs
    on one engine runs on the other.

    Attributes:
        setting: model, prompts and cached values.
        measure: the metric it reports.
    """

    #: As users write it.
    name: str

    def __init__(self, setting: Setting, measure: Metric) -> None:
        """Begin with the whole graph.

        Args:
            setting: model, prompts and cached values.
            measure: the metric to report; it must fit the prompts.
        """
        measure.check(setting.prompts)
        self.setting, self.measure = setting, measure
        self._circuit = Shrinking(setting.graph)

    @property
    def graph(self) -> Graph:
        """The graph whose edges are removed."""
        return self.setting.graph

    @property
    def kept(self) -> np.ndarray:
        """``[n_edges]`` bool, a copy of the present circuit; at first all edges."""
        return self._circuit.kept.copy()

    @property
    def drops_are_free(self) -> bool:
        """See :class:`acdc.pruning.protocol.Pruning`."""
        return not self.setting.model.tied_heads

    def removals(self, groups: Sequence[np.ndarray]) -> Generator[float, bool | None, None]:
        """See :meth:`acdc.pruning.protocol.Pruning.removals`."""
        return self._circuit.unchanged(self._try(self._circuit.groups(groups)))

    def remove(self, edges: np.ndarray) -> None:
        """See :meth:`acdc.pruning.protocol.Pruning.remove`."""
        for slot, own in self._circuit.remove(edges):
            self._removed(slot, own)

    def begin_again(self) -> None:
        """See :meth:`acdc.pruning.protocol.Pruning.begin_again`."""
        self._circuit = Shrinking(self.graph, self._circuit.kept)

    def effects(self, slot: Slot) -> np.ndarray:
        """See :meth:`acdc.pruning.protocol.Pruning.effects`."""
        if not self._circuit.kept.all():
            raise SettingsError(
                f"{int((~self._circuit.kept).sum())} edges were removed already, and effects are those of an edge of "
                "the whole graph; ask a new engine."
            )
        return self._effects(slot)

    @abstractmethod
    def _effects(self, slot: Slot) -> np.ndarray:
        """What the removal of each edge into a slot alone costs, of the whole graph."""

    @abstractmethod
    def metric(self) -> float:
        """The metric of the present circuit."""

    @abstractmethod
    def metric_of(self, kept: np.ndarray) -> float:
        """See :meth:`acdc.pruning.protocol.Pruning.metric_of`."""

    @abstractmethod
    def noise_floor(self) -> float:
        """See :meth:`acdc.pruning.protocol.Pruning.noise_floor`."""

    @abstractmethod
    def ahead(self, groups: Groups) -> Generator[Path, Outcome, None]:
        """Paths through the groups, as long as are computed at a time: each goes on where the one before it has led to.

        Whoever asks has looked whether they may be removed, refuses what is no number, and sends what has
        become of each path, of the last one too. How far is computed ahead may depend on it.
        """

    def refuse(self, kept: np.ndarray) -> NoReturn:
        """Raise :class:`NumericsError` for a circuit whose metric is no number; names the prompt if it can."""
        self.metric_of(kept)
        raise NumericsError(
            f"the {self.measure.name} of a patched run is NaN or infinite in the {self.name} engine alone; "
            'use `engine="reference"`, and please report it.'
        )

    def _try(self, groups: Groups | None) -> Generator[float, bool | None, None]:
        if groups is None:
            return
        stayed: list[bool] = []
        ahead = self.ahead(groups)
        path = next(ahead, None)
        while path is not None:
            start = len(stayed)
            for value, expected in zip(path.values, path.stay, strict=True):
                if not np.isfinite(value):
                    self._refuse_group(groups, stayed)
                stayed.append(bool((yield value)))
                if stayed[-1] != expected:
                    break
            try:
                path = ahead.send(Outcome(stayed[start:], path.values))
            except StopIteration:
                return

    def _refuse_group(self, groups: Groups, stayed: Sequence[bool]) -> NoReturn:
        """Refuse the group behind those that were decided on."""
        kept = self.kept
        for i, stays in enumerate([*stayed, False]):
            kept[groups[i]] &= stays
        self.refuse(kept)

    def _removed(self, slot: Slot, edges: np.ndarray) -> None:  # noqa: B027  # nothing to do where nothing is cached
        """Called after edges of one slot are gone."""
