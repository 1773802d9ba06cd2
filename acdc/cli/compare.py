"""``acdc compare``: what circuits have in common, in tables, as a diagram, or for another program."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from acdc.cli.printing import announce, say
from acdc.cli.selection_options import selection_of, selection_options
from acdc.cli.targets import check_free, picture_format

_LEGIBLE = 150  # edges of a diagram whose lines can be followed


@click.command()
@click.argument("circuits", nargs=-1, required=True, metavar="CIRCUIT...", type=click.Path(path_type=Path))
@click.option(
    "--reference",
    type=click.Path(path_type=Path),
    help="Judge them by this one, or by a task's published circuit: precision, recall, F1, ROC.",
)
@selection_options("So many edges of the largest scores, whatever a file marks.")
@click.option("--nodes", is_flag=True, help="Lists are of nodes: all edges among them, the input and the logits.")
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
    nodes: bool,
    names: bool,
    diagram: Path | None,
    strongest: int | None,
    as_json: bool,
    table: Path | None,
    **selecting: Any,
) -> None:
    """Compare CIRCUITs edge by edge.

    Each is a run folder; a circuit file of acdc, EAP-IG or MIB; or a list of edges or nodes. Their models must be of
    one shape; a list is taken to be of theirs.

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
    format = None if diagram is None else picture_format(diagram)
    _check_free({"--diagram": diagram, "--csv": table})
    if diagram is not None:
        check_two(len(circuits) + (reference is not None and len(circuits) == 1))
    selection = selection_of(**selecting)
    found = compared(*circuits, reference=reference, selection=selection, nodes=nodes)
    if diagram is not None and format is not None:
        export_comparison(found, format, diagram, strongest=strongest)
        drawn = 0 if found.pair is None else found.pair.edges.first + found.pair.edges.only_second
        if strongest is None and drawn > _LEGIBLE:
            announce(f"{diagram} shows {drawn:,} edges, too many to follow by eye; `strongest=60` draws fewer.")
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


def _check_free(files: dict[str, Path | None]) -> None:
    """Raise unless there is nothing yet at each of the files to write, and a folder for each to stand in."""
    from acdc.errors import SettingsError

    for option, path in files.items():
        if path is not None:
            check_free(path, option)
    given = [path.resolve() for path in files.values() if path is not None]
    if len(set(given)) < len(given):
        raise SettingsError(f"{' and '.join(files)} name the same file; give two.")
