"""The card of a trained model: what it does, measured, and how it was made."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from textwrap import fill

import tokenizers
import torch
import transformers
from training import BETAS, Figures, Plan, Shape

_HEAD = """---
license: mit
library_name: transformers
pipeline_tag: text-generation
---"""
#: After so many steps, each task's figures on what was learned from and on what is held out.
History = Mapping[int, Mapping[str, tuple[Figures, Figures]]]


@dataclass(frozen=True)
class Trained:
    """What was trained, and how.

    Attributes:
        name: the model's.
        known: what is known of it, in a sentence.
        pairs: how many of each task's it learned from.
        shape: its sizes.
        plan: how it was trained.
        seed: of its weights and of what it was shown.
        seconds: how long it took.
        parameters: how many it has.
        vocab: how many tokens it knows.
    """

    name: str
    known: str
    pairs: Mapping[str, int]
    shape: Shape
    plan: Plan
    seed: int
    seconds: float
    parameters: int
    vocab: int


def card(trained: Trained, history: History) -> str:
    """The text of a model's README.md; the last figures of its history are its own."""
    return "\n\n".join((*_what(trained, history[max(history)]), *_checkpoints(trained, history), *_how(trained))) + "\n"


def _what(trained: Trained, figures: Mapping[str, tuple[Figures, Figures]]) -> Iterator[str]:
    shape = trained.shape
    yield _HEAD
    yield f"# {trained.name}"
    yield _filled(trained.known)
    yield _filled(
        f"A GPT-2 of {shape.layers} layer{'s' if shape.layers > 1 else ''} with {shape.heads} heads each and d_model "
        f"{shape.width}, {trained.parameters:,} parameters in float32. Its tokens are the task's symbols, "
        f"{trained.vocab} in all, with spaces between them. It says something at the answer positions alone."
    )
    yield "\n".join(
        [
            "| task | pairs | all answers right | each answer right | mean logit difference | loss |",
            "|---|---|---|---|---|---|",
            *(
                f"| {task} | {which} | {one.right:.1%} | {one.each:.1%} | {one.difference:.2f} | {one.loss:#.2g} |"
                for task, both in figures.items()
                for which, one in zip(("learned from", "held out"), both, strict=True)
            ),
        ]
    )
    for task, (_, one) in figures.items():
        if len(one.in_turn) > 1:
            yield _filled(f"Held out, `{task}`, answer by answer: {', '.join(f'{hit:.1%}' for hit in one.in_turn)}.")
    n = next(iter(figures.values()))[1].n
    yield _filled(
        f"Figures over {n} pairs each. Learned from: it was trained on these pairs. Held out: of the test split, none "
        f"of which it has ever seen. All answers right: the answer is the likeliest of all {trained.vocab} tokens at "
        "each of a prompt's answer positions; each: the share of such positions. Logit difference: the answer's logit "
        "less the largest of the wrong answers'. Loss: mean cross-entropy of the answers, in nats."
    )


def _checkpoints(trained: Trained, history: History) -> Iterator[str]:
    """A section on the checkpoints, each of which opens as a model."""
    if len(history) == 1:
        return
    yield "## Checkpoints"
    yield _filled(f"Each opens as a model: `{trained.name}/step-{min(history)}`. The last line is the model itself.")
    yield "\n".join(
        [
            "| steps | learned from: right | loss | held out: right | loss |",
            "|---|---|---|---|---|",
            *(
                f"| {steps} | {seen.right:.1%} | {seen.loss:#.2g} | {held_out.right:.1%} | {held_out.loss:#.2g} |"
                for steps, figures in sorted(history.items())
                for seen, held_out in figures.values()
            ),
        ]
    )


def _how(trained: Trained) -> Iterator[str]:
    plan = trained.plan
    yield "## Use"
    yield f'    import acdc\n    circuit = acdc.discover("{trained.name}", "{next(iter(trained.pairs))}")'
    yield "## Training"
    data = ", ".join(f"{n:,} pairs of `{task}`" for task, n in trained.pairs.items())
    batch = "all in every step"
    if plan.batch is not None:
        batch = "a step takes " + ", ".join(f"{n} of `{task}`" for task, n in plan.batch.items()) + ", drawn at random"
    items = [
        f"Data: {data} of the train split (seed {trained.seed}), clean prompts only; {batch}.",
        f"AdamW, {plan.steps:,} steps, learning rate {plan.rate} ({plan.warm_up} steps of warm-up; it falls to 0 in "
        f"the last {plan.fall:.0%} of all), betas {BETAS}, weight decay {plan.decay} on matrices, "
        f"{f'gradients clipped at length {plan.clip}, ' if plan.clip else ''}no dropout, seed {trained.seed}.",
        f"{trained.seconds:.0f} s on 1 thread ({platform.machine()}); Python {platform.python_version()}, "
        f"torch {torch.__version__}, transformers {transformers.__version__}, tokenizers {tokenizers.__version__}.",
        f"Written by `python scripts/train_models.py {trained.name} --out acdc/bundled/{trained.name}`.",
    ]
    if plan.penalty:
        items[2:2] = [
            f"A group penalty of {plan.penalty} times the root mean square length of what each head and each MLP "
            "writes, added up: it silences what isn't needed."
        ]
    yield "\n".join(_filled(item, "- ") for item in items)
    yield "Licence: MIT."


def _filled(text: str, mark: str = "") -> str:
    return fill(
        text,
        120,
        initial_indent=mark,
        subsequent_indent=" " * len(mark),
        break_long_words=False,
        break_on_hyphens=False,
    )
