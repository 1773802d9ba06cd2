"""How the models that come with acdc are trained: one plain loop for all of them.

Given are prompt pairs of tasks; learned is what follows a prompt at its answer positions, and nothing else. With the
same seed, one thread, the same type of processor and the same version of torch, the same model comes of it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import trange
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from acdc.pairs import TokenPair

BETAS = (0.9, 0.98)


@dataclass(frozen=True)
class Shape:
    """A GPT-2's sizes.

    Attributes:
        layers: how many.
        heads: of each layer.
        width: of the residual stream; an MLP has four times as many neurons.
        positions: the most tokens of a prompt.
    """

    layers: int
    heads: int
    width: int
    positions: int


@dataclass(frozen=True)
class Plan:
    """How to train.

    Attributes:
        steps: how many.
        rate: the learning rate, after a warm-up.
        decay: the weight decay of AdamW, on matrices alone.
        batch: each task's prompts in a step, drawn at random; ``None`` takes all prompts in every step.
        warm_up: steps in which the rate rises from 0.
        fall: the share of the steps, at the end, in which it falls to 0 again.
        clip: the length that a step's gradient is cut down to; ``None`` for none. Grokking needs the jolts.
        penalty: how much the length of what a component writes adds to the loss, see :class:`Writings`.
    """

    steps: int
    rate: float
    decay: float
    batch: Mapping[str, int] | None = None
    warm_up: int = 20
    fall: float = 0.2
    clip: float | None = 1.0
    penalty: float = 0.0

    def rate_at(self, step: int) -> float:
        """The learning rate of a step, counted from 0, as a share of the largest."""
        falling = max(1.0, self.fall * self.steps)
        return max(0.0, min(1.0, (step + 1) / self.warm_up, (self.steps - step) / falling))


@dataclass(frozen=True)
class Example:
    """A prompt and what should follow it.

    Attributes:
        tokens: the prompt.
        targets: for each answer position the next tokens, all equally likely.
    """

    tokens: tuple[int, ...]
    targets: Mapping[int, tuple[int, ...]]


@dataclass(frozen=True)
class Batch:
    """Prompts that run together.

    Attributes:
        tokens: ``[prompt, pos]``, padded at the end.
        rows, columns: the prompt and the position of every prediction, ``[prediction]``.
        predictions, wanted: every token that is right with the prediction that it belongs to, ``[target]``.
        shares: how likely it should be, ``[target]``.
    """

    tokens: Tensor
    rows: Tensor
    columns: Tensor
    predictions: Tensor
    wanted: Tensor
    shares: Tensor


def examples(pairs: Iterable[TokenPair], *, corrupted: bool = False) -> list[Example]:
    """The clean prompts with their answers, and corrupted ones whose answers are known, without repeats."""
    found: dict[tuple[int, ...], Example] = {}
    for pair in pairs:
        said = [(pair.clean, pair.answers)]
        if corrupted and pair.corrupted_answers:
            said.append((pair.corrupted, pair.corrupted_answers))
        for tokens, answers in said:
            found[tokens] = Example(tokens, dict(zip(pair.answer_positions, answers, strict=True)))
    return list(found.values())


def collated(chosen: Sequence[Example]) -> Batch:
    """Examples as one batch."""
    length = max(len(example.tokens) for example in chosen)
    places = [(row, place, right) for row, example in enumerate(chosen) for place, right in example.targets.items()]
    targets = [(i, token, 1 / len(right)) for i, (_, _, right) in enumerate(places) for token in right]
    return Batch(
        tokens=torch.tensor([[*example.tokens, *[0] * (length - len(example.tokens))] for example in chosen]),
        rows=torch.tensor([row for row, _, _ in places]),
        columns=torch.tensor([place for _, place, _ in places]),
        predictions=torch.tensor([i for i, _, _ in targets]),
        wanted=torch.tensor([token for _, token, _ in targets]),
        shares=torch.tensor([share for _, _, share in targets]),
    )


def by_length(chosen: Sequence[Example]) -> list[Batch]:
    """Examples as one batch, or, where lengths differ much, as two: the short ones needn't be padded to the longest."""
    middle = max(len(example.tokens) for example in chosen) * 0.55
    mixed = min(len(example.tokens) for example in chosen) < middle
    parts: list[list[Example]] = [[], []] if mixed else [[]]
    for example in chosen:
        parts[-1 if len(example.tokens) > middle else 0].append(example)
    return [collated(part) for part in parts]


def batches(data: Mapping[str, Sequence[Example]], sizes: Mapping[str, int] | None, seed: int) -> Iterator[list[Batch]]:
    """Without end: as many prompts of each task as asked, drawn at random; or all of them, again and again."""
    if sizes is None:
        everything = by_length([example for every in data.values() for example in every])
        while True:
            yield everything
    chance = random.Random(seed)
    while True:
        yield by_length([example for task, every in data.items() for example in chance.choices(every, k=sizes[task])])


def new_model(shape: Shape, vocab_size: int, end: int | None, seed: int) -> GPT2LMHeadModel:
    """An untrained GPT-2 without dropout; `end` is the token that begins and ends texts, if there is one."""
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True)
    sizes = {"n_layer": shape.layers, "n_head": shape.heads, "n_embd": shape.width, "n_positions": shape.positions}
    dropout = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    return GPT2LMHeadModel(GPT2Config(vocab_size=vocab_size, bos_token_id=end, eos_token_id=end, **sizes, **dropout))


class Writings:
    """How much each attention head and each MLP writes to the residual stream in a forward pass.

    Added to the loss, it is a group penalty (the group lasso): it silences components that aren't needed.
    """

    def __init__(self, model: GPT2LMHeadModel) -> None:
        self.norms: list[Tensor] = []
        self.n_heads = model.config.n_head
        self.n_components = model.config.n_layer * (self.n_heads + 1)
        for block in model.transformer.h:
            block.attn.c_proj.register_forward_hook(self._heads)
            block.mlp.register_forward_hook(self._mlp)

    def _heads(self, projection: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        z = inputs[0].unflatten(-1, (self.n_heads, -1))  # [prompt, pos, head, d_head]
        weight = projection.weight.unflatten(0, (self.n_heads, -1))  # [head, d_head, d_model]
        # The squared length of z W is z (W W') z', which needs no [.., head, d_model] array.
        lengths = torch.einsum("bphi,hij,bphj->bph", z, weight @ weight.mT, z)
        self.norms.append((lengths.mean((0, 1)) + 1e-6).sqrt())

    def _mlp(self, mlp: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        self.norms.append((output.square().sum(-1).mean() + 1e-6).sqrt()[None])

    def take(self) -> Tensor:
        """Root mean square length of what each component wrote, ``[component]``, a mean over forwards; forgets it."""
        norms, self.norms = torch.cat(self.norms), []
        return norms.view(-1, self.n_components).mean(0)


def train(
    model: GPT2LMHeadModel, stream: Iterator[list[Batch]], plan: Plan, after: Callable[[int], None] = lambda steps: None
) -> None:
    """Train in place.

    Args:
        model: what to train.
        stream: a batch for every step, in parts.
        plan: how.
        after: called after every step with how many were made.
    """
    decayed = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    plain = [parameter for parameter in model.parameters() if parameter.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": plan.decay}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=plan.rate, betas=BETAS)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, plan.rate_at)
    writings = Writings(model) if plan.penalty else None
    progress = trange(plan.steps, desc="training")
    for step in progress:
        loss = cross_entropy(model, next(stream))
        total = loss
        if writings is not None:
            # The penalty grows in the first half: first learn, then do without.
            total = loss + plan.penalty * min(1.0, 2 * step / plan.steps) * writings.take().sum()
        optimizer.zero_grad()
        total.backward()
        if plan.clip is not None:
            torch.nn.utils.clip_grad_norm_(model.parameters(), plan.clip)
        optimizer.step()
        schedule.step()
        if step % 20 == 0:
            progress.set_postfix(loss=f"{loss.item():.4f}", refresh=False)
        after(step + 1)


def cross_entropy(model: GPT2LMHeadModel, parts: Sequence[Batch]) -> Tensor:
    """Mean over all predictions; where several tokens are right, each should get its share."""
    losses = []
    for batch in parts:
        hidden = model.transformer(batch.tokens).last_hidden_state[batch.rows, batch.columns]
        log_probs = F.log_softmax(model.lm_head(hidden), dim=-1)
        losses.append(-(log_probs[batch.predictions, batch.wanted] * batch.shares).sum())
    return torch.stack(losses).sum() / sum(len(batch.rows) for batch in parts)


@dataclass(frozen=True)
class Figures:
    """How well a model does on some pairs.

    Attributes:
        n: how many pairs.
        right: the share of pairs whose every answer is the likeliest of all tokens.
        each: the share of single answers that are.
        difference: mean logit difference of a right answer from the likeliest wrong one.
        loss: mean cross-entropy of the answers.
        in_turn: the share of pairs whose first answer is, whose second and so on.
    """

    n: int
    right: float
    each: float
    difference: float
    loss: float
    in_turn: tuple[float, ...]


@torch.no_grad()
def measure(model: GPT2LMHeadModel, pairs: Sequence[TokenPair]) -> Figures:
    """How well a model does on clean prompts."""
    model.eval()
    hits: list[list[bool]] = []
    differences, losses = [], []
    for length in sorted({len(pair.clean) for pair in pairs}):
        together = [pair for pair in pairs if len(pair.clean) == length]
        logits = model(torch.tensor([pair.clean for pair in together])).logits
        for pair, one in zip(together, logits, strict=True):
            at = one[list(pair.answer_positions)]
            answers = [list(tokens) for tokens in pair.answers]
            best = [row[tokens].max() for row, tokens in zip(at, answers, strict=True)]
            wrong = [row[list(tokens)].max() for row, tokens in zip(at, pair.wrong_answers, strict=True)]
            hits.append([int(row.argmax()) in tokens for row, tokens in zip(at, answers, strict=True)])
            differences += [float(a - b) for a, b in zip(best, wrong, strict=True)]
            losses += [-float(row.log_softmax(-1)[tokens].mean()) for row, tokens in zip(at, answers, strict=True)]
    model.train()
    each = [hit for one in hits for hit in one]
    in_turn = tuple(_mean([one[i] for one in hits if i < len(one)]) for i in range(max(map(len, hits))))
    return Figures(
        len(pairs), _mean([all(one) for one in hits]), _mean(each), _mean(differences), _mean(losses), in_turn
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def save(model: GPT2LMHeadModel, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write a folder in Hugging Face's format."""
    model.save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)  # safetensors makes it private
    tokenizer.save_pretrained(folder)
    # It's not there to write text, and transformers does without this file.
    (folder / "generation_config.json").unlink(missing_ok=True)
