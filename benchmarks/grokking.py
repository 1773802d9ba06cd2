"""How a circuit forms while a model groks: size and faithfulness at its checkpoints, as a table in Markdown.

python benchmarks/grokking.py
"""

from __future__ import annotations

from chosen import chosen, held_out, parser, share, table

from acdc.bundled import bundled_models
from acdc.models.loading import load_model
from acdc.results import Behaviour
from acdc.runs.run import Run

MODEL, TASK, CORRUPTION = "modular-addition", "modular_addition", "other-numbers"


def checkpoints() -> dict[str, str]:
    """What to call each checkpoint, by the folder to open, from the first to the model itself."""
    folder = bundled_models()[MODEL]
    steps = sorted(int(path.name.removeprefix("step-")) for path in folder.glob("step-*"))
    return {**{str(folder / f"step-{step}"): f"{step}" for step in steps}, str(folder): "the model"}


def row(name: str, run: Run) -> list[str]:
    """A checkpoint's line."""
    used, others = run.used, held_out(run)
    nodes = run.circuit.nodes()
    return [
        name,
        f"{_right(used.model)}, {_right(others.model)}",
        f"{run.record.request.options['threshold']:g}",
        f"{run.circuit.n_edges} of {run.circuit.graph.n_edges}",
        f"{sum(node.head is not None for node in nodes)}",
        f"{share(used):.0%}, {share(others):.0%}",
        f"{_right(used.circuit)}, {_right(others.circuit)}",
    ]


def _right(behaviour: Behaviour) -> str:
    return f"{behaviour.top1 or 0:.0%}"


def main() -> None:
    """Find a circuit at every checkpoint and print the table."""
    args = parser(__doc__ or "").parse_args()
    rows = [
        row(name, chosen(load_model(folder), TASK, args.n, CORRUPTION, args.faithful))
        for folder, name in checkpoints().items()
    ]
    table(
        ["steps", "model right", "threshold", "edges", "heads", "circuit faithful", "circuit right"],
        rows,
    )


if __name__ == "__main__":
    main()
