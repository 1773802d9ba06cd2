"""What an evaluation hands back: for each circuit and each set of prompts, figures, prompts and the worst of them.

Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from acdc.displayed import Displayed
from acdc.evaluation.intervals import Intervals
from acdc.results import QUANTITIES, Evaluation
from acdc.wording import counted

if TYPE_CHECKING:
    from acdc.evaluation.completeness import Completeness
    from acdc.evaluation.curves import Curve
    from acdc.evaluation.testing import HypothesisTests

#: Tags of a pair that say which of several forms it has.
FORMS = ("template", "group")
#: Which prompts: those that a circuit was found on, and others of the same draw.
USED, HELD_OUT = "used", "held out"
#: How circuits are run and KL is counted, see :mod:`acdc.evaluation.conventions`.
OWN, EAP_IG = "acdc", "eap-ig"
#: The label of a pair's right answer.
ANSWER = "answer"


@dataclass(frozen=True)
class JudgedPrompt:
    """A prompt pair that was judged.

    Attributes:
        where: where it comes from.
        clean, corrupted: its prompts as the model gets them, as text; token ids where there is no tokenizer.
        labels: what it is one of, as far as it says: its ``template``, its ``group``, its right ``answer``.
    """

    where: str
    clean: str
    corrupted: str
    labels: Mapping[str, str]


@dataclass(frozen=True)
class WorstPrompt:
    """A prompt on which a circuit is far from its model, token by token, at its worst prediction.

    Attributes:
        prompt: its number among the prompts.
        value: the metric, its mean over the prompt's predictions.
        position: token after which the prediction stands.
        tokens: clean and corrupted token, one a position.
        right, wrong: the answers.
        model, circuit: their likeliest tokens there, with probabilities, likeliest first.
    """

    prompt: int
    value: float
    position: int
    tokens: tuple[tuple[str, str], ...]
    right: tuple[str, ...]
    wrong: tuple[str, ...]
    model: tuple[tuple[str, float], ...]
    circuit: tuple[tuple[str, float], ...]


@dataclass(frozen=True, eq=False)
class Judgement(Displayed):
    """A circuit on one set of prompts.

    Attributes:
        circuit: what it was given as.
        n_edges, of_edges: edges of the circuit and of its graph.
        task: the task's name, or its file.
        which: ``used`` (those that it was found on), ``held out`` (others of the same draw), or the task's ``train``
            or ``test``.
        model: the model's name.
        metric, ablation, convention, bos, freeze: as asked for, or as the circuit was found.
        evaluation: the figures, with their values per prediction.
        prompts: the prompts, in order.
        worst: those on which the metric is highest, the worst first.
        curve, completeness, tests: where they were asked for; tests of held-out prompts alone.
    """

    circuit: str
    n_edges: int
    of_edges: int
    task: str
    which: str
    model: str
    metric: str
    ablation: str
    convention: str
    bos: str
    evaluation: Evaluation
    prompts: Sequence[JudgedPrompt]
    worst: Sequence[WorstPrompt]
    freeze: tuple[str, ...] = ()
    curve: Curve | None = None
    completeness: Completeness | None = None
    tests: HypothesisTests | None = None
    _form: ClassVar = "figures:judgement_form"

    def __repr__(self) -> str:
        share = self.evaluation.faithfulness
        kept = "faithfulness not defined" if share is None else f"faithfulness {share:.1%}"
        value, edges = self.evaluation.circuit.metrics[self.metric], counted(self.n_edges, "edge")
        return (
            f"Judgement({self.circuit!r}, {edges}, on {self.evaluation.n_prompts} {self.which} of "
            f"{self.task!r}: {self.metric} {value:.4g}, {kept})"
        )

    @cached_property
    def intervals(self) -> Intervals:
        """95 % intervals of its figures."""
        return Intervals(self.evaluation)

    @property
    def kinds(self) -> list[str]:
        """The labels by which its prompts fall into several groups, of two prompts each or more on average."""
        return kinds_of(self.prompts)

    def groups(self, kind: str) -> dict[str, Evaluation]:
        """The evaluation of the prompts of each label of a kind, see :attr:`kinds`; the worst by the metric first."""
        numbers = by_label(self.prompts, kind)
        parts = {label: self.evaluation.of_prompts(chosen) for label, chosen in numbers.items()}
        known = {label: part for label, part in parts.items() if part is not None}
        return dict(sorted(known.items(), key=lambda item: -item[1].circuit.metrics[self.metric]))

    def to_json(self) -> dict[str, Any]:
        """All of it; means with their intervals under ``figures``, values per prediction as lists under ``values``."""
        evaluation = self.evaluation
        return {
            "circuit": self.circuit,
            "n_edges": self.n_edges,
            "of_edges": self.of_edges,
            "task": self.task,
            "which": self.which,
            "model": self.model,
            "metric": self.metric,
            "ablation": self.ablation,
            "freeze": list(self.freeze),
            "convention": self.convention,
            "bos": self.bos,
            "n_prompts": evaluation.n_prompts,
            "faithfulness_metric": evaluation.faithfulness_metric,
            "figures": {state: self._figures(state) for state in evaluation.states},
            "by": {kind: {label: _means(part) for label, part in self.groups(kind).items()} for kind in self.kinds},
            "worst": [asdict(one) for one in self.worst],
            "prompts": [asdict(prompt) for prompt in self.prompts],
            "prompt_of": [] if evaluation.prompt_of is None else evaluation.prompt_of.tolist(),
            "values": {
                state: {name: each.tolist() for name, each in (found.values or {}).items()}
                for state, found in evaluation.states.items()
            },
            **{name: found.to_json() for name, found in self.beside.items()},
        }

    @property
    def beside(self) -> dict[str, Curve | Completeness | HypothesisTests]:
        """What was measured beside its behaviour: ``curve``, ``completeness``, ``tests``, as far as asked for."""
        found = {"curve": self.curve, "completeness": self.completeness, "tests": self.tests}
        return {name: one for name, one in found.items() if one is not None}

    def _figures(self, state: str) -> dict[str, Any]:
        """Every figure of a state, with its interval."""
        found = self.evaluation.states[state]
        figures = {
            name: {"mean": found.mean(name), **asdict(self.intervals.of(state, name))}
            for name in (*QUANTITIES, *found.metrics)
            if found.mean(name) is not None
        }
        share = {"mean": self.evaluation.share(state), **asdict(self.intervals.of_faithfulness(state))}
        return figures | {"faithfulness": share}

    def rows(self) -> list[dict[str, Any]]:
        """A row a prediction, for a table: what it is of, then every state's values as ``circuit.kl`` and so on."""
        prompt_of = np.zeros(0, dtype=np.int64) if self.evaluation.prompt_of is None else self.evaluation.prompt_of
        rows = []
        for prediction, number in enumerate(prompt_of.tolist()):
            prompt = self.prompts[number]
            row = {
                **{"circuit": self.circuit, "task": self.task, "which": self.which},
                **{"prompt": number, "prediction": prediction, "where": prompt.where},
                **{kind: prompt.labels.get(kind) for kind in (*FORMS, ANSWER)},
                **{"clean": prompt.clean, "corrupted": prompt.corrupted},
            }
            for state, found in self.evaluation.states.items():
                row |= {f"{state}.{name}": float(each[prediction]) for name, each in (found.values or {}).items()}
            rows.append(row)
        return rows


def kinds_of(prompts: Sequence[JudgedPrompt]) -> list[str]:
    """The labels by which prompts fall into several groups, of two prompts each or more on average."""
    found = []
    for kind in (*FORMS, ANSWER):
        labels = [prompt.labels.get(kind) for prompt in prompts]
        if None not in labels and 1 < len(set(labels)) <= len(labels) / 2:
            found.append(kind)
    return found


def by_label(prompts: Sequence[JudgedPrompt], kind: str) -> dict[str, list[int]]:
    """The numbers of the prompts of each label of a kind, ascending."""
    numbers: dict[str, list[int]] = {}
    for number, prompt in enumerate(prompts):
        if kind in prompt.labels:
            numbers.setdefault(prompt.labels[kind], []).append(number)
    return numbers


def _means(evaluation: Evaluation) -> dict[str, Any]:
    """The means of a group of prompts."""
    states = {
        name: {key: value for key, value in state.to_json(values=False).items() if key != "values"}
        for name, state in evaluation.states.items()
    }
    return {"n_prompts": evaluation.n_prompts, "faithfulness": evaluation.faithfulness, **states}
