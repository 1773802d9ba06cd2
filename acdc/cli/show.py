"""``acdc show``: a run, or any circuit file, as tables or for another program."""

from __future__ import annotations

from pathlib import Path

import click

from acdc.cli.printing import say
from acdc.cli.sources import circuit_at

_STRONGEST = 20  # edges in the table


@click.command()
@click.argument("circuit", type=click.Path(path_type=Path))
@click.option(
    "--top",
    type=click.IntRange(min=1),
    help=f"Only so many, the strongest edges.  [default: {_STRONGEST}; all as JSON or CSV]",
)
@click.option("--json", "as_json", is_flag=True, help="All of it as one JSON object.")
@click.option("--csv", "as_csv", is_flag=True, help="The edges as CSV: edge,source,target,slot,score.")
def show(circuit: Path, top: int | None, as_json: bool, as_csv: bool) -> None:
    """Show CIRCUIT: metrics, heads, strongest nodes and edges.

    CIRCUIT is a run folder, or a circuit file.

    A node's score is the sum of |score| over its kept edges out; --json has that of its edges in as well.
    """
    from acdc.cli import listing
    from acdc.errors import SettingsError
    from acdc.runs.run import Run

    if as_json and as_csv:
        raise SettingsError("--json and --csv contradict each other; give one of them.")
    loaded = None if circuit.is_file() else Run.load(circuit)
    opened = circuit_at(circuit) if loaded is None else loaded.circuit
    if as_json:
        listing.print_json(opened, None if loaded is None else loaded.record.to_json(), top)
    elif as_csv:
        listing.print_csv(opened, top)
    else:
        from acdc.cli.tables import print_circuit, print_summary
        from acdc.export.summary import facts, title

        if loaded is not None:
            print_summary(loaded)
        else:
            say(f"{title(opened)}: {', '.join(facts(opened))}")
            for key in ("note", "source"):  # of a published circuit
                if isinstance(text := opened.found.further.get(key), str):
                    say(f"{key}: {text}")
        print_circuit(opened, _STRONGEST if top is None else top)
