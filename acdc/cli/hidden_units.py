"""``acdc hidden-units``: which hidden units of a model's MLPs do a task."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from acdc.cli.printing import announce, say
from acdc.cli.prompt_options import prompt_options
from acdc.cli.targets import check_free
from acdc.engine.ablations import ABLATIONS
from acdc.metrics import METRICS
from acdc.selection import RANKINGS
from acdc.wording import either

if TYPE_CHECKING:
    from acdc.discovery.hidden_units import UnitsFound
    from acdc.evaluation.hidden_units import UnitsEvaluation

_STRONGEST = 10  # in the table
_ROWS = {
    "model": "model",
    "circuit": "circuit, all units",
    "kept": "units kept",
    "others": "other units",
    "none": "no unit",
    "ablated": "all edges ablated",
}


@click.command(name="hidden-units")
@click.argument("task")
@click.option("--model", required=True, help="Bundled name, hub name, folder or GGUF file (see: acdc models).")
@click.option("--top", type=int, help="Keep so many hidden units of the largest scores.")
@click.option("--above", type=float, help="Likewise: those of at least this score.")
@click.option("--by", help=f"What these rank by: {either(RANKINGS)}.  [default: magnitude]")
@click.option("--units", type=click.Path(path_type=Path), help="In place of these: a table of --out, with its choice.")
@click.option("--circuit", type=click.Path(), help="Run them in this circuit of edges.  [default: the whole model]")
@click.option("--steps", type=int, default=5, show_default=True, help="Points between the ablated and the clean input.")
@click.option("--metric", default="kl", show_default=True, help=f"{either(METRICS)}.")
@click.option(
    "--ablation", default="corrupted", show_default=True, help=f"What is ablated carries: {either(ABLATIONS)}."
)
@click.option("--n", type=int, help="Prompt pairs.  [default: 100, or all of a file]")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the prompts.")
@click.option("--corruption", help="One of the task's (see: acdc tasks).  [default: its first]")
@prompt_options
@click.option("--batch-size", default="auto", show_default=True, help="Prompts run at a time.")
@click.option("--device", help="cpu, cuda, cuda:1 ...  [default: a GPU if there is one]")
@click.option("--dtype", help="float32, float64, bfloat16 or float16.  [default: float32]")
@click.option("--json", "as_json", is_flag=True, help="The figures as one JSON object, and nothing else.")
@click.option("--out", type=click.Path(path_type=Path), help="File to write: layer,unit,score,kept as CSV.")
def hidden_units(
    task: str,
    model: str,
    top: int | None,
    above: float | None,
    by: str | None,
    as_json: bool,
    out: Path | None,
    **options: Any,
) -> None:
    """Find the hidden units that do TASK.

    A hidden unit is a number between the two products of an MLP. Each gets a score, its change times the gradient at
    it; the model is then run with the strongest alone, the others carrying what --ablation says. They are no nodes of
    the graph: any circuit of edges (--circuit) can be run with them.
    """
    from acdc.cli.selection_options import selection_of

    select = selection_of(by, None, top=top, above=above)
    if out is not None:
        check_free(out, "--out")
    # torch takes seconds to import
    from acdc.discovery.hidden_units import hidden_units as find

    found = find(model, task, select=select, announce=announce, **options)
    if out is not None:
        found.units.save(out)  # first: it is on disk whatever becomes of the output
    if as_json:
        sys.stdout.write(json.dumps(_to_json(found), indent=1, allow_nan=False).replace("\x7f", "\\u007f") + "\n")
        sys.stdout.flush()
        return
    _print(found, task, model)
    if out is not None:
        say(out)


def _to_json(found: UnitsFound) -> dict[str, Any]:
    units = found.units
    return {
        "kept": units.n_kept,
        "of": int(units.kept.size),
        "kept_by_layer": units.kept.sum(1).tolist(),
        "edges": found.n_edges,
        "of_edges": found.of_edges,
        "used": found.used.to_json(),
        "held_out": None if found.held_out is None else found.held_out.to_json(),
    }


def _print(found: UnitsFound, task: str, model: str) -> None:
    from rich.table import Table
    from rich.text import Text

    from acdc.cli.terminal import Terminal
    from acdc.export.summary import score_words

    out, units = Terminal(), found.units
    where = "the whole model" if found.n_edges == found.of_edges else f"{found.n_edges:,} of {found.of_edges:,} edges"
    kept = f"{units.n_kept:,} of {units.kept.size:,} hidden units in {where}"
    out.print(Text.assemble((task, "bold"), " on ", (model, "bold"), f": {kept}"))
    table = Table(title="hidden units kept by layer, and the strongest of them", title_justify="left")
    for column in ("layer", "kept", "sum of scores"):
        table.add_column(column, justify="right")
    table.add_column("strongest")
    strongest = units.strongest(_STRONGEST)
    for layer in reversed(range(len(units.kept))):
        named = [f"{unit} ({score_words(units.scores[at, unit])})" for at, unit in strongest if at == layer]
        total = score_words(float(units.scores[layer][units.kept[layer]].sum()))
        table.add_row(str(layer), f"{int(units.kept[layer].sum()):,}", total, ", ".join(named))
    out.print(table)
    for evaluation, which in ((found.used, "used"), (found.held_out, "held out")):
        if evaluation is not None:
            out.print(_figures(evaluation, which))


def _figures(found: UnitsEvaluation, which: str) -> Any:
    from rich.table import Table

    table = Table(title=f"{found.n_prompts} prompts, {which}", title_justify="left")
    table.add_column("")
    for heading in ("kl", "right", "logit difference", f"faithful by {found.faithfulness_metric}"):
        table.add_column(heading, justify="right")
    for name, state in found.states.items():
        share = found.share(name)
        table.add_row(
            _ROWS[name],
            f"{state.metrics['kl']:.4g}",
            "" if state.accuracy is None else f"{state.accuracy:.1%}",
            "" if state.logit_difference is None else f"{state.logit_difference:.3g}",
            "not defined" if share is None else f"{round(share, 3) + 0.0:.1%}",
        )
    return table
