"""``hidden_units``: which hidden units of a model's MLPs do a task, and what the model does with them alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from acdc.asked import flag, path, shown
from acdc.circuit import Circuit
from acdc.discovery.setting_up import prompts, set_up
from acdc.engine.hidden_units import checked_mask, plain_mlps
from acdc.engine.own_metric import MetricFunction, asked_metric
from acdc.engine.setting import Setting
from acdc.errors import AcdcError, SettingsError
from acdc.evaluation.hidden_units import UnitsEvaluation, evaluate_units
from acdc.export.wanted import HasCircuit, circuit_of
from acdc.graph import Graph
from acdc.hiddenunits import HiddenUnits, check_rule
from acdc.interchange import open_circuit
from acdc.methods.attribution import STEPS
from acdc.methods.base import Cost
from acdc.methods.hidden_units import hidden_unit_attribution
from acdc.metrics import Metric
from acdc.models.loading import load_model, memory_errors
from acdc.models.model import Model
from acdc.models.threads import own_threads
from acdc.models.torchstate import own_torch_state
from acdc.pairs import PromptPair, PromptSet
from acdc.pairs.finding import find_task
from acdc.pairs.splitting import refuse_overlap
from acdc.pairs.task import Task
from acdc.selection import Selection
from acdc.waiting import bars


@dataclass(frozen=True, eq=False)
class UnitsFound:
    """Hidden units, and what the model, or a circuit of it, does with them.

    Attributes:
        units: their scores, and which are kept.
        n_edges, of_edges: edges of the circuit that they were run in, and of the graph.
        used: on the prompts that they were scored on.
        held_out: on held-out ones, where there are any.
        no_held_out: why there are none.
    """

    units: HiddenUnits
    n_edges: int
    of_edges: int
    used: UnitsEvaluation
    held_out: UnitsEvaluation | None
    no_held_out: str | None = None


@own_threads()
@own_torch_state()
def hidden_units(
    model: Model | str | Path | Any,
    task: Task | type[Task] | Sequence[PromptPair] | str | Path,
    *,
    select: Selection | None = None,
    units: HiddenUnits | str | Path | None = None,
    circuit: Circuit | HasCircuit | str | Path | None = None,
    steps: int = STEPS,
    metric: str | MetricFunction = "kl",
    ablation: str = "corrupted",
    device: Any = None,
    dtype: Any = None,
    progress: bool = True,
    announce: Callable[[str], None] | None = None,
    **drawn: Any,
) -> UnitsFound:
    """Score the hidden units of a model's MLPs, choose the strongest, and run the model with these alone.

    Args:
        model: a model of :func:`acdc.load_model`, or whatever that opens (on `device`, in `dtype`); its MLPs are plain.
        task: as for :func:`acdc.discover`.
        select: ``Top(n)`` or ``Above(threshold)`` of :mod:`acdc.selection`, of units.
        units: in place of `select`: units chosen before, or their table (:class:`acdc.hiddenunits.HiddenUnits`).
        circuit: of edges, in which the units are run; by default the whole model. Scores are of the whole model.
        steps: see :func:`acdc.methods.hidden_units.hidden_unit_attribution`.
        metric: a name or a function, see :func:`acdc.discover`.
        ablation: what removed edges and units carry: ``corrupted``, ``zero`` or ``mean``.
        device: of a model that isn't open yet.
        dtype: likewise.
        progress: show bars while prompts are made.
        announce: takes lines on what is done.
        drawn: how prompts are drawn (`n`, `seed`, `corruption` ...), see :func:`acdc.prompts`, and `batch_size`.

    Raises:
        AcdcError: a bad model (its MLPs aren't plain), task, circuit or option.
    """
    chosen, measure = _asked_units(select, units), asked_metric(metric)
    with memory_errors(), bars(flag("progress", progress)):
        found = find_task(task, drawn.pop("answers", None), drawn.pop("wrong_answers", None))
        opened = _opened(model, device, dtype)
        plain_mlps(opened)  # refused before prompts are made
        if chosen is not None:
            checked_mask(opened, chosen.kept)
        within = None if circuit is None else _circuit(circuit, opened)
        size = drawn.pop("batch_size", "auto")
        job = _Job(opened, found, within, measure, ablation, size, drawn, announce or (lambda line: None))
        return job.found(chosen, select, steps)


@dataclass(frozen=True)
class _Job:
    """What :func:`hidden_units` was asked for."""

    model: Model
    task: Task
    circuit: Circuit | None
    measure: Metric
    ablation: str
    batch_size: int | str
    drawn: dict[str, Any]
    announce: Callable[[str], None]

    def found(self, units: HiddenUnits | None, select: Selection | None, steps: int) -> UnitsFound:
        """Units that are given, or chosen by their scores, and what is done with them."""
        used = prompts(self.model, self.task, **self.drawn)
        setting = self._set_up(used)
        if units is None:
            self.announce(f"scoring hidden units: {Cost(steps, steps).words}")
            assert select is not None  # one of both is given
            units = HiddenUnits.chosen(hidden_unit_attribution(setting, self.measure, steps=steps), select)
        n_edges = setting.graph.n_edges
        on_used, unseen, why = self._evaluated(setting, units), None, None
        del setting  # what is held out needs as much memory again
        try:
            others = prompts(self.model, self.task, split="test", **self.drawn)
            refuse_overlap(used, others)
            unseen = self._evaluated(self._set_up(others), units)
        except AcdcError as error:  # the units are found all the same
            why = str(error)
            self.announce(f"no result on held-out prompts: {why}")
        kept = n_edges if self.circuit is None else self.circuit.n_edges
        return UnitsFound(units, kept, n_edges, on_used, unseen, why)

    def _set_up(self, given: PromptSet) -> Setting:
        return set_up(
            self.model,
            given,
            metric=self.measure,
            ablation=self.ablation,
            split_input=self.circuit is not None and self.circuit.graph.cfg.split_input,
            batch_size=self.batch_size,
        )

    def _evaluated(self, setting: Setting, units: HiddenUnits) -> UnitsEvaluation:
        in_graph = np.ones(setting.graph.n_edges, dtype=bool) if self.circuit is None else self.circuit.in_graph
        return evaluate_units(setting, in_graph, units.kept, metrics=(self.task.metric, self.measure.name))


def _asked_units(select: Any, units: Any) -> HiddenUnits | None:
    """The units that are given, if they are. Raises :class:`AcdcError`, also where none could be chosen."""
    if (select is None) == (units is None):
        raise SettingsError(
            "give either a selection of the strongest hidden units (`top` or `above`; in Python `select=Top(100)`) or "
            "`units` that were chosen before."
        )
    if select is not None:
        check_rule(select)
        return None
    return units if isinstance(units, HiddenUnits) else HiddenUnits.load(path("units", units))


def _opened(model: Any, device: Any, dtype: Any) -> Model:
    if not isinstance(model, Model):
        return load_model(model, device=device, dtype=dtype)
    if not (device is None and dtype is None):
        raise SettingsError("the model is open already; give device and dtype to load_model.")
    return model


def _circuit(given: Circuit | HasCircuit | str | Path, model: Model) -> Circuit:
    """A circuit of the model. Raises :class:`AcdcError`."""
    if isinstance(given, str | Path):
        try:
            found = open_circuit(given)
        except SettingsError:  # a list of names
            found = open_circuit(given, graph=Graph(model.graph_config))
    else:
        found = circuit_of(given)
    own = found.graph.cfg
    differences = [said for said in own.differences(model.graph_config) if not said.startswith("split_input")]
    if differences or (own.d_model not in (0, model.graph_config.d_model)):
        width = [] if differences else [f"d_model {own.d_model} against {model.graph_config.d_model}"]
        raise SettingsError(
            f"the circuit {shown(str(given)) if isinstance(given, str | Path) else 'given'} is of another model: "
            f"{', '.join([*differences, *width])}; give one of this model."
        )
    return found
