"""What a run is asked for beside model, task and folder: checked once, and what follows from it alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from acdc.asked import batch_size, flag, real, text, whole
from acdc.engine.ablations import check_ablation
from acdc.engine.choice import check_engine
from acdc.engine.own_metric import asked_metric
from acdc.metrics import Metric
from acdc.models.model import Model
from acdc.pairs import PromptSet
from acdc.pairs.task import Split, Task
from acdc.pruning.pruner import AcdcSettings


@dataclass(frozen=True)
class Request:
    """The options of :func:`acdc.discover`, by the same names.

    Attributes:
        settings: threshold, order, gates and seed.
        measure: the metric.
        batch_size: ``None`` for ``auto``.
        corruption: ``None`` for the task's first.
        ablation, split_input, engine, n, bos, allow_misaligned, skip_bad_pairs, answers, wrong_answers:
            as they are called there.
    """

    settings: AcdcSettings
    measure: Metric
    ablation: str
    split_input: bool
    engine: str
    batch_size: int | None
    n: int | None
    corruption: str | None
    bos: str
    allow_misaligned: bool
    skip_bad_pairs: bool
    answers: str | None
    wrong_answers: str | None

    @classmethod
    def checked(cls, given: Mapping[str, Any]) -> Request:
        """Check options as a caller gave them, numpy's numbers among them.

        Raises:
            SettingsError: one is of another type, or makes no sense.
            UnknownNameError: no such metric, ablation, engine or order.
        """
        if given["corruption"] is not None:
            text("corruption", given["corruption"])
        check_ablation(text("ablation", given["ablation"]))
        check_engine(text("engine", given["engine"]))
        return cls(
            settings=AcdcSettings(
                real("threshold", given["threshold"]),
                order=text("order", given["order"]),
                gates=flag("gates", given["gates"]),
                seed=whole("seed", given["seed"]),
            ),
            measure=asked_metric(given["metric"]),
            ablation=given["ablation"],
            split_input=flag("split_input", given["split_input"]),
            engine=given["engine"],
            batch_size=batch_size(given["batch_size"]),
            n=None if given["n"] is None else whole("n", given["n"]),
            corruption=given["corruption"],
            bos=text("bos", given["bos"]),
            allow_misaligned=flag("allow_misaligned", given["allow_misaligned"]),
            skip_bad_pairs=flag("skip_bad_pairs", given["skip_bad_pairs"]),
            answers=given["answers"],
            wrong_answers=given["wrong_answers"],
        )

    def to_json(self, task: Task) -> dict[str, Any]:
        """What a record says of it, as far as it is known before the model is opened."""
        return {
            "task": task.name,
            "method": "acdc",
            "threshold": self.settings.threshold,
            "metric": self.measure.name,
            "ablation": self.ablation,
            "order": self.settings.order,
            "gates": self.settings.gates,
            "seed": self.settings.seed,
            "corruption": self.corruption or next(iter(task.corruptions)),
            "bos": self.bos,
            "allow_misaligned": self.allow_misaligned,
            "split_input": self.split_input,
            "skip_bad_pairs": self.skip_bad_pairs,
            "answers": self.answers,
            "wrong_answers": self.wrong_answers,
        }

    def prompts(self, model: Model, task: Task, split: Split, n: int | None) -> PromptSet:
        """The task's prompts for a model.

        Raises:
            PromptError: a pair doesn't fit, or the metric needs answers that aren't given.
        """
        prompts = task.prompts(
            model.tokenizer,
            n,
            self.settings.seed,
            split,
            self.corruption,
            vocab_size=model.vocab_size,
            n_outputs=model.n_outputs,
            max_length=model.n_ctx,
            bos=self.bos,
            allow_misaligned=self.allow_misaligned,
            skip_bad_pairs=self.skip_bad_pairs,
        )
        self.measure.check(prompts)
        return prompts
