"""What stays the same while a circuit changes: prompts, cached values, predictions."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from acdc.engine.patched import run_patched
from acdc.errors import NumericsError, UnknownNameError
from acdc.graph import Graph
from acdc.metrics import AnswerTokens
from acdc.models.model import Model
from acdc.models.tokens import Tokens
from acdc.prompts import PromptSet

#: What removed edges can carry.
ABLATIONS = ("corrupted", "zero", "mean")


@dataclass(frozen=True)
class Setting:
    """One model on one set of prompts.

    Attributes:
        model, graph, prompts: what it is about.
        ablation: what removed edges carry, by name.
        tokens: the clean prompts.
        inputs: what the input nodes write on them, ``[1 or 2, batch, pos, d_model]``.
        ablated: what each node's removed edges carry, ``[n_sources, batch, pos, d_model]``.
        clean: what each node writes on the clean prompts, like `ablated`; empty once forgotten.
        rows, columns: prompt and position of each prediction, ``[prediction]``.
        answers: right and wrong answers of each prediction.
        model_logits, corrupted_logits: the model's own on the two prompts,
            ``[prediction, n_outputs]`` in float64.
    """

    model: Model
    graph: Graph
    prompts: PromptSet
    ablation: str
    tokens: Tokens
    inputs: Tensor
    ablated: Tensor
    clean: Tensor
    rows: Tensor
    columns: Tensor
    answers: AnswerTokens
    model_logits: Tensor
    corrupted_logits: Tensor

    def forget_clean(self) -> None:
        """Free the clean values, once an engine and an attribution have been made of them."""
        object.__setattr__(self, "clean", self.clean[:0].clone())

    def predictions(self, residual: Tensor) -> Tensor:
        """Logits that count, from the last residual: ``[batch, pos, d_model]`` to ``[prediction, n_outputs]``.

        They are in float64, so that a metric adds no rounding of its own.
        """
        return self.model.logits(residual[self.rows, self.columns]).double()

    def prompt_of(self, prediction: int) -> str:
        """Where the prompt of a prediction comes from, for messages."""
        return self.prompts.pairs[int(self.rows[prediction])].where


def check_ablation(name: str) -> None:
    """Raise :class:`UnknownNameError` unless there is such an ablation."""
    if name not in ABLATIONS:
        raise UnknownNameError("ablation", name, ABLATIONS)


@torch.no_grad()
def prepare(model: Model, prompts: PromptSet, *, ablation: str = "corrupted", split_input: bool = False) -> Setting:
    """Run the clean and the corrupted prompts once and keep what they wrote.

    Args:
        model: the model.
        prompts: checked pairs; they may differ in length.
        ablation: what removed edges carry: ``corrupted`` (the corrupted run's value),
            ``zero``, or ``mean`` (the mean over the clean prompts, position by position
            over the prompts that reach it).
        split_input: ``embed`` and ``pos_embed`` in place of ``input``.

    Raises:
        UnknownNameError: no such ablation.
        NumericsError: NaN or infinite logits; names the prompt.
        SettingsError: the input can't be split.
    """
    check_ablation(ablation)
    if split_input:
        model.check_split_input()
    graph = Graph(replace(model.graph_config, split_input=split_input))
    tokens = Tokens.of([pair.clean for pair in prompts.pairs], model.device)
    inputs, clean, clean_residual = _plain_run(model, graph, tokens)
    corrupted_tokens = Tokens.of([pair.corrupted for pair in prompts.pairs], model.device)
    _, corrupted, corrupted_residual = _plain_run(model, graph, corrupted_tokens)
    rows, columns, answers = _predictions(prompts, model.device)
    setting = Setting(
        model=model,
        graph=graph,
        prompts=prompts,
        ablation=ablation,
        tokens=tokens,
        inputs=inputs,
        ablated=_ablated(ablation, clean, corrupted, tokens),
        clean=clean,
        rows=rows,
        columns=columns,
        answers=answers,
        model_logits=model.logits(clean_residual[rows, columns]).double(),
        corrupted_logits=model.logits(corrupted_residual[rows, columns]).double(),
    )
    for which, logits in (("clean", setting.model_logits), ("corrupted", setting.corrupted_logits)):
        bad = ~logits.isfinite().all(-1)
        if bad.any():
            prediction = int(bad.nonzero()[0])
            raise NumericsError(
                f"{setting.prompt_of(prediction)}: the model's logits on the {which} prompt are NaN or infinite; "
                "try --dtype float32, or leave the prompt out."
            )
    return setting


def _plain_run(model: Model, graph: Graph, tokens: Tokens) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs, all nodes' outputs and the last residual of an unpatched run."""
    inputs = model.embed(tokens, split=graph.cfg.split_input)
    kept = torch.ones(graph.n_edges, dtype=torch.bool)
    unused = torch.zeros((), dtype=inputs.dtype, device=inputs.device)
    sources, residual = run_patched(
        model, graph, tokens, inputs, kept, unused.expand(graph.n_sources, *inputs.shape[1:])
    )
    return inputs, sources, residual


def _ablated(ablation: str, clean: Tensor, corrupted: Tensor, tokens: Tokens) -> Tensor:
    if ablation == "corrupted":
        return corrupted
    if ablation == "zero":
        return torch.zeros_like(clean)
    filled = tokens.filled[..., None].to(clean.dtype)  # [batch, pos, 1]
    mean = (clean * filled).sum(1, keepdim=True) / filled.sum(0).clamp(min=1)  # [n_sources, 1, pos, d_model]
    return mean.expand_as(clean)


def _predictions(prompts: PromptSet, device: torch.device) -> tuple[Tensor, Tensor, AnswerTokens]:
    """Prompt, position and answers of every prediction."""
    rows, columns, right, wrong = [], [], [], []
    for row, pair in enumerate(prompts.pairs):
        for i, position in enumerate(pair.answer_positions):
            rows.append(row)
            columns.append(position)
            right.append(pair.answers[i] if pair.answers else ())
            wrong.append(pair.wrong_answers[i] if pair.wrong_answers else ())
    return (
        torch.tensor(rows, device=device),
        torch.tensor(columns, device=device),
        AnswerTokens(_padded(right, device), _padded(wrong, device)),
    )


def _padded(lists: list[tuple[int, ...]], device: torch.device) -> Tensor:
    width = max(1, *(len(ids) for ids in lists))
    return torch.tensor([list(ids) + [-1] * (width - len(ids)) for ids in lists], device=device)
