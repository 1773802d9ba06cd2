"""Logit lens: what the model would predict if it ended behind each layer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, Float64, Int, Int64
from torch import Tensor

from acdc.analysis.answers import best, places
from acdc.analysis.named import check_setting, thawed
from acdc.analysis.result import Cell, Result, Table
from acdc.analysis.walking import layer_inputs
from acdc.engine.setting import Setting
from acdc.equality import OfArrays
from acdc.metrics import AnswerTokens
from acdc.models.torchstate import own_torch_state
from acdc.pairs.tokenizer import text_of
from acdc.wording import shortened


@dataclass(frozen=True)
class SeenAnswers(OfArrays):
    """One answer of each prediction through the lens.

    Attributes:
        tokens: the answers, as token ids, ``[prediction]``.
        logits: ``[depth, prediction]``.
        probabilities: likewise.
        ranks: likewise; 1 for the likeliest token.
    """

    tokens: Int64[np.ndarray, " prediction"]
    logits: Float64[np.ndarray, "depth prediction"]
    probabilities: Float64[np.ndarray, "depth prediction"]
    ranks: Int64[np.ndarray, "depth prediction"]


@dataclass(frozen=True)
class LogitLens(Result):
    """The residual stream at answer positions, read out behind every layer.

    Attributes:
        depths: what the rows are called: ``input`` (the embedding), then a layer each, behind it; the last is the
            model's own prediction.
        right, wrong: the best right and the best wrong answer of the whole model, where there are such.
        top_tokens: the likeliest token, ``[depth, prediction]``.
        top_probabilities: its probability, likewise.
        words: text of every one of these tokens.
        prompts, positions: the prompt and the position of each prediction, ``[prediction]``.
    """

    title: ClassVar = "Logit lens"

    depths: tuple[str, ...]
    right: SeenAnswers | None
    wrong: SeenAnswers | None
    top_tokens: Int64[np.ndarray, "depth prediction"]
    top_probabilities: Float64[np.ndarray, "depth prediction"]
    words: Mapping[int, str]
    prompts: Int[np.ndarray, " prediction"]
    positions: Int[np.ndarray, " prediction"]

    @property
    def difference(self) -> Float64[np.ndarray, "depth prediction"] | None:
        """The right answer's logit minus the wrong one's, where there are both."""
        return None if self.right is None or self.wrong is None else self.right.logits - self.wrong.logits

    def table(self) -> Table:
        """A row a layer: means over the predictions, medians of ranks, and what is most often the likeliest token."""
        columns, numbers = ["layer"], []
        if (difference := self.difference) is not None:
            columns.append("difference")
            numbers.append(difference.mean(1))
        for name, seen in (("right", self.right), ("wrong", self.wrong)):
            if seen is not None:
                columns += [f"{name} logit", f"{name} probability", f"{name} rank"]
                numbers += [seen.logits.mean(1), seen.probabilities.mean(1), np.median(seen.ranks, axis=1)]
        rows: list[tuple[Cell, ...]] = []
        for depth, tokens in enumerate(self.top_tokens.tolist()):
            (token, times), *_ = Counter(tokens).most_common(1)
            values = (float(number[depth]) for number in numbers)
            rows.append((self.depths[depth], *values, self.words[token], times / len(tokens)))
        return Table((*columns, "likeliest token", "of predictions"), rows)

    def figure(self, plt: Any) -> Any:
        """By layer the mean logit difference and the answers' median ranks; or the likeliest token's probability."""
        seen = [("right answer", self.right, "#1b7837", "o"), ("wrong answer", self.wrong, "#b2182b", "s")]
        ranked = [(label, each.ranks, colour, to) for label, each, colour, to in seen if each is not None]
        figure, panels = plt.subplots(2 if ranked else 1, 1, figsize=(5.0, 4.4 if ranked else 2.5), squeeze=False)
        axes, at = panels[:, 0], np.arange(len(self.depths))
        if (difference := self.difference) is None:
            axes[0].plot(at, self.top_probabilities.mean(1), "o-", color="#2166ac")
            axes[0].set_ylabel("likeliest token's probability")
        else:
            axes[0].plot(at, difference.mean(1), "o-", color="#2166ac")
            axes[0].axhline(0, color="black", linewidth=0.6)
            axes[0].set_ylabel("logit difference, mean")
        for label, ranks, colour, marker in ranked:
            axes[-1].plot(at, np.median(ranks, axis=1), f"{marker}-", color=colour, label=label)
        if ranked:
            axes[-1].set_yscale("log")
            axes[-1].invert_yaxis()
            axes[-1].set_ylabel("rank, median")
            axes[-1].legend(fontsize=7)
        for each in axes:
            step = -(-len(at) // 16)
            each.set_xticks(at[::step], self.depths[::step])
        axes[-1].set_xlabel("behind layer")
        axes[0].set_title(self.title)
        figure.tight_layout()
        return figure


@own_torch_state()
@torch.no_grad()
def logit_lens(setting: Setting) -> LogitLens:
    """Read the residual stream of the clean prompts behind every layer as if it were the last.

    The final norm and the unembedding (with scale and soft cap, where the model has them) are applied to the
    embedding and to the stream behind each layer, at the positions of answers (nostalgebraist 2020, "interpreting
    GPT: the logit lens"; see Belrose et al. 2023, arXiv 2303.08112, for what it can mislead in: early layers needn't
    write in the basis of the last). The norm is the stream's own at each depth. Answers are those of the largest
    logit in the whole model; without any, the likeliest token is shown alone.

        >>> logit_lens(setting).difference.mean(1)  # doctest: +SKIP
        array([0.02, 0.05, 0.31, 2.84, 3.62])

    Args:
        setting: model and prompts; what is ablated has no part in it.
    """
    check_setting(setting)
    setting = thawed(setting)  # or the last norm would not be the stream's own
    model, given = setting.model, setting.contributions
    answers = _answers(setting)
    chunks: list[list[tuple[Tensor, ...]]] = []
    for rows in given.chunks:
        scored = setting.scored(rows)
        prompt, position = setting.rows[scored] - rows.start, setting.columns[scored]
        found = []
        for x in chain(layer_inputs(model, setting.tokens[rows]), [given.clean_residual[rows]]):
            logits = model.logits(x[prompt, position]).double()
            found.append(_read(logits, [tokens[scored] for tokens in answers.values()]))
        chunks.append(found)
    # [chunk][depth][kind] -> [kind] of [depth, prediction]
    kinds = zip(*(zip(*depth, strict=True) for depth in zip(*chunks, strict=True)), strict=True)
    top_tokens, top_probabilities, *values = (
        np.stack([torch.cat(depth).cpu().numpy() for depth in kind]) for kind in kinds
    )
    seen = {
        name: SeenAnswers(tokens.cpu().numpy(), *values[3 * i : 3 * i + 3])
        for i, (name, tokens) in enumerate(answers.items())
    }
    prompts, positions = places(setting)
    return LogitLens(
        depths=("input", *map(str, range(setting.graph.cfg.n_layers))),
        right=seen.get("right"),
        wrong=seen.get("wrong"),
        top_tokens=top_tokens,
        top_probabilities=top_probabilities,
        words={token: _word(token, model.tokenizer) for token in np.unique(top_tokens).tolist()},
        prompts=prompts,
        positions=positions,
    )


def _answers(setting: Setting) -> dict[str, Int[Tensor, " prediction"]]:
    """The answers that every pair names."""
    given: AnswerTokens = setting.answers
    found = {}
    if setting.prompts.has_answers:
        found["right"] = best(setting.model_logits, given.right)
    if setting.prompts.has_wrong_answers:
        found["wrong"] = best(setting.model_logits, given.wrong)
    return found


def _word(token: int, tokenizer: Any | None) -> str:
    return str(token) if tokenizer is None else shortened(text_of([token], tokenizer))


def _read(
    logits: Float[Tensor, "prediction n_outputs"], answers: list[Int[Tensor, " prediction"]]
) -> tuple[Tensor, ...]:
    """The likeliest token and its probability; then of each answer its logit, its probability and its rank."""
    probabilities = logits.softmax(-1)
    highest = probabilities.max(-1)
    found = [highest.indices, highest.values]
    for tokens in answers:
        logit = logits.gather(-1, tokens[:, None])
        found += [logit[:, 0], probabilities.gather(-1, tokens[:, None])[:, 0], 1 + (logits > logit).sum(-1)]
    return tuple(found)
