"""Token attribution: which input token matters, by exact transplant of its embedding and by gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int
from torch import Tensor

from acdc.analysis.forward import Forward
from acdc.analysis.maps import Patching
from acdc.analysis.named import check_thawed
from acdc.analysis.pictures import COLOURS
from acdc.analysis.result import Cell, Result, Table
from acdc.engine.own_metric import MetricFunction, asked_metric
from acdc.engine.setting import Setting
from acdc.errors import NumericsError
from acdc.metrics import METRICS, Metric
from acdc.models.tokens import Tokens
from acdc.models.torchstate import own_torch_state
from acdc.pairs.looking import shown_pair

_SHOWN = 12  # prompts of a picture


@dataclass(frozen=True)
class TokenAttribution(Result):
    """How much each input token matters to a metric, in both directions, exactly and by gradient.

    Positive where the token of the clean prompt helps. Exact effects are 0 where both prompts have the same token.

    Attributes:
        metric: what is measured, by name.
        noising: how much worse the clean run gets with the corrupted token at one position alone,
            ``[prompt, pos]``; NaN behind a prompt's end, here and below.
        noising_gradient: the same to first order, by the gradient at the clean run.
        denoising: how much better the corrupted run gets with the clean token at one position alone.
        denoising_gradient: the same to first order, by the gradient at the corrupted run.
        differs: at which positions the prompts have different tokens, ``[prompt, pos]``.
        whole: how much worse the corrupted run is than the clean one, ``[prompt]``.
        clean, corrupted: the tokens of each prompt as text.
        spans: names of the clean prompt's spans that each position belongs to.
    """

    title: ClassVar = "Token attribution"

    metric: str
    noising: Float64[np.ndarray, "prompt pos"]
    noising_gradient: Float64[np.ndarray, "prompt pos"]
    denoising: Float64[np.ndarray, "prompt pos"]
    denoising_gradient: Float64[np.ndarray, "prompt pos"]
    differs: Bool[np.ndarray, "prompt pos"]
    whole: Float64[np.ndarray, " prompt"]
    clean: tuple[tuple[str, ...], ...]
    corrupted: tuple[tuple[str, ...], ...]
    spans: tuple[tuple[tuple[str, ...], ...], ...]

    def table(self) -> Table:
        """A row for each position of each prompt at which the prompts differ; positions and prompts from 0."""
        columns = ("prompt", "position", "clean", "corrupted", "spans", *_KINDS, "whole corruption")
        rows: list[tuple[Cell, ...]] = []
        for prompt, (clean, corrupted) in enumerate(zip(self.clean, self.corrupted, strict=True)):
            for position in np.flatnonzero(self.differs[prompt]).tolist():
                numbers = (float(getattr(self, kind.replace(" ", "_"))[prompt, position]) for kind in _KINDS)
                spans = " ".join(self.spans[prompt][position])
                words = (prompt, position, clean[position], corrupted[position], spans)
                rows.append((*words, *numbers, float(self.whole[prompt])))
        return Table(columns, rows)

    def figure(self, plt: Any) -> Any:
        """Exact effects of the first prompts, token by token, noising beside denoising."""
        n = min(_SHOWN, len(self.clean))
        length = max(len(tokens) for tokens in self.clean[:n])
        size = (0.42 * length + 1.2, 2 * (0.3 * n + 0.6))
        figure, panels = plt.subplots(2, 1, figsize=(max(size[0], 4.5), size[1]), squeeze=False)
        for axes, kind in zip(panels[:, 0], ("noising", "denoising"), strict=True):
            values = getattr(self, kind)[:n, :length]
            most = np.nanmax(np.abs(values), initial=0.0) or 1.0
            image = axes.imshow(values, cmap=COLOURS, vmin=-most, vmax=most, aspect="auto")
            axes.grid(False)
            for prompt, tokens in enumerate(self.clean[:n]):
                for position, token in enumerate(tokens):
                    said = token.strip().replace("$", r"\$")
                    colour = "white" if abs(values[prompt, position]) > 0.6 * most else "black"
                    axes.text(position, prompt, said, ha="center", va="center", fontsize=5, color=colour)
            axes.set_xticks([])
            axes.set_yticks(range(n))
            axes.set_title(f"{kind}, {self.metric}", fontsize=8)
            figure.colorbar(image, ax=axes)
        figure.tight_layout()
        return figure


_KINDS = ("noising", "noising gradient", "denoising", "denoising gradient")


@own_torch_state()
@torch.no_grad()
def token_attribution(setting: Setting, *, metric: str | MetricFunction | None = None) -> TokenAttribution:
    """Which input tokens matter: each position's embedding moved from one prompt of a pair into the other.

    Exact: the clean prompt is run with the corrupted one's embedding at a single position (noising), and the
    corrupted one with the clean embedding there (denoising); nothing is approximated, and each is the same as a run
    with that token exchanged. By gradient: the change of the embedding times the gradient of the metric at the run
    that it is put into, which is noising and denoising to first order. Of a prompt with several answer positions
    it is the mean over these.

    A metric whose gradient at the model's own prediction is 0, as that of ``kl``, gives 0 for noising by gradient.

        >>> found = token_attribution(setting)  # doctest: +SKIP
        >>> found.noising[0].round(1)  # doctest: +SKIP
        array([0. , 0. , 0. , 0. , 0. , 0. , 0. , 0. , 0. , 3.4, 0. , 0. ])

    Args:
        setting: model and prompts; corrupted runs are those of the corrupted prompts, whatever is ablated.
        metric: a name or a function, see :func:`acdc.discover`; by default ``logit-diff``, or where there are no
            wrong answers ``answer-logprob``, or where there are no answers at all ``kl``.

    Raises:
        UnknownNameError: no such metric.
        PromptError: the prompts lack the answers that it needs.
        SettingsError: it is neither a name nor a function, or something is frozen.
        NumericsError: a run's metric is NaN or infinite; names the prompt.
    """
    check_thawed(setting, "token attribution")
    measure = _default(setting) if metric is None else asked_metric(metric)
    measure.check(setting.prompts)
    pairs, model, given = setting.prompts.pairs, setting.model, setting.contributions
    shape = len(pairs), setting.tokens.ids.shape[1]
    differs = torch.zeros(shape, dtype=torch.bool, device=model.device)
    found = {kind: torch.zeros(shape, dtype=torch.float64, device=model.device) for kind in _KINDS}
    whole = []
    for part, rows in zip(setting.parts(), given.chunks, strict=True):
        tokens = setting.tokens[rows]
        other = Tokens.of([pair.corrupted for pair in pairs[rows]], model.device)
        other = Tokens(torch.nn.functional.pad(other.ids, (0, shape[1] - other.ids.shape[1])), tokens.lengths)
        runs = Forward(model, tokens), Forward(model, other)
        differs[rows] = (tokens.ids != other.ids) & tokens.filled
        change, worse = runs[1].before[0] - runs[0].before[0], []
        for kind, each in zip(("noising", "denoising"), (tokens, other), strict=True):
            values, found[f"{kind} gradient"][rows] = _by_gradient(part, measure, each, change)
            worse.append(values)
            # The stream in front of the first layer is the embedding.
            exact = Patching(part, runs, measure, kind, "residual", by_position=True).layer(0, 1)[0]
            found[kind][rows] = exact.nan_to_num()
        whole.append(worse[1] - worse[0])
    empty = ~setting.tokens.filled
    shown = [shown_pair(pair, model.tokenizer) for pair in pairs]
    return TokenAttribution(
        metric=measure.name,
        **{kind.replace(" ", "_"): found[kind].masked_fill(empty, torch.nan).cpu().numpy() for kind in _KINDS},
        differs=differs.cpu().numpy(),
        whole=torch.cat(whole).cpu().numpy(),
        clean=tuple(tuple(token.clean for token in pair.tokens) for pair in shown),
        corrupted=tuple(tuple(token.corrupted for token in pair.tokens) for pair in shown),
        spans=tuple(tuple(token.spans for token in pair.tokens) for pair in shown),
    )


def _default(setting: Setting) -> Metric:
    if not setting.prompts.has_answers:
        return METRICS["kl"]
    return METRICS["logit-diff" if setting.prompts.has_wrong_answers else "answer-logprob"]


def _by_gradient(
    part: Setting, measure: Metric, tokens: Tokens, change: Float[Tensor, "prompt pos d_model"]
) -> tuple[Float[Tensor, " prompt"], Float[Tensor, "prompt pos"]]:
    """The metric of some prompts, and by how much it rises to first order with a change of each embedding.

    Args:
        part: model and prompts.
        measure: the metric.
        tokens: what is run.
        change: of their embeddings.
    """
    with torch.enable_grad():
        embedded = part.model.embed(tokens)[0].detach().requires_grad_()
        last = Forward(part.model, tokens, embedded).before[-1]
        logits = part.predictions(last, slice(0, len(tokens.lengths)))
        values = _by_prompt(measure.per_prediction(logits, part.model_logits, part.answers), part.rows)
        (gradient,) = torch.autograd.grad(values.sum(), embedded)
    if bad := (~gradient.isfinite()).flatten(1).any(1).nonzero().flatten().tolist():
        raise NumericsError(
            f"{part.prompts.pairs[bad[0]].where}: the gradient of {measure.name} at the embedding is NaN or infinite; "
            "take a wider `dtype`, or another metric."
        )
    return values.detach(), (change * gradient).double().sum(-1)


def _by_prompt(values: Float[Tensor, " prediction"], prompt: Int[Tensor, " prediction"]) -> Float[Tensor, " prompt"]:
    """Means over the predictions of each prompt."""
    count = torch.bincount(prompt)
    total = torch.zeros(len(count), dtype=torch.float64, device=values.device)
    return total.index_add(0, prompt, values.double()) / count
