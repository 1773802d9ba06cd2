"""A task's pairs under one tokenizer, corruption by corruption, used ones and held-out ones, with every doubt.

What can be told without a model's weights.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from acdc.errors import AcdcError, AcdcWarning
from acdc.pairs.across import shared_prompts
from acdc.pairs.corrupting import Declared
from acdc.pairs.promptset import PromptSet
from acdc.pairs.task import Split, Task
from acdc.pairs.tokenizer import Tokenizer

#: What prompts are called, by their split.
USED, HELD_OUT = "used", "held out"
_CALLED: dict[Split, str] = {"train": USED, "test": HELD_OUT}


@dataclass(frozen=True)
class DrawnPairs:
    """A task's pairs under one of its corruptions.

    Attributes:
        corruption: its name.
        isolates: what the task says of it.
        declared: what else.
        which: ``used`` or ``held out``.
        prompts: the pairs.
        doubts: what is to be doubted of them, in sentences.
    """

    corruption: str
    isolates: str
    declared: Declared
    which: str
    prompts: PromptSet
    doubts: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """What they are, without the pairs."""
        return {
            "corruption": self.corruption,
            "isolates": self.isolates,
            "is_control": self.declared.is_control,
            "which": self.which,
            "n_prompts": len(self.prompts),
            "lengths": sorted({len(pair.clean) for pair in self.prompts.pairs}),
            "alignment": self.prompts.alignment_in_words,
            "left_out": dict(self.prompts.left_out),
        }


@dataclass(frozen=True)
class CheckedPairs:
    """All that was drawn of a task.

    Attributes:
        task: the task.
        drawn: corruption by corruption, the task's first one first; of each the used pairs before the held-out ones.
        notes: why there are no held-out pairs, in sentences.
    """

    task: Task
    drawn: tuple[DrawnPairs, ...]
    notes: tuple[str, ...]

    @property
    def corruptions(self) -> list[str]:
        """The corruptions that were looked at."""
        return list(dict.fromkeys(drawn.corruption for drawn in self.drawn))

    @property
    def doubts(self) -> list[tuple[str, str]]:
        """Every doubt, behind the corruption that it was met under."""
        return [(drawn.corruption, doubt) for drawn in self.drawn for doubt in drawn.doubts]

    def to_json(self) -> dict[str, Any]:
        """What was drawn, and the doubts in sentences."""
        return {
            "task": self.task.name,
            "source": self.task.source,
            "kind": self.task.kind,
            "usual_metric": self.task.metric,
            "prompts": [drawn.to_json() for drawn in self.drawn],
            "notes": list(self.notes),
            "doubts": merged(self.doubts, len(self.corruptions)),
        }


def check_pairs(
    task: Task, tokenizer: Tokenizer | None, *, corruption: str | None = None, **drawing: Any
) -> CheckedPairs:
    """Draw a task's pairs and check them.

    Args:
        task: the task.
        tokenizer: under which; token ids need none.
        corruption: the only one to draw; by default all of the task's.
        drawing: further arguments of :meth:`acdc.Task.prompts`, but for the split.

    Raises:
        AcdcError: the pairs to be used can't be drawn, or one of them doesn't fit.
    """
    declared = {name: task.declared(name) for name in ([corruption] if corruption is not None else task.corruptions)}
    drawn: list[DrawnPairs] = []
    notes: dict[str, None] = {}
    for name, says in declared.items():

        def draw(split: Split, name: str = name, says: Declared = says) -> DrawnPairs:
            with collected() as doubts:
                prompts = task.prompts(tokenizer, split=split, corruption=name, **drawing)
            return DrawnPairs(name, task.corruptions[name], says, _CALLED[split], prompts, tuple(doubts))

        used = draw("train")
        drawn.append(used)
        try:
            others = draw("test")
        except AcdcError as error:
            notes[f"nothing is known of held-out prompts: {error}"] = None
            continue
        shared = shared_prompts(used.prompts, others.prompts, tokenizer, any_order=says.is_algorithmic)
        found = tuple(f"{task.name}: {doubt}" for doubt in shared)
        drawn.append(DrawnPairs(name, others.isolates, says, HELD_OUT, others.prompts, (*others.doubts, *found)))
    return CheckedPairs(task, tuple(drawn), tuple(notes))


@contextmanager
def collected() -> Iterator[list[str]]:
    """Gives a list of what acdc warns of inside, each once; other warnings are passed on."""
    found: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", AcdcWarning)
        yield found
    for warning in caught:
        if not issubclass(warning.category, AcdcWarning):
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
        elif str(warning.message) not in found:
            found.append(str(warning.message))


def merged(doubts: Sequence[tuple[str, str]], corruptions: int) -> list[str]:
    """Doubts by corruption as sentences, each once; where not all corruptions have one, it says which do.

    Args:
        doubts: corruption and sentence.
        corruptions: how many there are.
    """
    under: dict[str, list[str]] = {}
    for corruption, doubt in doubts:
        if corruption not in under.setdefault(doubt, []):
            under[doubt].append(corruption)
    return [
        doubt if len(names) == corruptions else f"under {' and '.join(names)}: {doubt}"
        for doubt, names in under.items()
    ]
