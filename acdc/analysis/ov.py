"""What heads write of the tokens that they look at, through their OV circuits and straight to the logits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from acdc.analysis.named import Head, asked_heads, asked_prompts, check_setting, thawed
from acdc.analysis.patterns import FEW
from acdc.analysis.result import Result, Table
from acdc.analysis.tokenwise import as_added, read_out, spelled, values
from acdc.analysis.walking import as_numpy, chosen, layer_inputs
from acdc.asked import whole
from acdc.engine.setting import Setting
from acdc.errors import SettingsError
from acdc.explorer.seen import Likely
from acdc.models.model import Model
from acdc.models.tokens import Tokens
from acdc.models.torchstate import own_torch_state
from acdc.pairs.looking import ShownPair, shown_pair
from acdc.wording import one_line, shortened

_DRAWN, _LONGEST = 6, 14  # heads in a plot, and characters of a token there


@dataclass(frozen=True, repr=False)
class OvSummary(Result):
    """What heads write of each token of some clean prompts, and how much of it arrives.

    Logits are those that the head would add at a prompt's last answer position if it looked at the token alone, with
    the final norm's scale (and that of a norm behind the layer's heads) as it is there in the model's own run. From
    each is taken the mean over the outputs, which no prediction depends on.

    Attributes:
        heads: their names.
        prompts: numbers of the prompts in the setting, from 0.
        pairs: the prompts, token by token.
        positions: where what is written is read, ``[prompt]``.
        weights: how much the head looks from there at each position, ``[head, prompt, pos]``; NaN behind the end.
        own: logit of the token itself, ``[head, prompt, pos]``; NaN also where it is no output.
        highest, highest_logits: the tokens whose logits rise the most, ``[head, prompt, pos, top]``, and by how much.
            Behind a prompt's end the tokens are -1.
        lowest, lowest_logits: those whose logits fall the most, likewise.
        texts: how these tokens read.
    """

    title: ClassVar[str] = "What heads write of each token"

    heads: tuple[str, ...]
    prompts: tuple[int, ...]
    pairs: tuple[ShownPair, ...]
    positions: Int[np.ndarray, " prompt"]
    weights: Float[np.ndarray, "head prompt pos"]
    own: Float[np.ndarray, "head prompt pos"]
    highest: Int[np.ndarray, "head prompt pos top"]
    highest_logits: Float[np.ndarray, "head prompt pos top"]
    lowest: Int[np.ndarray, "head prompt pos top"]
    lowest_logits: Float[np.ndarray, "head prompt pos top"]
    texts: Mapping[int, str]

    def of(self, head: str, prompt: int) -> list[list[Likely]]:
        """For each source token of a prompt, by its number in the setting, the tokens that rise the most."""
        return self._named(head, prompt, self.highest, self.highest_logits)

    def lowest_of(self, head: str, prompt: int) -> list[list[Likely]]:
        """Likewise the tokens that fall the most, which say what a head suppresses."""
        return self._named(head, prompt, self.lowest, self.lowest_logits)

    def _named(
        self,
        head: str,
        prompt: int,
        tokens: Int[np.ndarray, "head prompt pos top"],
        logits: Float[np.ndarray, "head prompt pos top"],
    ) -> list[list[Likely]]:
        """One end of what a head writes on a prompt, up to the prompt's end."""
        at, row = self.heads.index(head), self.prompts.index(prompt)
        here = (at, row, slice(len(self.pairs[row].tokens)))
        return [
            [Likely(self.texts[int(token)], float(value)) for token, value in zip(*each, strict=True)]
            for each in zip(tokens[here], logits[here], strict=True)
        ]

    def table(self) -> Table:
        """A row for each head, prompt and source token.

        ``highest`` and ``lowest`` are tokens, strongest first; ``logit`` and ``lowest_logit`` those of the first.
        """
        columns = ("node", "prompt", "position", "token", "weight", "own", "highest", "logit", "lowest", "lowest_logit")
        rows = []
        for head, row in np.ndindex(self.own.shape[:2]):
            for at, token in enumerate(self.pairs[row].tokens):
                here = (head, row, at)
                rows.append(
                    (
                        self.heads[head],
                        self.prompts[row],
                        at,
                        token.clean,
                        float(self.weights[here]),
                        None if np.isnan(self.own[here]) else float(self.own[here]),
                        " ".join(self.texts[int(i)] for i in self.highest[here]),
                        float(self.highest_logits[here][0]),
                        " ".join(self.texts[int(i)] for i in self.lowest[here]),
                        float(self.lowest_logits[here][0]),
                    )
                )
        return Table(columns, rows)

    def figure(self, plt: Any) -> Any:
        """Of the first prompt and the first few heads: the logits of the highest, the lowest and the own token."""
        heads, n = self.heads[:_DRAWN], len(self.pairs[0].tokens)
        size = (7, 1.2 + 0.2 * n * len(heads))
        figure, axes = plt.subplots(len(heads), 1, figsize=size, squeeze=False, layout="constrained")
        for at, (axis, head) in enumerate(zip(axes[:, 0], heads, strict=True)):
            for tokens, logits, color in (
                (self.highest, self.highest_logits, "#0072B2"),
                (self.lowest, self.lowest_logits, "#D55E00"),
            ):
                axis.barh(range(n), logits[at, 0, :n, 0], color=color, height=0.7)
                for place in range(n):
                    value, text = logits[at, 0, place, 0], self.texts[int(tokens[at, 0, place, 0])]
                    side = "left" if value > 0 else "right"
                    axis.text(value, place, f" {_short(text)} ", ha=side, va="center", parse_math=False)
            axis.plot(self.own[at, 0, :n], range(n), "k|", label="the token itself")
            said = [
                f"{_short(token.clean)}  {self.weights[at, 0, i]:.2f}" for i, token in enumerate(self.pairs[0].tokens)
            ]
            axis.set_yticks(range(n), said, parse_math=False)
            axis.invert_yaxis()
            axis.margins(x=0.25)
            axis.set_title(f"{head}: what it writes of each token, and how much it looks there")
        axes[0, 0].legend(loc="lower right")
        axes[-1, 0].set_xlabel(f"logits at position {self.positions[0]} of prompt {self.prompts[0]}")
        return figure


def _short(text: str) -> str:
    return shortened(one_line(text), _LONGEST)


@own_torch_state()
@torch.no_grad()
def ov_summary(
    setting: Setting,
    heads: str | Iterable[str] | None = None,
    *,
    prompts: int | Sequence[int] | None = None,
    top: int = 5,
) -> OvSummary:
    """What heads write of each token of the task's clean prompts (Elhage et al. 2021, the OV circuit).

    For each source position it takes what the head reads there in the model's own run: the residual stream in front of
    its layer, so that what earlier layers have moved to a token counts as that token's.

    Args:
        setting: a model on prompts.
        heads: their names; by default all.
        prompts: numbers of prompts, from 0; by default the first few.
        top: tokens to name, those that rise and those that fall the most.

    Raises:
        UnknownNameError: no such node.
        SettingsError: a head, a prompt or a number that is out of range, or a model whose logits are more than a matrix
            and a bias of the normed residual (a soft cap is left out).
    """
    check_setting(setting)
    setting = thawed(setting)
    model, nodes = setting.model, asked_heads(setting.graph, heads)
    numbers = asked_prompts(len(setting.prompts), prompts, FEW)
    top = asked_top(top, model)
    pairs = tuple(shown_pair(setting.prompts.pairs[number], model.tokenizer) for number in numbers)
    shape = (len(nodes), len(numbers), max(len(pair.tokens) for pair in pairs))
    weights, own = np.full(shape, np.nan), np.full(shape, np.nan)
    tokens = np.full((2, *shape, top), -1)
    logits = np.full((2, *shape, top), np.nan)
    last = np.array([setting.prompts.pairs[number].answer_positions[-1] for number in numbers])
    for places, clean, _ in chosen(setting, numbers):
        residual = setting.contributions.clean_residual[[numbers[place] for place in places]]
        for at, found in enumerate(_written(model, clean, nodes, residual, last[places])):
            head_weights, written = found
            for row, (place, length) in enumerate(zip(places, clean.lengths, strict=True)):
                here = (at, place, slice(length))
                weights[here] = as_numpy(head_weights[row, :length])
                rises = centred(model, read_out(model, written[row, :length]))
                own[here] = own_logits(rises, clean.ids[row, :length])
                both = (slice(None), *here)
                tokens[both], logits[both] = extremes(model, rises, top)
    names = {int(i) for i in np.unique(tokens[tokens >= 0])}
    return OvSummary(
        tuple(node.name for node in nodes),
        numbers,
        pairs,
        last,
        weights,
        own,
        tokens[0],
        logits[0],
        tokens[1],
        logits[1],
        dict(zip(sorted(names), spelled(model, sorted(names)), strict=True)),
    )


def asked_top(top: Any, model: Model) -> int:
    """How many tokens to name. Raises :class:`SettingsError`."""
    if not 1 <= whole("top", top) <= model.n_outputs:
        raise SettingsError(f"`top` must be 1 to {model.n_outputs}, the model's outputs, not {top}.")
    return int(top)


def centred(model: Model, logits: Float[Tensor, "place n_outputs"]) -> Float[Tensor, "place n_outputs"]:
    """Logits without their mean over the outputs that the model can give."""
    if model.dead is None:
        return logits - logits.mean(-1, keepdim=True)
    return logits - logits[:, ~model.dead].mean(-1, keepdim=True)


def own_logits(logits: Float[Tensor, "place n_outputs"], ids: Int[Tensor, " place"]) -> Float[np.ndarray, " place"]:
    """The logit of each place's own token; NaN where it is no output."""
    is_output = ids < logits.shape[-1]
    found = logits.gather(-1, ids.clamp(max=logits.shape[-1] - 1)[:, None])[:, 0]
    return as_numpy(found.masked_fill(~is_output, torch.nan))


def extremes(
    model: Model, logits: Float[Tensor, "place n_outputs"], top: int
) -> tuple[Int[np.ndarray, "2 place top"], Float[np.ndarray, "2 place top"]]:
    """The tokens of the highest logits and of the lowest, strongest first, and these."""
    alive = torch.zeros_like(logits[0]) if model.dead is None else torch.where(model.dead, torch.nan, 0.0)
    found = [(sign * logits + alive).nan_to_num(-torch.inf).topk(top) for sign in (1, -1)]
    tokens = np.stack([each.indices.cpu().numpy() for each in found])
    return tokens, np.stack([sign * as_numpy(each.values) for sign, each in zip((1, -1), found, strict=True)])


def _written(
    model: Model,
    tokens: Tokens,
    nodes: Sequence[Head],
    residual: Float[Tensor, "prompt pos d_model"],
    last: Int[np.ndarray, " prompt"],
) -> Iterator[tuple[Float[Tensor, "prompt pos"], Float[Tensor, "prompt pos d_model"]]]:
    """Of each head: its attention from some positions, and what it writes there of each position, behind all norms.

    Args:
        model: the model.
        tokens: the prompts.
        nodes: the heads, in the graph's order.
        residual: the last residual stream.
        last: the positions, one a prompt.
    """
    rows, columns = torch.arange(len(last)), torch.as_tensor(last)
    final = model.final_norm
    at_end = residual[rows, columns]
    scale = 1.0 if final.kind == "none" else final.inverse_scale(at_end)[:, None]  # [prompt, 1, 1]
    for layer, x in enumerate(layer_inputs(model, tokens, max(node.layer for node in nodes) + 1)):
        attention, table, filled = model.attention[layer], model.table(layer, tokens), tokens.filled
        here = [node for node in nodes if node.layer == layer]
        gain: Tensor | float = 1.0
        if here and attention.post_norm.kind != "none":
            heads = [attention.head(head, x, x, x, table, filled)[rows, columns] for head in range(attention.n_heads)]
            total = torch.stack(heads).sum(0)
            total = total if attention.b_O is None else total + attention.b_O
            gain = attention.post_norm.inverse_scale(total)[:, None]
        for node in here:
            weights = attention.pattern(node.head, x, x, table, filled)[rows, columns]
            yield weights, as_added(attention, values(model, node, x, tokens), gain) * scale
