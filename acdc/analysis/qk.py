"""Which tokens heads look for: the QK circuit on the task's tokens, and the attention on its prompts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from acdc.analysis.named import Head, asked_heads, check_setting, thawed
from acdc.analysis.result import Result, Table
from acdc.analysis.tokenwise import spelled, token_inputs
from acdc.analysis.walking import as_numpy, patterns
from acdc.asked import whole
from acdc.engine.setting import Setting
from acdc.errors import SettingsError
from acdc.models.model import Model
from acdc.models.tokens import Tokens
from acdc.models.torchstate import own_torch_state
from acdc.wording import one_line, shortened

#: Tokens that are looked at where no number is given: the most frequent in the prompts.
MOST = 40
_DRAWN, _LONGEST = 4, 12  # heads in a plot, and characters of a token there


@dataclass(frozen=True, repr=False)
class QkSummary(Result):
    """How much heads look from each token to each other one, by the tokens alone and on the clean prompts.

    Attributes:
        heads: their names.
        tokens: token ids, the most frequent first. texts: how they read.
        scores: attention scores by the tokens alone, ``[head, query, key]``, in front of the softmax and without their
            mean over the keys, which the softmax doesn't see.
        weights: mean attention over the places where the two tokens meet in the prompts, likewise; NaN where there
            are none.
        meetings: how many such places there are, ``[query, key]``.
    """

    title: ClassVar[str] = "Which tokens heads look for"

    heads: tuple[str, ...]
    tokens: Int[np.ndarray, " token"]
    texts: tuple[str, ...]
    scores: Float[np.ndarray, "head token token"]
    weights: Float[np.ndarray, "head token token"]
    meetings: Int[np.ndarray, "token token"]

    def table(self) -> Table:
        """A row for each head and pair of tokens that meet, the most attended pairs of each head first."""
        columns = ("node", "query", "key", "weight", "score", "meetings")
        rows = []
        for at, head in enumerate(self.heads):
            pairs = np.argwhere(self.meetings > 0)
            order = np.argsort(-self.weights[at][tuple(pairs.T)], kind="stable")
            for q, k in pairs[order]:
                numbers = float(self.weights[at, q, k]), float(self.scores[at, q, k]), int(self.meetings[q, k])
                rows.append((head, self.texts[q], self.texts[k], *numbers))
        return Table(columns, rows)

    def figure(self, plt: Any) -> Any:
        """Of the first few heads: scores by the tokens alone, and attention on the prompts."""
        heads, n = self.heads[:_DRAWN], len(self.tokens)
        width = 1.5 + 0.16 * n
        figure, axes = plt.subplots(
            len(heads), 2, figsize=(2 * width, width * len(heads)), squeeze=False, layout="constrained"
        )
        texts = [shortened(one_line(text), _LONGEST) for text in self.texts]
        for at, (head, row) in enumerate(zip(heads, axes, strict=True)):
            most = np.abs(self.scores[at]).max() or 1.0
            scores = row[0].imshow(self.scores[at], vmin=-most, vmax=most, cmap="RdBu_r")
            weights = row[1].imshow(self.weights[at], vmin=0, vmax=1)
            for axis, image, name in zip(row, (scores, weights), ("score", "attention on the prompts"), strict=True):
                axis.set_title(f"{head}: {name}")
                axis.set_xticks(range(n), texts, rotation=90, parse_math=False, fontsize=6)
                axis.set_yticks(range(n), texts, parse_math=False, fontsize=6)
                axis.grid(visible=False)
                figure.colorbar(image, ax=axis, shrink=0.7)
        figure.supxlabel("key")
        figure.supylabel("query")
        return figure


@own_torch_state()
@torch.no_grad()
def qk_summary(
    setting: Setting,
    heads: str | Iterable[str] | None = None,
    *,
    most: int = MOST,
    distance: int = 1,
    first_mlp: bool = True,
) -> QkSummary:
    """Which pairs of the task's tokens heads attend to (Elhage et al. 2021, the QK circuit), and do on its prompts.

    A score by the tokens alone is that of a query and a key which both read a token's embedding without its position,
    and for heads behind the first MLP also what that writes of it.

    Args:
        setting: a model on prompts.
        heads: their names; by default all.
        most: tokens to look at, the most frequent in the clean prompts.
        distance: how many positions behind the key the query stands, where the model turns both by their positions.
        first_mlp: with the first MLP.

    Raises:
        UnknownNameError: no such node.
        SettingsError: a head or a number that is out of range.
    """
    check_setting(setting)
    setting = thawed(setting)
    model, nodes = setting.model, asked_heads(setting.graph, heads)
    if whole("most", most) < 1:
        raise SettingsError(f"`most` must be at least 1 token, not {most}.")
    distance = asked_distance(distance, model)
    counts = Counter(token for pair in setting.prompts.pairs for token in pair.clean)
    ids = np.array([token for token, _ in counts.most_common(most)], dtype=np.int64)
    read = token_inputs(model, ids, nodes, first_mlp=first_mlp)
    scores = []
    for node in nodes:
        x = read[node.layer]
        found = scored(model, node, queries(model, node, x, distance), keys(model, node, x, distance))
        scores.append(as_numpy(found - found.mean(-1, keepdim=True)))
    weights, meetings = _met(setting, nodes, ids)
    return QkSummary(
        tuple(node.name for node in nodes),
        ids,
        tuple(spelled(model, ids.tolist())),
        np.stack(scores),
        weights,
        meetings,
    )


def asked_distance(distance: Any, model: Model) -> int:
    """How far a query stands behind its key. Raises :class:`SettingsError`."""
    longest = None if model.n_ctx is None else model.n_ctx - 1
    if whole("distance", distance) < 0 or (longest is not None and distance > longest):
        said = "at least 0" if longest is None else f"0 to {longest}"
        raise SettingsError(f"`distance` must be {said} positions, not {distance}.")
    return int(distance)


def queries(
    model: Model, node: Head, x: Float[Tensor, "token d_model"], distance: int
) -> Float[Tensor, "token d_head"]:
    """Queries of tokens that stand so many positions behind their key, from what the head's slot reads of them."""
    everywhere, tokens = _at_all_positions(x, distance)  # the same at all
    return model.attention[node.layer].query(node.head, everywhere, model.table(node.layer, tokens))[:, -1]


def keys(model: Model, node: Head, x: Float[Tensor, "token d_model"], distance: int) -> Float[Tensor, "token d_head"]:
    """Keys of tokens that stand so many positions before their query, likewise."""
    attention, (everywhere, tokens) = model.attention[node.layer], _at_all_positions(x, distance)
    table = model.table(node.layer, tokens)  # of the whole length
    return attention.key(attention.group(node.head), everywhere[:, :1], table)[:, 0]


def _at_all_positions(x: Tensor, distance: int) -> tuple[Tensor, Tokens]:
    n = distance + 1
    return x[:, None].expand(-1, n, -1), Tokens(
        torch.zeros(len(x), n, dtype=torch.long, device=x.device), (n,) * len(x)
    )


def scored(
    model: Model, node: Head, query: Float[Tensor, "query d_head"], key: Float[Tensor, "key d_head"]
) -> Float[Tensor, "query key"]:
    """Scores as the softmax takes them, but for biases by distance, which are the same for all keys here."""
    attention = model.attention[node.layer]
    scores = attention.scale * (query @ key.T)
    return scores if attention.soft_cap is None else attention.soft_cap * torch.tanh(scores / attention.soft_cap)


def _met(
    setting: Setting, nodes: list[Head], ids: Int[np.ndarray, " token"]
) -> tuple[Float[np.ndarray, "head token token"], Int[np.ndarray, "token token"]]:
    """Mean attention between tokens over the places of the clean prompts where they meet, and how many these are."""
    model, n = setting.model, len(ids)
    number = torch.full((model.vocab_size,), n)  # of each token among those looked at; n for the others
    number[torch.from_numpy(ids)] = torch.arange(n)
    total = torch.zeros(len(nodes), (n + 1) ** 2, dtype=torch.float64)
    count = torch.zeros((n + 1) ** 2, dtype=torch.int64)
    for part in setting.parts():
        tokens, filled = part.tokens, part.tokens.filled.cpu()
        own = number[tokens.ids.cpu()].masked_fill(~filled, n)
        pair = (n + 1) * own[:, :, None] + own[:, None, :]  # [prompt, pos_q, pos_k]
        if model.looks_back:
            behind = torch.ones(pair.shape[1:], dtype=torch.bool).triu(1)  # the query
            pair.masked_fill_(behind, (n + 1) ** 2 - 1)
        flat = pair.flatten()
        count += torch.bincount(flat, minlength=(n + 1) ** 2)
        for at, (_, pattern) in enumerate(patterns(model, tokens, nodes)):
            total[at].index_add_(0, flat, pattern.nan_to_num().double().cpu().flatten())
    total, count = total.unflatten(-1, (n + 1, n + 1))[:, :n, :n], count.unflatten(0, (n + 1, n + 1))[:n, :n]
    means = torch.where(count > 0, total / count.clamp(min=1), torch.nan)
    return means.numpy(), count.numpy()
