"""Words in a row that occur twice among others, at varying places: "m b x k f b x k" -> " x", " k"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import ClassVar, overload

from acdc.pairs import Tokenizer
from acdc.pairs.task import Split

from .algorithmic import Corruption, Others, SymbolTask, Written
from .repeats import LETTERS, Rows, are_letters, asked, fitting_words, reordered

#: Symbols in a prompt, and how many of them are repeated: of letters, and of words.
SHORT, LONG = (8, 3), (12, 5)


@dataclass(frozen=True)
class Question:
    """What is repeated, and where.

    Attributes:
        repeated: the words that occur twice.
        others: those that occur once.
        places: where the repeated ones begin, first and again.
    """

    repeated: tuple[str, ...]
    others: tuple[str, ...]
    places: tuple[int, int]


def _written(question: Question, first: Sequence[str], is_known: bool = True) -> Written:
    """The prompt of a question in which the repeated words are `first` where they stand first."""
    (place, again), n = question.places, len(question.repeated)
    symbols = [*question.others]
    symbols[place:place] = first
    symbols[again:again] = question.repeated
    return Written(
        symbols=tuple(symbols),
        answers=asked(first, question.repeated[:-1], again) if is_known else {},
        spans={"first": (place, place + n), "repeat": (again, again + n)},
    )


def _no_repeat(question: Question, others: Others[Question]) -> Written:
    used = {*question.repeated, *question.others}
    new = others.chance.sample([word for word in others.symbols if word not in used], len(question.repeated))
    return _written(question, new, is_known=False)


def _other_order(question: Question, others: Others[Question]) -> Written:
    return _written(question, reordered(question.repeated, others.chance))


def _other_words(question: Question, others: Others[Question]) -> Written:
    used = {*question.repeated, *question.others}
    other = others.another(lambda other: not used & {*other.repeated, *other.others})
    other = replace(other, places=question.places)
    return _written(other, other.repeated)


class _Questions(Sequence[Question]):
    """All rows of words at all places, made when asked for."""

    def __init__(self, words: Sequence[str], split: Split) -> None:
        length, self._repeated = SHORT if are_letters(words) else LONG
        self._rows = Rows(words, length - self._repeated, split)
        starts = range(length - self._repeated + 1)
        self._places = [(i, j) for i, j in combinations(starts, 2) if i + self._repeated <= j]

    def __len__(self) -> int:
        return len(self._rows) * len(self._places)

    @overload
    def __getitem__(self, number: int) -> Question: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[Question]: ...
    def __getitem__(self, number: int | slice) -> Question | Sequence[Question]:
        if isinstance(number, slice):
            return [self[i] for i in range(*number.indices(len(self)))]
        number, place = divmod(number, len(self._places))
        row = self._rows[number]
        return Question(row[: self._repeated], row[self._repeated :], self._places[place])


class InductionFuzzy(SymbolTask[Question]):
    """Say what followed a word the first time, where some words in a row occur twice among others, at varying places.

    The prompt is eight letters, three of them repeated, or twelve words, five of them repeated, where the tokenizer
    has enough of one token.
    """

    name = "induction_fuzzy"
    summary = 'Words that occur again somewhere: "m b x k f b x" -> " k"'
    source = "after Olsson et al. 2022, arXiv 2209.11895, with repeated stretches at varying places"
    vocabulary = LETTERS
    spans = ("first", "repeat")
    ways: ClassVar = {
        "no-repeat": Corruption(
            "other words the first time, so that what is said again wasn't said before", _no_repeat
        ),
        "other-order": Corruption(
            "the repeated words in another order the first time, so that another one followed each", _other_order
        ),
        "other-words": Corruption("other words at all places: which words, not where they are repeated", _other_words),
    }

    def fitting_symbols(self, tokenizer: Tokenizer | None) -> tuple[Sequence[str], Mapping[str, Sequence[str]]]:
        """Common words, or letters under a tokenizer that has too few of them."""
        return fitting_words(tokenizer, 2 * (SHORT[0] - SHORT[1]), self.name)

    def questions(self, split: Split, symbols: Sequence[str]) -> Sequence[Question]:
        """All rows of words at all places; the first two of the repeated words decide the split."""
        return _Questions(symbols, split)

    def written(self, question: Question) -> Written:
        """The words; answers follow the repeated ones but the last where they stand again, at most four."""
        return _written(question, question.repeated)

    def candidates(self, question: Question) -> Sequence[str]:
        """The other words of the prompt are wrong."""
        return (*question.repeated, *question.others)
