"""What kind each head is: where it looks on random tokens and on the task's prompts, and whether it copies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from acdc.analysis.copying import copying
from acdc.analysis.named import Head, all_heads, thawed
from acdc.analysis.repeated import Repeated, repeated_tokens
from acdc.analysis.result import Result, Table
from acdc.analysis.walking import patterns
from acdc.asked import shown, whole
from acdc.engine.setting import Setting
from acdc.errors import SettingsError
from acdc.models.model import Model
from acdc.models.tokens import Tokens
from acdc.models.torchstate import own_torch_state
from acdc.pairs.bos import added_tokens
from acdc.pairs.tokenizer import special_ids

#: Where a head looks, each a share of its attention from 0 to 1.
LOOKS = ("previous token", "current token", "first token", "duplicate token", "induction", "fuzzy induction")
#: What its OV circuit does, each a share of tokens from 0 to 1.
WRITES = ("copying", "copy suppression")
#: From which score on a head is labelled. Heads rest on the first token, whatever else they do: that comes last.
THRESHOLDS: Mapping[str, float] = {
    "previous token": 0.4,
    "current token": 0.4,
    "duplicate token": 0.4,
    "induction": 0.4,
    "fuzzy induction": 0.4,
    "first token": 0.6,
    "copying": 0.6,
    "copy suppression": 0.6,
}
_REST = "first token"
_TOGETHER = 8  # random prompts at a time


@dataclass(frozen=True, repr=False)
class HeadDetectors(Result):
    """Scores of every head.

    Attributes:
        heads: names of all heads, in the graph's order.
        random: ``[head, look]`` in the order of :data:`LOOKS`, on random tokens; NaN where the model's context or
            vocabulary is too small for them.
        task: the same on the task's clean prompts; NaN where none of them repeats a token, where no task was given, and
            for fuzzy induction.
        writes: ``[head, write]`` in the order of :data:`WRITES`; NaN where outputs are no tokens.
    """

    title: ClassVar[str] = "Head detectors"

    heads: tuple[str, ...]
    random: Float[np.ndarray, "head look"]
    task: Float[np.ndarray, "head look"]
    writes: Float[np.ndarray, "head write"]

    def of(self, head: str) -> dict[str, float]:
        """A head's scores by name, without those that couldn't be measured.

        They are of :data:`LOOKS`, on random tokens and where there are none on the task, and of :data:`WRITES`.
        """
        at = self.heads.index(head)
        found = zip((*LOOKS, *WRITES), (*self._looks()[at], *self.writes[at]), strict=True)
        return {name: float(score) for name, score in found if not np.isnan(score)}

    def _looks(self) -> np.ndarray:
        """``[head, look]``, on random tokens where that could be measured, else on the task."""
        return np.where(np.isnan(self.random), self.task, self.random)

    def table(self) -> Table:
        """A row a head, with its label; ``acdc export`` takes the file for its labels."""
        found = labels(self)
        columns = ("node", "label", *LOOKS, *WRITES, *(f"{name} (task)" for name in LOOKS))
        numbers = np.concatenate((self.random, self.writes, self.task), 1)
        rows = [
            (head, found.get(head), *(None if np.isnan(x) else float(x) for x in row))
            for head, row in zip(self.heads, numbers, strict=True)
        ]
        return Table(columns, rows)

    def figure(self, plt: Any) -> Any:
        """A map of layers and heads for each detector."""
        names, scores = (*LOOKS, *WRITES), np.concatenate((self._looks(), self.writes), 1)
        n_layers = len({head.partition(".")[0] for head in self.heads})
        figure, axes = plt.subplots(2, 4, figsize=(10, 5), layout="constrained")
        for axis, name, values in zip(axes.flat, names, scores.T, strict=True):
            image = axis.imshow(values.reshape(n_layers, -1), vmin=0, vmax=1, origin="lower", aspect="auto")
            axis.set_title(name)
            axis.grid(visible=False)
            axis.locator_params(integer=True)
        figure.supxlabel("head")
        figure.supylabel("layer")
        figure.colorbar(image, ax=axes, shrink=0.6)
        return figure


def labels(detectors: HeadDetectors) -> dict[str, str]:
    """What heads are called by their scores; heads of no kind are left out.

    A head is of the look with the highest score, if that is at least its :data:`THRESHOLDS`. Where the OV circuit
    copies or suppresses, that is said as well (``induction, copying``). Looking at the first token counts only for
    heads that do nothing else.
    """
    found = {}
    for head in detectors.heads:
        scores = detectors.of(head)
        passed = [name for name in (*LOOKS, *WRITES) if scores.get(name, 0) >= THRESHOLDS[name]]
        kinds = [_highest(scores, passed, names) for names in ((name for name in LOOKS if name != _REST), WRITES)]
        if said := ", ".join(kind for kind in kinds if kind) or (_REST if _REST in passed else ""):
            found[head] = said
    return found


def _highest(scores: Mapping[str, float], passed: Sequence[str], names: Iterable[str]) -> str | None:
    return max((name for name in names if name in passed), key=lambda name: scores[name], default=None)


@own_torch_state()
@torch.no_grad()
def head_detectors(on: Setting | Model, *, n: int = 20, length: int = 50, seed: int = 0) -> HeadDetectors:
    r"""Score every head of a model by where it looks and by what its OV circuit writes.

    A look is the mean, over queries of all prompts, of the attention that goes from a query at position q to:

    - *previous token*: position q - 1; *current token*: q; *first token*: 0. Of queries from the third token on, for
      which these are three;
    - *duplicate token*: all earlier positions of the same token (Wang et al. 2022, arXiv 2211.00593). Of queries whose
      token has occurred before;
    - *induction*: all positions k < q behind an earlier occurrence of q's token, k - 1 being one (Olsson et al. 2022,
      arXiv 2209.11895, "prefix matching"). Of queries for which there is such a position;
    - *fuzzy induction*: the position behind a token that is only near to q's (Olsson et al.: "A* ... A").

    They are taken on random tokens: prompts of `length` tokens, blocks of different tokens of the model's vocabulary
    that repeat themselves to the prompt's end, each prompt with blocks of a length of its own (a quarter to half of the
    prompt), so that looking a fixed distance back isn't induction. For fuzzy induction a block is followed by the
    tokens whose embeddings are nearest to its own by their cosine and that aren't in it. Before the random tokens
    stands the special token that all of the task's prompts begin with or, without a task, that the tokenizer adds.
    All but fuzzy induction are taken on the task's clean prompts, too, whatever repeats itself there.

    What is written: see :func:`acdc.analysis.copying.copying`; over the task's tokens, or of a model alone over random
    ones.

    Args:
        on: a model on prompts, or a model alone.
        n: random prompts of either kind.
        length: their tokens, or as many as the model's context has.
        seed: of their draw.

    Raises:
        SettingsError: `on` is neither, or a number is out of range.
    """
    if not isinstance(on, Setting | Model):
        raise SettingsError(f"head detectors take a setting of `acdc.set_up` or a model, not {shown(on)}.")
    for name, value, least in (("n", n, 1), ("length", length, 1), ("seed", seed, 0)):
        if whole(name, value) < least:
            raise SettingsError(f"`{name}` must be at least {least}, not {value}.")
    setting = thawed(on) if isinstance(on, Setting) else None
    model = thawed(on) if isinstance(on, Model) else thawed(on.model)
    heads = all_heads(model.graph_config)
    drawn = repeated_tokens(model, _lead(on), n, length, seed)
    random = np.full((len(heads), len(LOOKS)), np.nan) if drawn is None else _on_random(model, heads, drawn)
    task = np.full((len(heads), len(LOOKS)), np.nan)
    if setting is not None:
        task[:, :-1] = _scores(model, heads, _exact_looks(part.tokens for part in setting.parts()))
    return HeadDetectors(tuple(head.name for head in heads), random, task, copying(setting or model, seed=seed))


def _lead(on: Setting | Model) -> tuple[int, ...]:
    """What stands before random tokens."""
    model = on.model if isinstance(on, Setting) else on
    if isinstance(on, Setting):
        first = {pair.clean[0] for pair in on.prompts.pairs}
        return tuple(first) if len(first) == 1 and first <= special_ids(model.tokenizer) else ()
    return () if model.tokenizer is None else added_tokens(model.tokenizer, "A")[0]


def _on_random(model: Model, heads: Sequence[Head], drawn: Repeated) -> np.ndarray:
    rows = [slice(start, start + _TOGETHER) for start in range(0, len(drawn.exact.lengths), _TOGETHER)]
    exact = _scores(model, heads, _exact_looks(drawn.exact[some] for some in rows))
    alike = ((drawn.alike[some], drawn.after_alike(some)[None].to(model.device)) for some in rows)
    return np.concatenate((exact, _scores(model, heads, alike)), 1)


def _exact_looks(batches: Iterator[Tokens]) -> Iterator[tuple[Tokens, Bool[Tensor, "look prompt pos pos"]]]:
    """Prompts, and from where to where each look but the last of :data:`LOOKS` goes on them."""
    for tokens in batches:
        yield tokens, looks(tokens)


def looks(tokens: Tokens) -> Bool[Tensor, "look prompt pos pos"]:
    """From which query to which key each look goes, but for fuzzy induction: ``[look, prompt, pos_q, pos_k]``."""
    ids, filled = tokens.ids, tokens.filled
    n = ids.shape[1]
    at = torch.arange(n, device=ids.device)
    q, k = at[:, None], at[None, :]
    before = k < q
    same = (ids[:, :, None] == ids[:, None, :]) & filled[:, :, None]  # [prompt, pos_q, pos_k]
    behind = torch.zeros_like(same)
    behind[..., 1:] = same[..., :-1]
    late = (q >= 2) & filled[:, :, None]
    placed = [late & (k == where) for where in (q - 1, q, torch.zeros_like(q))]
    return torch.stack((*placed, same & before, behind & before))


def _scores(
    model: Model, heads: Sequence[Head], batches: Iterator[tuple[Tokens, Bool[Tensor, "look prompt pos pos"]]]
) -> Float[np.ndarray, "head look"]:
    """Means of the attention of every head along looks, over the queries that have somewhere to look."""
    total: Float[np.ndarray, "head look"] | float = 0.0
    count: Float[np.ndarray, " look"] | float = 0.0
    for tokens, mask in batches:
        found = []
        for _, pattern in patterns(model, tokens, heads):
            found.append((pattern.nan_to_num() * mask).sum((1, 2, 3), dtype=torch.float64))
        total = total + torch.stack(found).cpu().numpy()
        count = count + mask.any(-1).sum((1, 2)).double().cpu().numpy()
    with np.errstate(invalid="ignore"):
        return np.asarray(total / np.where(count == 0, np.nan, count))
