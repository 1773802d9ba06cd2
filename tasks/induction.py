"""Words that are said again in the same order: "b x k f b x k" is continued with " f".

Repeated random tokens, as in Olsson et al. 2022 (arXiv 2209.11895); Conmy et al. 2023 (arXiv 2304.14997) have a task
of that name, on text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from acdc.pairs import Tokenizer
from acdc.pairs.task import Split

from .algorithmic import Corruption, Others, SymbolTask, Written
from .repeats import LETTERS, Rows, are_letters, asked, fitting_words, reordered

#: Words in a row: of letters, and of others.
SHORT, LONG = 4, 8
Row = tuple[str, ...]


def _written(first: Row, repeat: Row, is_known: bool = True) -> Written:
    """The prompt in which `repeat` stands behind `first`."""
    n = len(first)
    return Written(
        symbols=(*first, *repeat),
        answers=asked(first, repeat, n) if is_known else {},
        spans={"first": (0, n), "repeat": (n, n + len(repeat))},
    )


def _no_repeat(row: Row, others: Others[Row]) -> Written:
    new = others.chance.sample([word for word in others.symbols if word not in row], len(row))
    return _written(tuple(new), row[:-1], is_known=False)


def _other_order(row: Row, others: Others[Row]) -> Written:
    return _written(reordered(row, others.chance), row[:-1])


def _other_words(row: Row, others: Others[Row]) -> Written:
    other = others.another(lambda other: not set(other) & set(row))
    return _written(other, other[:-1])


class Induction(SymbolTask[Row]):
    """Say what followed a word the first time, in a row of different words behind which all but the last stand again.

    A question is a row: of four letters, or of eight words where the tokenizer has enough of one token.
    """

    name = "induction"
    summary = 'Repeated words: "b x k f b x" -> " k"'
    source = "after Olsson et al. 2022, arXiv 2209.11895"
    vocabulary = LETTERS
    spans = ("first", "repeat")
    ways: ClassVar = {
        "no-repeat": Corruption(
            "other words the first time, so that what is said again wasn't said before", _no_repeat
        ),
        "other-order": Corruption(
            "the same words the first time in another order, so that another one followed each", _other_order
        ),
        "other-words": Corruption("other words both times: which words, not that they are repeated", _other_words),
    }

    def fitting_symbols(self, tokenizer: Tokenizer | None) -> tuple[Sequence[str], Mapping[str, Sequence[str]]]:
        """Common words, or letters under a tokenizer that has too few of them."""
        return fitting_words(tokenizer, 2 * SHORT, self.name)

    def questions(self, split: Split, symbols: Sequence[str]) -> Sequence[Row]:
        """All rows of words; the first two decide the split."""
        return Rows(symbols, SHORT if are_letters(symbols) else LONG, split)

    def written(self, question: Row) -> Written:
        """The words, and all but the last again; answers follow those that are said again, at most the last four."""
        return _written(question, question[:-1])

    def candidates(self, question: Row) -> Sequence[str]:
        """The other words of the prompt are wrong."""
        return question
