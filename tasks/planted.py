"""Tasks of the planted models (:mod:`acdc.planted`), each under its model's name."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import cache
from itertools import product
from typing import ClassVar

from acdc.pairs import PromptPair, Tokenizer
from acdc.pairs.finding import find_task
from acdc.pairs.sampling import draw, in_split
from acdc.pairs.task import Generated, Split, Task
from acdc.planted import generator, is_random, planted
from acdc.planted.programs import COLOURS, FRUITS, KINDS, PROPORTION, PROPORTION_LENGTH, TOOLS, VEGETABLES

from .algorithmic import Corruption, Others, SymbolTask, Written
from .repeats import Rows
from .spelling import spelling_of

Row = tuple[str, ...]


def task_of(name: str) -> Task:
    """The task that the planted model of that name does.

    Raises:
        UnknownNameError: no such model.
        SettingsError: parameters that make none.
    """
    if is_random(name):
        return RandomSymbols(name)
    own = {task.name: task for task in (Proportion, TwoWordsOr, TwoWordsAnd)}
    return own[name]() if name in own else find_task(planted(name).task)


def _counted(row: Row) -> Written:
    """Symbols, behind which it is asked whether most of them are ``x``."""
    answer = "most" if row.count("x") > PROPORTION_LENGTH / 2 else "few"
    return Written((*row, ":"), {PROPORTION_LENGTH: answer}, {"symbols": (0, PROPORTION_LENGTH)})


def _other_symbols(row: Row, others: Others[Row]) -> Written:
    answers = _counted(row).answers
    return _counted(others.another(lambda other: _counted(other).answers != answers))


def _other_order(row: Row, others: Others[Row]) -> Written:
    return _counted(tuple(others.chance.sample(row, len(row))))


@cache
def _rows(split: Split) -> Sequence[Row]:
    rows = product(PROPORTION[:-2], repeat=PROPORTION_LENGTH)
    return [row for row in rows if row.count("x") in (2, 3, 4, 5) and in_split(split, "".join(row))]


class Proportion(SymbolTask[Row]):
    """Say whether most of seven symbols are ``x``, or few; a question is the seven."""

    name = "planted-proportion"
    summary = 'Counting: "x w x x y z x :" -> " most"'
    source = "after xproportion in Conmy et al. 2023, arXiv 2304.14997"
    vocabulary = (*PROPORTION, ":")
    outputs = PROPORTION[-2:]
    spans = ("symbols",)
    ways: ClassVar = {
        "other-symbols": Corruption("other symbols, with the other answer", _other_symbols),
        "other-order": Corruption(
            "the same symbols in another order, which the answer doesn't depend on", _other_order, is_control=True
        ),
    }

    def questions(self, split: Split, symbols: Sequence[str]) -> Sequence[Row]:
        """Rows of two to five ``x`` among others; the whole row decides the split."""
        return _rows(split)

    def written(self, question: Row) -> Written:
        """The symbols and ``:``, behind which the answer is read."""
        return _counted(question)


def _asked(row: Row, needed: int) -> Written:
    """Two words and a colour, behind which it is asked of what kind so many of the words are."""
    found = [kind for kind, words in KINDS.items() if sum(word in words for word in row[:2]) >= needed]
    spans = {"first": (0, 1), "second": (1, 2), "colour": (2, 3)}
    return Written((*row, "?"), {3: found[0] if found else "neither"}, spans)


def _with_tools(needed: int, *places: int) -> Callable[[Row, Others[Row]], Written]:
    """A corruption that puts tools in the place of words."""

    def corrupted(row: Row, others: Others[Row]) -> Written:
        return _asked(tuple(others.chance.choice(TOOLS) if i in places else row[i] for i in range(3)), needed)

    return corrupted


@cache
def _of_a_kind(split: Split) -> Sequence[Row]:
    return [row for words in KINDS.values() for row in product(words, words, COLOURS) if in_split(split, *row)]


class _TwoWords(SymbolTask[Row]):
    """Say what two words are; a question is two fruits or two vegetables, and a colour that doesn't matter."""

    source = "the gates of Conmy et al. 2023, arXiv 2304.14997"
    vocabulary = (*FRUITS, *VEGETABLES, *TOOLS, *COLOURS, "?", *KINDS, "neither")
    outputs = (*KINDS, "neither")
    spans = ("first", "second", "colour")
    #: So many of the words must be of a kind.
    needed: ClassVar[int]

    def questions(self, split: Split, symbols: Sequence[str]) -> Sequence[Row]:
        """Two words of a kind and a colour, which decide the split together."""
        return _of_a_kind(split)

    def written(self, question: Row) -> Written:
        """The words and ``?``, behind which the answer is read."""
        return _asked(question, self.needed)


_BOTH, _FIRST = "tools in place of both words", "a tool in place of the first word"


class TwoWordsOr(_TwoWords):
    """Say what either word is."""

    name = "planted-or"
    summary = 'A fruit or a vegetable in either place: "apple saw red ?" -> " fruit"'
    needed = 1
    ways: ClassVar = {
        "two-tools": Corruption(_BOTH, _with_tools(1, 0, 1)),
        "first-tool": Corruption(f"{_FIRST}; the second is enough", _with_tools(1, 0), is_control=True),
    }


class TwoWordsAnd(_TwoWords):
    """Say what both words are, if they are of one kind."""

    name = "planted-and"
    summary = 'Fruits or vegetables in both places: "apple pear red ?" -> " fruit"'
    needed = 2
    ways: ClassVar = {
        "two-tools": Corruption(_BOTH, _with_tools(2, 0, 1)),
        "first-tool": Corruption(f"{_FIRST}, so that the second isn't enough", _with_tools(2, 0)),
    }


class RandomSymbols(Task):
    """Random symbols, of which a generated model makes what its program says; there is no right answer."""

    summary = "random symbols for a generated model"
    source = "acdc.planted.generator"
    kind = "algorithmic"
    corruptions: ClassVar = {"other-symbols": "other symbols in all places but the first, where none is"}

    def __init__(self, name: str) -> None:
        self.name = planted(name).name

    def generate(self, tokenizer: Tokenizer | None, n: int, seed: int, split: Split, corruption: str) -> Generated:
        """Make `n` pairs of rows of different symbols, whose first two decide the split.

        Raises:
            PromptError: the tokenizer doesn't make one token of each symbol.
        """
        spelling = spelling_of((generator.ANCHOR, *generator.SYMBOLS), tokenizer, self.name)
        rows = Rows(generator.SYMBOLS, generator.LENGTH - 1, split)
        chance, corrupting = random.Random(f"{split} {seed}"), random.Random(f"{split} {seed} {corruption}")
        pairs = []
        for (row,) in draw(self.name, split, n, chance, rows):
            rest = [symbol for symbol in generator.SYMBOLS if symbol not in row]
            other = corrupting.sample(rest, len(row))
            clean, corrupted = (spelling.prompt((generator.ANCHOR, *symbols)) for symbols in (row, other))
            pairs.append(PromptPair(clean, corrupted))
        return Generated(pairs)
