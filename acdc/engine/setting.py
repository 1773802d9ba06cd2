"""What stays the same while a circuit changes: prompts, cached values, predictions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from acdc.displayed import Displayed
from acdc.engine.ablations import check_ablation
from acdc.engine.contributions import Contributions
from acdc.engine.once import Once, anew
from acdc.engine.sizes import Sizes
from acdc.errors import MemoryLimitError, NumericsError, PromptError
from acdc.graph import Graph
from acdc.metrics import AnswerTokens, Metric
from acdc.models.freezing import seen_on
from acdc.models.model import Model
from acdc.models.tokens import Tokens
from acdc.models.torchstate import own_torch_state
from acdc.pairs import PromptSet
from acdc.pruning.protocol import Pruning
from acdc.wording import counted


@dataclass(frozen=True, repr=False, eq=False)
class Setting(Displayed):
    """One model on one set of prompts.

    Attributes:
        model, graph, prompts: what it is about.
        ablation: what removed edges carry, by name.
        tokens: the clean prompts.
        contributions: what each node writes on them, and what its removed edges carry.
        rows, columns: prompt and position of each prediction, ``[prediction]``.
        answers: right and wrong answers of each prediction.
        model_logits, corrupted_logits: the model's own on the two prompts,
            ``[prediction, n_outputs]`` in float64.
        own_metric: a metric of the caller's that is reported beside acdc's.
        engine: the engine that methods prune on, by name, where it serves the model.
        split: makes an engine that prunes on parts of the prompts elsewhere, in place of this process's own.
        once: what is the same for every run on it is computed by this: anew, unless runs share it.
    """

    model: Model
    graph: Graph
    prompts: PromptSet
    ablation: str
    tokens: Tokens
    contributions: Contributions
    rows: Int[Tensor, " prediction"]
    columns: Int[Tensor, " prediction"]
    answers: AnswerTokens
    model_logits: Float[Tensor, "prediction n_outputs"]
    corrupted_logits: Float[Tensor, "prediction n_outputs"]
    own_metric: Metric | None = None
    engine: str = "fast"
    split: Callable[[Metric], Pruning] | None = None
    once: Once = anew
    _form: ClassVar = "models:setting_form"

    def __repr__(self) -> str:
        n = counted(len(self.rows), "prediction")
        return f"Setting({self.prompts!r} in {self.model!r}, {n}, {self.ablation} ablation)"

    def scored(self, rows: slice) -> slice:
        """Which predictions are those of some prompts."""
        start, stop = torch.searchsorted(self.rows.cpu(), torch.tensor([rows.start, rows.stop])).tolist()
        return slice(start, stop)

    def predictions(
        self, residual: Float[Tensor, "prompt pos d_model"], rows: slice
    ) -> Float[Tensor, "prediction n_outputs"]:
        """Logits that count, from the last residual of some prompts.

        They are in float64, so that a metric adds no rounding of its own.

        Args:
            residual: ``[prompt, pos, d_model]``.
            rows: which prompts.

        Returns:
            ``[prediction, n_outputs]``
        """
        scored = self.scored(rows)
        return self.model.logits(residual[self.rows[scored] - rows.start, self.columns[scored]]).double()

    def parts(self) -> list[Setting]:
        """The setting on the prompts of each chunk by itself, whose means add up by their predictions."""
        chunks = self.contributions.chunks
        return [self] if len(chunks) == 1 else [self.part(rows) for rows in chunks]

    def part(self, rows: slice) -> Setting:
        """The setting on some of its prompts, padded and ablated as all of them are."""
        scored = self.scored(rows)
        return replace(
            self,
            prompts=self.prompts.part(rows),
            tokens=self.tokens[rows],
            contributions=self.contributions.part(rows),
            rows=self.rows[scored] - rows.start,
            columns=self.columns[scored],
            answers=self.answers[scored],
            model_logits=self.model_logits[scored],
            corrupted_logits=self.corrupted_logits[scored],
            split=None,
            once=anew,
        )

    def has_clean(self, prompts: PromptSet) -> bool:
        """Whether others' clean prompts are the same, in the same order, and read at the same positions."""
        mine, theirs = (
            [(pair.clean, pair.answer_positions) for pair in each.pairs] for each in (self.prompts, prompts)
        )
        return mine == theirs

    def prompt_of(self, prediction: int) -> str:
        """Where the prompt of a prediction comes from, for messages."""
        return self.prompts.pairs[int(self.rows[prediction])].where


@own_torch_state()
@torch.no_grad()
def prepare(
    model: Model,
    prompts: PromptSet,
    *,
    ablation: str = "corrupted",
    split_input: bool = False,
    freeze: Sequence[str] = (),
    batch_size: int | None = None,
    known: Setting | None = None,
) -> Setting:
    """Run the clean and the corrupted prompts once.

    Args:
        model: the model.
        prompts: checked pairs; they may differ in length.
        ablation: what removed edges carry, one of :data:`acdc.engine.ablations.ABLATIONS`: ``corrupted`` (the corrupted
            run's value), ``zero``, or ``mean`` (over the clean prompts that reach a position).
        split_input: ``embed`` and ``pos_embed`` in place of ``input``.
        freeze: what stays as it is on the clean prompts, some of :data:`acdc.engine.names.FREEZABLE`: the model is one
            with that frozen, and the corrupted run is that model's. All prompts are run at a time. By default what is
            frozen of the model, on other prompts.
        batch_size: prompts that the whole model runs at a time; by default all, and what they write is kept.
        known: a setting that differs in its corrupted prompts at most, see :meth:`Setting.has_clean`: the clean ones
            aren't run again.

    Raises:
        UnknownNameError: no such ablation.
        NumericsError: NaN or infinite logits; names the prompt.
        SettingsError: the input can't be split.
        MemoryLimitError: something is to be frozen, and not all prompts may be run at a time.
    """
    check_ablation(ablation)
    if split_input:
        model.check_split_input()
    graph = Graph(replace(model.graph_config, split_input=split_input))
    tokens = Tokens.of([pair.clean for pair in prompts.pairs], model.device)
    corrupted = Tokens.of([pair.corrupted for pair in prompts.pairs], model.device)
    together, before = batch_size or len(prompts), None if known is None else known.contributions
    rows, columns, answers = _predictions(prompts, model.device)
    if freeze := freeze or model.frozen:
        _check_together(len(prompts), together)
        model = model.with_frozen(seen_on(model.thawed, freeze, tokens, rows, columns))
    contributions = Contributions(model, graph, tokens, corrupted, ablation, together, before)
    _check_answers(model, prompts)
    setting = Setting(
        model=model,
        graph=graph,
        prompts=prompts,
        ablation=ablation,
        tokens=tokens,
        contributions=contributions,
        rows=rows,
        columns=columns,
        answers=answers,
        model_logits=_read_off(model, contributions.clean_residual, rows, columns),
        corrupted_logits=_read_off(model, contributions.corrupted_residual, rows, columns),
    )
    return _checked_finite(setting)


def _read_off(model: Model, residual: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Logits of a last residual stream at predictions, in float64."""
    return model.logits(residual[rows, columns]).double()


def _checked_finite(setting: Setting) -> Setting:
    """The same. Raises :class:`NumericsError` where the model's own logits aren't finite; names the prompt."""
    for which, logits in (("clean", setting.model_logits), ("corrupted", setting.corrupted_logits)):
        bad = ~logits.isfinite().all(-1)
        if bad.any():
            prediction = int(bad.nonzero()[0])
            raise NumericsError(
                f"{setting.prompt_of(prediction)}: the model's logits on the {which} prompt are NaN or infinite; "
                'try `dtype="float32"`, or leave the prompt out.'
            )
    return setting


def _check_together(n_prompts: int, together: int) -> None:
    """Raise :class:`MemoryLimitError` unless all prompts are run at a time."""
    if together < n_prompts:
        raise MemoryLimitError(
            f"with `freeze` all {n_prompts} prompts are run at a time, and {together} are asked for, or fit into "
            "memory; give fewer by `n`, or a larger `batch_size`."
        )


def _check_answers(model: Model, prompts: PromptSet) -> None:
    """Raise :class:`PromptError` for an answer that the model can't give."""
    if model.dead is None:
        return
    dead = set(model.dead.nonzero().flatten().tolist())
    for pair in prompts.pairs:
        for token in (token for ids in (*(pair.answers or ()), *(pair.wrong_answers or ())) for token in ids):
            if token in dead:
                raise PromptError(
                    f"{pair.where}: this model's logit of the answer token {token} is minus infinity whatever the "
                    "prompt; give another answer."
                )


def _predictions(prompts: PromptSet, device: torch.device) -> tuple[Tensor, Tensor, AnswerTokens]:
    """Prompt, position and answers of every prediction."""
    rows, columns, right, wrong = [], [], [], []
    for row, pair in enumerate(prompts.pairs):
        for i, position in enumerate(pair.answer_positions):
            rows.append(row)
            columns.append(position)
            right.append(pair.answers[i] if pair.answers else ())
            wrong.append(pair.wrong_answers[i] if pair.wrong_answers else ())
    return (
        torch.tensor(rows, device=device),
        torch.tensor(columns, device=device),
        AnswerTokens(_padded(right, device), _padded(wrong, device)),
    )


def _padded(lists: list[tuple[int, ...]], device: torch.device) -> Tensor:
    width = max(1, *(len(ids) for ids in lists))
    return torch.tensor([list(ids) + [-1] * (width - len(ids)) for ids in lists], device=device)


def prediction_bytes(sizes: Sizes) -> int:
    """Logits of the model in float64, and what metrics make of them and of a circuit's."""
    return 9 * sizes.predictions * sizes.n_outputs * 8
