"""Circuits of a real language model by EAP-IG's scores, at a range of sizes, on held-out prompts.

    python benchmarks/real_sizes.py smollm2-135m ioi pronouns --out out/sizes

Scores are computed once a task (a few minutes for 123,211 edges), and circuits of all sizes judged in one go. The size
is chosen as in real_model.py: the smallest whose circuit keeps enough on held-out prompts. Its circuit is written, the
table is printed in Markdown.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

import numpy as np
from chosen import table
from real_model import Rule, asked

import acdc
from acdc.evaluation.judgement import Judgement
from acdc.graph import Graph
from acdc.models.model import Model
from acdc.runs.run import Run
from acdc.selection import Top, select

SIZES = (100, 200, 500, 1000, 1500, 2464, 5000)
HEAD = ("task", "edges", "share", "least score", "faithful, held out", "right, model", "circuit", "minutes for scores")


def scored(model: Model, task: str, n: int, metric: str, most: int, out: Path) -> tuple[Run, float]:
    """A run of EAP-IG, whose circuit holds all scores, and how long it took in minutes; none if it's there already."""
    start = perf_counter()
    run = acdc.discover(model, task, method="eap-ig", metric=metric, select=Top(most), n=n, out=out / task, resume=True)
    return run, (perf_counter() - start) / 60


def judged(model: Model, task: str, run: Run, n: int, sizes: Sequence[int]) -> list[Judgement]:
    """Circuits of all sizes on held-out prompts."""
    circuit = run.circuit
    chosen = [
        acdc.Circuit(circuit.graph, select(circuit.graph, circuit.scores, Top(size)), circuit.scores) for size in sizes
    ]
    return list(acdc.evaluate(chosen, model, task, n=n, seed=0, split="test", worst=0))


def main() -> None:
    """Score, cut, judge, print."""
    parser = asked(__doc__ or "")
    parser.add_argument("--metric", default="logit-diff")
    args = parser.parse_args()
    model = acdc.load_model(args.model)
    rule = Rule(args.faithful, args.right)
    sizes = [size for size in SIZES if size <= Graph(model.graph_config).n_edges]
    rows = []
    for task in args.tasks:
        run, minutes = scored(model, task, args.n, args.metric, max(sizes), args.out)
        is_chosen = False
        largest = np.sort(np.abs(run.circuit.scores))[::-1]
        for size, found in zip(sizes, judged(model, task, run, args.n, sizes), strict=True):
            kept, right, of_model = rule.figures(found.evaluation)
            first = not is_chosen and rule.holds(found.evaluation)
            is_chosen = is_chosen or first
            mark = "**" if first else ""
            rows.append(
                (
                    f"`{task}`",
                    f"{mark}{found.n_edges:,}{mark}",
                    f"{found.n_edges / found.of_edges:.2%}",
                    f"{largest[size - 1]:.2g}",
                    f"{kept:.0%}",
                    f"{of_model:.0%}",
                    f"{right:.0%}",
                    f"{minutes:.1f}",
                )
            )
    table(HEAD, rows)


if __name__ == "__main__":
    main()
