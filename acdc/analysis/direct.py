"""Direct logit attribution: what every node adds to the answers' logits by itself, with no node between."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float64, Int

from acdc.analysis.answers import answers_of, check_answers, places
from acdc.analysis.named import check_setting
from acdc.analysis.pictures import node_map
from acdc.analysis.result import Result, Table
from acdc.engine.setting import Setting
from acdc.graph import Graph
from acdc.models.torchstate import own_torch_state

#: The row of what no node writes.
CONSTANT = "constant"


@dataclass(frozen=True)
class DirectAttribution(Result):
    """What each node adds to the logit of the best right and of the best wrong answer, on the clean prompts.

    Where there are prompt pairs without wrong answers, the mean over all outputs' logits stands for the wrong one.

    Attributes:
        graph: the model's nodes.
        nodes: names of those that write, in the order of the rows below.
        right, wrong: logits, ``[n_sources, prediction]``.
        constant_right, constant_wrong: what belongs to no node, ``[prediction]``: output biases of attention, and the
            biases of final norm and unembedding.
        right_tokens, wrong_tokens: the answers, as token ids, ``[prediction]``; -1 for the mean over all outputs.
        prompts, positions: the prompt and the position of each prediction, ``[prediction]``.
        capped: the model has a soft cap behind these logits, so that they aren't quite those that it gives.
    """

    title: ClassVar = "Direct logit attribution"

    graph: Graph
    nodes: tuple[str, ...]
    right: Float64[np.ndarray, "n_sources prediction"]
    wrong: Float64[np.ndarray, "n_sources prediction"]
    constant_right: Float64[np.ndarray, " prediction"]
    constant_wrong: Float64[np.ndarray, " prediction"]
    right_tokens: Int[np.ndarray, " prediction"]
    wrong_tokens: Int[np.ndarray, " prediction"]
    prompts: Int[np.ndarray, " prediction"]
    positions: Int[np.ndarray, " prediction"]
    capped: bool

    @property
    def against(self) -> str:
        """What the right answer is compared with: ``wrong``, or ``mean of all outputs``."""
        return "wrong" if (self.wrong_tokens >= 0).all() else "mean of all outputs"

    @property
    def difference(self) -> Float64[np.ndarray, "n_sources prediction"]:
        """What each node adds to the logit difference, right minus wrong."""
        return self.right - self.wrong

    @property
    def constant(self) -> Float64[np.ndarray, " prediction"]:
        """What no node adds to it."""
        return self.constant_right - self.constant_wrong

    @property
    def total(self) -> Float64[np.ndarray, " prediction"]:
        """All together: the model's logit difference, in front of a soft cap where there is one."""
        return self.difference.sum(0) + self.constant

    def strongest(self, n: int = 10) -> list[tuple[str, float]]:
        """The nodes of the largest mean difference in size, and it."""
        means = self.difference.mean(1)
        order = np.argsort(-np.abs(means), kind="stable")[:n]
        return [(self.nodes[i], float(means[i])) for i in order]

    def table(self) -> Table:
        """A row a node, then the constants and all together: means over the predictions, in logits."""
        parts = [(self.right, self.wrong), (self.constant_right[None], self.constant_wrong[None])]
        right, wrong = (np.concatenate(each) for each in zip(*parts, strict=True))
        right, wrong = (np.concatenate((each, each.sum(0, keepdims=True))) for each in (right, wrong))
        difference = right - wrong
        columns = ("node", "difference", "right", self.against, "standard deviation of difference")
        numbers = (difference.mean(1), right.mean(1), wrong.mean(1), difference.std(1))
        names = (*self.nodes, CONSTANT, "total")
        return Table(columns, [(name, *map(float, row)) for name, row in zip(names, np.stack(numbers, 1), strict=True)])

    def figure(self, plt: Any) -> Any:
        """A map of the mean difference, layers upwards."""
        title = f"{self.title}: {self.total.mean():.3g} logits in all"
        return node_map(plt, self.graph, self.difference.mean(1), title, f"right minus {self.against}, logits")


@own_torch_state()
@torch.no_grad()
def direct_attribution(setting: Setting) -> DirectAttribution:
    """What each node adds to the answers' logits through the final norm and the unembedding alone.

    The final norm divides by a scale; it is frozen at what it is in the whole model's run on each clean prompt. Then
    the logit of an answer is linear in the last residual stream, which is the sum of what the nodes write, and each
    node's share is ``a_u · W_U[:, t]`` behind the frozen norm (Elhage et al. 2021, "A Mathematical Framework for
    Transformer Circuits"; Wang et al. 2022, arXiv 2211.00593). Right and wrong answer are those of the largest logit
    in the whole model, as ``logit-diff`` takes them. The shares add up to the model's logit difference; where the
    model has a soft cap on its logits (Gemma 2), to that in front of the cap.

    Where there are prompt pairs without wrong answers, the right answer's logit is compared with the mean over all
    outputs' (as TransformerLens does by centring the unembedding): by itself it has in it what all logits have alike.

    Where a norm follows the sum of a layer's heads (Gemma 2 and 3, OLMo-2), a head's contribution is its share of the
    normed sum, as in the graph.

        >>> direct_attribution(setting).strongest(3)  # doctest: +SKIP
        [('a9.h6', 2.31), ('a9.h9', 1.92), ('a10.h7', -1.71)]

    Args:
        setting: model and prompts (:func:`acdc.set_up`); what is ablated has no part in it.

    Raises:
        SettingsError: a prompt pair lacks right answers, or the model's logits aren't linear in what it
            unembeds.
    """
    check_setting(setting)
    check_answers(setting)
    graph, given = setting.graph, setting.contributions
    shares, offsets, tokens, capped = [], [], [], False
    for rows in given.chunks:
        scored, answers = setting.scored(rows), answers_of(setting, rows)
        prompt, position = setting.rows[scored] - rows.start, setting.columns[scored]
        vectors = torch.stack((answers.right, answers.wrong))  # [right or wrong, prediction, d_model]
        written = given.clean(rows)
        found = torch.stack([(node[prompt, position].double() * vectors).sum(-1) for node in written], 1)
        del written
        total = (given.clean_residual[rows][prompt, position].double() * vectors).sum(-1)
        shares.append(found)  # [right or wrong, n_sources, prediction]
        offsets.append(total - found.sum(1) + torch.stack((answers.right_offset, answers.wrong_offset)))
        tokens.append(torch.stack((answers.right_tokens, answers.wrong_tokens)))
        capped = answers.capped
    right, wrong = torch.cat(shares, -1).cpu().numpy()
    constant_right, constant_wrong = torch.cat(offsets, -1).cpu().numpy()
    right_tokens, wrong_tokens = torch.cat(tokens, -1).cpu().numpy()
    return DirectAttribution(
        graph=graph,
        nodes=tuple(node.name for node in graph.sources),
        right=right,
        wrong=wrong,
        constant_right=constant_right,
        constant_wrong=constant_wrong,
        right_tokens=right_tokens,
        wrong_tokens=wrong_tokens,
        **dict(zip(("prompts", "positions"), places(setting), strict=True)),
        capped=capped,
    )
