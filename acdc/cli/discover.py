"""``acdc discover``: find a circuit and write its run folder."""

from __future__ import annotations

import shlex
import sys
import warnings
from pathlib import Path
from typing import Any

import click

from acdc.cli.folders import default_folder
from acdc.cli.method_options import given_options, method_options, selection_for
from acdc.cli.printing import announce, say
from acdc.cli.prompt_options import prompt_options
from acdc.cli.selection_options import SELECTING
from acdc.engine.ablations import ABLATIONS
from acdc.errors import AcdcError, AcdcWarning, RunInterrupted
from acdc.metrics import METRICS
from acdc.wording import either


@click.command()
@click.argument("task")
@click.option("--model", required=True, help="Bundled name, hub name, folder or GGUF file (see: acdc models).")
@method_options
@click.option("--metric", default="kl", show_default=True, help=f"{either(METRICS)}.")
@click.option("--ablation", default="corrupted", show_default=True, help=f"Removed edges carry: {either(ABLATIONS)}.")
@click.option("--n", type=int, help="Prompt pairs.  [default: 100, or all of a file]")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the prompts, and of what a method draws.")
@click.option("--corruption", help="One of the task's (see: acdc tasks).  [default: its first]")
@prompt_options
@click.option("--split-input", is_flag=True, help="Token and position embeddings as two nodes.")
@click.option("--freeze", help="Stays as on the clean prompts: attention, norms or both.  [default: none]")
@click.option(
    "--engine", default="fast", show_default=True, help="fast, or reference: the slow oracle, same decisions."
)
@click.option(
    "--batch-size",
    default="auto",
    show_default=True,
    help="Prompts run at a time; auto: fewer where all take much memory.",
)
@click.option("--device", help="cpu, cuda, cuda:1 ...  [default: a GPU if there is one]")
@click.option("--dtype", help="float32, float64, bfloat16 or float16.  [default: float32]")
@click.option("--threads", type=int, help="That torch computes with.  [default: as many as suit the model's size]")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder to write.  [default: in runs, named by task, model, and threshold or method]",
)
@click.option("--cluster", help="ray, or ray://host:port: workers of a Ray cluster share the prompts.")
@click.option("--resume", is_flag=True, help="Go on with the run in that folder.")
def discover(model: str, task: str, method: str, out: Path | None, **params: Any) -> None:
    """Find the circuit for TASK.

    TASK is a task's name (see: acdc tasks) or a file: of prompt pairs (.jsonl, .json, .csv,
    .tsv), a template (.toml), or a Python file with its class (mytask.py:MyTask).

    Writes circuit.json, trace.jsonl, run.json and a diagram into a folder of its own.
    """
    select = selection_for(method, **{name: params[name] for name in SELECTING})
    options = given_options(params)
    folder = out or default_folder(click.get_current_context())
    others = {name: value for name, value in params.items() if name not in (*options, *SELECTING) and value is not None}
    try:
        # torch takes seconds to import, in which Ctrl-C must be understood too
        from acdc.discovery.discover import discover as run_discovery

        run = run_discovery(
            model, task, method=method, select=select, out=folder, announce=announce, **others, **options
        )
    except RunInterrupted as interrupt:
        again = shlex.join(["acdc", "resume", str(interrupt.folder)])
        say("", err=True)  # the bar's line ends
        say(f"interrupted; {interrupt}. Go on with: {again}", err=True)
        sys.exit(130)
    from acdc.cli.tables import print_summary
    from acdc.export import export_circuit

    written = [folder / "circuit.json"]
    try:
        for format in ("svg", "png"):
            written.append(export_circuit(run.circuit, format, folder / f"circuit.{format}"))
    except AcdcError as error:  # the circuit is found and written all the same
        warnings.warn(f"no diagram: {error}", AcdcWarning, stacklevel=1)
    print_summary(run)  # last, since all is on disk whatever becomes of the output
    for path in written:
        say(path)
