"""What a threshold costs and gives: a run for each of a range of them, a table and plots.

    python benchmarks/thresholds.py ioi --model tiny-tasks --n 10 --out sweep

Needs matplotlib (the extra ``benchmarks``). Interrupted, the same command goes on.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from plots import check_matplotlib
from sweep import Row, sweep
from sweep_plots import draw
from tqdm import tqdm

from acdc.circuit import Circuit
from acdc.cli.discover import discover as discover_command
from acdc.cli.main import main
from acdc.cli.printing import say
from acdc.comparison import check_reference, step_area
from acdc.errors import SettingsError
from acdc.graph import Graph
from acdc.models.loading import load_model
from acdc.pairs.finding import find_task

#: For a metric in nats: from circuits of nearly nothing to circuits of much of a model.
DEFAULT = "0.0001,0.0002,0.0005,0.001,0.002,0.005,0.01,0.02,0.05,0.1,0.2,0.5,1"


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--thresholds", default=DEFAULT, help="Numbers above 0, with commas between them.  [default: 13 from 0.0001 to 1]"
)
@click.option("--reference", type=click.Path(path_type=Path), help="Circuit file to compare every circuit with.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write, or to go on with.")
def command(thresholds: str, reference: Path | None, out: Path, task: str, model: str, **asked: Any) -> None:
    """Find the circuit for TASK at each of a range of thresholds.

    Writes a run folder for each, thresholds.csv and plots. An interrupted sweep goes on with
    the same command; runs that ended aren't repeated.
    """
    check_matplotlib()
    values = parse_thresholds(thresholds)
    found_task = find_task(task)
    known = None if reference is None else Circuit.load(reference)
    opened = load_model(model, device=asked.pop("device"), dtype=asked.pop("dtype"))
    if known is not None:
        check_reference(known, Graph(replace(opened.graph_config, split_input=asked["split_input"])))
    rows = []
    with tqdm(total=len(values), unit="run", dynamic_ncols=True) as bar:
        given = {name: value for name, value in asked.items() if value is not None}
        for row in sweep(opened, found_task, values, out, reference=known, **given):
            rows.append(row)
            bar.set_postfix_str(f"threshold {row.threshold:g}: {row.edges_kept} edges", refresh=False)
            bar.update()
    _print_table(rows)
    say(out / "thresholds.csv")
    for path in draw(rows, f"{found_task.name} on {opened.name}", out):
        say(path)


# The other words are those of ``acdc discover``, so that the two can't drift apart; other methods have no threshold.
_LEFT_OUT = {"threshold", "out", "resume", "method", "steps", "top", "above", "greedy", "by"}
command.params += [option for option in discover_command.params if option.name not in _LEFT_OUT]


def parse_thresholds(text: str) -> list[float]:
    """Thresholds from a list with commas, each once, the largest (the quickest run) first.

    Raises:
        SettingsError: there is none, or one isn't a number above 0.
    """
    values = set()
    for word in text.split(","):
        try:
            value = float(word)
        except ValueError:
            value = math.nan
        if not 0 < value < math.inf:
            raise SettingsError(f"--thresholds takes numbers above 0 with commas between them, got {word.strip()!r}.")
        values.add(value)
    return sorted(values, reverse=True)


def _print_table(rows: list[Row]) -> None:
    """The columns that matter most, for the terminal."""
    from rich.table import Table

    from acdc.cli.terminal import Terminal

    columns = ["threshold", "edges_kept", "kl_used", "kl_held_out", "logit_difference_used", "accuracy_used", "seconds"]
    if rows[0].recall is not None:
        columns += ["precision", "recall", "false_positive_rate"]
    table = Table()
    for column in columns:
        table.add_column(column.replace("_", " "), justify="right")
    for row in rows:
        values = [getattr(row, column) for column in columns]
        table.add_row(*("" if value is None else f"{value:.4g}" for value in values))
    Terminal().print(table)
    if rows[0].recall is not None:
        area = step_area((row.false_positive_rate or 0.0, row.recall or 0.0) for row in rows)
        say(f"area under the ROC curve, by the ACDC paper's step rule: {area:.3f}")


def run() -> None:
    """Run the command and end the process, as ``acdc`` does."""
    main(command, "thresholds", interrupted="interrupted; the same command goes on.")


if __name__ == "__main__":
    run()
