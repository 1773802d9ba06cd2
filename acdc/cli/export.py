"""``acdc export``: a run's circuit as a picture or for another program."""

from __future__ import annotations

from pathlib import Path

import click

from acdc.cli.export_mib import MIB, export_mib
from acdc.cli.printing import announce, say
from acdc.cli.sources import circuit_at
from acdc.export import FORMATS
from acdc.wording import either


@click.command()
@click.argument("circuits", nargs=-1, required=True, metavar="CIRCUIT...", type=click.Path(path_type=Path))
@click.option(
    "--format",
    help=f"{either(FORMATS)}; or {MIB}, a folder for MIB's leaderboard, of several CIRCUITs.  [default: as the ending "
    "of --out says]",
)
@click.option("--out", type=click.Path(path_type=Path), help="File to write.  [default: in the run folder]")
@click.option("--name", metavar="TASK_MODEL", help="For mib: what all are of.  [default: as they were found]")
@click.option("--title", help="Above a picture or table.  [default: names of task and model]")
@click.option(
    "--sweep",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="CIRCUIT",
    help="For eap-ig: one at another threshold, repeatable; edges are scored by the largest that keeps them.",
)
@click.option("--top", type=int, help="Show only so many edges of a picture or table, the strongest.")
@click.option(
    "--labels",
    type=click.Path(path_type=Path),
    metavar="FILE.csv",
    help="What nodes do, for a diagram: CSV of the columns node and label, as acdc analyse writes of heads.",
)
def export(
    circuits: tuple[Path, ...],
    format: str | None,
    out: Path | None,
    name: str | None,
    title: str | None,
    sweep: tuple[Path, ...],
    top: int | None,
    labels: Path | None,
) -> None:
    """Write CIRCUIT in another format.

    CIRCUIT is a run folder, or a circuit file. For mib there are nine for each task and model, or one whose scores rank
    the edges; without --out, a folder of that format is checked.
    """
    if format == MIB:
        export_mib(circuits, out, name, title=title, sweep=sweep, top=top, labels=labels)
    else:
        _export(_only(circuits, name), format, out, title, sweep, top, labels)


def _only(circuits: tuple[Path, ...], name: str | None) -> Path:
    """The one circuit of a file. Raises :class:`SettingsError`."""
    from acdc.errors import SettingsError

    if len(circuits) > 1:
        raise SettingsError(f"a file holds one circuit, and {len(circuits)} are given; {MIB} takes several.")
    if name is not None:
        raise SettingsError(f"`name` is for {MIB}; leave it out.")
    return circuits[0]


def _export(
    circuit: Path,
    format: str | None,
    out: Path | None,
    title: str | None,
    sweep: tuple[Path, ...],
    top: int | None,
    labels: Path | None,
) -> None:
    """Write one circuit as a file."""
    from acdc.circuit import Circuit
    from acdc.errors import RunFolderError, SettingsError, UnknownNameError
    from acdc.export import check_shown, export_circuit
    from acdc.export.eap_ig import ties
    from acdc.reading import kind_at
    from acdc.runs.folder import CIRCUIT, is_finished

    if format is not None and format not in FORMATS:
        raise UnknownNameError("format", format, (*FORMATS, MIB))
    source = circuit if circuit.is_file() else circuit / CIRCUIT
    if not source.is_file() and not is_finished(circuit):  # a finished run's circuit can be rebuilt
        raise RunFolderError(f"{circuit} has no {CIRCUIT}; give a finished run's folder, or a circuit file.")
    if out is not None and kind_at(out) is not None:
        raise RunFolderError(f"{out} exists already; choose another file with --out.")
    format = _format(format, out)
    check_shown(format, title, top, labels)
    if sweep and format != "eap-ig":
        raise SettingsError(f"a {format} file has no ranking of edges; leave out `sweep`, which is for eap-ig.")
    target = out or source.with_suffix(FORMATS[format])
    if target == source and kind_at(source) is not None and not sweep:  # there already, if it is one
        if source.suffix.lower() == ".pt":
            circuit_at(source)
        else:
            Circuit.load(source)  # as it is there, also in a run's folder
        say(source)
        return
    # A picture that acdc has drawn into a run folder may be drawn anew; nothing else is overwritten.
    if kind_at(target) is not None and not _is_own_picture(target):
        raise RunFolderError(f"{target} exists already; choose another file with --out.")
    opened = circuit_at(source)
    if sweep:
        from acdc.interchange import ranking

        opened = ranking([opened, *map(circuit_at, sweep)])
    written = export_circuit(opened, format, target, title=title, top=top, labels=labels)
    if format == "eap-ig" and (note := ties(opened)):
        announce(note)
    say(written)


def _format(format: str | None, out: Path | None) -> str:
    """The format that is asked for, or that a file's ending says. Raises :class:`SettingsError`."""
    from acdc.errors import SettingsError

    ending = "" if out is None else out.suffix.lower()
    ended = "" if out is None or out.name.startswith(".") else out.name.lower()
    endings = sorted(FORMATS, key=lambda name: -len(FORMATS[name]))  # .node-link.json before .json
    named = next((name for name in endings if ended.endswith(FORMATS[name])), None)
    if format is None:
        if out is None:
            raise SettingsError("give --format, or a file to write with --out, whose ending says it.")
        if named is None:
            raise SettingsError(
                f"{out} doesn't end in one of {', '.join(FORMATS.values())}; give another --out, or --format."
            )
        return named
    if named not in (None, format) and not (format in ("eap-ig", "node-link") and ending == ".json"):
        raise SettingsError(f"{out} ends as {named} does, but --format says {format}; change one of them.")
    return format


def _is_own_picture(path: Path) -> bool:
    """Whether a file is one that acdc has drawn into a run folder, and so may be drawn anew."""
    from acdc.errors import RunFolderError
    from acdc.export import FORMATS
    from acdc.reading import kind_at
    from acdc.runs.folder import CIRCUIT, read_record

    names = {f"circuit{ending}" for ending in FORMATS.values()} - {CIRCUIT}
    if path.name not in names or kind_at(path) != "a file":
        return False
    try:
        read_record(path.parent)
    except RunFolderError:
        return False
    return True
