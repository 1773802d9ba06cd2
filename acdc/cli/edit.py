"""``acdc edit``: a circuit with edges or nodes removed or added, or combined with another one, as a new file."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from acdc.cli.printing import say
from acdc.cli.selection_options import selection_of, selection_options
from acdc.cli.targets import check_free
from acdc.wording import counted

if TYPE_CHECKING:
    from acdc.circuit import Circuit
    from acdc.selection import Selection


def _others(name: str, help: str) -> Callable[[Any], Any]:
    """An option that takes further circuits."""
    return click.option(
        f"--{name}", f"{name}_with", multiple=True, type=click.Path(path_type=Path), metavar="CIRCUIT", help=help
    )


@click.command()
@click.argument("circuit", type=click.Path(path_type=Path))
@click.option("--model", help="Bundled name, hub name, folder or GGUF file: what a list of names is of.")
@click.option("--nodes", is_flag=True, help="Lists are of nodes: all edges among them, the input and the logits.")
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
    model: str | None,
    nodes: bool,
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

    CIRCUIT is a run folder, a circuit file of acdc, EAP-IG or MIB, or a list of names.

    Options are repeatable, and done in the order in which they stand below. An edge is named as m0->a1.h3<k>; a node
    stands for all its edges, a slot (a1.h3<k>) for all edges into it, and * for any node (m0->*). A text file of edges
    (or of nodes, --nodes) becomes a circuit file by --model, also without an edit. The new file says what it was made
    from. Figures stay only where no edge changes: they were the old circuit's.
    """
    from acdc.errors import SettingsError

    selection = selection_of(**choice)
    combined = (*or_with, *and_with, *minus_with)
    edits = bool(combined or remove or add or add_node or on_path)
    if not (selection or edits or model is not None):
        raise SettingsError(
            "say what to change, e.g. by --remove a0.h1, --add 'm0->logits' or --on-path, or give the --model that a "
            "list of names is of."
        )
    _check_out(out)
    lists = _lists((circuit, *combined), nodes)
    before = made = _first(circuit, model, selection, nodes and circuit in lists)
    for path in or_with:
        made = made | _further(path, made, nodes and path in lists)
    for path in and_with:
        made = made & _further(path, made, nodes and path in lists)
    for path in minus_with:
        made = made - _further(path, made, nodes and path in lists)
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
    if made.found.edited_from is not None:
        source = {"file": str(circuit.absolute()), **made.found.edited_from}
        made = replace(made, found=replace(made.found, edited_from=source))
    made.save(out)
    start = f"chosen ({selection.words})" if selection else "listed" if circuit in lists else ""
    say(_summary(before, made, start, edits))
    say(out)


def _summary(before: Circuit, made: Circuit, start: str, edits: bool) -> str:
    """What an edit did.

    Args:
        before: the circuit that was opened.
        made: the new one.
        start: how the first came to its edges, where that is to be said.
        edits: whether any were asked for.
    """
    from acdc.editing import changes

    parts = [f"{counted(before.n_edges, 'edge')} {start}"] if start else []
    if (before.in_graph != made.in_graph).any():
        parts.append(changes(before.in_graph, made.in_graph))
    elif edits or not start:
        parts.append("no edge changed")
    astray = made.n_astray
    where = f"; {counted(astray, 'kept edge')} {'is' if astray == 1 else 'are'} on no path" if astray else ""
    return f"{', '.join(parts)}{where}"


def _check_out(path: Path) -> None:
    """Raise unless a circuit's JSON can stand at a path under that name."""
    from acdc.errors import SettingsError
    from acdc.export import FORMATS

    ending = path.suffix.lower()
    if ending != FORMATS["json"] and ending in FORMATS.values():
        raise SettingsError(
            f"{path} ends in {ending}, and an edited circuit is written as JSON; choose another file with --out, and "
            "write other formats of it by acdc export."
        )
    check_free(path, "--out")


def _lists(paths: Sequence[Path], nodes: bool) -> set[Path]:
    """Those that are lists of names. Raises :class:`SettingsError` if they shall be of nodes, and there are none."""
    from acdc.errors import SettingsError
    from acdc.interchange.opening import kind_of

    lists = {path for path in paths if kind_of(path) == "list"}
    if nodes and not lists:
        raise SettingsError("nothing here is a list of nodes; leave out --nodes.")
    return lists


def _first(path: Path, model: str | None, selection: Selection | None, nodes: bool) -> Circuit:
    """The circuit to edit; one of which nothing is known is said to be of the model."""
    from acdc.errors import NoGraphError
    from acdc.interchange import open_circuit

    if model is None:
        try:
            return open_circuit(path, selection=selection, nodes=nodes)
        except NoGraphError as error:
            raise NoGraphError(error.what, "give the --model that it is of") from error
    from acdc.graph import Graph
    from acdc.models.loading import load_model
    from acdc.provenance import Provenance
    from acdc.runs.environment import working_directory

    opened = load_model(model)
    made = open_circuit(path, graph=Graph(opened.graph_config), selection=selection, nodes=nodes)
    if made.found != Provenance():
        return made
    return replace(made, found=replace(made.found, model=opened.name, directory=working_directory()))


def _further(path: Path, with_one: Circuit, nodes: bool) -> Circuit:
    """A further circuit, of the same graph; edges on no path are no matter in it."""
    from acdc.errors import AcdcWarning
    from acdc.interchange import open_circuit

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".* on no path from the input to the logits", AcdcWarning)
        return open_circuit(path, graph=with_one.graph, nodes=nodes)


def _changed(before: Circuit, after: Circuit, otherwise: str) -> Circuit:
    """The circuit after an edit, with a warning where that did nothing."""
    from acdc.errors import AcdcWarning

    if after is before:
        warnings.warn(f"{otherwise}.", AcdcWarning, stacklevel=2)
    return after
