"""The checked pairs that a run uses."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from acdc.displayed import Displayed
from acdc.errors import PromptError, warn
from acdc.pairs.tokenizer import Tokenizer
from acdc.pairs.tokenizing import TokenPair
from acdc.wording import counted, shortened


@dataclass(frozen=True, repr=False)
class PromptSet(Displayed):
    """The checked pairs that a run uses.

    Attributes:
        pairs: at least one; they may differ in length.
        task: the task's name, or the file's path.
        left_out: what the check left out and how many of it, e.g. ``{"names": 3}``.
        tokenizer: what the pairs were made with, to show them as text; ``None`` where they were token ids.
    """

    _form: ClassVar = "prompts:prompts_form"

    pairs: tuple[TokenPair, ...]
    task: str
    left_out: Mapping[str, int] = field(default_factory=dict)
    tokenizer: Tokenizer | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if not self.pairs:
            raise PromptError(f"{self.task}: there are no prompt pairs.")
        if all(pair.clean == pair.corrupted for pair in self.pairs):
            which = "the only pair" if len(self) == 1 else f"all {len(self)} pairs"
            raise PromptError(
                f"{self.task}: clean and corrupted prompts are equal in {which}, "
                "so that patching can't change anything; corrupt what the behaviour depends on."
            )
        for name, found, shown in (
            ("answers", [pair.answers for pair in self.pairs], "accuracy"),
            ("wrong answers", [pair.wrong_answers for pair in self.pairs], "the logit difference"),
        ):
            if any(found) and not all(found):
                warn(f"{self.task}: {name} on {sum(map(bool, found))} of {len(found)} pairs: {shown} isn't shown.")

    def __len__(self) -> int:
        return len(self.pairs)

    def part(self, rows: slice) -> PromptSet:
        """Some of its pairs, which are checked already: among others, those may be equal that can't be alone."""
        other = copy.copy(self)
        object.__setattr__(other, "pairs", self.pairs[rows])
        return other

    def __repr__(self) -> str:
        said = f"{counted(len(self), 'pair')} of {shortened(self.task, 100)!r}, {self.lengths_in_words}"
        return f"PromptSet({said}, {self.alignment_in_words})"

    @property
    def lengths_in_words(self) -> str:
        """``15 tokens``, or ``14 to 16 tokens``."""
        lengths = {len(pair.clean) for pair in self.pairs}
        least = min(lengths)
        return counted(least, "token") if len(lengths) == 1 else f"{least} to {max(lengths)} tokens"

    @property
    def has_answers(self) -> bool:
        """Whether every pair names right answers."""
        return all(pair.answers for pair in self.pairs)

    @property
    def has_wrong_answers(self) -> bool:
        """Whether every pair names wrong answers."""
        return all(pair.wrong_answers for pair in self.pairs)

    @property
    def alignment_in_words(self) -> str:
        """How far the pairs are known to line up."""
        said = {
            "lined up": "lined up token by token",
            "not judged": "equal length, not judged word by word",
            "moved": "not lined up",
        }
        found = [pair.alignment for pair in self.pairs]
        counts = {text: found.count(kind) for kind, text in said.items() if kind in found}
        if len(counts) == 1:
            return next(iter(counts))
        return ", ".join(f"{count} {text}" for text, count in counts.items())

    def sha256(self) -> str:
        """A hash of all token ids, answers and positions: equal exactly for equal data."""
        rows = [
            [pair.clean, pair.corrupted, pair.answer_positions, pair.answers, pair.wrong_answers] for pair in self.pairs
        ]
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()
