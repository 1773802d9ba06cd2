"""``acdc patch``: paths of a model given the values of other prompts, and what becomes of its predictions."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from acdc.cli.printing import say
from acdc.cli.prompt_options import redrawing_options
from acdc.cli.targets import check_free
from acdc.engine.ablations import ABLATIONS
from acdc.errors import SettingsError
from acdc.wording import counted, either

if TYPE_CHECKING:
    from acdc.analysis.paths import PathPatching
    from acdc.circuit import Circuit
    from acdc.engine.setting import Setting

_WIDTH = 80  # of what isn't a terminal
_DRAWING = ("n", "seed", "split", "corruption", "bos", "allow_misaligned", "skip_bad_pairs")


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--task", help="Task or prompt file.  [default: what the run was found on]")
@click.option("--model", help="Bundled name, hub name, folder or GGUF file.  [default: the run's]")
@click.option("--run", type=click.Path(), help="Run folder or circuit file: its model and prompts, and what it keeps.")
@click.option(
    "--rest",
    default="frozen",
    show_default=True,
    help="What else may carry a path from node to node: frozen (nothing), mlps, or recomputed (anything).",
)
@click.option(
    "--direction",
    default="noising",
    show_default=True,
    help="noising (clean prompts, paths ablated) or denoising (corrupted prompts, paths clean).",
)
@click.option("--ablation", help=f"Noised paths carry: {either(ABLATIONS)}.  [default: as it was found, or corrupted]")
@click.option("--split-input", is_flag=True, help="Token and position embeddings as two nodes.")
@click.option("--n", type=int, help="Prompt pairs.  [default: as it was found, or what the task has]")
@click.option("--seed", type=int, help="Of the prompts.  [default: as it was found, or 0]")
@click.option("--split", default="train", show_default=True, help="train, or test (the held-out prompts).")
@click.option("--corruption", help="One of the task's.  [default: as it was found, or its first]")
@redrawing_options
@click.option("--json", "as_json", is_flag=True, help="All of it as one JSON object, and nothing else.")
@click.option("--csv", "table", type=click.Path(path_type=Path), help="File to write: a line a quantity.")
@click.option("--plot", type=click.Path(path_type=Path), help="File to draw the predictions into: .svg or .png.")
@click.option("--batch-size", default="auto", show_default=True, help="Prompts run at a time.")
@click.option("--device", help="cpu, cuda, cuda:1 ...  [default: a GPU if there is one]")
@click.option("--dtype", help="float32, float64, bfloat16 or float16.  [default: as it was found, or float32]")
def patch(
    paths: tuple[str, ...],
    rest: str,
    direction: str,
    as_json: bool,
    table: Path | None,
    plot: Path | None,
    **options: Any,
) -> None:
    """Patch paths from node to node, and see what is predicted.

    Each PATH is like "a0.h1->a2.h3<k>->logits" (quote it: > is the shell's too); several are patched together.
    The node that one begins at writes another prompt's value, on this path alone. A head without <q>, <k> or <v> is
    entered by all three. What follows a path that doesn't end in logits is recomputed.
    """
    _check_asked(options, table, plot)
    # torch takes seconds to import
    from acdc.analysis.paths import patch_paths
    from acdc.models.loading import memory_errors
    from acdc.models.threads import own_threads
    from acdc.waiting import bars

    with own_threads(), memory_errors(), bars(True):
        setting, circuit = _opened(**options)
        found = patch_paths(setting, paths, rest=rest, direction=direction)
    if table is not None:
        found.write_table(table)  # first: it is on disk whatever becomes of the output
    if plot is not None:
        found.draw(plot)
    kept = {} if circuit is None else _kept(found, circuit)
    if as_json:
        told: dict[str, Any] = {"model": setting.model.name, "task": setting.prompts.task, "ablation": setting.ablation}
        told |= {"freeze": list(setting.model.frozen)}
        everything = told | found.to_json() | ({} if circuit is None else {"edges_in_circuit": kept})
        sys.stdout.write(json.dumps(everything, indent=1, allow_nan=False).replace("\x7f", "\\u007f") + "\n")
        sys.stdout.flush()
        return
    _print(found, setting, kept)
    for written in filter(None, (table, plot)):
        say(written)


def _check_asked(options: dict[str, Any], table: Path | None, plot: Path | None) -> None:
    """Raise :class:`AcdcError` for what can be told to be bad before torch is imported."""
    from acdc.evaluation.beforehand import check_names, check_place

    for name in ("task", "model"):
        if options[name] is None and options["run"] is None:
            raise SettingsError(f"`{name}` is missing; give it, or `run` to take that of a run.")
    if options["run"] is not None:
        check_place(options["run"])
    for option, file in (("--csv", table), ("--plot", plot)):
        if file is not None:
            check_free(file, option)
    if plot is not None:
        from acdc.analysis.result import PICTURES
        from acdc.export.plots import check_matplotlib

        if plot.suffix.lower() not in PICTURES:
            raise SettingsError(f"{plot} doesn't end in {' or '.join(PICTURES)}; give another file with --plot.")
        if plot == table:
            raise SettingsError("--csv and --plot name the same file; give two.")
        check_matplotlib()
    if options["split"] == "both":
        raise SettingsError("`split` must be train or test here, one set of prompts at a time.")
    if options["task"] is None and (options["answers"] is not None or options["wrong_answers"] is not None):
        raise SettingsError("`answers` and `wrong_answers` name columns of a prompt file; give it by `task`.")
    tasks = () if options["task"] is None else (options["task"],)
    check_names(tasks, None, options["ablation"], options["answers"], options["wrong_answers"])


def _opened(
    task: str | None,
    model: str | None,
    run: str | None,
    ablation: str | None,
    split_input: bool,
    answers: str | None,
    wrong_answers: str | None,
    batch_size: str,
    device: str | None,
    dtype: str | None,
    **drawing: Any,
) -> tuple[Setting, Circuit | None]:
    """A model on prompts, and the run's circuit if one is given. Raises :class:`AcdcError`."""
    from acdc.discovery.setting_up import set_up
    from acdc.evaluation.cases import cases
    from acdc.evaluation.drawing import Drawer, DrawOptions
    from acdc.evaluation.source import Source
    from acdc.models.loading import load_model
    from acdc.pairs.finding import find_task

    drawer = Drawer(DrawOptions.checked({name: drawing[name] for name in _DRAWING}))
    case = None if run is None else cases(run, None, None, False)[0]
    source, label = (Source(), "") if case is None else (case.source, case.label)
    if task is None:
        drawer.own_task(label, source)  # before a model is opened in vain
    wanted = source.dtype if dtype is None else dtype
    if model is None:
        opened = source.open_model(label, lambda name: load_model(name, device=device, dtype=wanted))
    else:
        opened = load_model(model, device=device, dtype=wanted)
    if case is not None:
        case.check_model(opened)
        if split_input and not case.circuit.graph.cfg.split_input:
            raise SettingsError(f"{label} has the input as one node, and `split_input` makes it two; leave that out.")
        split_input = case.circuit.graph.cfg.split_input
    if task is None:
        drawn = drawer.of_source(label, source, opened)
    else:
        drawn = drawer.of_task(label, find_task(task, answers, wrong_answers), source, opened)
    prompts = next(iter(drawn)).prompts
    removed = ablation or source.ablation or "corrupted"
    how: dict[str, Any] = {"split_input": split_input, "freeze": source.freeze, "batch_size": batch_size}
    setting = set_up(opened, prompts, ablation=removed, **how)
    return setting, None if case is None else case.circuit


def _kept(found: PathPatching, circuit: Circuit) -> dict[str, dict[str, bool]]:
    """Of each path's own edges, whether the circuit keeps them."""
    from acdc.analysis.pathnames import parse_paths

    graph = circuit.graph
    return {
        path.name: {edge: bool(circuit.in_graph[graph.edge(edge).number]) for edge in path.edges(graph)}
        for path in parse_paths(graph, found.paths)
    }


def _print(found: PathPatching, setting: Setting, kept: dict[str, dict[str, bool]]) -> None:
    from rich.table import Table
    from rich.text import Text

    from acdc.cli.terminal import Terminal

    out = Terminal(_WIDTH)
    about = f"{counted(len(found.paths), 'path')} patched on {counted(len(setting.prompts), 'prompt')}"
    how = f"{found.direction}, rest {found.rest}, {setting.ablation} ablation"
    if setting.model.frozen:
        how += f", frozen {' and '.join(setting.model.frozen)}"
    out.print(Text.assemble((setting.prompts.task, "bold"), " on ", (setting.model.name, "bold"), f": {about} ({how})"))
    for path in found.paths:
        out.print(Text(f"  {path}{_in_circuit(kept[path]) if path in kept else ''}"))
    figures = found.table()
    table = Table()
    for number, column in enumerate(figures.columns):
        table.add_column(column, justify="right" if number else "left")
    for name, *numbers, _ in figures.rows:
        share = found.share(str(name))
        told = "not defined" if share is None else f"{round(share, 3) + 0.0:.1%}"
        table.add_row(str(name).replace("_", " "), *(f"{number:.4g}" for number in numbers), told)
    out.print(table)


def _in_circuit(edges: dict[str, bool]) -> str:
    missing = [edge for edge, kept in edges.items() if not kept]
    if not edges:
        return ""
    return f"  (not in the circuit: {', '.join(missing)})" if missing else "  (in the circuit)"
