"""``acdc show``: a run, or any circuit file, as tables."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
def show(run: Path) -> None:
    """Show RUN (a run folder, or a circuit file): nodes, heads by layer, strongest edges, metrics."""
    from acdc.cli.tables import print_circuit, print_summary
    from acdc.runs.run import Run, load_circuit

    if run.is_file():
        print_circuit(load_circuit(run))
        return
    loaded = Run.load(run)
    print_summary(loaded)
    print_circuit(loaded.circuit)
