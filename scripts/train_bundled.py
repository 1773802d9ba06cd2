"""Train the language model that comes with acdc, and write its folder with tokenizer and model card.

A GPT-2 of a few layers learns the language tasks that come with acdc, all at once, from their train splits only. While
it learns, a group penalty on what each attention head and each MLP writes to the residual stream silences the
components that it doesn't need, so that its circuits are small.

    python scripts/train_bundled.py --out acdc/bundled/tiny-tasks

The same seed, number of threads, processor type and torch version give the same model; another number of threads sums
in another order, and so ends with other weights.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Iterator
from pathlib import Path
from string import ascii_uppercase

import tokenizers
import torch
import transformers
from acdc.tasks import nouns
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from training import Example, Figures, Plan, Shape, batches, examples, measure, new_model, save, train
from transformers import PreTrainedTokenizerFast

from acdc.errors import PromptError
from acdc.pairs import TokenPair
from acdc.pairs.finding import find_task, task_names
from acdc.pairs.task import Split, Task
from acdc.pairs.template import TemplateTask

END = "<|endoftext|>"
SHAPE = Shape(layers=4, heads=8, width=128, positions=64)
STEPS = 2500
#: A step's prompts of each task; more of those that take longest to learn.
PROMPTS, OF_HARD_ONES = 6, {"ioi": 32, "docstring": 12}
RATE, DECAY, PENALTY = 2e-3, 0.05, 3e-3
#: Pairs of each corruption that are learned from; making more takes longer than learning.
PAIRS, PAIRS_OF = 400, {"ioi": 2000, "docstring": 1000}
N_TEST = 500


def language_tasks() -> list[Task]:
    """The tasks in language that come with acdc."""
    return [task for task in map(find_task, task_names()) if task.kind == "language"]


def make_tokenizer(tasks: list[Task]) -> PreTrainedTokenizerFast:
    """A tokenizer of the tasks' words that splits them as GPT-2's does.

    Words are one token with their leading space, acronym words a capital with its space and the rest; anything else
    falls apart into bytes, so that all text can be decoded again. No token is added at the start.
    """
    split = pre_tokenizers.ByteLevel(add_prefix_space=False)
    pieces = {piece for line in _lines(tasks) for piece, _ in split.pre_tokenize_str(line)}
    pieces |= {noun[1:] for noun in nouns.NOUNS}
    alphabet = sorted(split.alphabet())
    vocab = {piece: i for i, piece in enumerate([END, *alphabet, *sorted(pieces - set(alphabet))])}
    longest_first = Tokenizer(models.WordPiece(vocab, unk_token=END, continuing_subword_prefix=""))
    longest_first.pre_tokenizer = split
    longest_first.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=longest_first, bos_token=END, eos_token=END, unk_token=END, model_max_length=SHAPE.positions
    )


def _lines(tasks: list[Task]) -> Iterator[str]:
    """Text that holds every word of the tasks, each as it stands in a prompt."""
    for task in tasks:
        for text in task.texts if isinstance(task, TemplateTask) else ():
            yield f"x{text}" if text.startswith(" ") else text
    yield from (f"x {letter}" for letter in ascii_uppercase)
    yield "The x ("


def pairs_of(
    task: Task, tokenizer: PreTrainedTokenizerFast, split: Split, most: int, seed: int, corruption: str | None = None
) -> list[TokenPair]:
    """Up to `most` pairs; fewer where the task hasn't as many, none where the tokenizer allows none."""

    def pairs(n: int) -> list[TokenPair]:
        return list(task.prompts(tokenizer, n, seed, split, corruption).pairs)

    try:
        found = pairs(1)
    except PromptError:
        return []
    while most > 1:
        try:
            return pairs(most)
        except PromptError:
            most = most * 2 // 3
    return found


def learned(task: Task, tokenizer: PreTrainedTokenizerFast) -> list[Example]:
    """The clean prompts of a task's train split, and the corrupted ones whose answers are known."""
    every = [
        pairs_of(task, tokenizer, "train", PAIRS_OF.get(task.name, PAIRS), 0, corruption)
        for corruption in task.corruptions
    ]
    return examples((pair for pairs in every for pair in pairs), corrupted=True)


def card(name: str, figures: dict[str, tuple[Figures, Figures]], vocab: int, parameters: int, how: str) -> str:
    """The text of the model's README.md."""
    rows = "\n".join(
        f"| `{task}` | {seen.right:.1%} | {held_out.right:.1%} | {held_out.n} | {held_out.difference:.2f} |"
        for task, (seen, held_out) in sorted(figures.items(), key=lambda item: (-item[1][1].right, item[0]))
    )
    good = sum(held_out.right >= 0.95 for _, held_out in figures.values())
    return CARD.format(
        name=name,
        shape=SHAPE,
        parameters=parameters,
        vocab=vocab,
        tasks=len(figures),
        good=good,
        rows=rows,
        n_test=N_TEST,
        how=how,
    )


CARD = """---
license: mit
library_name: transformers
pipeline_tag: text-generation
---

# {name}

Does {good} of the {tasks} language tasks of acdc on at least 95 % of held-out prompts.

A GPT-2 of {shape.layers} layers with {shape.heads} heads each and d_model {shape.width}, {parameters:,} parameters in
float32, that has learned the language tasks which come with acdc and nothing else. It is there to try circuit
discovery on without a download: a run on a laptop takes seconds to minutes.

| task | right, learned from | right, held out | pairs held out | logit difference, held out |
|---|---|---|---|---|
{rows}

Figures over up to {n_test} prompts of each split (seed 1). Right: a right answer is the likeliest of all
{vocab} tokens at each answer position. Logit difference: the right answer's logit less the largest of the wrong
answers'. Held-out prompts are combinations of words that it has not seen; the words, facts and rules themselves it has.

## Use

    import acdc
    circuit = acdc.discover("{name}", "ioi")

It knows the words of the tasks only, and continues their prompts at the answer positions only: it writes no text, and
nothing that is found in it says anything about a model of natural language.

## Tokenizer

{vocab} tokens: the tasks' words with their leading space, capitals with a space and the rest of acronym words (so that
" Basket" is " B" + "asket", as GPT-2 has it), and all bytes. Longest match first; no token is added at the start.

## Training

{how}

Licence: MIT.
"""


def main() -> None:
    """Train, measure, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder to write; its name is the model's")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=STEPS)
    args = parser.parse_args()

    tasks = language_tasks()
    tokenizer = make_tokenizer(tasks)
    data = {task.name: found for task in tasks if (found := learned(task, tokenizer))}
    for task in tasks:
        print(f"{task.name}: {len(data.get(task.name, []))} prompts")
    sizes = {name: OF_HARD_ONES.get(name, PROMPTS) for name in data}
    plan = Plan(args.steps, RATE, DECAY, sizes, warm_up=100, fall=0.5, penalty=PENALTY)
    model = new_model(SHAPE, len(tokenizer), tokenizer.convert_tokens_to_ids(END), args.seed)
    start = time.perf_counter()
    train(model, batches(data, sizes, args.seed), plan)
    seconds = time.perf_counter() - start

    figures = {
        task.name: (
            measure(model, pairs_of(task, tokenizer, "train", N_TEST, 1)),
            measure(model, pairs_of(task, tokenizer, "test", N_TEST, 1)),
        )
        for task in tasks
        if task.name in data
    }
    for name, (seen, held_out) in figures.items():
        print(f"{name}: {seen.right:.1%} learned from, {held_out.right:.1%} held out")
    save(model, tokenizer, args.out)
    how = "\n".join(_how(plan, args.seed, seconds))
    text = card(args.out.name, figures, len(tokenizer), model.num_parameters(), how)
    (args.out / "README.md").write_text(text, encoding="utf-8")


def _how(plan: Plan, seed: int, seconds: float) -> Iterator[str]:
    """Lines on how it was trained."""
    more = ", ".join(f"{n:,} of `{task}`" for task, n in PAIRS_OF.items())
    hard = ", ".join(f"{n} of `{task}`" for task, n in OF_HARD_ONES.items())
    yield f"- Data: the train split of each task (seed 0), {PAIRS} pairs of each corruption ({more}); clean prompts,"
    yield f"  and corrupted ones whose right answers are known. A step takes {hard} and {PROMPTS} of each other task."
    yield "- Targets at the answer positions only; where several tokens are right, all are equally likely."
    yield f"- AdamW, {plan.steps:,} steps, learning rate {plan.rate} (it falls to 0 in the second half), weight decay"
    yield f"  {plan.decay}, no dropout, seed {seed}."
    yield f"- A group penalty of {plan.penalty} times the root mean square length of what each head and each MLP"
    yield "  writes, added up: it silences what isn't needed."
    yield f"- {seconds:.0f} s on {torch.get_num_threads()} thread(s) of a {platform.machine()} processor; Python"
    yield f"  {platform.python_version()}, torch {torch.__version__}, transformers {transformers.__version__},"
    yield f"  tokenizers {tokenizers.__version__}. Written by `scripts/train_bundled.py`."


if __name__ == "__main__":
    main()
