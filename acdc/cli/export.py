"""``acdc export``: a run's circuit as a picture or for another program."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--format", required=True, help="svg, png, pdf, dot, graphml, json or html-table.")
@click.option("--out", type=click.Path(path_type=Path), help="File to write.  [default: in the run folder]")
def export(run: Path, format: str, out: Path | None) -> None:
    """Write the circuit of RUN (a run folder, or a circuit file) in another format."""
    from acdc.errors import RunFolderError, UnknownNameError
    from acdc.export import FORMATS, export_circuit
    from acdc.runs.folder import CIRCUIT, RECORD, TRACE, is_finished
    from acdc.runs.run import load_circuit

    if format not in FORMATS:
        raise UnknownNameError("format", format, FORMATS)
    source = run if run.is_file() else run / CIRCUIT
    if not source.is_file() and not is_finished(run):  # a finished run's circuit can be rebuilt
        raise RunFolderError(f"{run} has no {CIRCUIT}; give a finished run's folder, or a circuit file.")
    target = out or source.with_suffix(FORMATS[format])
    if out is None and target == source:
        click.echo(source)
        return
    # A picture in the run folder may be drawn anew; nothing else is overwritten.
    kept = out is not None or target.name in (RECORD, TRACE, CIRCUIT)
    if kept and (target.exists() or target.is_symlink()):
        raise RunFolderError(f"{target} exists already; choose another file with --out.")
    click.echo(export_circuit(load_circuit(source), format, target))
