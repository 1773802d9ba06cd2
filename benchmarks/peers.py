"""acdc and a peer side by side: AutoCircuit, with the same weights, prompts, metric, patch values and threshold.

    python benchmarks/peers.py --out out/peers
    python benchmarks/peers.py --shape gpt2-small --out out/peers-gpt2
    python benchmarks/peers.py --eap-ig CHECKOUT --out out/peers-eap-ig

AutoCircuit (on PyPI: auto-circuit) needs older libraries than acdc, so it runs in an environment
of its own, with the versions of ``peers-requirements.txt``. Where that can't be had, acdc is
measured alone. Everything runs on the processor. EAP-IG (not on PyPI: a checkout of it) runs in the same environment;
see ``eap_ig.py``.
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
from click.core import ParameterSource
from eap_ig import compare as compare_eap_ig
from peer_process import HERE, KEEP_MEMORY, PeerError, environment, run_peer
from peer_rows import OURS, OWN, Row, as_json, notes_of, print_rows
from shapes import Seconds, Shape, Stopwatch, TimedRun, ablated_metric, prompts_of, timed_run, write_model, write_pairs

from acdc.cli.main import main
from acdc.cli.printing import say
from acdc.engine.choice import make_engine
from acdc.engine.setting import Setting, prepare
from acdc.errors import SettingsError
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
    help="The peers' environment; made where there is none.  [default: benchmarks/.peers-venv]",
)
@click.option(
    "--eap-ig",
    type=click.Path(path_type=Path),
    metavar="CHECKOUT",
    help="Compare attribution with a checkout of hannamw/EAP-IG, in place of ACDC with AutoCircuit.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for peers.json.")
@click.pass_context
def command(
    context: click.Context,
    shape: str,
    share: float,
    sample: int | None,
    threads: int,
    venv: Path,
    eap_ig: Path | None,
    out: Path,
    **asked: Any,
) -> None:
    """Time acdc's engines and AutoCircuit on a random GPT-2, and compare the edges they keep.

    Prints a table and writes it, with the edges, to peers.json. With --eap-ig: attribution's scores, seconds and
    memory beside EAP-IG's, and what both say of nodes beside brute force.
    """
    if eap_ig is not None:
        for name in ("share", "sample"):
            if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
                raise SettingsError(f"--{name} is for AutoCircuit's ACDC; leave it out with --eap-ig.")
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory(prefix="acdc-peers-") as folder:
        scratch, given = Path(folder), {"threads": threads, "venv": venv, **asked}
        if eap_ig is not None:
            record = compare_eap_ig(eap_ig, shape, SHAPES[shape], scratch, **given)
        else:
            record = compare(shape, scratch, share=share, sample=sample or SAMPLE.get(shape), **given)
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
    asked = {"n": n, "length": length, "changed": changed}
    case = _case(SHAPES[shape], scratch, asked, share, seed)
    graph = case.setting.graph
    say(
        f"random GPT-2 ({shape}), {graph.n_edges:,} edges; {n} prompt pairs of {length} tokens, {changed} of which "
        f"differ; threshold {case.threshold:.3g} in KL; threads: {threads}"
    )
    fast = case.run("fast")
    picked = None if sample is None else sampled(graph, sample, seed)
    reference = _reference(case, picked, len(fast.decisions))
    peer = _peer(case, picked, threads, venv, scratch)
    # Once before the others and once after, so that a machine that slows down doesn't decide.
    fast = min(fast, case.run("fast"), key=lambda run: run.seconds.cpu)
    rows = [_whole("acdc, fast engine", fast), reference, *peer.rows]
    notes = notes_of(rows, fast, case.threshold, peer.difference, peer.failure)
    print_rows(rows, notes)
    return {
        "shape": {"name": shape, **asdict(SHAPES[shape])},
        "prompts": asked,
        "seed": seed,
        "share": share,
        "threshold": case.threshold,
        "threads": threads,
        "edges": graph.n_edges,
        "versions": {"acdc": versions(), "AutoCircuit": peer.versions},
        "largest_logit_difference": peer.difference,
        "not_measured": peer.failure,
        "rows": [as_json(row, rows[0]) for row in rows],
        "notes": notes,
    }


@dataclass(frozen=True)
class Case:
    """What all sides run on.

    Attributes:
        folder, pairs: the model's folder and the file of prompt pairs.
        model, prompts, setting: the same, opened.
        threshold: in KL.
    """

    folder: Path
    pairs: Path
    model: Model
    prompts: PromptSet
    setting: Setting
    threshold: float

    def run(self, engine: str) -> TimedRun:
        """A whole run of acdc."""
        return timed_run(self.model, self.prompts, self.threshold, engine=engine)


def _case(size: Shape, scratch: Path, asked: dict[str, int], share: float, seed: int) -> Case:
    """A random model and random prompts; the threshold is a share of what ablating every edge costs."""
    folder, pairs = write_model(scratch / "model", size, seed=seed), scratch / "pairs.jsonl"
    write_pairs(pairs, **asked, vocab_size=size.vocab_size, seed=seed)
    model = load_model(folder, device="cpu")
    prompts = prompts_of(model, pairs)
    return Case(folder, pairs, model, prompts, prepare(model, prompts), share * ablated_metric(model, prompts))


@dataclass(frozen=True)
class Peer:
    """What came of AutoCircuit.

    Attributes:
        rows: one an order; none where it isn't measured.
        versions: of its libraries, where it ran.
        difference: the largest of its logits from acdc's, where it ran on the same model.
        failure: why it isn't measured, or ``None``.
    """

    rows: tuple[Row, ...] = ()
    versions: dict[str, str] | None = None
    difference: float | None = None
    failure: str | None = None


def _peer(case: Case, picked: Sequence[Edge] | None, threads: int, venv: Path, scratch: Path) -> Peer:
    """Run AutoCircuit in both orders on all edges, or on those that are picked."""
    job = {"model": str(case.folder), "prompts": str(case.pairs), "threshold": case.threshold, "threads": threads}
    setting = case.setting
    if picked is None:
        orders = {OWN: None, OURS: [edge.name for edge in in_order(setting.graph)]}
    else:
        orders = {"AutoCircuit": [edge.name for edge in picked]}
    versions = None
    try:
        found = _run(environment(venv), {**job, "runs": orders}, scratch)
        versions = found.get("versions")
        difference = _check_same(found, setting)
    except PeerError as error:
        return Peer(versions=versions, failure=str(error))
    rows = tuple(_peer_row(name, run, setting.graph) for name, run in found["runs"].items())
    return Peer(rows, versions, difference)


def _run(python: Path, job: dict[str, Any], scratch: Path) -> dict[str, Any]:
    """Run ``peer_autocircuit.py``; without an order of the edges, it tries as many as in the longest."""
    given = [order for order in job["runs"].values() if order is not None]
    total = sum(map(len, given)) + (len(job["runs"]) - len(given)) * max(map(len, given))
    return run_peer(
        python,
        "peer_autocircuit.py",
        job,
        scratch,
        title="AutoCircuit",
        unit="edge",
        total=total,
        settings=KEEP_MEMORY,
    )


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


def _reference(case: Case, picked: Sequence[Edge] | None, n_tried: int) -> Row:
    """The reference engine, scaled up if some edges are picked; each costs it a whole run, wherever it is."""
    if picked is None:
        return _whole("acdc, reference engine", case.run("reference"))
    watch = Stopwatch()
    engine = make_engine("reference", prepare(case.model, case.prompts), find_metric("kl"))
    setup = watch.seconds()
    times = []
    for edge in picked:
        kept = np.ones(engine.graph.n_edges, dtype=bool)
        kept[edge.number] = False
        watch = Stopwatch()
        engine.metric_of(kept)
        times.append(watch.seconds())
    return Row("acdc, reference engine", setup + _median(times) * n_tried, len(picked), n_tried, None)


def _whole(name: str, run: TimedRun) -> Row:
    """A whole run of acdc."""
    return Row(name, run.seconds, len(run.decisions), len(run.decisions), run.kept)


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


def run() -> None:
    """Run the command and end the process, as ``acdc`` does."""
    main(command, "peers")


if __name__ == "__main__":
    run()
