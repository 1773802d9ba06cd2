"""What it brings to split a run's prompts over two workers, one thread each, against one process with one thread.

    python benchmarks/split.py --out out/split.json

A small random GPT-2 of GPT-2's width, and the bundled model at three thresholds: seconds on the wall and of the
processor, and where the wall's go to: questions, what an empty one takes, and how long the slower worker computes. On
a machine that does something else besides, the seconds of the processor say what free cores would give.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import torch
from shapes import Shape, Stopwatch, prompts_of, write_model, write_pairs

from acdc.cli.main import main
from acdc.cli.printing import say
from acdc.cluster import workers
from acdc.cluster.connection import connected, imported_ray
from acdc.cluster.split import Question
from acdc.cluster.workers import RayTeam, split_over
from acdc.discovery.setting_up import prompts
from acdc.engine.setting import Setting, prepare
from acdc.files import atomic_write
from acdc.methods.acdc import Acdc
from acdc.metrics import find_metric
from acdc.models.loading import load_model

WORKERS, EMPTY_QUESTIONS = 2, 200
SHAPE = Shape(n_layers=6, n_heads=12, d_model=768, vocab_size=5000)


@dataclass(frozen=True)
class Row:
    """One process and two workers on the same prompts.

    Attributes:
        case, threshold, prompts, edges: what it is of.
        same: whether both keep the same edges.
        one, split: seconds on the wall; of workers without their start.
        one_cpu: seconds of the processor.
        slower_cpu: of the worker that takes more.
        start: seconds until the workers have their prompts.
        questions: that were asked.
        empty: seconds that one takes to which the answer is nothing.
    """

    case: str
    threshold: float
    prompts: int
    edges: int
    same: bool
    one: float
    one_cpu: float
    split: float
    slower_cpu: float
    start: float
    questions: int
    empty: float

    @property
    def words(self) -> str:
        """A line of it."""
        return (
            f"{self.case} at {self.threshold:g}, {self.prompts} prompts: {self.edges} edges, "
            f"{'the same' if self.same else 'OTHERS'} split; {self.one:.1f} s ({self.one_cpu:.1f} s of the processor) "
            f"against {self.split:.1f} s ({self.slower_cpu:.1f} s): {self.one / self.split:.2f} times as fast on this "
            f"machine as it is, {self.one_cpu / (self.slower_cpu + self.questions * self.empty):.2f} times on free "
            f"cores; {self.questions} questions of at least {1000 * self.empty:.1f} ms; {self.start:.1f} s to start"
        )


class Counted(RayTeam):
    """Counts its questions."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.n_questions = 0
        self.began, self.began_cpu = time.perf_counter(), self.cpu()
        LAST.append(self)

    def answers(self, question: Question) -> list[Any]:
        """See :class:`RayTeam`."""
        self.n_questions += 1
        return super().answers(question)

    def cpu(self) -> list[float]:
        """Seconds of the processor that each worker has taken."""
        asked = [actor.__ray_call__.remote(lambda worker: time.process_time()) for actor in self.actors]
        found: list[float] = imported_ray().get(asked)
        return found


LAST: list[Counted] = []


@contextmanager
def counted() -> Iterator[None]:
    """Have workers counted."""
    plain = workers.RayTeam
    workers.RayTeam = Counted  # type: ignore[assignment,misc]
    try:
        yield
    finally:
        workers.RayTeam = plain  # type: ignore[misc]


def measured(case: str, setting: Setting, threshold: float, cluster: Any) -> Row:
    """Run both."""
    method, metric = Acdc(threshold=threshold), find_metric("kl")
    watch = Stopwatch()
    alone = method.find(setting, metric)
    one = watch.seconds()
    began = time.perf_counter()
    with split_over(cluster, setting, None, 1, lambda line: None) as split:
        together = method.find(split, metric)
        team, ended = LAST.pop(), time.perf_counter()
        cpu = [after - before for after, before in zip(team.cpu(), team.began_cpu, strict=True)]
        questions, before = team.n_questions, time.perf_counter()
        for _ in range(EMPTY_QUESTIONS):
            team.answers(Question("catch_up"))
        empty = (time.perf_counter() - before) / EMPTY_QUESTIONS
    assert alone.kept is not None  # the method decides
    assert together.kept is not None
    return Row(
        case=case,
        threshold=threshold,
        prompts=len(setting.prompts),
        edges=int(alone.kept.sum()),
        same=bool((alone.kept == together.kept).all()),
        one=one.wall,
        one_cpu=one.cpu,
        split=ended - team.began,
        slower_cpu=max(cpu),
        start=team.began - began,
        questions=questions,
        empty=empty,
    )


def cases(
    folder: Path, n: int, length: int, large: float, thresholds: list[float]
) -> Iterator[tuple[str, Setting, float]]:
    """What is measured."""
    tiny = load_model("tiny-tasks")
    setting = prepare(tiny, prompts(tiny, "ioi", n=100))
    for threshold in thresholds:
        yield "ioi on tiny-tasks", setting, threshold
    model = load_model(write_model(folder / "model", SHAPE))
    pairs = write_pairs(folder / "pairs.jsonl", n=n, length=length, changed=length // 4, vocab_size=SHAPE.vocab_size)
    yield "a random GPT-2 of 6 layers", prepare(model, prompts_of(model, pairs)), large


@click.command()
@click.option("--n", default=64, show_default=True, help="Prompts of the large model.")
@click.option("--length", default=16, show_default=True, help="Their tokens.")
@click.option("--large", default=0.003, show_default=True, help="Threshold for the large model.")
@click.option("--threshold", "thresholds", multiple=True, type=float, default=(0.1, 0.01, 0.001), show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="File for the figures.")
def command(n: int, length: int, large: float, thresholds: tuple[float, ...], out: Path | None) -> None:
    """Split prompts over two workers."""
    torch.set_num_threads(1)
    rows = []
    with tempfile.TemporaryDirectory() as folder, counted(), connected("ray", cpus=WORKERS) as cluster:
        for case, setting, threshold in cases(Path(folder), n, length, large, list(thresholds)):
            rows.append(measured(case, setting, threshold, cluster))
            say(rows[-1].words)
    if out is not None:
        with atomic_write(out) as file:
            json.dump([asdict(row) for row in rows], file, indent=1)


def run() -> None:
    """Run the command and end the process, as ``acdc`` does."""
    main(command, "split")


if __name__ == "__main__":
    run()
