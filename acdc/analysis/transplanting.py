"""One activation of one prompt put into a run of another, at any position: what does the model then predict?

The interchange of Geiger et al. 2021 (arXiv 2106.02997); from other positions too, as in Patchscopes (Ghandeharioun
et al. 2024, arXiv 2401.06102), but within one layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float

from acdc.analysis.activations import Activation, find_activation
from acdc.analysis.forward import Forward, Place
from acdc.analysis.named import thawed
from acdc.analysis.result import Cell, Result, Table
from acdc.asked import text, whole
from acdc.engine.setting import Setting
from acdc.errors import NumericsError, SettingsError
from acdc.models.loading import load_model, memory_errors
from acdc.models.model import Model
from acdc.models.tokens import Tokens
from acdc.models.torchstate import own_torch_state
from acdc.pairs import PromptPair, text_of, tokenize_pair
from acdc.pairs.pairs import Prompt
from acdc.wording import one_line

_TOP = 10  # tokens of each prediction that a table has


@dataclass(frozen=True)
class Transplant(Result):
    """A target's prediction before and after it got an activation of a source.

    Attributes:
        activation: what was put, by name.
        source, target: token ids of the two prompts.
        source_position, target_position: whence and where to, from 0.
        position: after which token of the target the prediction is read, from 0.
        before, after: the target's logits there, ``[n_outputs]`` float64.
        source_logits: the source's own after its last token, likewise.
        texts: the tokens of :attr:`top` as they read; none where there is no tokenizer.
    """

    title: ClassVar[str] = "Transplant of an activation"

    activation: str
    source: tuple[int, ...]
    target: tuple[int, ...]
    source_position: int
    target_position: int
    position: int
    before: Float[np.ndarray, " n_outputs"]
    after: Float[np.ndarray, " n_outputs"]
    source_logits: Float[np.ndarray, " n_outputs"]
    texts: dict[int, str]

    @property
    def top(self) -> list[int]:
        """Tokens among the likeliest ten before or after, the likeliest after first."""
        likely = {int(token) for logits in (self.before, self.after) for token in np.argsort(-logits)[:_TOP]}
        return sorted(likely, key=lambda token: (-self.after[token], token))

    def table(self) -> Table:
        """A row for each token of :attr:`top`: probabilities and logits before and after, and the source's."""
        columns = ("token", "id", "before", "after", "source", "logit before", "logit after")
        chances = [_probabilities(logits) for logits in (self.before, self.after, self.source_logits)]
        rows: list[tuple[Cell, ...]] = []
        for token in self.top:
            numbers = (each[token] for each in (*chances, self.before, self.after))
            rows.append((self.texts.get(token, str(token)), token, *map(float, numbers)))
        return Table(columns, rows)

    def figure(self, plt: Any) -> Any:
        """Bars of probabilities, before and after, the likeliest after on top."""
        rows = self.table().rows[::-1]
        figure, axes = plt.subplots(figsize=(4.2, 0.6 + 0.24 * len(rows)))
        places = np.arange(len(rows))
        for offset, column, label, colour in ((0.2, 2, "before", "#9a9a9a"), (-0.2, 3, "after", "#d95f02")):
            axes.barh(places + offset, [row[column] for row in rows], height=0.4, label=label, color=colour)
        axes.set_yticks(places, [one_line(str(row[0])).replace("$", r"\$") for row in rows])
        axes.set_xlabel("probability")
        axes.set_title(f"{self.activation}: position {self.source_position} into position {self.target_position}")
        axes.legend(loc="lower right")
        figure.tight_layout()
        return figure


@own_torch_state()
@torch.no_grad()
def transplant(
    model: Model | Setting | str | Path | Any,
    activation: str,
    source: Prompt,
    target: Prompt,
    *,
    source_position: int = -1,
    target_position: int = -1,
    position: int = -1,
) -> Transplant:
    """Put one activation of a prompt into a run of another, and run on.

        >>> places = {"source_position": 0, "target_position": 0}  # doctest: +SKIP
        >>> acdc.transplant(model, "residual6", "Ann met John.", "Mary met John.", **places).table()  # doctest: +SKIP

    Prompts begin as their tokenizer begins them (a BOS for Llama); positions count that. Negative ones count from the
    end.

    Args:
        model: a model of :func:`acdc.load_model`, or whatever that opens; or a setting, whose model it is.
        activation: by name, see :mod:`acdc.analysis.activations`: ``residual6``, ``attention3``, ``a3.h2``,
            ``a3.h2<q>``, ``m3``, ``input``.
        source: the prompt that it is taken from: text, or token ids (``setting.prompts.pairs[0].corrupted``).
        target: the prompt that it is put into.
        source_position: of which token of the source.
        target_position: in place of which token's.
        position: after which token of the target the prediction is read.

    Raises:
        UnknownNameError: no such activation; says the nearest.
        SettingsError: a layer, head or position that isn't there, or a position that can't see what is put.
        PromptError: a prompt that the model can't read.
        NumericsError: a logit is NaN or infinite.
        ModelError: the model can't be opened.
    """
    with memory_errors():
        opened = model.model if isinstance(model, Setting) else model if isinstance(model, Model) else load_model(model)
        opened = thawed(opened)
        chosen = find_activation(opened.graph_config, text("activation", activation))
        own, others = _ids(opened, target, "target"), _ids(opened, source, "source")
        take = _position("source_position", source_position, others)
        put, read = (_position("target_position", target_position, own), _position("position", position, own))
        if opened.looks_back and put > read:
            raise SettingsError(
                f"position {read}, where the prediction is read, doesn't see position {put}, where something is put; "
                "give a `position` that isn't before it."
            )
        before, after, of_source = _run(opened, chosen, (others, take), (own, put), read)
    found = Transplant(chosen.name, others, own, take, put, read, before, after, of_source, {})
    if opened.tokenizer is not None:
        found.texts.update({token: text_of([token], opened.tokenizer, own[: read + 1]) for token in found.top})
    return found


def _run(
    model: Model,
    chosen: Activation,
    source: tuple[tuple[int, ...], int],
    target: tuple[tuple[int, ...], int],
    read: int,
) -> list[np.ndarray]:
    """Logits of the target before and after, and of the source; each prompt with its position."""
    giving, taking = (Forward(model, Tokens.of([ids], model.device)) for ids, _ in (source, target))
    head = torch.tensor([chosen.head or 0], device=model.device)
    values = giving.value(chosen.kind, chosen.layer)  # [head or one, 1, pos, d_model]
    value = values[chosen.head or 0 if len(values) > 1 else 0, :, source[1], None]  # [1, 1, d_model]
    place = Place(chosen.kind, chosen.layer, target[1])
    residual, start = taking.go_on(place, torch.zeros_like(head), head, value)
    streams = (taking.before[-1][0, read], residual[0, read - start], giving.before[-1][0, -1])
    found = []
    for stream in streams:
        logits = model.logits(stream).double()
        if not bool(logits.isfinite().all()):
            raise NumericsError('logits are NaN or infinite; try `dtype="float32"`.')
        found.append(logits.cpu().numpy())
    return found


def _ids(model: Model, prompt: Prompt, which: str) -> tuple[int, ...]:
    pair = PromptPair(prompt, prompt, where=f"the {which} prompt")
    return tokenize_pair(pair, model.tokenizer, **model.limits).clean


def _position(name: str, given: int, ids: tuple[int, ...]) -> int:
    """A position from 0. Raises :class:`SettingsError` if the prompt has none such."""
    at, n = whole(name, given), len(ids)
    if not -n <= at < n:
        raise SettingsError(f"`{name}` is {at}, and the prompt has {n} tokens: 0 to {n - 1}, or -{n} to -1.")
    return at % n


def _probabilities(logits: np.ndarray) -> np.ndarray:
    shifted = np.exp(logits - logits.max())
    return shifted / shifted.sum()
