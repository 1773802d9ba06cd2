"""``analyse``: a model opened, a task's prompts drawn, and looks at what each part of the model does on them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from acdc.analysis.looks import Looks, check_folder, look_at
from acdc.analysis.registry import asked_analyses
from acdc.asked import flag
from acdc.circuit import Circuit
from acdc.discovery.setting_up import prompts, set_up
from acdc.errors import SettingsError
from acdc.evaluation.cases import cases
from acdc.graph import Graph
from acdc.models.loading import load_model, memory_errors
from acdc.models.model import Model
from acdc.models.threads import fit_threads, own_threads, set_threads
from acdc.models.torchstate import own_torch_state
from acdc.pairs import PromptPair, PromptSet
from acdc.pairs.finding import find_task
from acdc.pairs.task import Task
from acdc.runs.run import Run
from acdc.waiting import bars

#: Prompt pairs, if nobody says how many: enough for means, and few enough for a look.
MOST_PAIRS = 10


@own_threads()
@own_torch_state()
def analyse(
    model: Model | str | Path | Any,
    task: Task | type[Task] | Sequence[PromptPair] | str | Path,
    *,
    only: str | Iterable[str] | None = None,
    heads: str | Iterable[str] | None = None,
    run: Circuit | Run | str | Path | None = None,
    out: str | Path | None = None,
    device: Any = None,
    dtype: Any = None,
    threads: int | None = None,
    progress: bool = True,
    **drawn: Any,
) -> Looks:
    """Look at a model on a task: logit lens, attributions, patching maps, attention patterns, detectors.

        >>> looks = acdc.analyse("tiny-tasks", "ioi", only=["direct", "detectors"])  # doctest: +SKIP
        >>> looks["direct"].strongest(2)  # doctest: +SKIP

    Args:
        model: a model of :func:`acdc.load_model`, or whatever that opens (on `device`, in `dtype`).
        task: as for :func:`acdc.discover`.
        only: names of looks (:data:`acdc.analysis.registry.ANALYSES`), in a list or with commas; by default all that
            suit the model and its prompts.
        heads: for looks at single heads; by default the circuit's strongest, or those of the largest direct
            attribution.
        run: a run, a circuit, or the folder or file of one; its nodes are marked.
        out: a folder for a table (CSV) and a plot (SVG) of each look.
        device: of a model that isn't open yet.
        dtype: likewise.
        threads: that torch computes with; by default as many as suit the model's size.
        progress: show bars.
        drawn: how prompts are drawn (`n`, `seed`, `split`, `corruption` ...), see :func:`acdc.prompts`, and
            `batch_size`. By default there are at most :data:`MOST_PAIRS` pairs.

    Raises:
        AcdcError: a bad model, task, look, head or option; a circuit of another model; a file that is there already.
    """
    wanted = [analysis.name for analysis in asked_analyses(only)]
    if out is not None:
        check_folder(out, wanted)
    set_threads(threads)
    with memory_errors(), bars(flag("progress", progress)):
        found = find_task(task, drawn.pop("answers", None), drawn.pop("wrong_answers", None))
        opened = _opened(model, device, dtype)
        marked = None if run is None else _circuit(run, opened)
        size = drawn.pop("batch_size", "auto")
        if drawn.get("n") is None:
            drawn["n"] = min(MOST_PAIRS, found.default_n)
        given: PromptSet = prompts(opened, found, **drawn)
        if threads is None:
            fit_threads(opened, given)
        setting = set_up(opened, given, batch_size=size, split_input=marked is not None and marked.graph.n_inputs > 1)
        looks = look_at(setting, only, heads=heads, circuit=marked)
        if out is not None:
            looks.save(out)
        return looks


def _opened(model: Any, device: Any, dtype: Any) -> Model:
    if not isinstance(model, Model):
        return load_model(model, device=device, dtype=dtype)
    if not (device is None and dtype is None):
        raise SettingsError("the model is open already; give device and dtype to load_model.")
    return model


def _circuit(given: Any, model: Model) -> Circuit:
    """A circuit of the model. Raises :class:`AcdcError`."""
    (case,) = cases([given], Graph(model.graph_config), None, nodes=False)
    case.check_model(model)
    return case.circuit
