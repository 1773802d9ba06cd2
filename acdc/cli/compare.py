"""``acdc compare``: what circuits have in common, in tables, as a diagram, or for another program."""

from __future__ import annotations

from pathlib import Path

import click

from acdc.cli.printing import say
from acdc.cli.selection_options import selection_of, selection_options


@click.command()
@click.argument("circuits", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--reference", type=click.Path(path_type=Path), help="Judge them by this one: precision, recall, F1, ROC."
)
@selection_options("Of files that hold scores alone: so many edges of the largest scores.")
@click.option("--names", is_flag=True, help="Name every edge, not only the strongest of those in one alone.")
@click.option("--diagram", type=click.Path(path_type=Path), help="Draw two into this file: .svg, .png, .pdf or .dot.")
@click.option("--strongest", type=int, help="Draw only so many edges, the strongest.")
@click.option("--json", "as_json", is_flag=True, help="All of it as one JSON object.")
@click.option(
    "--csv", "table", type=click.Path(path_type=Path), help="Write a line an edge into this file: who keeps it, scores."
)
def compare(
    circuits: tuple[Path, ...],
    reference: Path | None,
    top: int | None,
    above: float | None,
    greedy: int | None,
    by: str | None,
    names: bool,
    diagram: Path | None,
    strongest: int | None,
    as_json: bool,
    table: Path | None,
) -> None:
    """Compare CIRCUITS edge by edge.

    Each is a run folder; a circuit file of acdc, EAP-IG or MIB; or a list of edges. Their models must be of one shape.

    Of two: their edges and nodes by layer and kind, what only one of them keeps, how alike their scores rank
    edges. Of more: how alike every two are. They are called A, B and so on, in the order given.
    """
    from acdc.comparing import compare as compared
    from acdc.errors import SettingsError
    from acdc.export import export_comparison
    from acdc.export.contrast import check_two

    if strongest is not None and diagram is None:
        raise SettingsError("--strongest is of a picture; give a file for it with --diagram, or leave it out.")
    if as_json and names:
        raise SettingsError("--json names every edge anyway; leave out --names.")
    format = None if diagram is None else _format(diagram)
    _check_free({"--diagram": diagram, "--csv": table})
    if diagram is not None:
        check_two(len(circuits) + (reference is not None and len(circuits) == 1))
    found = compared(*circuits, reference=reference, selection=selection_of(by, top=top, above=above, greedy=greedy))
    if diagram is not None and format is not None:
        export_comparison(found, format, diagram, strongest=strongest)
    if table is not None:
        from acdc.cli.listing import write_membership

        write_membership(found, table)
    if as_json:
        from acdc.cli.listing import print_object

        print_object(found.to_json())
    else:
        from acdc.cli.compared import print_comparison

        print_comparison(found, names=names)
    for written in filter(None, (diagram, table)):
        say(written, err=as_json)


def _format(diagram: Path) -> str:
    """The format that a file's ending says. Raises :class:`SettingsError`."""
    from acdc.errors import SettingsError
    from acdc.export import FORMATS, PICTURES

    format = {FORMATS[name]: name for name in PICTURES}.get(diagram.suffix.lower())
    if format is None:
        endings = ", ".join(FORMATS[name] for name in PICTURES)
        raise SettingsError(f"{diagram} doesn't end in one of {endings}; give another file with --diagram.")
    return format


def _check_free(files: dict[str, Path | None]) -> None:
    """Raise unless there is nothing yet at each of the files to write, and a folder for each to stand in."""
    from acdc.errors import RunFolderError, SettingsError
    from acdc.reading import kind_at

    for option, path in files.items():
        if path is None:
            continue
        if kind_at(path) is not None:
            raise RunFolderError(f"{path} exists already; choose another file with {option}.")
        if not path.parent.is_dir():
            raise RunFolderError(f"can't write {path}: there is no folder {path.parent}; choose another with {option}.")
    given = [path.resolve() for path in files.values() if path is not None]
    if len(set(given)) < len(given):
        raise SettingsError(f"{' and '.join(files)} name the same file; give two.")
