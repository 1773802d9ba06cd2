"""What a threshold costs and gives: a sweep over a range of them, its table and its plots.

    python benchmarks/thresholds.py ioi --model tiny-tasks --n 10 --out out/thresholds

It is ``acdc sweep`` with a range of thresholds that suits a metric in nats, and the area under the ROC curve where a
reference is given. Needs matplotlib (the extra ``benchmarks``). Interrupted, the same command goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from plots import check_matplotlib
from sweep_rows import finished, table

import acdc
from acdc.cli.discover import discover as discover_command
from acdc.cli.main import main
from acdc.cli.printing import say
from acdc.comparison import step_area
from acdc.methods.registry import METHODS, option_names
from acdc.sweeps.cells import SELECTING

#: For a metric in nats: from circuits of nearly nothing to circuits of much of a model.
DEFAULT = "0.0001,0.0002,0.0005,0.001,0.002,0.005,0.01,0.02,0.05,0.1,0.2,0.5,1"
_COLUMNS = ("threshold", "edges", "kl_used", "kl_held_out", "logit_difference_used", "accuracy_used", "seconds")
_AGAINST = ("precision", "recall", "false_positive_rate")


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--thresholds",
    default=DEFAULT,
    help="Numbers with commas between them, or a range: 0.0001:1:13log.  [default: 13 from 0.0001 to 1]",
)
@click.option("--reference", help="Circuit file to compare every circuit with, or the name of a published one.")
@click.option("--jobs", type=click.IntRange(min=0), help="Processes; 0: in this one.  [default: as many as fit]")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write, or to go on with.")
def command(thresholds: str, reference: str | None, jobs: int | None, out: Path, **asked: Any) -> None:
    """Find the circuit for TASK at each of a range of thresholds.

    Writes the folder of a sweep, with its table and plots. An interrupted sweep goes on with the same command; runs
    that ended aren't repeated.
    """
    check_matplotlib()
    usual = {
        name for name in asked if click.get_current_context().get_parameter_source(name) == ParameterSource.DEFAULT
    }
    axes = {name: [value] for name, value in asked.items() if name not in usual} | {"threshold": thresholds}
    found = acdc.sweep(axes, out=out, jobs=jobs, reference=reference)
    rows = finished(found)
    _print_table(rows)
    say(out / "table.csv")
    for path in found.plot():
        say(path)


def _others() -> set[str]:
    """Options of ``acdc discover`` that make no sense for a range of thresholds, or aren't ACDC's."""
    own = {name for kind in METHODS.values() for name in option_names(kind)} - {"seed"}
    here = {"threshold", "budget", "out", "resume", "threads", "method", *SELECTING}
    return here | (own - set(option_names(METHODS["acdc"])))


# The other words are those of ``acdc discover``, so that the two can't drift apart.
command.params += [option for option in discover_command.params if option.name not in _others()]


def _print_table(rows: Sequence[dict[str, Any]]) -> None:
    """The columns that matter most, and the area under the curve, for the terminal."""
    against = any(row.get("recall") is not None for row in rows)
    table(rows, (*_COLUMNS, *(_AGAINST if against else ())))
    if against:
        area = step_area((row["false_positive_rate"], row["recall"]) for row in rows)
        say(f"area under the ROC curve, by the ACDC paper's step rule: {area:.3f}")


def run() -> None:
    """Run the command and end the process, as ``acdc`` does."""
    main(command, "thresholds", interrupted="interrupted; the same command goes on.")


if __name__ == "__main__":
    run()
