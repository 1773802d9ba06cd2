"""Circuits of a real language model, the threshold of each chosen by how faithful it is on held-out prompts.

    python benchmarks/real_model.py smollm2-135m ioi pronouns --out out/real

For each task thresholds are tried from the largest down, until a circuit on held-out prompts keeps enough of what the
task's usual metric measures, and of the model's right answers. Writes a run folder for each try and prints all of them
as a table in Markdown, the chosen ones marked. Interrupted, the same command goes on.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from chosen import held_out, table

import acdc
from acdc.pairs.finding import find_task
from acdc.results import Evaluation
from acdc.runs.run import Run

THRESHOLDS = (0.05, 0.02, 0.01, 0.005, 0.002, 0.001)
HEAD = ("task", "threshold", "edges", "share", "faithful, used", "held out", "right, model", "circuit", "minutes", "GB")


@dataclass(frozen=True)
class Rule:
    """When a circuit is good enough.

    Attributes:
        faithful: the share of the usual metric that it keeps on held-out prompts.
        right: the share of the model's right answers that it keeps there.
    """

    faithful: float
    right: float

    def holds(self, evaluation: Evaluation) -> bool:
        """Whether the circuit that was judged is."""
        kept, right, of_model = self.figures(evaluation)
        return kept >= self.faithful and right >= self.right * of_model

    @staticmethod
    def figures(evaluation: Evaluation) -> tuple[float, float, float]:
        """How faithful a circuit is, and how often it and the model are right."""
        share = evaluation.share("circuit")
        kept = float("-inf") if share is None else share
        return kept, evaluation.circuit.accuracy or 0.0, evaluation.model.accuracy or 0.0


def tries(model: acdc.Model, task: str, n: int, thresholds: Sequence[float], rule: Rule, out: Path) -> Iterator[Run]:
    """Runs from the largest threshold down to the first whose circuit is good enough."""
    for threshold in sorted(thresholds, reverse=True):
        folder = out / f"{task}-{threshold:g}"
        run = acdc.discover(model, task, threshold=threshold, n=n, out=folder, resume=True)
        yield run
        if rule.holds(held_out(run)):
            return


def asked(about: str) -> argparse.ArgumentParser:
    """What a command that chooses circuits of a real model may be told."""
    parser = argparse.ArgumentParser(description=about.split("\n")[0])
    parser.add_argument("model")
    parser.add_argument("tasks", nargs="+")
    parser.add_argument("--n", type=int, default=20, help="prompt pairs used, and as many held out")
    parser.add_argument("--faithful", type=float, default=0.8, help="the share of the usual metric to keep, held out")
    parser.add_argument("--right", type=float, default=0.9, help="the share of the model's right answers to keep")
    parser.add_argument("--out", type=Path, required=True)
    return parser


def main() -> None:
    """Try, choose, print."""
    parser = asked(__doc__ or "")
    parser.add_argument("--thresholds", default=",".join(map(str, THRESHOLDS)))
    args = parser.parse_args()
    model = acdc.load_model(args.model)
    rule = Rule(args.faithful, args.right)
    rows = []
    for name in args.tasks:
        task = find_task(name).name
        for run in tries(model, task, args.n, [float(word) for word in args.thresholds.split(",")], rule, args.out):
            rows.append(row(task, run, is_chosen=rule.holds(held_out(run))))
    table(HEAD, rows)


def row(task: str, run: Run, *, is_chosen: bool) -> tuple[str, ...]:
    """A line of the table."""
    kept, right, of_model = Rule.figures(held_out(run))
    used = run.used.share("circuit")
    threshold, mark = run.record.request.options["threshold"], "**" if is_chosen else ""
    return (
        f"`{task}`",
        f"{mark}{threshold:g}{mark}",
        f"{run.circuit.n_edges:,}",
        f"{run.circuit.n_edges / run.circuit.graph.n_edges:.2%}",
        "" if used is None else f"{used:.0%}",
        f"{kept:.0%}",
        f"{of_model:.0%}",
        f"{right:.0%}",
        f"{run.record.seconds / 60:.0f}",
        f"{(run.record.peak_memory_bytes or 0) / 1e9:.1f}",
    )


if __name__ == "__main__":
    main()
