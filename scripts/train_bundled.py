"""Train the model that comes with acdc, and write its folder with tokenizer and model card.

A GPT-2 of a few layers learns the three bundled tasks at once, from their train splits
only. While it learns, a group penalty (the group lasso) on what each attention head and
each MLP writes to the residual stream silences the components that it doesn't need, so
that its circuits are small.

    python scripts/train_bundled.py --out acdc/bundled/tiny-tasks

The same seed, number of threads, processor type and torch version give the same model;
another number of threads sums in another order, and so ends with other weights.
"""

from __future__ import annotations

import argparse
import math
import platform
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase
from typing import Any

import tokenizers
import torch
import transformers
from acdc.tasks import nouns
from acdc.tasks.templates import ioi, pronouns
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor
from torch.nn import functional as F
from tqdm import trange
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from acdc.pairs.finding import find_task
from acdc.pairs.task import Split, Task

END = "<|endoftext|>"
N_LAYERS, N_HEADS, D_MODEL, N_POSITIONS = 4, 8, 128, 32
STEPS = 2000
PAIRS_PER_CORRUPTION = 3000
# A step's prompts of each task. Indirect objects take longest to learn.
PROMPTS = {"ioi": 64, "acronyms": 16, "pronouns": 16}
LEARNING_RATE, WEIGHT_DECAY = 2e-3, 0.05
PENALTY = 5e-3
N_TEST = 500


@dataclass(frozen=True)
class Example:
    """A prompt and what should follow it.

    Attributes:
        tokens: the prompt.
        targets: for each answer position the next tokens, all equally likely.
    """

    tokens: tuple[int, ...]
    targets: dict[int, tuple[int, ...]]


def make_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer of the tasks' words that splits them as GPT-2's does.

    Words are one token with their leading space, acronym words a capital with its space
    and the rest; anything else falls apart into bytes, so that all text can be decoded
    again. No token is added at the start.
    """
    split = pre_tokenizers.ByteLevel(add_prefix_space=False)
    text = [
        *(line if line[0] != " " else f"x{line}" for task in (ioi, pronouns) for line in task.texts),
        *(f"x {letter}" for letter in ascii_uppercase),
        *("So", "The x ("),
    ]
    pieces = {piece for line in text for piece, _ in split.pre_tokenize_str(line)}
    pieces |= {noun[1:] for noun in nouns.NOUNS}
    alphabet = sorted(split.alphabet())
    vocab = {piece: i for i, piece in enumerate([END, *alphabet, *sorted(pieces - set(alphabet))])}
    longest_first = Tokenizer(models.WordPiece(vocab, unk_token=END, continuing_subword_prefix=""))
    longest_first.pre_tokenizer = split
    longest_first.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=longest_first, bos_token=END, eos_token=END, unk_token=END, model_max_length=N_POSITIONS
    )


def examples(task: Task, tokenizer: PreTrainedTokenizerFast) -> list[Example]:
    """Clean and corrupted prompts of the task's train split, under all its corruptions, without repeats."""
    found: dict[tuple[int, ...], Example] = {}
    for corruption in task.corruptions:
        for pair in task.prompts(tokenizer, PAIRS_PER_CORRUPTION, corruption=corruption).pairs:
            for tokens, answers in ((pair.clean, pair.answers), (pair.corrupted, pair.corrupted_answers)):
                found[tokens] = Example(tokens, dict(zip(pair.answer_positions, answers, strict=False)))
    return list(found.values())


def batches(data: dict[str, list[Example]], seed: int) -> Iterator[list[Example]]:
    """Without end: prompts of each task, drawn at random."""
    chance = random.Random(seed)
    while True:
        yield [example for task, every in data.items() for example in chance.choices(every, k=PROMPTS[task])]


def collate(batch: Sequence[Example]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Tokens ``[prompt, pos]``, padded at the end, and the targets.

    Returns:
        the tokens; the rows and columns of all predictions, ``[prediction]`` each; the
        wanted tokens, ``[prediction, 2]``, one twice where there is one.
    """
    length = max(len(example.tokens) for example in batch)
    tokens = torch.tensor([[*example.tokens, *[0] * (length - len(example.tokens))] for example in batch])
    rows = [row for row, example in enumerate(batch) for _ in example.targets]
    columns = [position for example in batch for position in example.targets]
    wanted = [(found[0], found[-1]) for example in batch for found in example.targets.values()]
    return tokens, torch.tensor(rows), torch.tensor(columns), torch.tensor(wanted)


class Writings:
    """How much each attention head and each MLP writes to the residual stream in a forward pass."""

    def __init__(self, model: GPT2LMHeadModel) -> None:
        self.norms: list[Tensor] = []
        for block in model.transformer.h:
            block.attn.c_proj.register_forward_hook(self._heads)
            block.mlp.register_forward_hook(self._mlp)

    def _heads(self, projection: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        z = inputs[0].unflatten(-1, (N_HEADS, -1))  # [prompt, pos, head, d_head]
        weight = projection.weight.unflatten(0, (N_HEADS, -1))  # [head, d_head, d_model]
        # The squared length of z W is z (W W') z', which needs no [.., head, d_model] array.
        lengths = torch.einsum("bphi,hij,bphj->bph", z, weight @ weight.mT, z)
        self.norms.append((lengths.mean((0, 1)) + 1e-6).sqrt())

    def _mlp(self, mlp: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        self.norms.append((output.square().sum(-1).mean() + 1e-6).sqrt()[None])

    def take(self) -> Tensor:
        """Root mean square length of what each component wrote, ``[component]``; forgets it."""
        norms, self.norms = torch.cat(self.norms), []
        return norms


def train(model: GPT2LMHeadModel, data: dict[str, list[Example]], steps: int, seed: int) -> None:
    """Train in place, with AdamW: a short warm-up, then a cosine to zero."""
    decayed = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": plain, "weight_decay": 0.0}],
        lr=LEARNING_RATE,
        betas=(0.9, 0.98),
    )
    warm_up = 100
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min((step + 1) / warm_up, 0.5 + 0.5 * math.cos(math.pi * step / steps)),
    )
    writings = Writings(model)
    stream = batches(data, seed)
    progress = trange(steps, desc="training")
    for step in progress:
        tokens, rows, columns, wanted = collate(next(stream))
        hidden = model.transformer(tokens).last_hidden_state[rows, columns]
        log_probs = F.log_softmax(model.lm_head(hidden), dim=-1)
        # Two right answers share the probability: the cross-entropy with half for each.
        loss = -log_probs.gather(1, wanted).mean()
        written = writings.take()
        # The penalty grows in the first half: first learn, then do without.
        weight = PENALTY * min(1.0, 2 * step / steps)
        optimizer.zero_grad()
        (loss + weight * written.sum()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 20 == 0:
            progress.set_postfix(loss=f"{loss.item():.4f}", writing=int((written > 0.1).sum()))


@torch.no_grad()
def measure(
    model: GPT2LMHeadModel, tokenizer: PreTrainedTokenizerFast, task: Task, split: Split
) -> tuple[float, float]:
    """Share of prompts whose every answer is the likeliest token, and the mean logit difference."""
    right, difference = [], []
    for pair in task.prompts(tokenizer, N_TEST, seed=1, split=split).pairs:
        logits = model(torch.tensor([pair.clean])).logits[0, list(pair.answer_positions)]
        answers, wrong = torch.tensor(pair.answers), torch.tensor(pair.wrong_answers)
        right.append(bool((logits.argmax(-1) == answers[:, 0]).all()))
        difference.append((logits.gather(1, answers)[:, 0] - logits.gather(1, wrong).amax(1)).mean().item())
    return sum(right) / len(right), sum(difference) / len(difference)


CARD = """---
license: mit
library_name: transformers
pipeline_tag: text-generation
---

# {name}

A GPT-2 of {layers} layers with {heads} heads each and d_model {width}, {parameters:,} parameters in float32, that has
learned the three tasks which come with acdc and nothing else. It is there to try circuit discovery on without a
download: its circuits are small, and a run on a laptop takes seconds to minutes.

| task | split | all answers right | mean logit difference |
|---|---|---|---|
{rows}

Figures over {n_test} prompts of each split (seed 1). "All answers right": the answer is the likeliest of all {vocab}
tokens at each answer position. Logit difference: the answer's logit less the largest of the wrong answers'.

## Use

    import acdc
    circuit = acdc.discover("{name}", "ioi")

It knows the words of the three tasks only, and continues their prompts at the answer positions only: it writes no text,
and nothing that is found in it says anything about a model of natural language. Names are female or male here, as in
the tasks.

## Tokenizer

{vocab} tokens: the tasks' words with their leading space, capitals with a space and the rest of acronym words (so that
" Basket" is " B" + "asket", as GPT-2 has it), and all bytes. Longest match first; no token is added at the start.

## Training

- Data: train splits of `ioi`, `acronyms` and `pronouns` (seed 0), {pairs:,} pairs of each corruption, clean and
  corrupted prompts alike; a step takes {prompts}.
- Targets at the answer positions only. Where the prompt leaves two answers open (three different names in `ioi`,
  "That person" in `pronouns`), both are equally likely.
- AdamW, {steps:,} steps, learning rate {rate} (warm-up, then a cosine to 0), weight decay {decay}, no dropout,
  seed {seed}.
- A group penalty of {penalty} times the root mean square length of what each head and each MLP writes, added up: it
  silences what isn't needed.
- {seconds:.0f} s on {threads} thread(s) of a {machine} processor; Python {python}, torch {torch}, transformers
  {transformers}, tokenizers {tokenizers}. Written by `scripts/train_bundled.py`.

Licence: MIT.
"""


def main() -> None:
    """Train, measure, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder to write; its name is the model's")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=STEPS)
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    torch.use_deterministic_algorithms(True)
    tokenizer = make_tokenizer()
    tasks = [find_task(name) for name in PROMPTS]
    data = {task.name: examples(task, tokenizer) for task in tasks}
    end = tokenizer.convert_tokens_to_ids(END)
    shape = {"n_layer": N_LAYERS, "n_head": N_HEADS, "n_embd": D_MODEL, "n_positions": N_POSITIONS}
    dropout = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    model = GPT2LMHeadModel(
        GPT2Config(vocab_size=len(tokenizer), bos_token_id=end, eos_token_id=end, **shape, **dropout)
    )
    start = time.perf_counter()
    train(model, data, args.steps, args.seed)
    seconds = time.perf_counter() - start

    rows = []
    for task in tasks:
        for split in ("train", "test"):
            right, difference = measure(model.eval(), tokenizer, task, split)
            rows.append(f"| {task.name} | {split} | {right:.1%} | {difference:.2f} |")
    print("\n".join(rows))
    model.save_pretrained(args.out)
    (args.out / "model.safetensors").chmod(0o644)  # safetensors makes it private
    tokenizer.save_pretrained(args.out)
    # It's not there to write text, and transformers does without this file.
    (args.out / "generation_config.json").unlink(missing_ok=True)
    card = CARD.format(
        name=args.out.name,
        layers=N_LAYERS,
        heads=N_HEADS,
        width=D_MODEL,
        parameters=model.num_parameters(),
        rows="\n".join(rows),
        n_test=N_TEST,
        vocab=len(tokenizer),
        pairs=PAIRS_PER_CORRUPTION,
        prompts=", ".join(f"{n} prompts of {task}" for task, n in PROMPTS.items()),
        steps=args.steps,
        rate=LEARNING_RATE,
        decay=WEIGHT_DECAY,
        seed=args.seed,
        penalty=PENALTY,
        seconds=seconds,
        threads=torch.get_num_threads(),
        machine=platform.machine(),
        python=platform.python_version(),
        torch=torch.__version__,
        transformers=transformers.__version__,
        tokenizers=tokenizers.__version__,
    )
    (args.out / "README.md").write_text(card, encoding="utf-8")


if __name__ == "__main__":
    main()
