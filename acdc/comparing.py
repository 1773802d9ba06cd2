"""``acdc.compare``: circuits, runs and files, held against each other."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from acdc import asked
from acdc.circuit import Circuit
from acdc.comparison import Comparison
from acdc.comparison import compare as compare_circuits
from acdc.comparison.comparison import label
from acdc.errors import AcdcWarning, NoGraphError, SettingsError, UnchosenError
from acdc.export.wanted import HasCircuit, circuit_of
from acdc.graph import Graph
from acdc.interchange import open_circuit
from acdc.interchange.lists import as_file
from acdc.reading import kind_at
from acdc.references import reference as published
from acdc.runs.folder import CIRCUIT
from acdc.runs.run import Run
from acdc.selection import Selection, select
from acdc.wording import quoted

Comparable = Circuit | HasCircuit | str | Path


def compare(
    *given: Comparable,
    reference: Comparable | None = None,
    selection: Selection | None = None,
    nodes: bool = False,
) -> Comparison:
    """Hold circuits of one graph against each other: those of two tasks, methods, thresholds or checkpoints.

        >>> acdc.compare("runs/ioi-0.01", "runs/ioi-0.001")  # doctest: +SKIP
        Comparison of 2 circuits
          A ('runs/ioi-0.01'): 34 edges, 23 nodes
          B ('runs/ioi-0.001'): 112 edges, 26 nodes
          A keeps 34 edges, B 112; 33 in both: Jaccard 0.29.

    Args:
        given: each a circuit, a run, or the path of a run's folder or of a file that
            :func:`acdc.interchange.open_circuit` opens. A list of edges or nodes is taken to be of the others' graph.
        reference: another one to judge them by: precision, recall, F1, and areas under the ROC curve by the
            step rule of the ACDC paper (arXiv 2304.14997). Besides, the name of a published circuit
            (:func:`acdc.references.reference`), where no file has it.
        selection: chooses the edges of each by their scores, whatever is marked; of a reference only where it holds
            scores and no choice. Lists stay as they are.
        nodes: lists are of nodes; their circuits are all edges among them, the input and the logits.

    Raises:
        UnknownNameError: the reference is neither a file nor a published circuit; says the nearest.
        SettingsError: what is given is no circuit, they are too few or of different graphs (says which sizes
            differ), scores without a selection, or the reference keeps all edges or none.
        CircuitFileError: a file can't be read as a circuit, or keeps no edge.
        RunFolderError: a folder can't be read as a run.
    """
    known = [] if reference is None else [_published(reference)]
    circuits = _opened([*given, *known], len(given), selection, asked.flag("nodes", nodes))
    _warn_of_doubles([*given, *known], len(given))
    return compare_circuits(
        circuits[: len(given)],
        circuits[-1] if known else None,
        sources=[_source(one) for one in given],
        reference_source=None if reference is None else _source(reference),
    )


def _published(given: Comparable) -> Comparable:
    """A published circuit where its name is given and no file has it; else what is given."""
    if not isinstance(given, str | Path) or kind_at(Path(given)) is not None or Path(given).name != str(given):
        return given
    if Path(given).suffix:
        return given  # meant as a file
    return published(str(given)).circuit


def _opened(given: Sequence[Comparable], n: int, selection: Selection | None, nodes: bool) -> list[Circuit]:
    """All circuits, the first `n` of them no reference; lists, which don't say of what graph they are, last."""
    circuits: dict[int, Circuit] = {}
    lists: list[int] = []
    n_chosen = 0
    for i, one in enumerate(given):
        rule = selection if i < n else None
        try:
            try:
                circuits[i] = _circuit(one, selection=rule)
            except UnchosenError:
                if selection is None:
                    raise
                rule = selection
                circuits[i] = _circuit(one, selection=rule)
            n_chosen += rule is not None
        except NoGraphError:
            lists.append(i)
    if selection is not None and circuits and not n_chosen:
        raise SettingsError(
            "only lists of names are compared here, which have no scores to choose edges by `top` or `above` (in "
            "Python, by `selection`); leave it out."
        )
    if lists and not circuits:
        path = str(given[lists[0]])
        raise NoGraphError(
            f"{path} is a list of {'nodes' if nodes else 'edges'} by name",
            f"compare it with a circuit that does, or {as_file(path)}",
        )
    if nodes and not lists:
        raise SettingsError("nothing here is a list of nodes; leave out `nodes=True`.")
    for i in lists:
        circuits[i] = _circuit(given[i], graph=circuits[min(circuits)].graph, nodes=nodes)
    return [circuits[i] for i in range(len(given))]


def _circuit(
    given: Comparable, graph: Graph | None = None, selection: Selection | None = None, nodes: bool = False
) -> Circuit:
    if not isinstance(given, str | Path):
        one = circuit_of(given)
        return one if selection is None else replace(one, in_graph=select(one.graph, one.scores, selection))
    with warnings.catch_warnings():
        # The comparison says so itself, of circuits that aren't files too.
        warnings.filterwarnings("ignore", ".* on no path from the input to the logits", AcdcWarning)
        return open_circuit(asked.path("circuit", given), graph=graph, selection=selection, nodes=nodes)


def _source(given: Comparable) -> str | None:
    if isinstance(given, Run):
        return None if given.folder is None else str(given.folder)
    return str(given) if isinstance(given, str | Path) else None


def _warn_of_doubles(given: list[Comparable], n_circuits: int) -> None:
    """Say of a file that is given twice, by whatever name, under which letters it stands."""
    seen: dict[Path, str] = {}
    for i, one in enumerate(given):
        name = label(i) if i < n_circuits else "the reference"
        if (source := _source(one)) is None:
            continue
        path = Path(source).resolve()
        first = seen.setdefault(path / CIRCUIT if path.is_dir() else path, name)
        if first != name:
            warnings.warn(f"{first} and {name} are the same file, {quoted(source)}.", AcdcWarning, stacklevel=3)
