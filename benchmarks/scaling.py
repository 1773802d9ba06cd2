"""What a run costs against the size of model and prompts: layers, heads, width, prompts and their length.

    python benchmarks/scaling.py --out out/scaling

Each is varied alone around a base, a small random GPT-2, and every point is timed in turns with
the base. What a run costs depends on how much it keeps, so the threshold of each point is the one
that keeps the same share of the edges. Needs matplotlib (the extra ``benchmarks``).
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from plots import check_matplotlib
from scaling_plots import Curve, draw
from shapes import Shape, TimedRun, ablated_metric, prompts_of, timed_run, write_model, write_pairs
from tqdm import tqdm

from acdc.cli.main import main
from acdc.cli.printing import say
from acdc.errors import SettingsError
from acdc.files import atomic_write
from acdc.graph import Graph
from acdc.models.loading import load_model
from acdc.models.model import Model
from acdc.pairs import PromptSet
from acdc.runs.environment import versions

VOCAB_SIZE = 5000
#: Of a prompt's tokens, how many differ within a pair; the same share at every length.
SHARE_CHANGED = 0.25
#: The search for a threshold starts at this share of what ablating every edge costs, ends when it
#: keeps as many edges as it should, give or take this share, and gives up after so many runs.
START, TOLERANCE, MOST_RUNS = 0.005, 0.1, 8
#: A kind of cost, for table and plot, and the number of a row that it is.
COSTS = {"a whole run": "ratio", "an edge tried": "decision_ratio"}


@dataclass(frozen=True)
class Point:
    """What is varied: the model's layers, heads and width, and how many prompts of how many tokens."""

    layers: int
    heads: int
    width: int
    prompts: int
    length: int

    @property
    def shape(self) -> Shape:
        """The model. Raises :class:`SettingsError` if there is no such model."""
        return Shape(self.layers, self.heads, self.width, VOCAB_SIZE, n_ctx=self.length)


@dataclass(frozen=True)
class Row:
    """What one point cost.

    Attributes:
        varied: the one thing in which it differs from the base; of the base itself, "base".
        point: all of it.
        edges: of the model's graph.
        tried: edges whose removal was measured.
        kept: edges that stayed.
        threshold: in KL.
        seconds: of the processor, for trying the edges; the least of the rounds.
        setup_seconds: likewise, before the first edge is tried.
        ratio: of `seconds` to what the base took in the same rounds.
        decision_ratio: likewise, divided by the edges tried.
    """

    varied: str
    point: Point
    edges: int
    tried: int
    kept: int
    threshold: float
    seconds: float
    setup_seconds: float
    ratio: float = 1.0
    decision_ratio: float = 1.0

    @property
    def value(self) -> int:
        """Of what is varied."""
        return getattr(self.point, self.varied)


class Values(click.ParamType):
    """Whole numbers above 0 with commas between them, each once."""

    name = "values"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Parse them; raises :class:`SettingsError` where they are none."""
        if isinstance(value, tuple):
            return value
        try:
            numbers = tuple(dict.fromkeys(int(word) for word in value.split(",")))
        except ValueError:
            numbers = (0,)
        if min(numbers) < 1:
            option = "" if param is None else f"{param.opts[0]} "
            raise SettingsError(f"{option}takes whole numbers above 0 with commas between them, got {value!r}.")
        return numbers


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--layers", type=Values(), default="4,3,6,8", show_default=True, help="Of the model.")
@click.option("--heads", type=Values(), default="4,2,8,12", show_default=True, help="A layer.")
@click.option("--width", type=Values(), default="96,48,192,384", show_default=True, help="Of the residual stream.")
@click.option("--prompts", type=Values(), default="8,4,16,32,64", show_default=True, help="Pairs of them.")
@click.option("--length", type=Values(), default="16,8,32,64", show_default=True, help="Tokens of a prompt.")
@click.option("--share", default=0.1, show_default=True, help="Of the edges, to keep; thresholds are chosen for it.")
@click.option("--rounds", default=2, type=click.IntRange(min=1), show_default=True, help="The quickest counts.")
@click.option("--seed", default=0, type=click.IntRange(min=0), show_default=True, help="Of weights and prompts.")
@click.option("--threads", default=1, type=click.IntRange(min=1), show_default=True, help="For torch.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for scaling.json and the plot.")
def command(share: float, rounds: int, seed: int, threads: int, out: Path, **values: tuple[int, ...]) -> None:
    """Time the fast engine on random GPT-2s of different sizes.

    The first value of each list is the base; the others are measured with all else at its base.
    Prints a table, with the exponents of the power laws that fit best, and writes scaling.json
    and a plot.
    """
    check_matplotlib()
    base, others = plan(values)
    if not 0 < share < 1:
        raise SettingsError(f"--share takes a number between 0 and 1, got {share:g}.")
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(threads)
    rows = []
    with tqdm(total=1 + len(others), unit="point", dynamic_ncols=True) as bar:
        for row in measure(base, others, share=share, rounds=rounds, seed=seed):
            rows.append(row)
            bar.set_postfix_str(row.varied + ("" if row.varied == "base" else f" {row.value}"), refresh=False)
            bar.update()
    panels = {kind: curves(rows, number) for kind, number in COSTS.items()}
    exponents = {kind: {name: exponent(curve) for name, curve in found.items()} for kind, found in panels.items()}
    _print_table(rows, exponents, f"CPU seconds of the pruning; thresholds keep about {share:.0%} of the edges")
    record = {
        "base": asdict(base),
        "share": share,
        "rounds": rounds,
        "seed": seed,
        "threads": threads,
        "versions": versions(),
        "rows": [asdict(row) for row in rows],
        "exponents": exponents,
    }
    path = out / "scaling.json"
    with atomic_write(path) as file:
        json.dump(record, file, indent=1)
    say(path)
    title = (
        f"ACDC with the fast engine, around {base.layers} layers of {base.heads} heads, width {base.width}, "
        f"{base.prompts} prompts of {base.length} tokens"
    )
    if any(panels.values()):
        for plot in draw(panels, exponents, title, out):
            say(plot)


def plan(values: Mapping[str, Sequence[int]]) -> tuple[Point, list[tuple[str, Point]]]:
    """The base, and the other points with what is varied in each.

    Args:
        values: of each field of a :class:`Point`, the base first.

    Raises:
        SettingsError: there is no model of such a size.
    """
    base = Point(**{name: several[0] for name, several in values.items()})
    others = [
        (name, replace(base, **{name: value}))
        for name, several in values.items()
        for value in several
        if value != several[0]
    ]
    for point in (base, *(point for _, point in others)):
        _ = point.shape  # before an hour of others has passed
    return base, others


def measure(base: Point, others: Sequence[tuple[str, Point]], *, share: float, rounds: int, seed: int) -> Iterator[Row]:
    """Time the base, and each other point in turns with it.

    Args:
        base: the base.
        others: what is varied, and the point.
        share: of the edges, to keep.
        rounds: how often; the quickest counts.
        seed: of weights and prompts.

    Yields:
        The base's row, then those of the others in their order.
    """
    home = _Case(base, share, seed)
    home.time(rounds)
    yield home.row("base")
    for varied, point in others:
        case = _Case(point, share, seed)
        home.runs.clear()
        for _ in range(rounds):
            home.time(1)
            case.time(1)
        row, of_base = case.row(varied), home.row("base")
        ratio = row.seconds / of_base.seconds
        yield replace(row, ratio=ratio, decision_ratio=ratio * of_base.tried / row.tried)


class _Case:
    """A point's model and prompts, open, and the runs on them."""

    def __init__(self, point: Point, share: float, seed: int) -> None:
        self.point = point
        changed = max(1, round(SHARE_CHANGED * point.length))
        with tempfile.TemporaryDirectory(prefix="acdc-scaling-") as scratch:
            pairs = Path(scratch, "pairs.jsonl")
            write_pairs(pairs, n=point.prompts, length=point.length, changed=changed, vocab_size=VOCAB_SIZE, seed=seed)
            self.model: Model = load_model(write_model(Path(scratch, "model"), point.shape, seed=seed), device="cpu")
            self.prompts: PromptSet = prompts_of(self.model, pairs)
        self.runs: list[TimedRun] = []
        self.n_edges = Graph(self.model.graph_config).n_edges
        start = START * ablated_metric(self.model, self.prompts)
        self.threshold = find_threshold(self._effects, start, max(1.0, share * self.n_edges))

    def _effects(self, threshold: float) -> list[float]:
        run = timed_run(self.model, self.prompts, threshold)
        return [decision.after - decision.before for decision in run.decisions]

    def time(self, rounds: int) -> None:
        for _ in range(rounds):
            self.runs.append(timed_run(self.model, self.prompts, self.threshold))

    def row(self, varied: str) -> Row:
        run = min(self.runs, key=lambda run: run.pruning.cpu)
        return Row(
            varied=varied,
            point=self.point,
            edges=self.n_edges,
            tried=len(run.decisions),
            kept=len(run.kept),
            threshold=self.threshold,
            seconds=run.pruning.cpu,
            setup_seconds=min(run.setup.cpu for run in self.runs),
        )


def find_threshold(effects_at: Callable[[float], Sequence[float]], start: float, target: float) -> float:
    """The threshold, of those tried, that keeps the number of edges that comes nearest to a target.

    Args:
        effects_at: what the removal of each edge costs in a run with a threshold; an edge stays
            if it isn't less than the threshold. Other edges' fate changes it, but not by much.
        start: the first to try.
        target: edges to keep.
    """
    kept: dict[float, int] = {}
    too_low, too_high = 0.0, math.inf
    threshold = start
    while len(kept) < MOST_RUNS:
        effects = sorted(effects_at(threshold), reverse=True)
        kept[threshold] = sum(effect >= threshold for effect in effects)
        if abs(kept[threshold] - target) <= max(TOLERANCE * target, 0.5):
            break
        if kept[threshold] > target:
            too_low = threshold
        else:
            too_high = threshold
        threshold = effects[min(round(target), len(effects)) - 1]
        if not too_low < threshold < too_high:
            threshold = (
                math.sqrt(too_low * too_high) if too_low and too_high < math.inf else too_low * 4 or too_high / 4
            )
    return min(kept, key=lambda threshold: abs(kept[threshold] - target))


def curves(rows: Sequence[Row], number: str) -> dict[str, Curve]:
    """For each thing that is varied, its values and that number of the rows, as multiples of the base's."""
    base = rows[0].point
    found: dict[str, list[tuple[float, float]]] = {}
    for row in rows[1:]:
        curve = found.setdefault(row.varied, [(1.0, 1.0)])
        curve.append((row.value / getattr(base, row.varied), getattr(row, number)))
    return {name: sorted(curve) for name, curve in found.items()}


def exponent(curve: Curve) -> float:
    """The e of cost ~ value ** e, by least squares between the logarithms."""
    values, costs = np.log(np.array(curve).T)
    return float(np.polyfit(values, costs, 1)[0])


def _print_table(rows: Sequence[Row], exponents: Mapping[str, Mapping[str, float]], caption: str) -> None:
    from rich.table import Table

    from acdc.cli.terminal import Terminal

    table = Table(caption=caption)
    table.add_column("")
    for title in ("edges", "tried", "kept", "CPU s", "to base", "ms/tried", "to base"):
        table.add_column(title, justify="right")
    for i, row in enumerate(rows):
        table.add_row(
            row.varied if row.varied == "base" else f"{row.varied} {row.value}",
            *(f"{count:,}" for count in (row.edges, row.tried, row.kept)),
            f"{row.seconds:.3g}",
            f"{row.ratio:.2f}",
            f"{1000 * row.seconds / row.tried:.3g}",
            f"{row.decision_ratio:.2f}",
        )
        if row.varied != "base" and (i + 1 == len(rows) or rows[i + 1].varied != row.varied):
            run, decision = (f"{found[row.varied]:.2f}" for found in exponents.values())
            table.add_row(f"{row.varied}: exponent", "", "", "", "", run, "", decision, style="bold", end_section=True)
    Terminal().print(table)


def run() -> None:
    """Run the command and end the process, as ``acdc`` does."""
    main(command, "scaling")


if __name__ == "__main__":
    run()
