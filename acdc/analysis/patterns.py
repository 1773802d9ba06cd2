"""Where heads look: attention patterns on the clean and the corrupted prompts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float

from acdc.analysis.named import Head, asked_heads, asked_prompts, check_setting, thawed
from acdc.analysis.result import Result, Table
from acdc.analysis.walking import as_numpy, chosen, patterns
from acdc.engine.setting import Setting
from acdc.explorer.seen import Pattern
from acdc.models.tokens import Tokens
from acdc.models.torchstate import own_torch_state
from acdc.pairs.looking import ShownPair, shown_pair
from acdc.wording import one_line, shortened

#: Prompts whose patterns are kept where none are named: a pattern has a number for each pair of positions.
FEW = 4
#: Weights on either prompt that a table leaves out.
FAINT = 0.01
_DRAWN, _LONGEST = 4, 12  # heads in a plot, and characters of a token there


@dataclass(frozen=True, repr=False)
class AttentionPatterns(Result):
    """Attention weights of some heads on some prompt pairs.

    Attributes:
        heads: their names.
        prompts: numbers of the prompts in the setting, from 0.
        pairs: the prompts, token by token.
        clean, corrupted: ``[head, prompt, pos_q, pos_k]`` on either prompt, 0 to 1, NaN behind a prompt's end. A row
            sums to 1, or to less where a head has a sink.
    """

    title: ClassVar[str] = "Attention patterns"

    heads: tuple[str, ...]
    prompts: tuple[int, ...]
    pairs: tuple[ShownPair, ...]
    clean: Float[np.ndarray, "head prompt pos pos"]
    corrupted: Float[np.ndarray, "head prompt pos pos"]

    def of(self, head: str, prompt: int) -> Pattern:
        """The pattern of a head on a prompt, by its number in the setting, as large as the prompt is long."""
        at, row = self.heads.index(head), self.prompts.index(prompt)
        n = len(self.pairs[row].tokens)
        return Pattern(self.clean[at, row, :n, :n], self.corrupted[at, row, :n, :n])

    def table(self) -> Table:
        """A row for each head, prompt, query and key, but for those with less than :data:`FAINT` on both prompts."""
        columns = ("node", "prompt", "query", "key", "query_token", "key_token", "clean", "corrupted")
        strong = np.nan_to_num(np.fmax(self.clean, self.corrupted)) >= FAINT
        rows = [
            (
                self.heads[head],
                self.prompts[row],
                int(q),
                int(k),
                self.pairs[row].tokens[q].clean,
                self.pairs[row].tokens[k].clean,
                float(self.clean[head, row, q, k]),
                float(self.corrupted[head, row, q, k]),
            )
            for head, row, q, k in np.argwhere(strong)
        ]
        return Table(columns, rows)

    def figure(self, plt: Any) -> Any:
        """Clean, corrupted and their difference on the first prompt, of the first few heads."""
        heads = self.heads[:_DRAWN]
        figure, axes = plt.subplots(len(heads), 3, figsize=(9, 3 * len(heads)), squeeze=False, layout="constrained")
        labels = [shortened(one_line(token.clean), _LONGEST) for token in self.pairs[0].tokens]
        for row, head in zip(axes, heads, strict=True):
            found = self.of(head, self.prompts[0])
            shown = (found.clean, found.corrupted, found.clean - found.corrupted)
            for axis, name, values in zip(row, ("clean", "corrupted", "clean - corrupted"), shown, strict=True):
                is_difference = values is shown[2]
                limits = {"vmin": -1, "vmax": 1, "cmap": "RdBu_r"} if is_difference else {"vmin": 0, "vmax": 1}
                image = axis.imshow(values, **limits)
                axis.set_title(f"{head}, {name}")
                axis.set_xticks(range(len(labels)), labels, rotation=90, parse_math=False)
                axis.set_yticks(range(len(labels)), labels, parse_math=False)
                axis.grid(visible=False)
            figure.colorbar(image, ax=row[-1], shrink=0.8)
        figure.supxlabel(f"key, of prompt {self.prompts[0]}")
        figure.supylabel("query")
        return figure


@own_torch_state()
@torch.no_grad()
def attention_patterns(
    setting: Setting,
    heads: str | Iterable[str] | None = None,
    *,
    prompts: int | Sequence[int] | None = None,
) -> AttentionPatterns:
    """How much heads look from each position at each other one, in runs of the whole model.

    Args:
        setting: a model on prompts.
        heads: their names; by default all.
        prompts: numbers of prompts, from 0; by default the first :data:`FEW`.

    Raises:
        UnknownNameError: no such node.
        SettingsError: a head or a prompt that is out of range.
    """
    check_setting(setting)
    setting, nodes = thawed(setting), asked_heads(setting.graph, heads)
    numbers = asked_prompts(len(setting.prompts), prompts, FEW)
    pairs = tuple(shown_pair(setting.prompts.pairs[number], setting.model.tokenizer) for number in numbers)
    width = max(len(pair.tokens) for pair in pairs)
    shape = (len(nodes), len(numbers), width, width)
    clean, corrupted = np.full(shape, np.nan), np.full(shape, np.nan)
    for places, *both in chosen(setting, numbers):
        for made, tokens in zip((clean, corrupted), both, strict=True):
            _fill(setting, made, places, tokens, nodes)
    return AttentionPatterns(tuple(node.name for node in nodes), numbers, pairs, clean, corrupted)


def _fill(setting: Setting, made: np.ndarray, places: list[int], tokens: Tokens, nodes: list[Head]) -> None:
    """Put the patterns of some prompts into their places of ``[head, prompt, pos_q, pos_k]``."""
    for at, (_, pattern) in enumerate(patterns(setting.model, tokens, nodes)):
        values = as_numpy(pattern)
        for row, (place, length) in enumerate(zip(places, tokens.lengths, strict=True)):
            made[at, place, :length, :length] = values[row, :length, :length]
