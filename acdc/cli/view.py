"""``acdc view``: a run as one HTML file, opened in the browser."""

from __future__ import annotations

from pathlib import Path

import click

from acdc.cli.printing import say

_USUAL = 100  # as acdc.viewing has it, which isn't imported for a help text


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("other", required=False, metavar="[RUN2]", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="File to write.  [default: view.html in RUN's folder]")
@click.option("--no-open", is_flag=True, help="Write the file and open no browser.")
@click.option("--model", help="Bundled name, hub name, folder or GGUF file.  [default: what it was found on]")
@click.option("--task", help="Task or prompt file to run.  [default: the prompts that it was found on]")
@click.option("--no-model", is_flag=True, help="Show what the folder holds, and run no model.")
@click.option("--n", type=int, default=_USUAL, show_default=True, help="Prompts to run, of those used and held out.")
@click.option("--title", help="Of the page.  [default: names of task and model]")
def view(
    run: Path,
    other: Path | None,
    out: Path | None,
    no_open: bool,
    model: str | None,
    task: str | None,
    no_model: bool,
    n: int,
    title: str | None,
) -> None:
    """Explore RUN in a browser: graph, prompts, nodes, figures.

    RUN is a run folder, or a circuit file; RUN2 another one of the same graph, to be held against it.

    The model is run on the prompts that the circuit was found on, if both can still be had. All is one HTML
    file, which needs nothing else and fetches nothing. An earlier page is written over, nothing else is.
    """
    from acdc.viewing import view as made_of

    made = made_of(run, other, out=out, model=model, task=task, open_model=not no_model, n=n, title=title)
    if not no_open:
        made.open()
    say(made.path)
