"""Activation patching: what of a behaviour moves when one activation is taken from the other prompt of a pair.

An activation (:mod:`acdc.analysis.activations`) of the clean run is given the value that it has on the corrupted prompt
(``noising``), or one of the corrupted run that of the clean prompt (``denoising``), at one position at a time; all that
follows is computed anew. Vig et al. 2020 (arXiv 2004.12265) and Meng et al. 2022 (arXiv 2202.05262) introduced it.
Noising finds what is necessary, denoising what is sufficient: Heimersheim and Nanda 2024 (arXiv 2404.15255).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from acdc.analysis.activations import Activation, activations
from acdc.analysis.forward import BYTES, Forward, Place
from acdc.analysis.heatmaps import draw_map
from acdc.analysis.named import check_thawed
from acdc.analysis.result import Result, Table
from acdc.asked import flag, text
from acdc.engine.own_metric import MetricFunction, asked_metric, check_own_metric
from acdc.engine.setting import Setting
from acdc.errors import NumericsError, SettingsError, UnknownNameError
from acdc.metrics import METRICS, AnswerTokens, Metric
from acdc.models.loading import memory_errors
from acdc.models.tokens import Tokens
from acdc.models.torchstate import own_torch_state
from acdc.pairs import PromptSet
from acdc.pairs.looking import shown_pair

#: What can be patched, and its name in titles.
KINDS = {
    "residual": "residual stream",
    "heads": "heads",
    "attention": "attention layers",
    "mlps": "MLPs",
    "q": "query slots",
    "k": "key slots",
    "v": "value slots",
}
DIRECTIONS = ("noising", "denoising")

#: Positions that run together, at most.
_PLACES = {"cpu": 1024, "cuda": 16384}
_COPIES = 5  # of keys and values while they are put together, and of logits while a metric is computed
_ROWS = 40  # of a plot by position, where a row is a head


@dataclass(frozen=True)
class PatchingMap(Result):
    """What patching each activation does, by position.

    Attributes:
        what: the kind of activation, one of :data:`KINDS`.
        direction: ``noising`` or ``denoising``.
        metric: the metric's name.
        activations: what was patched, a row each.
        effects: ``[row, prompt, position]`` float64, in the metric's units: how far it moves from the run that is
            patched towards the other run, in the mean of a prompt's predictions. Noising: the patched run's value, as
            the clean run's is 0; denoising: the corrupted run's value minus the patched run's. NaN where a prompt has
            no token. One position, where all are patched at once.
        whole: ``[prompt]`` float64, the metric's value on the corrupted prompt: how far it moves when all is patched.
        n_predictions: ``[prompt]`` int64, over how many predictions these are means.
        tokens: the text of each position where it is the same in all prompts, or the name of a span that all have
            there; else empty.
    """

    title: ClassVar[str] = "Activation patching"

    what: str
    direction: str
    metric: str
    activations: tuple[Activation, ...]
    effects: Float[np.ndarray, "row prompt position"]
    whole: Float[np.ndarray, " prompt"]
    n_predictions: Int[np.ndarray, " prompt"]
    tokens: tuple[str, ...]

    @property
    def by_position(self) -> bool:
        """Whether positions were patched one at a time."""
        return bool(self.tokens)

    @property
    def counts(self) -> Int[np.ndarray, "prompt position"]:
        """Predictions of every prompt that has a token at a position, ``[prompt, position]``; else 0."""
        return ~np.isnan(self.effects[0]) * self.n_predictions[:, None]

    @property
    def mean(self) -> Float[np.ndarray, "row position"]:
        """Mean effects over the predictions of the prompts that have the position, ``[row, position]``."""
        return (np.nan_to_num(self.effects) * self.counts).sum(1) / self.counts.sum(0)

    @property
    def normalised(self) -> Float[np.ndarray, "row position"]:
        """The same as shares of the whole: 1 is as far as the other run; NaN where the whole is 0."""
        whole = (self.counts * self.whole[:, None]).sum(0) / self.counts.sum(0)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(whole == 0, np.nan, self.mean / whole)

    def table(self) -> Table:
        """A row for each activation and position: mean effect, share of the whole, and of how many predictions."""
        columns = ("activation", "layer", "head", "position", "token", "effect", "share", "predictions")
        mean, share, counts = self.mean, self.normalised, self.counts.sum(0)
        rows = []
        for row, one in enumerate(self.activations):
            for position in range(mean.shape[1]):
                where = (position, self.tokens[position]) if self.by_position else ("all", "")
                part = None if np.isnan(share[row, position]) else float(share[row, position])
                found = (float(mean[row, position]), part, int(counts[position]))
                rows.append((one.name, one.layer, one.head, *where, *found))
        return Table(columns, rows)

    def figure(self, plt: Any) -> Any:
        """A heat map of the shares: rows by positions, layers upwards; or heads by layers, all positions at once."""
        share = self.normalised
        title = f"{self.direction.capitalize()} the {KINDS[self.what]}: share of {self.metric}"
        has_heads = self.activations[0].head is not None
        if not self.by_position and has_heads:
            n_heads = 1 + max(one.head or 0 for one in self.activations)
            layers = [str(layer) for layer in range(len(share) // n_heads)]
            heads = [str(head) for head in range(n_heads)]
            return draw_map(plt, share.reshape(-1, n_heads), layers, heads, title, ("layer", "head"))
        rows = np.arange(len(share))
        if has_heads and len(rows) > _ROWS:
            strength = np.abs(np.nan_to_num(share)).max(1)
            rows = np.sort(np.argsort(-strength, kind="stable")[:_ROWS])
            title += f" (the strongest {_ROWS} of {len(share)})"
        names = [self.activations[row].name for row in rows]
        columns = [f"{i} {token}".strip() for i, token in enumerate(self.tokens)] or ["all"]
        return draw_map(plt, share[rows], names, columns, title, ("", "position"))


@own_torch_state()
@torch.no_grad()
def activation_patching(
    setting: Setting,
    what: str = "residual",
    direction: str = "noising",
    *,
    metric: str | MetricFunction | Metric | None = None,
    by_position: bool = True,
) -> PatchingMap:
    """Patch each activation of a kind, one at a time, between the clean and the corrupted prompt of every pair.

    It is always between the two, whatever removed edges carry. All positions of a head, ``noising``: its edges removed.

    Args:
        setting: model and prompts.
        what: ``residual`` (the stream in front of every layer and behind the last), ``heads``, ``attention``
            (a layer's heads and its bias), ``mlps``; or ``q``, ``k``, ``v``: what these slots of every head read.
        direction: ``noising``: corrupted values into the clean run; ``denoising``: clean ones into the corrupted run.
        metric: a name or a function, see :func:`acdc.discover`; by default the setting's own function, if it has one,
            else ``logit-diff`` where the prompts have wrong answers, else ``kl``.
        by_position: patch one position at a time; else all positions at once.

    Raises:
        UnknownNameError: no such kind, direction or metric.
        SettingsError: an option of another type, MLPs of a model without any, or something is frozen.
        PromptError: the metric needs answers that the prompts don't name.
        NumericsError: a patched run's metric is NaN or infinite; names the prompt.
        MemoryLimitError: out of memory.
    """
    check_thawed(setting, "activation patching")
    for kind, given, known in (("kind of activation", what, KINDS), ("direction", direction, DIRECTIONS)):
        if text(kind, given) not in known:
            raise UnknownNameError(kind, given, known)
    by_position = flag("by_position", by_position)
    measure = _metric(setting, metric)
    every = activations(setting.graph.cfg, what)
    if not every:
        raise SettingsError("this model has no MLPs; patch heads, attention or residual.")
    whole = measure.per_prediction(setting.corrupted_logits, setting.model_logits, setting.answers).double()
    counts = torch.bincount(setting.rows, minlength=len(setting.prompts))
    width = setting.tokens.ids.shape[1] if by_position else 1
    effects = np.full((len(every), len(setting.prompts), width), np.nan)
    corrupted = Tokens.of([pair.corrupted for pair in setting.prompts.pairs], setting.model.device)
    with memory_errors():
        for part, rows in zip(setting.parts(), setting.contributions.chunks, strict=True):
            runs = Forward(part.model, part.tokens), Forward(part.model, corrupted[rows])
            patching = Patching(part, runs, measure, direction, what, by_position)
            for row, one in enumerate(every):
                if one.head in (None, 0):  # all heads of a layer at a time
                    n = 1 if one.head is None else setting.graph.cfg.n_heads
                    effects[row : row + n, rows] = patching.layer(one.layer, n).cpu().numpy()
    return PatchingMap(
        what=what,
        direction=direction,
        metric=measure.name,
        activations=tuple(every),
        effects=effects,
        whole=(torch.zeros(len(counts)).to(whole).index_add_(0, setting.rows, whole) / counts).cpu().numpy(),
        n_predictions=counts.cpu().numpy(),
        tokens=_labels(setting.prompts, setting.model.tokenizer) if by_position else (),
    )


def _metric(setting: Setting, metric: str | MetricFunction | Metric | None) -> Metric:
    if metric is None:
        if setting.own_metric is not None:
            return setting.own_metric
        has = setting.prompts.has_answers and setting.prompts.has_wrong_answers
        return METRICS["logit-diff" if has else "kl"]
    measure = metric if isinstance(metric, Metric) else asked_metric(metric)
    measure.check(setting.prompts)
    check_own_metric(measure, setting)
    return measure


class Patching:
    """The two runs of some prompts, and what patching one with the other's values does.

    Args:
        part: model and prompts, of one chunk.
        runs: those of its clean and of its corrupted prompts.
        measure: the metric.
        direction: which run is patched.
        what: which kind of activation.
        by_position: one position at a time.
    """

    def __init__(
        self,
        part: Setting,
        runs: tuple[Forward, Forward],
        measure: Metric,
        direction: str,
        what: str,
        by_position: bool,
    ) -> None:
        self._part, self._measure, self._what = part, measure, what
        self._noising, self._by_position = direction == "noising", by_position
        self._base, self._other = runs if self._noising else runs[::-1]
        self._kind = "cpu" if part.model.device.type == "cpu" else "cuda"
        own = part.model_logits if self._noising else part.corrupted_logits
        self._own = measure.per_prediction(own, part.model_logits, part.answers).double()  # of the run unpatched
        counts = torch.bincount(part.rows, minlength=len(part.prompts))  # predictions of each prompt
        self._first = counts.cumsum(0) - counts
        self._counts = counts

    def layer(self, layer: int, n: int) -> Float[Tensor, "head prompt position"]:
        """Effects of a layer's activations, of all heads where there are such.

        Args:
            layer: which layer.
            n: how many heads; 1 where there are none.
        """
        part = self._part
        values = self._other.value(self._what, layer)  # [head or one, prompt, pos, d_model]
        differs = (values != self._base.value(self._what, layer)).any(-1) & part.tokens.filled
        differs, width = differs.expand(n, -1, -1), values.shape[2]
        first = differs.int().argmax(-1)  # [head, prompt]
        found = torch.zeros(differs.shape if self._by_position else (*first.shape, 1), dtype=torch.float64)
        found = found.to(part.rows.device)
        for position in range(width):
            replaced = slice(position, position + 1 if self._by_position else width)
            chosen = differs[:, :, position] & (self._by_position | (first == position))
            for heads, rows in self._batches(chosen, position):
                own = torch.zeros_like(heads) if len(values) == 1 else heads
                place = Place(self._what, layer, position)
                variants, predictions, metric = self._values(place, rows, heads, values[own, rows, replaced])
                moved = metric - self._own[predictions] if self._noising else self._own[predictions] - metric
                share = moved / self._counts[rows[variants]]
                column = found[:, :, position if self._by_position else 0]
                column.index_put_((heads[variants], rows[variants]), share, accumulate=True)
        return found.masked_fill_(~part.tokens.filled, torch.nan) if self._by_position else found

    def _batches(self, differs: Tensor, position: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Heads and prompts whose runs go together, of those that differ, ``[head, prompt]``."""
        model, width = self._part.model, self._part.tokens.ids.shape[1]
        start = position if model.looks_back else 0
        seen = width * model.graph_config.d_model * self._base.before[0].element_size()
        logits = 8 * model.n_outputs * int(self._counts.max())
        bytes_each = max(_COPIES * seen, _COPIES * logits, self._base.pattern_bytes(start))
        most = max(1, min(_PLACES[self._kind] // (width - start), BYTES // bytes_each))
        for some in differs.nonzero().split(most):  # [variant, 2]
            if len(some):
                yield some[:, 0], some[:, 1]

    def _values(
        self, place: Place, rows: Tensor, heads: Tensor, new: Tensor
    ) -> tuple[Int[Tensor, " one"], Int[Tensor, " one"], Float[Tensor, " one"]]:
        """The metric of patched runs: which of them, which prediction, and its value, where it can have changed."""
        part = self._part
        residual, start = self._base.go_on(place, rows, heads, new)
        counts = self._counts[rows]
        variants = torch.arange(len(rows), device=rows.device).repeat_interleave(counts)
        behind = torch.arange(len(variants), device=rows.device) - (counts.cumsum(0) - counts)[variants]
        predictions = self._first[rows][variants] + behind
        later = part.columns[predictions] >= start
        variants, predictions = variants[later], predictions[later]
        logits = part.model.logits(residual[variants, part.columns[predictions] - start]).double()
        answers = AnswerTokens(part.answers.right[predictions], part.answers.wrong[predictions])
        metric = self._measure.per_prediction(logits, part.model_logits[predictions], answers).double()
        bad = (~metric.isfinite()).nonzero()
        if len(bad):
            raise NumericsError(
                f"{part.prompt_of(int(predictions[bad[0]]))}: {self._measure.name} is NaN or infinite where layer "
                f'{place.layer}\'s {KINDS[place.kind]} are patched; try `dtype="float32"`, or leave the prompt out.'
            )
        return variants, predictions, metric


def _labels(prompts: PromptSet, tokenizer: Any) -> tuple[str, ...]:
    """What all prompts have at each position: a token, or a span; empty where they have nothing in common."""
    shown = [shown_pair(pair, tokenizer).tokens for pair in prompts.pairs]
    labels = []
    for position in range(max(map(len, shown))):
        here = [tokens[position] for tokens in shown if position < len(tokens)]
        texts = {token.clean for token in here}
        spans = set.intersection(*({*token.spans} for token in here))
        labels.append(texts.pop() if len(texts) == 1 else min(spans, default=""))
    return tuple(labels)
