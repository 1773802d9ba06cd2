"""OV and QK circuits on the whole vocabulary, a block of tokens at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from acdc.analysis import qk
from acdc.analysis.named import asked_heads, thawed
from acdc.analysis.ov import asked_top
from acdc.analysis.result import Result, Table
from acdc.analysis.tokenwise import all_tokens, as_added, read_out, spelled, task_tokens, token_inputs, values
from acdc.analysis.walking import as_numpy
from acdc.asked import shown, whole
from acdc.engine.setting import Setting
from acdc.errors import SettingsError
from acdc.graph import Graph
from acdc.models.model import Model
from acdc.models.tokens import Tokens
from acdc.models.torchstate import own_torch_state

_NUMBERS = 1 << 25  # of a block: tokens times outputs, or times the width of the residual stream
_QUERIES = 20


@dataclass(frozen=True, repr=False)
class OvVocabulary(Result):
    """What heads write of every token of the vocabulary.

    Attributes:
        heads: their names.
        tokens: token ids, ``[token]``.
        ranks: of how many outputs the logit is higher than the token's own, ``[head, token]``; -1 where that is none.
        lows: of how many it is lower, likewise.
        highest: the tokens whose logits rise the most, ``[head, token, top]``.
        n_outputs: how many outputs there are.
        texts: how tokens read.
    """

    title: ClassVar[str] = "What heads write of every token"

    heads: tuple[str, ...]
    tokens: Int[np.ndarray, " token"]
    ranks: Int[np.ndarray, "head token"]
    lows: Int[np.ndarray, "head token"]
    highest: Int[np.ndarray, "head token top"]
    n_outputs: int
    texts: Mapping[int, str]

    def copied(self, among: int = 5) -> Float[np.ndarray, " head"]:
        """Share of tokens whose own logit is among so many highest, of those that are outputs."""
        return _share(self.ranks, among)

    def suppressed(self, among: int = 5) -> Float[np.ndarray, " head"]:
        """Share of tokens whose own logit is among so many lowest."""
        return _share(self.lows, among)

    def table(self) -> Table:
        """A row for each head and token."""
        columns = ("node", "token", "rank of own logit", "highest")
        rows = [
            (
                head,
                self.texts[int(token)],
                None if self.ranks[at, i] < 0 else int(self.ranks[at, i]),
                " ".join(self.texts[int(each)] for each in self.highest[at, i]),
            )
            for at, head in enumerate(self.heads)
            for i, token in enumerate(self.tokens)
        ]
        return Table(columns, rows)

    def figure(self, plt: Any) -> Any:
        """How often a token's own logit is at which place among all outputs: copying to the left, suppression right."""
        figure, axes = plt.subplots(figsize=(5, 3), layout="constrained")
        places = np.linspace(0, 1, 200)
        for at, head in enumerate(self.heads[:10]):
            ranks = self.ranks[at][self.ranks[at] >= 0] / max(1, self.n_outputs - 1)
            axes.plot(places, np.searchsorted(np.sort(ranks), places, side="right") / max(1, len(ranks)), label=head)
        axes.plot((0, 1), (0, 1), "k:", linewidth=0.8)
        axes.set_xlabel("place of the token's own logit, from the highest (0) to the lowest (1)")
        axes.set_ylabel("share of tokens")
        axes.legend()
        return figure


@dataclass(frozen=True, repr=False)
class QkVocabulary(Result):
    """Which tokens of the whole vocabulary heads look for from some tokens, by the tokens alone.

    Attributes:
        heads: their names.
        queries: token ids, ``[query]``.
        keys: ids of the tokens of the highest scores, ``[head, query, top]``.
        scores: these, less the mean over the vocabulary, likewise.
        texts: how tokens read.
    """

    title: ClassVar[str] = "Which tokens of the vocabulary heads look for"

    heads: tuple[str, ...]
    queries: Int[np.ndarray, " query"]
    keys: Int[np.ndarray, "head query top"]
    scores: Float[np.ndarray, "head query top"]
    texts: Mapping[int, str]

    def table(self) -> Table:
        """A row for each head, query and key."""
        rows = [
            (self.heads[at], self.texts[int(self.queries[q])], self.texts[int(key)], float(self.scores[at, q, place]))
            for (at, q, place), key in np.ndenumerate(self.keys)
        ]
        return Table(("node", "query", "key", "score"), rows)

    def figure(self, plt: Any) -> Any:
        """The highest score of each query, by head."""
        figure, axes = plt.subplots(figsize=(5, 0.6 + 0.2 * len(self.queries)), layout="constrained")
        for at, head in enumerate(self.heads[:10]):
            axes.plot(self.scores[at, :, 0], range(len(self.queries)), "o", label=head)
        axes.set_yticks(range(len(self.queries)), [self.texts[int(q)] for q in self.queries], parse_math=False)
        axes.set_xlabel("highest score of a key, less the mean")
        axes.legend()
        return figure


@own_torch_state()
@torch.no_grad()
def ov_vocabulary(
    on: Setting | Model,
    heads: str | Iterable[str],
    *,
    tokens: Iterable[int] | None = None,
    top: int = 5,
    first_mlp: bool = True,
) -> OvVocabulary:
    """What heads write of each token by itself, and where its own logit stands among all outputs'.

    As :func:`acdc.analysis.copying.copying` has it, but among the full vocabulary, as in Wang et al. 2022
    (arXiv 2211.00593) and McDougall et al. 2023 (arXiv 2310.04625). The work is that of unembedding as many
    positions as there are tokens, for each head.

    Args:
        on: a model on prompts, or a model alone.
        heads: their names.
        tokens: ids; by default all but special ones.
        top: tokens to name.
        first_mlp: with the first MLP, for heads behind it.

    Raises:
        UnknownNameError: no such node.
        SettingsError: a head, a token or a number that is out of range, or logits that are more than a matrix of the
            normed residual.
    """
    model = _model(on)
    nodes, top = asked_heads(Graph(model.graph_config), heads), asked_top(top, model)
    ids = all_tokens(model) if tokens is None else _asked_tokens(model, tokens)
    ranks, lows = (np.full((len(nodes), len(ids)), -1) for _ in range(2))
    highest = np.zeros((len(nodes), len(ids), top), dtype=np.int64)
    for some in _blocks(len(ids), max(model.n_outputs, model.graph_config.d_model)):
        block = ids[some]
        alone = Tokens(torch.as_tensor(block, device=model.device)[:, None], (1,) * len(block))
        read = token_inputs(model, block, nodes, first_mlp=first_mlp)
        is_output = block < model.n_outputs
        for at, node in enumerate(nodes):
            written = values(model, node, read[node.layer][:, None], alone)[:, 0]
            logits = read_out(model, as_added(model.attention[node.layer], written, 1.0))
            own = logits.gather(-1, alone.ids.clamp(max=model.n_outputs - 1))
            alive = slice(None) if model.dead is None else ~model.dead
            for made, others in ((ranks, logits > own), (lows, logits < own)):
                made[at, some] = np.where(is_output, others[:, alive].sum(-1).cpu().numpy(), -1)
            if model.dead is not None:
                logits = logits.masked_fill(model.dead, -torch.inf)
            highest[at, some] = logits.topk(top).indices.cpu().numpy()
    n_outputs = model.n_outputs if model.dead is None else int((~model.dead).sum())
    return OvVocabulary(_names(nodes), ids, ranks, lows, highest, n_outputs, _texts(model, ids, highest))


@own_torch_state()
@torch.no_grad()
def qk_vocabulary(
    on: Setting | Model,
    heads: str | Iterable[str],
    *,
    queries: Iterable[int] | None = None,
    top: int = 10,
    distance: int = 1,
    first_mlp: bool = True,
) -> QkVocabulary:
    """For which tokens of the vocabulary heads score highest from some tokens; see :func:`acdc.analysis.qk.qk_summary`.

    Args:
        on: a model on prompts, or a model alone.
        heads: their names.
        queries: token ids; by default the first twenty of a setting's tokens.
        top: keys to name.
        distance: how many positions behind the key the query stands, where the model turns both by their positions.
        first_mlp: with the first MLP, for heads behind it.

    Raises:
        UnknownNameError: no such node.
        SettingsError: a head, a token or a number that is out of range, or no queries for a model alone.
    """
    model = _model(on)
    nodes, distance = asked_heads(Graph(model.graph_config), heads), qk.asked_distance(distance, model)
    if queries is None and not isinstance(on, Setting):
        raise SettingsError("a model alone has no task whose tokens could be asked from; give `queries`, token ids.")
    asked = task_tokens(on)[:_QUERIES] if queries is None else _asked_tokens(model, queries)  # type: ignore[arg-type]
    ids = all_tokens(model)
    if not 1 <= whole("top", top) <= len(ids):
        raise SettingsError(f"`top` must be 1 to {len(ids)}, the tokens that there are, not {top}.")
    read = token_inputs(model, asked, nodes, first_mlp=first_mlp)
    asking = [qk.queries(model, node, read[node.layer], distance) for node in nodes]
    found: list[list[Tensor]] = [[] for _ in nodes]
    for some in _blocks(len(ids), model.graph_config.d_model):
        read = token_inputs(model, ids[some], nodes, first_mlp=first_mlp)
        for node, query, made in zip(nodes, asking, found, strict=True):
            made.append(qk.scored(model, node, query, qk.keys(model, node, read[node.layer], distance)))
    every = torch.stack([torch.cat(made, 1) for made in found])  # [head, query, token]
    best = every.topk(top)
    keys, scores = ids[best.indices.cpu().numpy()], as_numpy(best.values - every.mean(-1, keepdim=True))
    return QkVocabulary(_names(nodes), asked, keys, scores, _texts(model, asked, keys))


def _model(on: Any) -> Model:
    if isinstance(on, Setting):
        return thawed(on.model)
    if not isinstance(on, Model):
        raise SettingsError(f"a look at the vocabulary takes a setting of `acdc.set_up` or a model, not {shown(on)}.")
    return thawed(on)


def _asked_tokens(model: Model, tokens: Iterable[Any]) -> Int[np.ndarray, " token"]:
    """Token ids as they are asked for. Raises :class:`SettingsError`."""
    if not isinstance(tokens, Iterable) or isinstance(tokens, str):
        raise SettingsError(f"tokens are asked for by a list of token ids, not {shown(tokens)}.")
    ids = [whole("tokens", token) for token in tokens]
    for token in ids:
        if not 0 <= token < model.vocab_size:
            raise SettingsError(f"there is no token {token}; token ids are 0 to {model.vocab_size - 1}.")
    if not ids:
        raise SettingsError("no tokens are asked for; give at least one token id, or leave them out.")
    return np.array(ids, dtype=np.int64)


def _blocks(n: int, width: int) -> Iterator[slice]:
    """Blocks of so many rows of a width as memory has room for."""
    rows = max(1, _NUMBERS // width)
    return (slice(start, min(start + rows, n)) for start in range(0, n, rows))


def _share(ranks: np.ndarray, among: int) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return ((ranks >= 0) & (ranks < whole("among", among))).sum(1) / (ranks >= 0).sum(1)


def _names(nodes: Sequence[Any]) -> tuple[str, ...]:
    return tuple(node.name for node in nodes)


def _texts(model: Model, *ids: np.ndarray) -> dict[int, str]:
    used = sorted({int(token) for some in ids for token in np.unique(some)})
    return dict(zip(used, spelled(model, used), strict=True))
