"""Head attribution: what a head's direct share comes from, and where it looks because of whom; one level deep."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float64, Int

from acdc.analysis.answers import answers_of, places
from acdc.analysis.apart import Block, Parts
from acdc.analysis.direct import CONSTANT, direct_attribution
from acdc.analysis.named import Head, asked_heads, check_setting, thawed
from acdc.analysis.result import Cell, Result, Table
from acdc.analysis.walking import layer_inputs
from acdc.engine.setting import Setting
from acdc.equality import OfArrays
from acdc.models.torchstate import own_torch_state

#: Heads that are taken apart where none is named.
STRONGEST = 5
_SHOWN = 8  # bars of a picture


@dataclass(frozen=True)
class Split(OfArrays):
    """A number of every head and prediction, split by the nodes that it comes from.

    Attributes:
        total: what is split, ``[head, prediction]``.
        by_node: the share of each node, ``[head, n_sources, prediction]``; NaN for nodes that write behind the head.
        constant: what belongs to no node: biases, and constants of the residual stream, ``[head, prediction]``.
    """

    total: Float64[np.ndarray, "head prediction"]
    by_node: Float64[np.ndarray, "head n_sources prediction"]
    constant: Float64[np.ndarray, "head prediction"]


@dataclass(frozen=True)
class HeadAttribution(Result):
    """Some heads, taken apart on the clean prompts at the positions of answers.

    Attributes:
        heads: their names.
        nodes: names of the nodes that things are split by.
        by_position: of the head's direct share in the logit difference, what it moves from each position,
            ``[head, prediction, pos]``; adds up to ``value.total``. NaN behind a prompt's end.
        pattern: how much the head looks at each position from where the answer is read, likewise.
        value: the direct share by what its values are made of, in logits.
        looked_at: the position whose part in `by_position` is largest in size, ``[head, prediction]``.
        query: how far the head's attention score there is above its mean over all positions that it can see, by what
            the query is made of; scores are those in front of the softmax, a soft cap and ALiBi's bias.
        key: the same by what the key there, and the mean of the others, is made of.
        prompts, positions: the prompt and the position of each prediction, ``[prediction]``.
    """

    title: ClassVar = "Head attribution"

    heads: tuple[str, ...]
    nodes: tuple[str, ...]
    by_position: Float64[np.ndarray, "head prediction pos"]
    pattern: Float64[np.ndarray, "head prediction pos"]
    value: Split
    looked_at: Int[np.ndarray, "head prediction"]
    query: Split
    key: Split
    prompts: Int[np.ndarray, " prediction"]
    positions: Int[np.ndarray, " prediction"]

    def table(self) -> Table:
        """Rows of each head: through v by position; through v, q and k by node. Means over the predictions.

        Through v these are logits of the answers' difference, through q and k attention scores.
        """
        rows: list[tuple[Cell, ...]] = []
        for i, head in enumerate(self.heads):
            for position in range(self.by_position.shape[-1]):
                here = self.by_position[i, :, position]
                if not np.isnan(here).all():
                    rows.append((head, "v", "position", str(position), float(np.nanmean(here))))
            for letter, split in (("v", self.value), ("q", self.query), ("k", self.key)):
                for node, values in zip(self.nodes, split.by_node[i], strict=True):
                    if not np.isnan(values).any():
                        rows.append((head, letter, "node", node, float(values.mean())))
                rows.append((head, letter, "node", CONSTANT, float(split.constant[i].mean())))
                rows.append((head, letter, "total", "", float(split.total[i].mean())))
        return Table(("node", "through", "by", "source", "mean"), rows)

    def strongest(self, head: str, letter: str, n: int = 5) -> list[tuple[str, float]]:
        """The nodes of the largest mean share in size, in what a head reads through ``q``, ``k`` or ``v``."""
        split = {"q": self.query, "k": self.key, "v": self.value}[letter]
        shares = split.by_node[self.heads.index(head)].mean(1)
        order = np.argsort(-np.abs(np.nan_to_num(shares)), kind="stable")[:n]
        return [(self.nodes[i], float(shares[i])) for i in order if not np.isnan(shares[i])]

    def figure(self, plt: Any) -> Any:
        """A row a head: the strongest nodes through v, q and k."""
        n = len(self.heads)
        figure, panels = plt.subplots(n, 3, figsize=(7.2, 1.55 * n + 0.4), squeeze=False)
        units = {"v": "logits", "q": "score", "k": "score"}
        for row, head in enumerate(self.heads):
            for axes, letter in zip(panels[row], "vqk", strict=True):
                found = self.strongest(head, letter, _SHOWN)[::-1]
                values = [value for _, value in found]
                axes.barh(range(len(found)), values, color=["#2166ac" if x < 0 else "#b2182b" for x in values])
                axes.set_yticks(range(len(found)), [name for name, _ in found], fontsize=6)
                axes.axvline(0, color="black", linewidth=0.6)
                axes.set_title(f"{head} through {letter}, {units[letter]}", fontsize=7)
        figure.tight_layout()
        return figure


@own_torch_state()
@torch.no_grad()
def head_attribution(setting: Setting, *, heads: str | Iterable[str] | None = None) -> HeadAttribution:
    """Take heads apart, one level deep: direct share by source token and through v, attention scores through q and k.

    A head's direct share in the answers' logit difference (:func:`acdc.analysis.direct.direct_attribution`) is, with
    where it looks held fixed, a sum over source positions, and each value a sum over the nodes that wrote what the
    value slot reads there. The score with which the head looks from the answer's position at the source position of
    the largest part, less the mean score of all that it can see there (what raises all alike leaves the softmax as it
    is), is with either side held fixed a sum over the nodes that wrote what its query slot, or its key slot, reads
    (Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits"; Kobayashi et al. 2020, arXiv
    2004.10102; Wang et al. 2022, arXiv 2211.00593). What divides or bends on the way (norms, those of queries and
    keys too, and clipping) is a constant factor, at its value on the clean prompt. Each split adds up to what it
    splits.

        >>> found = head_attribution(setting, heads="a9.h6")  # doctest: +SKIP
        >>> found.strongest("a9.h6", "q", 2)  # doctest: +SKIP
        [('a8.h6', 3.1), ('a7.h9', 2.2)]

    Args:
        setting: model and prompts; what is ablated has no part in it.
        heads: their names, e.g. ``["a9.h6", "a9.h9"]``; by default the :data:`STRONGEST` by mean direct share.

    Raises:
        UnknownNameError: no such node.
        SettingsError: it is no head, or out of range; or as of :func:`acdc.analysis.direct.direct_attribution`.
    """
    check_setting(setting)
    setting = thawed(setting)  # on the clean prompts it is the same, and here they come one by one
    graph, given = setting.graph, setting.contributions
    chosen = _strongest(setting) if heads is None else asked_heads(graph, heads)
    blocks: list[list[Parts]] = [[] for _ in chosen]
    for rows in given.chunks:
        difference, scored = answers_of(setting, rows).difference, setting.scored(rows)
        prompt, position = setting.rows[scored] - rows.start, setting.columns[scored]
        written, tokens = given.clean(rows), setting.tokens[rows]
        together = rows.stop - rows.start  # predictions at a time, which may be more than prompts
        for layer, x in enumerate(layer_inputs(setting.model, tokens, 1 + chosen[-1].layer)):
            of_layer = [(i, head) for i, head in enumerate(chosen) if head.layer == layer]
            for start in range(0, len(prompt) if of_layer else 0, together):
                some = slice(start, start + together)
                block = Block(setting.model, layer, x, tokens, prompt[some], position[some], difference[some])
                for i, head in of_layer:
                    before = written[: graph.slot(f"{head.name}<v>").n_parents]
                    blocks[i].append(block.parts(head.head, before, graph.n_sources))
    parts = [Parts.together(each) for each in blocks]
    prompts, positions = places(setting)
    return HeadAttribution(
        heads=tuple(head.name for head in chosen),
        nodes=tuple(node.name for node in graph.sources),
        by_position=np.stack([part.by_position for part in parts]),
        pattern=np.stack([part.pattern for part in parts]),
        value=_split(parts, "v"),
        looked_at=np.stack([part.looked_at for part in parts]),
        query=_split(parts, "q"),
        key=_split(parts, "k"),
        prompts=prompts,
        positions=positions,
    )


def _strongest(setting: Setting) -> list[Head]:
    direct = direct_attribution(setting)
    ranked = [direct.graph.node(name) for name, _ in direct.strongest(len(direct.nodes))]
    names = [node.name for node in ranked if node.kind == "head"]
    return asked_heads(setting.graph, names[:STRONGEST])


def _split(parts: Sequence[Parts], letter: str) -> Split:
    total = np.stack([part.totals[letter] for part in parts])
    by_node = np.stack([part.by_node[letter] for part in parts])
    return Split(total, by_node, total - np.nansum(by_node, axis=1))
