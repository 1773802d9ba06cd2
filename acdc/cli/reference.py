"""``acdc task reference``: a published circuit, without a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from acdc.cli.printing import say

if TYPE_CHECKING:
    from acdc.references import Reference


@click.command()
@click.argument("name")
@click.option("--out", type=click.Path(path_type=Path), help="Write its circuit file, to compare with or to edit.")
@click.option("--diagram", type=click.Path(path_type=Path), help="Draw it into this file: .svg, .png, .pdf or .dot.")
def reference(name: str, out: Path | None, diagram: Path | None) -> None:
    """Show the published circuit of the task NAME.

    It needs no model. The diagram leaves out edges that the circuit's authors added wholesale; the file has them.
    """
    from acdc.cli.targets import check_free, picture_format
    from acdc.errors import SettingsError
    from acdc.export import export_circuit
    from acdc.references import reference as find

    found = find(name)
    for option, path in (("--out", out), ("--diagram", diagram)):
        if path is not None:
            check_free(path, option)
    if out is not None and diagram is not None and out.resolve() == diagram.resolve():
        raise SettingsError("--out and --diagram name the same file; give two.")
    format = None if diagram is None else picture_format(diagram)
    _print(found)
    if out is not None:
        found.circuit.save(out)
        say(out)
    if diagram is not None and format is not None:
        export_circuit(found.verified, format, diagram, title=_title(found))
        say(diagram)


def _title(found: Reference) -> str:
    left_out = f", without {found.n_wholesale} edges added wholesale" if found.n_wholesale else ""
    return f"{found.name} on {found.circuit.found.model}, as published{left_out}"


def _print(found: Reference) -> None:
    from acdc.wording import counted

    circuit, graph = found.circuit, found.circuit.graph
    say(f"{found.name} in {circuit.found.model}: {found.summary}")
    said = f"{circuit.n_edges:,} of {graph.n_edges:,} edges, {len(circuit.nodes())} of {len(graph.nodes)} nodes"
    if found.level == "nodes":
        said += "; nodes alone are published, and the edges are all those among them"
    if found.n_wholesale:
        said += f"; {found.n_wholesale:,} of the edges were added wholesale"
    if found.n_placeholders:
        published = f"{circuit.n_edges + found.n_placeholders:,}"
        said += f"; the ACDC paper counts {published}, with {counted(found.n_placeholders, 'placeholder edge')}"
    say(said)
    for role, nodes in found.roles.items():
        say(f"{role}: {' '.join(nodes)}")
    say(f"note: {found.note}")
    say(f"source: {found.source}")
