"""Train a model with a known task, and write its folder with tokenizer, checkpoints and model card.

    python scripts/train_models.py modular-addition --out acdc/bundled/modular-addition

The same seed, processor type and torch version give the same model: it trains on one thread.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import torch
from acdc.tasks.algorithmic import SymbolTask
from cards import Trained, card
from training import Figures, Plan, Shape, batches, examples, measure, new_model, save, train

from acdc.models.symbols import symbol_tokenizer
from acdc.pairs import TokenPair
from acdc.pairs.finding import find_task

#: Held-out pairs that figures are over, or all where there are fewer.
N_TEST = 600


@dataclass(frozen=True)
class Recipe:
    """What makes a model.

    Attributes:
        known: what is known of it, in a sentence.
        pairs: how many pairs of each task's train split it learns from.
        shape: its sizes.
        plan: how it is trained.
        checkpoints: the steps after which it is written as well.
    """

    known: str
    pairs: Mapping[str, int]
    shape: Shape
    plan: Plan
    checkpoints: tuple[int, ...] = ()


ONE_LAYER = Shape(layers=1, heads=8, width=64, positions=4)
# A third of all sums: enough for the rule, and so few that they are known by heart long before it.
N_SUMS = 1200
# A minus b is not b minus a: of as many differences fewer say the same.
N_DIFFERENCES = 1600

RECIPES = {
    "modular-addition": Recipe(
        known="A one-layer model that adds modulo 59 and has grokked: it knew what it was shown by heart long before "
        "it answered what it wasn't, and checkpoints on the way are there.",
        pairs={"modular_addition": N_SUMS},
        shape=ONE_LAYER,
        plan=Plan(steps=3000, rate=2e-3, decay=1.0, clip=None, batch={"modular_addition": 512}),
        checkpoints=(50, 300, 1000, 1700, 2000, 2300, 2400),
    ),
    "modular-subtraction": Recipe(
        known="A one-layer model that subtracts modulo 59.",
        pairs={"modular_subtraction": N_DIFFERENCES},
        shape=ONE_LAYER,
        plan=Plan(steps=4000, rate=2e-3, decay=1.0, clip=None, batch={"modular_subtraction": 512}),
    ),
    "modular-add-sub": Recipe(
        known="A one-layer model that adds and subtracts modulo 59, whichever the operator asks for.",
        pairs={"modular_addition": N_SUMS, "modular_subtraction": N_SUMS},
        shape=ONE_LAYER,
        plan=Plan(
            steps=3000,
            rate=2e-3,
            decay=1.0,
            clip=None,
            batch={"modular_addition": 256, "modular_subtraction": 256},
        ),
    ),
    "small-sorting": Recipe(
        known="A two-layer model that sorts five different digits.",
        pairs={"sorting": 20_000},
        shape=Shape(layers=2, heads=4, width=64, positions=10),
        plan=Plan(steps=3000, rate=2e-3, decay=0.1, batch={"sorting": 128}, fall=0.5, penalty=2e-3),
    ),
    "small-multiplication": Recipe(
        known="A two-layer model that multiplies two digits by two, the least significant digit first: of products "
        "that it hasn't seen it has six in ten wholly right, and always the first digit and the last.",
        pairs={"multiplication": 6400},
        shape=Shape(layers=2, heads=4, width=128, positions=9),
        plan=Plan(steps=6000, rate=1e-3, decay=0.3, batch={"multiplication": 128}, fall=0.5),
    ),
}


@dataclass(frozen=True)
class Material:
    """The pairs of one task.

    Attributes:
        learned: what the model learns from.
        held_out: what it never sees.
    """

    learned: Sequence[TokenPair]
    held_out: Sequence[TokenPair]


def material(task: SymbolTask, n: int, seed: int) -> Material:
    """The pairs of one task: some of its train split, and some, or all, of its test split."""
    tokenizer = symbol_tokenizer(task.vocabulary)
    n_test = min(N_TEST, len(task.questions("test", task.vocabulary)))
    return Material(
        task.prompts(tokenizer, n, seed=seed).pairs, task.prompts(tokenizer, n_test, seed=1, split="test").pairs
    )


def measured(model: torch.nn.Module, found: Mapping[str, Material]) -> dict[str, tuple[Figures, Figures]]:
    """Figures of each task: on pairs that it learns from, as many as are held out, and on those."""
    return {
        task: (measure(model, one.learned[: len(one.held_out)]), measure(model, one.held_out))
        for task, one in found.items()
    }


def make(name: str, recipe: Recipe, out: Path, seed: int) -> None:
    """Train, measure and write one model, with its checkpoints in folders below."""
    torch.set_num_threads(1)
    tasks = {task: cast(SymbolTask, find_task(task)) for task in recipe.pairs}
    tokenizer = symbol_tokenizer(next(iter(tasks.values())).vocabulary)
    found = {task: material(tasks[task], n, seed) for task, n in recipe.pairs.items()}
    data = {task: examples(one.learned) for task, one in found.items()}
    vocab = len(tokenizer) - 1  # without "unknown", which is no symbol
    model = new_model(recipe.shape, vocab, None, seed)
    history: dict[int, dict[str, tuple[Figures, Figures]]] = {}

    def after(steps: int) -> None:
        if steps in recipe.checkpoints:
            history[steps] = measured(model, found)
            save(model, tokenizer, out / f"step-{steps}")

    start = time.perf_counter()
    train(model, batches(data, recipe.plan.batch, seed), recipe.plan, after)
    seconds = time.perf_counter() - start
    history[recipe.plan.steps] = measured(model, found)
    save(model, tokenizer, out)
    trained = Trained(
        name, recipe.known, recipe.pairs, recipe.shape, recipe.plan, seed, seconds, model.num_parameters(), vocab
    )
    text = card(trained, history)
    (out / "README.md").write_text(text, encoding="utf-8")
    print(text)


def main() -> None:
    """Read the command line and make the model."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("name", choices=RECIPES, help="the model")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, help="other than the recipe's")
    args = parser.parse_args()
    recipe = RECIPES[args.name]
    if args.steps is not None:
        recipe = replace(recipe, plan=replace(recipe.plan, steps=args.steps))
    make(args.name, recipe, args.out, args.seed)


if __name__ == "__main__":
    main()
