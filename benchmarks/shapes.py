"""What a run costs needs no trained model: random ones of any size, prompts for them, and a run by the clock."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from acdc.decision import Decision
from acdc.engine.choice import make_engine
from acdc.engine.setting import prepare
from acdc.errors import SettingsError
from acdc.files import atomic_write
from acdc.metrics import find_metric
from acdc.models.loading import load_model
from acdc.models.model import Model
from acdc.pairs import PromptSet
from acdc.pairs.finding import find_task
from acdc.pruning.pruner import Acdc, AcdcSettings

#: Wide enough that edges differ: at 0.02, GPT-2's own, a random model's parts hardly touch its answer.
INITIALIZER_RANGE = 0.05


@dataclass(frozen=True)
class Shape:
    """The size of a GPT-2.

    Attributes:
        n_layers, n_heads, d_model, vocab_size: as in the model's configuration.
        n_ctx: positions that the model has embeddings for.
    """

    n_layers: int
    n_heads: int
    d_model: int
    vocab_size: int
    n_ctx: int = 128

    def __post_init__(self) -> None:
        if min(self.n_layers, self.n_heads, self.d_model, self.vocab_size, self.n_ctx) < 1:
            raise SettingsError(f"every size of a model must be at least 1, got {self}.")
        if self.d_model % self.n_heads:
            raise SettingsError(f"the width must be a multiple of the heads, got {self.d_model} and {self.n_heads}.")


#: That of GPT-2 small.
GPT2_SMALL = Shape(n_layers=12, n_heads=12, d_model=768, vocab_size=50257)
#: Of so many measurements the quickest counts: what else the machine does only adds.
TRIES = 3


def write_model(folder: Path, shape: Shape, *, seed: int = 0, spread: float = INITIALIZER_RANGE) -> Path:
    """Write a random GPT-2 as a Hugging Face folder, without a tokenizer; give the folder.

    Args:
        folder: where.
        shape: its size.
        seed: of the weights.
        spread: their standard deviation.
    """
    from transformers import GPT2Config, GPT2LMHeadModel
    from transformers.utils import logging

    config = GPT2Config(
        n_layer=shape.n_layers,
        n_head=shape.n_heads,
        n_embd=shape.d_model,
        vocab_size=shape.vocab_size,
        n_positions=shape.n_ctx,
        initializer_range=spread,
        bos_token_id=None,
        eos_token_id=None,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = GPT2LMHeadModel(config)
    logging.disable_progress_bar()  # it would break into the bar of a benchmark
    model.eval().save_pretrained(folder)
    return folder


def write_pairs(
    path: Path, *, n: int, length: int, changed: int, vocab_size: int, seed: int = 0, first: int | None = None
) -> Path:
    """Write random prompt pairs without answers as a task file; give its path.

    Args:
        path: the file, ending in ``.jsonl``.
        n: pairs.
        length: tokens of each prompt.
        changed: tokens that differ within a pair, at positions drawn for each pair.
        vocab_size: token ids are below it.
        seed: of tokens and positions.
        first: the position where they begin, one behind the other, in every pair; by default they are drawn.

    Raises:
        SettingsError: such pairs don't exist.
        RunFolderError: the file can't be written.
    """
    if n < 1 or not 1 <= changed <= length:
        raise SettingsError(f"{n} pairs of {length} tokens of which {changed} differ can't be made.")
    if first is not None and not 0 <= first <= length - changed:
        raise SettingsError(f"{changed} tokens from position {first} on don't fit into {length}.")
    if vocab_size < 2:
        raise SettingsError("tokens that differ need a vocabulary of at least 2.")
    generator = torch.Generator().manual_seed(seed)
    clean = torch.randint(vocab_size, (n, length), generator=generator)
    # A step of less than the whole vocabulary, round and round, never comes back to the same token.
    steps = torch.randint(1, vocab_size, (n, length), generator=generator)
    differs = torch.stack([torch.randperm(length, generator=generator) < changed for _ in range(n)])
    if first is not None:
        place = torch.arange(length)
        differs = ((place >= first) & (place < first + changed)).expand(n, length)
    corrupted = torch.where(differs, (clean + steps) % vocab_size, clean)
    with atomic_write(path) as file:
        for one, two in zip(clean.tolist(), corrupted.tolist(), strict=True):
            file.write(json.dumps({"clean_tokens": one, "corrupted_tokens": two}) + "\n")
    return path


def prompts_of(model: Model, path: Path) -> PromptSet:
    """All pairs of a task file, checked against the model."""
    return find_task(path).prompts(model.tokenizer, **model.limits)


def ablated_metric(model: Model, prompts: PromptSet) -> float:
    """KL of the model with every edge ablated."""
    engine = make_engine("reference", prepare(model, prompts), find_metric("kl"))
    return engine.metric_of(np.zeros(engine.graph.n_edges, dtype=bool))


@dataclass(frozen=True)
class Seconds:
    """A stretch of time: of the processor, and on the wall."""

    cpu: float
    wall: float

    def __add__(self, other: Seconds) -> Seconds:
        return Seconds(self.cpu + other.cpu, self.wall + other.wall)

    def __mul__(self, factor: float) -> Seconds:
        return Seconds(self.cpu * factor, self.wall * factor)


class Stopwatch:
    """Counts from when it is made."""

    def __init__(self) -> None:
        self._cpu, self._wall = time.process_time(), time.perf_counter()

    def seconds(self) -> Seconds:
        """Since then."""
        return Seconds(time.process_time() - self._cpu, time.perf_counter() - self._wall)


@dataclass(frozen=True)
class TimedRun:
    """A run of ACDC by the clock.

    Attributes:
        setup: running the clean and corrupted prompts and making the engine.
        pruning: trying the edges.
        decisions: all of them, in order.
    """

    setup: Seconds
    pruning: Seconds
    decisions: tuple[Decision, ...]

    @property
    def seconds(self) -> Seconds:
        """All of it."""
        return self.setup + self.pruning

    @property
    def kept(self) -> frozenset[str]:
        """Names of the edges that stayed when they were tried."""
        return frozenset(decision.edge for decision in self.decisions if decision.kept)


def timed_run(model: Model, prompts: PromptSet, threshold: float, *, engine: str = "fast") -> TimedRun:
    """Run ACDC once by KL and corrupted values, in the default order."""
    watch = Stopwatch()
    pruner = Acdc(make_engine(engine, prepare(model, prompts), find_metric("kl")), AcdcSettings(threshold))
    setup = watch.seconds()
    watch = Stopwatch()
    decisions = tuple(pruner.decisions())
    return TimedRun(setup, watch.seconds(), decisions)


def quickest(work: Callable[[], object]) -> float:
    """Seconds of the processor."""
    found = []
    for _ in range(TRIES):
        watch = Stopwatch()
        work()
        found.append(watch.seconds().cpu)
    return min(found)


def gpt2_small(folder: Path) -> tuple[Model, PromptSet]:
    """A random model of that size, and prompts for it."""
    model = load_model(write_model(folder / "model", GPT2_SMALL))
    pairs = write_pairs(folder / "pairs.jsonl", n=10, length=16, changed=6, vocab_size=GPT2_SMALL.vocab_size)
    return model, prompts_of(model, pairs)
