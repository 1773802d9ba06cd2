"""acdc and AutoCircuit side by side: the same weights, prompts, metric, patch values and threshold.

    python benchmarks/peers.py --out out/peers
    python benchmarks/peers.py --shape gpt2-small --out out/peers-gpt2

AutoCircuit (on PyPI: auto-circuit) needs older libraries than acdc, so it runs in an environment
of its own, with the versions of ``peers-requirements.txt``. Where that can't be had, acdc is
measured alone. Everything runs on the processor.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import click
import numpy as np
import torch
from peer_process import HERE, KEEP_MEMORY, PeerError, environment, run_peer
from shapes import Seconds, Shape, Stopwatch, TimedRun, ablated_metric, prompts_of, timed_run, write_model, write_pairs

from acdc.cli.main import main
from acdc.cli.printing import say
from acdc.engine.choice import make_engine
from acdc.engine.setting import Setting, prepare
from acdc.files import atomic_write
from acdc.graph import Edge, Graph
from acdc.metrics import find_metric
from acdc.models.loading import load_model
from acdc.models.model import Model
from acdc.pairs import PromptSet
from acdc.pruning.orders import ordered_parents
from acdc.pruning.pruner import visiting_order
from acdc.runs.environment import versions

SHAPES = {
    "2-layer": Shape(n_layers=2, n_heads=4, d_model=128, vocab_size=5000),
    "4-layer": Shape(n_layers=4, n_heads=4, d_model=128, vocab_size=5000),
    "gpt2-small": Shape(n_layers=12, n_heads=12, d_model=768, vocab_size=50257, n_ctx=1024),
}
#: Where whole runs of the slow ones take hours: how many edges a block are timed.
SAMPLE = {"gpt2-small": 6}
#: Logits may differ by rounding: by no more than this share of the largest.
LOGITS_TOLERANCE = 1e-3
#: Where AutoCircuit's rule is acdc's and where it isn't, from its source.
RULES = (
    "both: an edge goes if its removal raises KL(model || circuit) at the last position, averaged over the prompts, "
    "by less than the threshold; slots from the output back; edges kept are counted before those on no path from the "
    "input to the logits are left out.",
    "AutoCircuit's own order: slots by layer from the top, a block's MLP before its attention; within these, edges "
    "come in the order of a Python set, which changes from run to run, and the circuit with it. acdc's is fixed.",
    "AutoCircuit also tries the edges into a node that nothing reads any more, which acdc takes out untried.",
    "AutoCircuit's KL is in float32, acdc's in float64 from float32 logits.",
    f"AutoCircuit runs with {' '.join(f'{name}={value}' for name, value in KEEP_MEMORY.items())}, which helps it; "
    "acdc runs as it is.",
)
OWN, OURS = "AutoCircuit, its order", "AutoCircuit, acdc's order"


@dataclass(frozen=True)
class Row:
    """One side of the comparison.

    Attributes:
        name: which it is.
        seconds: of a whole run with the model open: from the prompts' first run on.
        n_timed: edges whose removal was timed.
        n_tried: edges that a whole run tries.
        kept: names of the edges that stayed; ``None`` where only a sample was timed and the
            seconds are scaled up from it.
    """

    name: str
    seconds: Seconds
    n_timed: int
    n_tried: int
    kept: frozenset[str] | None


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--shape", type=click.Choice(list(SHAPES)), default="4-layer", show_default=True, help="Random GPT-2.")
@click.option("--n", default=10, show_default=True, help="Prompt pairs.")
@click.option("--length", default=16, show_default=True, help="Tokens of a prompt.")
@click.option("--changed", default=4, show_default=True, help="Tokens that differ within a pair.")
@click.option(
    "--share", default=0.005, show_default=True, help="The threshold, as a share of what ablating every edge costs."
)
@click.option(
    "--seed", default=0, type=click.IntRange(min=0), show_default=True, help="Of weights, prompts and sample."
)
@click.option(
    "--sample",
    type=click.IntRange(min=1),
    help="Edges a block to time of AutoCircuit and the reference engine.  [default: all; 6 for gpt2-small]",
)
@click.option("--threads", default=1, type=click.IntRange(min=1), show_default=True, help="Of each side.")
@click.option(
    "--venv",
    type=click.Path(path_type=Path),
    default=HERE / ".peers-venv",
    help="AutoCircuit's environment; made where there is none.  [default: benchmarks/.peers-venv]",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for peers.json.")
def command(shape: str, sample: int | None, threads: int, venv: Path, out: Path, **asked: Any) -> None:
    """Time acdc's engines and AutoCircuit on a random GPT-2, and compare the edges they keep.

    Prints a table and writes it, with the edges, to peers.json.
    """
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(threads)
    sample = sample or SAMPLE.get(shape)
    with tempfile.TemporaryDirectory(prefix="acdc-peers-") as scratch:
        record = compare(shape, Path(scratch), sample=sample, threads=threads, venv=venv, **asked)
    path = out / "peers.json"
    with atomic_write(path) as file:
        json.dump(record, file, indent=1)
    say(path)


def compare(
    shape: str,
    scratch: Path,
    *,
    n: int,
    length: int,
    changed: int,
    share: float,
    seed: int,
    sample: int | None,
    threads: int,
    venv: Path,
) -> dict[str, Any]:
    """Measure all sides, print what came out, and give it as data for JSON.

    Args:
        shape: one of :data:`SHAPES`.
        scratch: an empty folder, for the model and the prompts.
        n: prompt pairs.
        length: tokens of a prompt.
        changed: tokens that differ within a pair.
        share: the threshold, as a share of what ablating every edge costs.
        seed: of weights, prompts and sample.
        sample: edges a block to time of the slow ones; ``None``: all.
        threads: for AutoCircuit; acdc takes torch's.
        venv: see :func:`environment`.

    Raises:
        AcdcError: such prompts can't be made.
    """
    size = SHAPES[shape]
    folder = write_model(scratch / "model", size, seed=seed)
    pairs = scratch / "pairs.jsonl"
    write_pairs(pairs, n=n, length=length, changed=changed, vocab_size=size.vocab_size, seed=seed)
    model = load_model(folder, device="cpu")
    prompts = prompts_of(model, pairs)
    threshold = share * ablated_metric(model, prompts)
    setting = prepare(model, prompts)
    graph = setting.graph
    say(
        f"random GPT-2 ({shape}), {graph.n_edges:,} edges; {n} prompt pairs of {length} tokens, {changed} of which "
        f"differ; threshold {threshold:.3g} in KL; threads: {threads}"
    )
    fast = timed_run(model, prompts, threshold)
    if sample is None:
        slow = timed_run(model, prompts, threshold, engine="reference")
        reference = Row("acdc, reference engine", slow.seconds, len(slow.decisions), len(slow.decisions), slow.kept)
        orders = {OWN: None, OURS: [edge.name for edge in in_order(graph)]}
    else:
        picked = sampled(graph, sample, seed)
        reference = _scaled_reference(model, prompts, picked, len(fast.decisions))
        orders = {"AutoCircuit": [edge.name for edge in picked]}
    found: dict[str, Any] = {}
    difference = failure = None
    try:
        job = {"model": str(folder), "prompts": str(pairs), "threshold": threshold, "threads": threads, "runs": orders}
        found = run_peer(environment(venv), job, scratch)
        difference = _check_same(found, setting)
    except PeerError as error:
        failure = str(error)
    # Once before the others and once after, so that a machine that slows down doesn't decide.
    fast = min(fast, timed_run(model, prompts, threshold), key=lambda run: run.seconds.cpu)
    rows = [Row("acdc, fast engine", fast.seconds, len(fast.decisions), len(fast.decisions), fast.kept), reference]
    if failure is None:
        rows += [_peer_row(name, run, graph) for name, run in found["runs"].items()]
    _print_table(rows)
    notes = _notes(rows, fast, threshold, difference, failure)
    for note in notes:
        say(f"- {note}")
    return {
        "shape": {"name": shape, **asdict(size)},
        "prompts": {"n": n, "length": length, "changed": changed},
        "seed": seed,
        "share": share,
        "threshold": threshold,
        "threads": threads,
        "edges": graph.n_edges,
        "versions": {"acdc": versions(), "AutoCircuit": found.get("versions")},
        "largest_logit_difference": difference,
        "not_measured": failure,
        "rows": [_as_json(row, rows[0]) for row in rows],
        "notes": notes,
    }


def in_order(graph: Graph) -> Iterator[Edge]:
    """All edges in the order in which acdc tries them."""
    for slots in visiting_order(graph):
        for slot in slots:
            for parent in ordered_parents(slot, "default"):
                yield graph.edge(slot.first_edge + int(parent))


def block_of(edge: Edge, graph: Graph) -> int:
    """The block at which AutoCircuit's patched run for an edge starts; for the logits it's the last."""
    layer = edge.slot.node.layer
    return graph.cfg.n_layers - 1 if layer is None else layer


def sampled(graph: Graph, n: int, seed: int) -> list[Edge]:
    """At most `n` edges of each block, drawn at random, in the order in which acdc tries them."""
    draw = np.random.default_rng(seed)
    by_block: dict[int, list[Edge]] = {}
    for edge in in_order(graph):
        by_block.setdefault(block_of(edge, graph), []).append(edge)
    picked = []
    for edges in by_block.values():
        chosen = draw.choice(len(edges), min(n, len(edges)), replace=False)
        picked += [edges[i] for i in sorted(chosen)]
    return picked


def _check_same(found: dict[str, Any], setting: Setting) -> float:
    """Largest difference of the logits. Raises :class:`PeerError` if model or graph aren't the same."""
    logits = setting.model_logits
    difference = float((torch.tensor(found["logits"], dtype=torch.float64) - logits).abs().max())
    if not difference <= LOGITS_TOLERANCE * float(logits.abs().max()):
        raise PeerError(f"its logits differ by {difference:.2g}: it runs another model.")
    if set(found["edges"]) != {edge.name for edge in in_order(setting.graph)}:
        raise PeerError("its graph has other edges.")
    return difference


def _scaled_reference(model: Model, prompts: PromptSet, picked: Sequence[Edge], n_tried: int) -> Row:
    """The reference engine from a sample of edges; each costs it a whole run, wherever it is."""
    watch = Stopwatch()
    engine = make_engine("reference", prepare(model, prompts), find_metric("kl"))
    setup = watch.seconds()
    times = []
    for edge in picked:
        kept = np.ones(engine.graph.n_edges, dtype=bool)
        kept[edge.number] = False
        watch = Stopwatch()
        engine.metric_of(kept)
        times.append(watch.seconds())
    return Row("acdc, reference engine", setup + _median(times) * n_tried, len(picked), n_tried, None)


def _peer_row(name: str, run: dict[str, Any], graph: Graph) -> Row:
    """A run of AutoCircuit; scaled up, block by block, if it tried a sample."""
    seconds = Seconds(*run["setup"])
    times: dict[int, list[Seconds]] = {}
    for block, cpu, wall in run["edges"]:
        times.setdefault(block, []).append(Seconds(cpu, wall))
    n_timed = len(run["edges"])
    if n_timed == graph.n_edges:
        seconds = sum((time for block in times.values() for time in block), seconds)
        return Row(name, seconds, n_timed, n_timed, frozenset(run["kept"]))
    for block, n_edges in Counter(block_of(edge, graph) for edge in in_order(graph)).items():
        seconds += _median(times[block]) * n_edges
    return Row(name, seconds, n_timed, graph.n_edges, None)


def _median(times: Sequence[Seconds]) -> Seconds:
    return Seconds(median(time.cpu for time in times), median(time.wall for time in times))


def _notes(
    rows: Sequence[Row], fast: TimedRun, threshold: float, difference: float | None, failure: str | None
) -> list[str]:
    """What the table doesn't say."""
    notes = [
        f"{row.name}: {row.n_timed} edges timed, and the whole run scaled up from them"
        + ("" if row.name.startswith("acdc") else ", each block's median by its edges")
        + "."
        for row in rows
        if row.kept is None
    ]
    if failure is not None:
        return [*notes, f"AutoCircuit isn't measured: {failure}"]
    notes.append(f"AutoCircuit computes the same logits; the largest difference is {difference:.2g}.")
    for row in rows:
        if row.name == OURS and row.kept is not None:
            notes.append(f"{row.name}: {_first_difference(row.kept, fast, threshold)}")
    return [*notes, *RULES]


def _first_difference(kept: frozenset[str], fast: TimedRun, threshold: float) -> str:
    if kept == fast.kept:
        return "every edge decided alike."
    for decision in fast.decisions:
        if decision.kept != (decision.edge in kept):
            effect = decision.after - decision.before
            return (
                f"the first edge decided otherwise is {decision.edge}, whose removal costs {effect:.6g} by acdc's "
                f"count, where the threshold is {threshold:.6g}; what follows may follow from it."
            )
    return "it keeps edges that acdc takes out untried."


def _overlap(row: Row, first: Row) -> tuple[int, float] | None:
    """Edges that both keep, and their share of those that either keeps."""
    if row.kept is None or first.kept is None:
        return None
    either = len(row.kept | first.kept)
    return len(row.kept & first.kept), len(row.kept & first.kept) / either if either else 1.0


def _as_json(row: Row, first: Row) -> dict[str, Any]:
    overlap = _overlap(row, first)
    return {
        "name": row.name,
        "scaled_up": row.kept is None,
        "edges_timed": row.n_timed,
        "edges_tried": row.n_tried,
        "cpu_seconds": row.seconds.cpu,
        "wall_seconds": row.seconds.wall,
        "cpu_seconds_an_edge_tried": row.seconds.cpu / row.n_tried,
        "wall_seconds_an_edge_tried": row.seconds.wall / row.n_tried,
        "times_the_first": row.seconds.cpu / first.seconds.cpu,
        "edges_kept": None if row.kept is None else len(row.kept),
        "kept_by_both": None if overlap is None else overlap[0],
        "jaccard": None if overlap is None else overlap[1],
        "kept": None if row.kept is None else sorted(row.kept),
    }


def _print_table(rows: Sequence[Row]) -> None:
    from rich.table import Table

    from acdc.cli.terminal import Terminal

    table = Table()
    table.add_column("", no_wrap=True)
    titles = ["tried", "CPU s", "wall s", "CPU ms/tried", "wall ms/tried", "CPU ratio", "kept", "by both", "Jaccard"]
    for title in titles:
        table.add_column(title, justify="right")
    for row in rows:
        cells = _as_json(row, rows[0])
        about = "~" if cells["scaled_up"] else ""
        table.add_row(
            row.name,
            f"{row.n_tried:,}",
            *(about + _three_digits(seconds) for seconds in (row.seconds.cpu, row.seconds.wall)),
            *(about + _three_digits(1000 * seconds / row.n_tried) for seconds in (row.seconds.cpu, row.seconds.wall)),
            about + _three_digits(cells["times_the_first"]),
            *("" if cells[name] is None else f"{cells[name]:,}" for name in ("edges_kept", "kept_by_both")),
            "" if cells["jaccard"] is None else f"{cells['jaccard']:.3f}",
        )
    Terminal().print(table)


def _three_digits(number: float) -> str:
    """A number with the digits that mean something, and never as a power of ten."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def run() -> None:
    """Run the command and end the process, as ``acdc`` does."""
    main(command, "peers")


if __name__ == "__main__":
    run()
