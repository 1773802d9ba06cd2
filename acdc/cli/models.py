"""``acdc models`` and ``acdc model check``."""

from __future__ import annotations

import click

from acdc.cli.group import Group
from acdc.cli.printing import say


@click.command()
def models() -> None:
    """List the bundled models and say what else can be opened."""
    from acdc.bundled import bundled_models

    for name, folder in bundled_models().items():
        say(f"{name}: bundled, for the tasks that come with acdc; its model card is {folder / 'README.md'}")
    say("Besides: any model of the Hugging Face hub that TransformerLens 4 opens (gpt2, EleutherAI/pythia-70m),")
    say("a Hugging Face folder, or a folder of TransformerLens-named weights (config.json with model_config).")


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
