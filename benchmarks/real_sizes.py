"""Circuits of a real language model by EAP-IG's scores, at a range of sizes, on held-out prompts.

    python benchmarks/real_sizes.py smollm2-135m ioi pronouns --out out/sizes

Scores are computed once a task (a few minutes for 123,211 edges), and circuits of all sizes judged in one go. The size
is chosen as in real_model.py: the smallest whose circuit keeps enough on held-out prompts. Its circuit is written, the
table is printed in Markdown. Edges are ranked by the value of their score unless said: those that work against the
behaviour (a negative name mover's) then come last, so that few edges do it; `--by magnitude` ranks them by how much
they matter.
"""

from __future__ import annotations

from pathlib import Path

from chosen import table
from real_model import Rule, asked

import acdc
from acdc.evaluation.judgement import Judgement
from acdc.graph import Graph
from acdc.models.model import Model
from acdc.runs.run import Run
from acdc.selection import RANKINGS, Top, select

SIZES = (50, 100, 200, 500, 1000, 1500, 2464, 5000)
HEAD = ("task", "by", "edges", "share", "faithful, held out", "right, model", "circuit", "minutes for scores", "GB")


def scored(model: Model, task: str, n: int, metric: str, most: int, out: Path) -> Run:
    """A run of EAP-IG, whose circuit holds all scores."""
    return acdc.discover(
        model, task, method="eap-ig", metric=metric, select=Top(most), n=n, out=out / task, resume=True
    )


def main() -> None:
    """Score, cut, judge, write the chosen ones, print."""
    parser = asked(__doc__ or "")
    parser.add_argument("--metric", default="logit-diff")
    parser.add_argument("--by", choices=RANKINGS, default="value")
    args = parser.parse_args()
    model = acdc.load_model(args.model)
    rule = Rule(args.faithful, args.right)
    sizes = [size for size in SIZES if size <= Graph(model.graph_config).n_edges]
    rows = []
    for task in args.tasks:
        run = scored(model, task, args.n, args.metric, max(sizes), args.out)
        circuits = [cut(run.circuit, Top(size, by=args.by)) for size in sizes]
        judged = acdc.evaluate(circuits, model, task, n=args.n, seed=0, split="test", worst=0)
        good = next((place for place, found in enumerate(judged) if rule.holds(found.evaluation)), None)
        if good is not None:
            circuits[good].save(args.out / f"{task}.json")
        rows += [row(task, args.by, run, found, is_chosen=place == good) for place, found in enumerate(judged)]
    table(HEAD, rows)


def cut(circuit: acdc.Circuit, selection: Top) -> acdc.Circuit:
    """The edges that a selection takes by their scores."""
    return acdc.Circuit(circuit.graph, select(circuit.graph, circuit.scores, selection), circuit.scores)


def row(task: str, by: str, run: Run, found: Judgement, *, is_chosen: bool) -> tuple[str, ...]:
    """A line of the table."""
    kept, right, of_model = Rule.figures(found.evaluation)
    mark = "**" if is_chosen else ""
    return (
        f"`{task}`",
        by,
        f"{mark}{found.n_edges:,}{mark}",
        f"{found.n_edges / found.of_edges:.2%}",
        f"{kept:.0%}",
        f"{of_model:.0%}",
        f"{right:.0%}",
        f"{run.record.seconds / 60:.1f}",
        f"{(run.record.peak_memory_bytes or 0) / 1e9:.1f}",
    )


if __name__ == "__main__":
    main()
