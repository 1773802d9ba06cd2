"""A run as a page that explores it: what its folder holds, and what running the model adds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acdc.asked import flag, path, text, whole
from acdc.errors import AcdcError, SettingsError, warn
from acdc.evaluation.intervals import Intervals
from acdc.explorer.comparison import comparison_tables
from acdc.explorer.data import film_data, found_figures, graph_data
from acdc.explorer.evidence import evidence
from acdc.explorer.facts import glance
from acdc.explorer.page import page
from acdc.explorer.seen import Seen, to_json
from acdc.explorer.shown import View, check_page
from acdc.explorer.subject import Subject, subject
from acdc.waiting import bars, waiting
from acdc.wording import one_line

if TYPE_CHECKING:
    from acdc.circuit import Circuit
    from acdc.graph import Graph
    from acdc.models.model import Model
    from acdc.pairs import PromptPair
    from acdc.pairs.task import Task
    from acdc.results import Evaluation
    from acdc.runs.run import Run

#: Prompts of each kind that are run if nobody says otherwise.
USUAL = 100


def view(
    run: Run | Circuit | str | Path,
    other: Run | Circuit | str | Path | None = None,
    *,
    out: str | Path | None = None,
    model: Model | str | Path | Any | None = None,
    task: Task | type[Task] | Sequence[PromptPair] | str | Path | None = None,
    open_model: bool = True,
    n: int = USUAL,
    title: str | None = None,
    progress: bool = True,
) -> View:
    """Make the page that explores a run: its graph, prompts, nodes and figures, in one HTML file.

    The model is run on the prompts that the circuit was found on, and on those held out, if it and they can still be
    had; without it the page shows what the folder holds, and says what it lacks.

        >>> acdc.view("runs/ioi")  # doctest: +SKIP
        View(612,345 bytes, path='runs/ioi/view.html')

    Args:
        run: a run, a circuit, or the path of a run's folder or of any file of a circuit.
        other: a second one of the same graph, to be held against it.
        out: the file to write; by default ``view.html`` in the run's folder, beside a circuit's file
            ``NAME.view.html``, and none for what isn't on disk. An earlier page is written over, nothing else is.
        model: the model, or what opens it; by default the one that the circuit was found on.
        task: prompts to run; by default those that it was found on.
        open_model: run the model.
        n: prompts to run, the first so many of those used and of those held out; with fewer than there are, the mean
            that is ablated (``mean``) is of these alone.
        title: of the page; by default names of task and model.
        progress: show bars for what takes long.

    Raises:
        SettingsError: two circuits of different graphs; a model or task given that doesn't fit; a bad option.
        RunFolderError: a folder that holds no circuit, or a file in the way of the page.
        AcdcError: a file that can't be read, or a model or task given that can't be opened.
    """
    if (n := whole("n", n)) < 1:
        raise SettingsError(f"`n` must be at least 1, not {n}.")
    if title is not None:
        title = text("title", title)
    run_it = flag("open_model", open_model)
    if not run_it and task is not None:
        raise SettingsError("`task` says what to run the model on, and it isn't to be run; leave one of them out.")
    with bars(flag("progress", progress)):
        opened, graph = _opened(model) if model is not None else (None, None)
        subjects = _labelled([subject(one, graph) for one in ([run] if other is None else [run, other])])
        for sentence in (sentence for one in subjects for sentence in one.missing):
            warn(sentence)
        _check_graphs(subjects)
        target = subjects[0].page if out is None else path("out", out)
        if target is not None:
            check_page(target, " with `out`")  # before a model is run in vain
        seen = _seen(subjects, opened, task, n) if run_it else [Seen() for _ in subjects]
        made = View(page(_title(subjects, title), _data(subjects, seen, title)))
    return made if target is None else made.save(target)


def _opened(model: Any) -> tuple[Model, Graph]:
    """A model that was given, and its graph."""
    from acdc.graph import Graph
    from acdc.models.loading import load_model
    from acdc.models.model import Model

    opened = model if isinstance(model, Model) else load_model(model)
    return opened, Graph(opened.graph_config)


def _labelled(subjects: list[Subject]) -> list[Subject]:
    """The same under different labels."""
    if len(subjects) == 2 and subjects[0].label == subjects[1].label:
        return [replace(one, label=f"{letter}: {one.label}") for letter, one in zip("AB", subjects, strict=True)]
    return subjects


def _check_graphs(subjects: Sequence[Subject]) -> None:
    first = subjects[0].circuit.graph
    for one in subjects[1:]:
        if differences := first.differences(one.circuit.graph):
            raise SettingsError(
                f"{subjects[0].label} and {one.label} are of different graphs, which no page shows at once: "
                f"{', '.join(differences)}; view them one by one."
            )


def _title(subjects: Sequence[Subject], title: str | None) -> str:
    return one_line(title or " and ".join(dict.fromkeys(one.title for one in subjects)))


def _data(subjects: Sequence[Subject], seen: Sequence[Seen], title: str | None) -> dict[str, Any]:
    """What the page shows."""
    circuits = [one.circuit for one in subjects]
    graph = graph_data(circuits)
    return {
        "title": _title(subjects, title),
        "graph": graph,
        "comparison": comparison_tables(*circuits) if len(circuits) == 2 else [],
        "runs": [_run(one, found, graph) for one, found in zip(subjects, seen, strict=True)],
    }


def _run(one: Subject, seen: Seen, graph: dict[str, Any]) -> dict[str, Any]:
    found, circuit, run = one.circuit.found, one.circuit, one.run
    threshold = found.threshold if run is None else run.record.threshold
    return {
        "label": one.label,
        "folder": None if one.folder is None else str(one.folder),
        "n_edges": circuit.n_edges,
        "facts": glance(circuit, run),
        "method": found.method,
        "metric": found.metric,
        "threshold": threshold,
        "found": found_figures(None if run is None else run.used),
        "film": None if run is None else film_data(circuit.graph, graph, run.decisions, circuit.in_graph),
        "evidence": evidence(circuit if run is None else run, _Ends()),
        **to_json(replace(seen, missing=[*one.missing, *seen.missing])),
    }


class _Ends:
    """The ends of 95 % intervals over prompts; those of one evaluation are drawn once."""

    def __init__(self) -> None:
        self._known: dict[int, Intervals] = {}

    def __call__(self, evaluation: Evaluation, state: str, quantity: str) -> tuple[float, float] | None:
        known = self._known.setdefault(id(evaluation), Intervals(evaluation))
        found = known.of_faithfulness(state) if quantity == "faithfulness" else known.of(state, quantity)
        return None if found.low is None or found.high is None else (found.low, found.high)


def _seen(subjects: Sequence[Subject], model: Model | None, task: Any, n: int) -> list[Seen]:
    """What running the model adds to each; what can't be had is said, unless somebody asked for it."""
    # torch takes seconds to import
    from acdc.analysis.redrawing import Redrawer

    redrawer = Redrawer(model, task, n)
    found = []
    for one in waiting(subjects, "running the model"):
        try:
            found.append(redrawer.see(one))
        except AcdcError as error:
            if model is not None or task is not None:
                raise
            warn(f"the model isn't run: {error}")
            found.append(Seen(missing=[f"The model wasn't run: {error}"]))
    return found
