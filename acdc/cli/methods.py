"""``acdc methods``."""

from __future__ import annotations

import inspect
import json
import sys
from dataclasses import fields
from typing import TYPE_CHECKING, Any, get_type_hints

import click

if TYPE_CHECKING:
    from acdc.graph import Graph
    from acdc.methods.base import Method

_WIDTH = 80  # of what isn't a terminal
#: A graph that everybody knows, since what a method takes depends on the graph: layers and heads.
_MODEL, _LAYERS, _HEADS = "GPT-2 small", 12, 12


@click.command()
@click.option("--json", "as_json", is_flag=True, help="All that is known of them as one JSON list, and nothing else.")
def methods(as_json: bool) -> None:
    """List the methods; with --json their options too."""
    from acdc.graph import Graph
    from acdc.methods.registry import METHODS

    graph = Graph.from_config(n_layers=_LAYERS, n_heads=_HEADS)
    rows = [_row(name, kind, graph) for name, kind in METHODS.items()]
    if as_json:
        sys.stdout.write(json.dumps(rows, indent=1) + "\n")
    else:
        _print_methods(rows, graph)


def _row(name: str, kind: type[Method], graph: Graph) -> dict[str, Any]:
    """What ``--json`` says of a method."""
    method = kind()
    types, cost = get_type_hints(kind), method.cost(graph)
    return {
        "name": name,
        "summary": " ".join((inspect.getdoc(kind) or "").partition("\n\n")[0].split()),
        "source": kind.source,
        "decides": kind.decides,
        "uses_gradients": method.uses_gradients,
        "options": [
            {"name": one.name, "type": types[one.name].__name__, "default": one.default, "help": one.metadata["help"]}
            for one in fields(kind)
        ],
        "cost_on_gpt2_small": None if cost is None else cost.to_json(),
    }


def _print_methods(rows: list[dict[str, Any]], graph: Graph) -> None:
    """A table that 80 columns are enough for."""
    from rich import box
    from rich.table import Table

    from acdc.cli.terminal import Terminal

    table = Table(box=box.SIMPLE, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("method", no_wrap=True)
    table.add_column("what it does, and where it is from", ratio=1)
    table.add_column("runs", justify="right", no_wrap=True)
    for row in rows:
        name = f"{row['name']} *" if row["decides"] else row["name"]
        table.add_row(name, f"{row['summary']}\n{row['source']}", _runs(row["cost_on_gpt2_small"]))
    table.caption = (
        f"runs: forwards + backwards of all prompts, by default options, on {_MODEL}'s graph "
        f"({graph.n_edges:,} edges); <=: at most, as parts that can't change aren't run, and masks see a batch a step\n"
        "* decides which edges stay; by the others' scores --top, --above or --greedy choose\n"
        "options: acdc methods --json, or acdc discover -h"
    )
    table.caption_justify = "left"
    Terminal(_WIDTH).print(table)


def _runs(cost: dict[str, Any] | None) -> str:
    """``<= 943 + 785``."""
    if cost is None:
        return "?"
    most = "<= " if cost.get("note", "").startswith("at most") else ""
    return f"{most}{cost['forwards']:,}" + (f" + {cost['backwards']:,}" if cost["backwards"] else "")
