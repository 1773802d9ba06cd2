"""What benchmarks/methods.py sweeps: cases, and how each method is asked for a circuit of a given size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from acdc.circuit import Circuit
from acdc.errors import UnknownNameError
from acdc.graph import Graph
from acdc.methods import METHODS, find_method
from acdc.metrics import DISTANCES
from acdc.models.loading import load_model
from acdc.planted import Parameters, planted, planted_names

#: What `hisp`, whose gradient is the clean run's, takes in the place of distances from the model.
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
    """A model on tasks: a sweep over them and the methods.

    Attributes:
        group: under what it is in a table.
        model, tasks: by name.
        size: edges of the circuits that methods are asked for.
        n: prompt pairs.
        metric: that methods are given, by name.
        corruption: of the task; ``None``: its usual one.
        reference: the true circuit, where it is known.
        patient: whether slow methods run too.
    """

    group: str
    model: str
    tasks: Sequence[str]
    size: int
    n: int
    metric: str
    corruption: str | None = None
    reference: Circuit | None = None
    patient: bool = True

    def name(self, task: str) -> str:
        """In tables."""
        return self.model if self.reference is not None else f"{self.model}-{task}"

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
                    (about.task,),
                    model.circuit.n_edges,
                    about.n,
                    about.metric,
                    about.corruption,
                    model.circuit,
                )
        elif word in GENERATED:
            model = planted(GENERATED[word].name)
            yield Case(word, model.name, (model.task,), model.circuit.n_edges, 20, "kl", reference=model.circuit)
        elif word in TASKS:
            opened = load_model(word)
            edges = Graph(opened.graph_config).n_edges
            tasks, share, metric = TASKS[word]
            yield Case(word, word, tasks, round(share * edges), n, metric, patient=edges <= _LARGE)
        else:
            raise UnknownNameError("case", word, ["planted", *GENERATED, *TASKS])


def axes(case: Case, names: Sequence[str], tasks: Sequence[str], threshold: float | None = None) -> dict[str, Any]:
    """The axes of a sweep over methods on a case.

    Args:
        case: what they run on.
        names: of the methods.
        tasks: of the case's.
        threshold: for `hybrid`, see :func:`asked`.
    """
    found = {"model": case.model, "device": "cpu", "task": list(tasks), "n": case.n}
    if case.corruption is not None:
        found["corruption"] = case.corruption
    return {**found, "method": [{"name": name, **asked(name, case, threshold)} for name in names]}


def asked(name: str, case: Case, threshold: float | None = None) -> dict[str, Any]:
    """The axes of one method that give a circuit of a case's size: metric, options, selection.

    Scores rank by magnitude where the true circuit is known, as ROC does, and by value where faithfulness is asked
    for. What decides by itself is told the size, but for subnetwork probing, which knows a penalty alone.

    Args:
        name: of the method.
        case: what it runs on.
        threshold: that led ACDC to that size, for `hybrid`, which knows no budget.
    """
    found: dict[str, Any] = {"metric": SLOPED if name == "hisp" and case.metric in DISTANCES else case.metric}
    if name == "acdc":
        found["budget"] = case.size
    elif name == "hybrid" and threshold is not None:
        found["threshold"] = threshold
    elif name in ("edge-pruning", "random"):
        found["edges"] = case.size
    if not find_method(name).decides:
        found |= {"top": case.size, "by": "magnitude" if case.reference is not None else "value"}
    return found
