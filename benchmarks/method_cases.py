"""What benchmarks/methods.py runs: cases, and how each method is asked for a circuit of a given size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from acdc.circuit import Circuit
from acdc.errors import UnknownNameError
from acdc.graph import Graph
from acdc.methods import METHODS, find_method
from acdc.models.loading import load_model
from acdc.models.model import Model
from acdc.planted import Parameters, planted, planted_names
from acdc.selection import Selection, Top

#: Whose gradient at the clean run is zero: methods that take one there take the corrupted run's instead.
FLAT = ("kl", "l2")
#: What `hisp` takes in their place, whose gradient is the clean run's.
SLOPED = "answer-logprob"
#: Each decides hundreds of times what to remove, or trains: too slow for a model of this many edges on a laptop.
_PATIENT, _LARGE = ("acdc", "hybrid", "patching", "sp", "edge-pruning", "ugs", "eap-ig-activations"), 20_000
#: Generated models that no method's defaults were chosen on.
GENERATED = {
    "small": Parameters(layers=4, heads=4, width=64, edges=40, seed=7, noise=0.01),
    "middle": Parameters(layers=6, heads=8, width=128, edges=300, seed=7, noise=0.01),
}
#: Of models whose circuit isn't known, their tasks, the share of the edges that circuits have, and the metric. KL
#: is what ACDC is defined by; MIB's figures are of the logit difference.
TASKS = {
    "tiny-tasks": (("ioi", "pronouns", "subject_verb", "factual_recall", "successor"), 0.1, "kl"),
    "smollm2-135m": (("ioi", "factual_recall", "subject_verb"), 0.01, "logit-diff"),
    "gpt2": (("ioi",), 0.02, "logit-diff"),
}


@dataclass(frozen=True)
class Case:
    """A model on a task.

    Attributes:
        group: under what it is in a table.
        model, task: by name.
        size: edges of the circuits that methods are asked for.
        n: prompt pairs.
        metric: that methods are given, by name.
        corruption: of the task; ``None``: its usual one.
        reference: the true circuit, where it is known.
        patient: whether slow methods run too.
    """

    group: str
    model: str
    task: str
    size: int
    n: int
    metric: str
    corruption: str | None = None
    reference: Circuit | None = None
    patient: bool = True

    @property
    def name(self) -> str:
        """For folders."""
        return self.model if self.reference is not None else f"{self.model}-{self.task}"

    @property
    def methods(self) -> list[str]:
        """Those that run on it."""
        return [name for name in METHODS if self.patient or name not in _PATIENT]


def cases(on: Sequence[str], n: int) -> Iterator[Case]:
    """What stands for each word: ``planted`` (by hand), ``small`` and ``middle`` (generated), or a model.

    Args:
        on: the words.
        n: prompt pairs, where the model doesn't say.

    Raises:
        UnknownNameError: no such word.
    """
    for word in on:
        if word == "planted":
            for name in planted_names():
                model = planted(name)
                about = model.settings
                yield Case(
                    "planted",
                    name,
                    about.task,
                    model.circuit.n_edges,
                    about.n,
                    about.metric,
                    about.corruption,
                    model.circuit,
                )
        elif word in GENERATED:
            model = planted(GENERATED[word].name)
            yield Case(word, model.name, model.task, model.circuit.n_edges, 20, "kl", reference=model.circuit)
        elif word in TASKS:
            opened = load_model(word)
            edges = Graph(opened.graph_config).n_edges
            tasks, share, metric = TASKS[word]
            for task in tasks:
                yield Case(word, word, task, round(share * edges), n, metric, patient=edges <= _LARGE)
        else:
            raise UnknownNameError("case", word, ["planted", *GENERATED, *TASKS])


def asked(name: str, case: Case, threshold: float | None) -> tuple[dict[str, Any], Selection | None]:
    """The options of a method and the selection that give a circuit of a case's size.

    Scores rank by magnitude where the true circuit is known, as ROC does, and by value where faithfulness is asked
    for. What decides by itself is told the size, but for subnetwork probing, which knows a penalty alone.

    Args:
        name: of the method.
        case: what it runs on.
        threshold: that led ACDC to that size, for `hybrid`, which knows no budget.
    """
    options: dict[str, Any] = {}
    if name == "acdc":
        options["budget"] = case.size
    elif name == "hybrid" and threshold is not None:
        options["threshold"] = threshold
    elif name in ("edge-pruning", "random"):
        options["edges"] = case.size
    elif name in ("eap", "gim") and case.metric in FLAT:
        options["side"] = "corrupted"
    method = find_method(name, **options)
    by = "magnitude" if case.reference is not None else "value"
    return options, None if method.decides else Top(case.size, by)


def opened(case: Case, held: dict[str, Model]) -> Model:
    """A case's model, opened once."""
    if case.model not in held:
        held.clear()
        held[case.model] = load_model(case.model, device="cpu")
    return held[case.model]
