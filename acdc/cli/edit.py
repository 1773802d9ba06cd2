"""``acdc edit``: a circuit with edges or nodes removed or added, or combined with another one, as a new file."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from acdc.cli.printing import say
from acdc.cli.selection_options import selection_of, selection_options
from acdc.wording import counted

if TYPE_CHECKING:
    from acdc.circuit import Circuit


def _others(name: str, help: str) -> Callable[[Any], Any]:
    """An option that takes further circuits."""
    return click.option(
        f"--{name}", f"{name}_with", multiple=True, type=click.Path(path_type=Path), metavar="CIRCUIT", help=help
    )


@click.command()
@click.argument("circuit", type=click.Path(path_type=Path))
@selection_options("Of a file of scores: start from so many edges of the largest.")
@_others("or", "Add the edges of another circuit.")
@_others("and", "Keep only edges that another circuit has too.")
@_others("minus", "Remove the edges of another circuit.")
@click.option(
    "--remove", multiple=True, metavar="EDGES", help='Remove edges: "m0->logits", "m0->*", a0.h1, "a0.h1<k>".'
)
@click.option("--add", multiple=True, metavar="EDGES", help="Add edges, named in the same way.")
@click.option("--add-node", multiple=True, metavar="NODE", help="Add a node with its edges to nodes of the circuit.")
@click.option("--on-path", is_flag=True, help="Drop edges on no path from the input to the logits.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Circuit file to write, a new one.")
def edit(
    circuit: Path,
    or_with: tuple[Path, ...],
    and_with: tuple[Path, ...],
    minus_with: tuple[Path, ...],
    remove: tuple[str, ...],
    add: tuple[str, ...],
    add_node: tuple[str, ...],
    on_path: bool,
    out: Path,
    **choice: Any,
) -> None:
    """Edit CIRCUIT into a new file.

    CIRCUIT is a run folder, or a circuit file of acdc, EAP-IG or MIB.

    Options are repeatable, and done in the order in which they stand below. An edge is named as m0->a1.h3<k>; a node
    stands for all its edges, a slot (a1.h3<k>) for all edges into it, and * for any node (m0->*). A further circuit
    may also be a text file of edges. The new file says what it was made from, and has no figures: they were the old
    circuit's.
    """
    from acdc.editing import changes
    from acdc.errors import SettingsError
    from acdc.interchange import open_circuit

    selection = selection_of(**choice)
    if not (selection or or_with or and_with or minus_with or remove or add or add_node or on_path):
        raise SettingsError("say what to change, e.g. by --remove a0.h1, --add 'm0->logits' or --on-path.")
    _check_out(out)
    before = made = open_circuit(circuit, selection=selection)
    for path in or_with:
        made = made | _opened(path, made)
    for path in and_with:
        made = made & _opened(path, made)
    for path in minus_with:
        made = made - _opened(path, made)
    for name in remove:
        made = _changed(made, made.without_edges(name), f"no edge of {name} is in the circuit: nothing to remove")
    for name in add:
        made = _changed(made, made.with_edges(name), f"{name} is in the circuit already: nothing to add")
    for name in add_node:
        made = _changed(made, made.with_nodes(name), f"{name} is in the circuit with all its edges: nothing to add")
    if on_path:
        made = made.on_path()
    if not made.n_edges:
        raise SettingsError(f"nothing is left of {circuit} after these edits; remove less.")
    astray = made.n_astray
    where = f"; {counted(astray, 'kept edge')} {'is' if astray == 1 else 'are'} on no path" if astray else ""
    chosen = f"{counted(before.n_edges, 'edge')} chosen ({selection.words}), " if selection else ""
    say(f"{chosen}{changes(before.in_graph, made.in_graph)}{where}")
    if made.found.edited_from is not None:
        made = replace(made, found=replace(made.found, edited_from={"file": str(circuit), **made.found.edited_from}))
    made.save(out)
    say(out)


def _check_out(path: Path) -> None:
    """Raise unless a circuit's JSON can stand at a path under that name."""
    from acdc.errors import RunFolderError, SettingsError
    from acdc.export import FORMATS
    from acdc.reading import kind_at

    ending = path.suffix.lower()
    if ending != FORMATS["json"] and ending in FORMATS.values():
        raise SettingsError(
            f"{path} ends in {ending}, and an edited circuit is written as JSON; choose another file with --out, and "
            "write other formats of it by acdc export."
        )
    if kind_at(path) is not None:
        raise RunFolderError(f"{path} exists already; choose another file with --out.")


def _opened(path: Path, with_one: Circuit) -> Circuit:
    """A further circuit, of the same graph; edges on no path are no matter in it."""
    from acdc.errors import AcdcWarning
    from acdc.interchange import open_circuit

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".* on no path from the input to the logits", AcdcWarning)
        return open_circuit(path, graph=with_one.graph)


def _changed(before: Circuit, after: Circuit, otherwise: str) -> Circuit:
    """The circuit after an edit, with a warning where that did nothing."""
    from acdc.errors import AcdcWarning

    if after is before:
        warnings.warn(f"{otherwise}.", AcdcWarning, stacklevel=2)
    return after
