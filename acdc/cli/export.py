"""``acdc export``: a run's circuit as a picture or for another program."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--format", required=True, help="svg, png, pdf, dot, graphml, json or html-table.")
@click.option("--out", type=click.Path(path_type=Path), help="File to write.  [default: in the run folder]")
@click.option("--title", help="Above a picture or table.  [default: names of task and model]")
@click.option("--top", type=int, help="Show only so many edges of a picture or table, the strongest.")
def export(run: Path, format: str, out: Path | None, title: str | None, top: int | None) -> None:
    """Write the circuit of RUN (a run folder, or a circuit file) in another format."""
    from acdc.circuit import Circuit
    from acdc.errors import RunFolderError, UnknownNameError
    from acdc.export import FORMATS, check_shown, export_circuit
    from acdc.runs.folder import CIRCUIT, RECORD, TRACE

    if format not in FORMATS:
        raise UnknownNameError("format", format, FORMATS)
    check_shown(format, title, top)
    source = run if run.is_file() else run / CIRCUIT
    if not source.is_file():
        raise RunFolderError(f"{run} has no {CIRCUIT}; give a finished run's folder, or a circuit file.")
    target = out or source.with_suffix(FORMATS[format])
    if out is None and target == source:
        click.echo(source)
        return
    # A picture in the run folder may be drawn anew; nothing else is overwritten.
    kept = out is not None or target.name in (RECORD, TRACE, CIRCUIT)
    if kept and (target.exists() or target.is_symlink()):
        raise RunFolderError(f"{target} exists already; choose another file with --out.")
    click.echo(export_circuit(Circuit.load(source), format, target, title=title, top=top))
