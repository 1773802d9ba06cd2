"""The loads that engine.py measures: a model, prompt pairs to find a circuit on and to judge it on, and a threshold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shapes import GPT2_SMALL, prompts_of, write_model, write_pairs

from acdc.knownmodels.catalogue import folders
from acdc.models.loading import load_model
from acdc.models.model import Model
from acdc.pairs import PromptSet
from acdc.pairs.finding import find_task

#: Tokens of a random prompt, and how many of them differ within a pair.
LENGTH, CHANGED = 16, 6
#: Standard deviation of the weights of the random model on ioi: as wide as this, to ablate every edge costs over a nat,
#: as it does in a trained model, and at a threshold of 0.02 some edges stay; with that of the others none does.
SPREAD = 0.09


@dataclass(frozen=True)
class Made:
    """A load, ready to be run.

    Attributes:
        model: opened by the present code.
        folder: where it lies, for any code.
        used: the prompts that a circuit is found on.
        held_out: as many that it is judged on.
        metric: the usual one of such prompts.
    """

    model: Model
    folder: Path
    used: PromptSet
    held_out: PromptSet
    metric: str = "kl"


@dataclass(frozen=True)
class Load:
    """A load by its name.

    Attributes:
        about: what it is, in words, behind the number of prompts.
        threshold: in KL, unless another is asked for.
        n: prompt pairs, likewise.
        points: stretches that are timed without each idea, likewise; 0 where that takes too long to be done unasked.
        make: makes it, in an empty folder, of so many pairs.
    """

    about: str
    threshold: float
    n: int
    points: int
    make: Callable[[Path, int], Made]


def known_load(name: str) -> Callable[[Path, int], Made]:
    """A model that has a name here on prompts of ioi."""

    def make(scratch: Path, n: int) -> Made:
        model = load_model(name)  # says how to get it where it isn't here
        return _on_ioi(model, folders()[name], model.tokenizer, n)

    return make


def random_load(first: int | None) -> Callable[[Path, int], Made]:
    """A random model of GPT-2 small's size on random prompts.

    Args:
        first: of the tokens that differ within a pair; by default they are drawn for each.
    """

    def make(scratch: Path, n: int) -> Made:
        folder = write_model(scratch / "model", GPT2_SMALL)
        model = load_model(folder)
        size = GPT2_SMALL.vocab_size

        def drawn(seed: int) -> PromptSet:
            path = scratch / f"pairs{seed}.jsonl"
            write_pairs(path, n=n, length=LENGTH, changed=CHANGED, vocab_size=size, first=first, seed=seed)
            return prompts_of(model, path)

        return Made(model, folder, drawn(0), drawn(1))

    return make


def ioi_load(scratch: Path, n: int) -> Made:
    """A random model of GPT-2 small's size on prompts of ioi, in the tokens of the bundled model."""
    folder = write_model(scratch / "model", GPT2_SMALL, spread=SPREAD)
    return _on_ioi(load_model(folder), folder, load_model("tiny-tasks").tokenizer, n)


def _on_ioi(model: Model, folder: Path, tokenizer: Any, n: int) -> Made:
    task = find_task("ioi")
    used = task.prompts(tokenizer, n, **model.limits)
    held_out = task.prompts(tokenizer, n, split="test", **model.limits)
    return Made(model, folder, used, held_out, task.metric)


LOADS = {
    "tiny-tasks": Load("of ioi, tiny-tasks", 0.01, 100, 12, known_load("tiny-tasks")),
    "smollm2-135m": Load("of ioi, SmolLM2-135M", 0.05, 10, 0, known_load("smollm2-135m")),
    "gpt2-small": Load(
        f"of {LENGTH} random tokens, {CHANGED} drawn ones differ, GPT-2 small's shape",
        0.0002,
        10,
        12,
        random_load(None),
    ),
    "gpt2-small-middle": Load(
        f"of {LENGTH} random tokens, {CHANGED} in the middle differ, GPT-2 small's shape",
        0.0002,
        10,
        0,
        random_load((LENGTH - CHANGED) // 2),
    ),
    "gpt2-small-ioi": Load("of ioi, GPT-2 small's shape", 0.02, 50, 0, ioi_load),
}
