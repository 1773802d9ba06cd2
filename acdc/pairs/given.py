"""Prompt pairs that somebody has written, as a task: those of a file, or a list of them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from acdc.errors import PromptError
from acdc.pairs import PromptPair, Tokenizer, TokenPair
from acdc.pairs.skipping import BAD_PAIRS, none_left, without_bad
from acdc.pairs.splitting import Sides, sides, too_many
from acdc.pairs.task import Generated, Split, Task
from acdc.wording import counted


class GivenPairs(Task):
    """Prompt pairs in the order in which they are given.

    The seed decides which of them are used for `n` and which are held out, up to `n` as well; see
    :mod:`acdc.pairs.splitting`.

    Args:
        name: the task's name.
        pairs: the pairs; an error stands for one that can't be read, and is raised as soon as pairs
            are asked for, unless those that don't fit are skipped.
    """

    summary = "given prompt pairs"
    metric = "logit-diff"  # where the pairs name right and wrong answers; else the metric that decides
    corruptions: ClassVar = {"given": "the corrupted prompts as given"}

    def __init__(self, name: str, pairs: Sequence[PromptPair | PromptError]) -> None:
        self.name = name
        self._given = list(pairs)
        self._bad: list[PromptError] = []  # of the pairs that were left out
        self._parted: tuple[int, Sides] | None = None  # for the last seed

    @classmethod
    def of_list(cls, pairs: Sequence[Any]) -> GivenPairs:
        """A list of pairs from Python.

        Raises:
            PromptError: it is empty, or something else is in it.
        """
        named: list[PromptPair | PromptError] = []
        for number, pair in enumerate(pairs, start=1):
            if not isinstance(pair, PromptPair):
                raise PromptError(
                    f"pair {number} of the list is of the type {type(pair).__name__}; it must be an acdc.PromptPair."
                )
            is_named = pair.where != PromptPair.where
            named.append(pair if is_named else replace(pair, where=f"pair {number} of the list"))
        if not named:
            raise PromptError("the list of prompt pairs is empty; give at least one.")
        return cls("prompt pairs", named)

    @property
    def pairs(self) -> list[PromptPair]:
        """All pairs. Raises :class:`PromptError` if one can't be read."""
        self.refuse_unreadable()
        return [pair for pair in self._given if not isinstance(pair, PromptError)]

    @property
    def default_n(self) -> int:
        """As many pairs as there are to be used. Raises :class:`PromptError` if all are marked to be held out."""
        n = self._sides(0).n_train
        if n == 0:
            raise PromptError(f"{self.name}: no pair is marked as train; nothing can be used.")
        return n

    def refuse_unreadable(self) -> None:
        """Raise the error of the first pair that can't be read."""
        for pair in self._given:
            if isinstance(pair, PromptError):
                raise pair

    def fitting(self, tokenized: Callable[[PromptPair], TokenPair], tokenizer: Tokenizer | None) -> GivenPairs:
        """Itself without the pairs that can't be read or that `tokenized` refuses."""
        good, bad = without_bad(self.name, self._given, lambda pair: tokenized(self._written_for(pair, tokenizer)))
        if not good:
            raise none_left(self.name, bad)
        made = copy.copy(self)
        made._given, made._bad, made._parted = list(good), bad, None
        return made

    def generate(self, tokenizer: Tokenizer | None, n: int, seed: int, split: Split, corruption: str) -> Generated:
        """Take the split's pairs.

        Raises:
            PromptError: there are fewer than `n` pairs to be used, or for test none besides.
        """
        found = self._sides(seed)
        pairs = [self._written_for(pair, tokenizer) for pair in self.pairs]
        if n > found.n_train:
            raise too_many(self.name, n, found.n_train)
        if split == "train":
            left_out = {
                BAD_PAIRS: [str(error) for error in self._bad],
                "validation pairs": [pairs[place].where for place in found.aside],
                "held-out pairs with the clean prompt of a used one": [pairs[place].where for place in found.repeated],
            }
            left_out = {kind: which for kind, which in left_out.items() if which}
            return Generated([pairs[place] for place in found.train(n)], left_out)
        places = found.held_out(n)
        if places:
            return Generated([pairs[place] for place in places])
        if found.test is not None:
            raise PromptError(f"{self.name}: no pair is held out; mark some as test that no used one equals.")
        if n == found.n_train:
            raise PromptError(
                f"{self.name}: it has {counted(n, 'prompt pair')} and all are used; a smaller n holds the others out."
            )
        advice = "a smaller n may hold some out" if len(found.units) > 1 else "mark some as test to hold them out"
        raise PromptError(
            f"{self.name}: all pairs have a group or a clean prompt in common with those that are used; {advice}."
        )

    def _written_for(self, pair: PromptPair, tokenizer: Tokenizer | None) -> PromptPair:
        """A pair as it is to be tokenized."""
        return pair

    def _sides(self, seed: int) -> Sides:
        if self._parted is None or self._parted[0] != seed:
            self._parted = seed, sides(self.pairs, seed)
        return self._parted[1]
