"""The circuits that somebody wants judged: opened, named, and with what is known of where they came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from acdc.asked import path, shown
from acdc.circuit import Circuit
from acdc.errors import NoGraphError, SettingsError, UnchosenError
from acdc.evaluation.beforehand import check_place
from acdc.evaluation.source import Source
from acdc.graph import Graph
from acdc.interchange import open_circuit
from acdc.models.model import Model
from acdc.runs.folder import CIRCUIT, RECORD, is_regular, read_record
from acdc.runs.run import Run
from acdc.selection import Above, Selection, select


@dataclass(frozen=True)
class Case:
    """A circuit to judge.

    Attributes:
        label: what it was given as.
        circuit: itself.
        source: what it was found on.
    """

    label: str
    circuit: Circuit
    source: Source

    def check_model(self, model: Model) -> None:
        """Raise :class:`SettingsError` unless it is a circuit of a model of that shape; says which sizes differ."""
        own = self.circuit.graph.cfg
        other = replace(model.graph_config, split_input=own.split_input)
        differing = own.differences(other)
        if own.d_model not in (0, other.d_model):  # 0 where a file doesn't say it
            differing.append(f"d_model {own.d_model} against {other.d_model}")
        if differing:
            raise SettingsError(
                f"{self.label} is a circuit of another model than {model.name}: {', '.join(differing)}; give "
                "the `model` that it is of."
            )
        if own.split_input:
            model.check_split_input()

    def check_edges(self) -> None:
        """Raise :class:`SettingsError` for a circuit that has nothing in it."""
        if self.circuit.n_edges == 0:
            raise SettingsError(
                f"{self.label} is empty: none of its {self.circuit.graph.n_edges:,} edges is in the circuit; give one "
                "with edges, or choose some by their scores."
            )
        if not self.circuit.graph.on_path(self.circuit.in_graph).any():
            raise SettingsError(
                f"{self.label} does nothing: none of its {self.circuit.n_edges:,} edges lies on a path from the input "
                "to the logits within it; add what is missing."
            )


def cases(
    given: Any, graph: Graph | None, selection: Selection | None, nodes: bool, scores: bool = False
) -> list[Case]:
    """Circuits as a caller gives them.

    Args:
        given: a circuit, a run, or the path of one; or a list of these.
        graph: of the model, if it is open, for files that don't say it.
        selection: chooses the edges by their scores, whatever is marked.
        nodes: files are lists of nodes.
        scores: they count, whatever a file marks: where it marks nothing, all edges are taken.

    Raises:
        AcdcError: one is none, or its file can't be read.
    """
    several: Sequence[Any] = list(given) if isinstance(given, list | tuple) else [given]
    if not several:
        raise SettingsError("no circuit is given; give one, or a list of them.")
    labels = ["the circuit"] if len(several) == 1 else [f"circuit {number}" for number in range(1, len(several) + 1)]
    found = [_case(one, label, graph, selection, nodes, scores) for one, label in zip(several, labels, strict=True)]
    if scores:
        found = [replace(case, circuit=_all_if_none(case.circuit)) for case in found]
    before = [sum(one.label == case.label for one in found[:place]) for place, case in enumerate(found)]
    labels = [f"{case.label} #{n + 1}" if n else case.label for case, n in zip(found, before, strict=True)]
    return [replace(case, label=label) for case, label in zip(found, labels, strict=True)]


def _case(given: Any, label: str, graph: Graph | None, selection: Selection | None, nodes: bool, scores: bool) -> Case:
    if isinstance(given, Circuit):
        return Case(label, _chosen(given, selection), Source.of_circuit(given))
    if isinstance(given, Run):
        label = label if given.folder is None else str(given.folder)
        return Case(label, _chosen(given.circuit, selection), Source.of_record(given.record))
    if not isinstance(given, str | Path):
        raise SettingsError(f"a circuit must be an acdc.Circuit, an acdc.Run or a path, not {shown(given)}.")
    check_place(given)
    place = path("circuits", given)
    circuit = _scored(place, graph, selection, nodes) if scores else _opened(place, graph, selection, nodes)
    folder = place if place.is_dir() else place.parent
    if (place.is_dir() or place.name == CIRCUIT) and is_regular(folder / RECORD):
        return Case(str(place), circuit, Source.of_record(read_record(folder)))
    return Case(str(place), circuit, Source.of_circuit(circuit))


def _all_if_none(circuit: Circuit) -> Circuit:
    return circuit if circuit.n_edges else replace(circuit, in_graph=~circuit.in_graph)


def _scored(place: Path, graph: Graph | None, selection: Selection | None, nodes: bool) -> Circuit:
    """A circuit of a file whose scores count: all its edges, where it chooses none."""
    try:
        return _opened(place, graph, selection, nodes)
    except UnchosenError:
        return _opened(place, graph, Above(0.0), nodes)


def _opened(place: Path, graph: Graph | None, selection: Selection | None, nodes: bool) -> Circuit:
    """A circuit of any file; a list of names gets the model's graph, others have their own (its input may be split)."""
    try:
        return open_circuit(place, selection=selection, nodes=nodes)
    except NoGraphError as error:
        if graph is None:
            raise NoGraphError(error.what, "give the `model` that it is of") from error
    except SettingsError:
        if graph is None:
            raise
    return open_circuit(place, graph=graph, selection=selection, nodes=nodes)


def _chosen(circuit: Circuit, selection: Selection | None) -> Circuit:
    """A circuit, or the edges that a selection chooses by its scores."""
    if selection is None:
        return circuit
    return replace(circuit, in_graph=select(circuit.graph, circuit.scores, selection))
