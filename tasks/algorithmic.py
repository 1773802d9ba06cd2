"""What all algorithmic tasks share: questions spelled in symbols, whose right answers are computed.

Such a task says which questions there are, how one is written, and how it is corrupted; the rest stands here. A
prompt is symbols with one space between them, each of them one token, so that a symbol's place is a token's place.
"""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

from acdc.errors import PromptError, UnknownNameError, warn
from acdc.pairs import PromptPair, Tokenizer
from acdc.pairs.sampling import draw
from acdc.pairs.task import Generated, Split, Task
from acdc.wording import counted

from .spelling import Spelling, spelling_of

Q = TypeVar("Q")
Span = tuple[int, int]
#: Of all questions, far more than one in a hundred fits what a corruption asks for.
_MAX_TRIES = 10_000


@dataclass(frozen=True)
class Written:
    """A question, written as symbols.

    Attributes:
        symbols: the prompt.
        answers: for each place in it after which an answer is read, ascending, the right symbol; none where
            nothing is right.
        spans: names of stretches of symbols, half-open.
    """

    symbols: tuple[str, ...]
    answers: Mapping[int, str] = field(default_factory=dict)
    spans: Mapping[str, Span] = field(default_factory=dict)


@dataclass(frozen=True)
class Others(Generic[Q]):
    """What corruptions are made of.

    Attributes:
        task: its name.
        questions: all of the split.
        symbols: all that questions are made of.
        chance: where chance comes from.
    """

    task: str
    questions: Sequence[Q]
    symbols: Sequence[str]
    chance: random.Random

    def another(self, fits: Callable[[Q], bool]) -> Q:
        """A question of the split for which `fits` holds. Raises :class:`PromptError` if there seems to be none."""
        for _ in range(_MAX_TRIES):
            question = self.chance.choice(self.questions)
            if fits(question):
                return question
        raise PromptError(f"task {self.task}: no question is found that corrupts a prompt; ask for another corruption.")


@dataclass(frozen=True)
class Corruption:
    """A way to corrupt a question.

    Attributes:
        isolates: what changes, and with it what a circuit is asked for, in a line.
        make: from a question, and what corruptions are made of, to the corrupted prompt.
        is_control: the answers stay.
    """

    isolates: str
    make: Callable[[Any, Others[Any]], Written]
    is_control: bool = False


class SymbolTask(Task, Generic[Q]):
    """A task whose prompts are symbols.

    A subclass has :attr:`vocabulary`, :attr:`outputs` and :attr:`ways`, and implements :meth:`questions` and
    :meth:`written`. Under :func:`acdc.models.symbols.symbol_tokenizer` of its vocabulary, a symbol's token id
    is its place there; so it is for a model without a tokenizer. Any other tokenizer that
    makes one token of each symbol does too.
    """

    metric = "logit-diff"
    kind = "algorithmic"
    #: All symbols, in the order of their token ids.
    vocabulary: ClassVar[tuple[str, ...]]
    #: The symbols that can be right; all but the right one are wrong.
    outputs: ClassVar[tuple[str, ...]] = ()
    #: The ways to corrupt; the first is the default.
    ways: ClassVar[Mapping[str, Corruption]]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "ways" in vars(cls):
            cls.corruptions = {name: way.isolates for name, way in cls.ways.items()}
            cls.control_corruptions = frozenset(name for name, way in cls.ways.items() if way.is_control)

    @abstractmethod
    def questions(self, split: Split, symbols: Sequence[str]) -> Sequence[Q]:
        """All different questions of a split, in a fixed order.

        Args:
            split: which; decided by the questions alone.
            symbols: those that :meth:`fitting_symbols` found.
        """

    @abstractmethod
    def written(self, question: Q) -> Written:
        """A question as the prompt that asks it."""

    def candidates(self, question: Q) -> Sequence[str]:
        """Among what an answer is one; by default all :attr:`outputs`."""
        return self.outputs

    def fitting_symbols(self, tokenizer: Tokenizer | None) -> tuple[Sequence[str], Mapping[str, Sequence[str]]]:
        """The symbols to use, and words that are left out; by default the whole vocabulary."""
        return self.vocabulary, {}

    def generate(self, tokenizer: Tokenizer | None, n: int, seed: int, split: Split, corruption: str) -> Generated:
        """Make `n` pairs of different questions; the clean prompts are the same under every corruption.

        Raises:
            PromptError: the split has fewer questions, or the tokenizer doesn't make one token of each symbol.
            UnknownNameError: no such corruption.
        """
        if corruption not in self.ways:
            raise UnknownNameError("corruption", corruption, self.ways)
        symbols, left_out = self.fitting_symbols(tokenizer)
        if tokenizer is None and split == "train":  # held-out ones are read likewise
            warn(
                f"task {self.name}: the model has no tokenizer, so that the {len(symbols)} symbols from {symbols[0]!r} "
                f"to {symbols[-1]!r} are taken for its token ids 0 to {len(symbols) - 1}."
            )
        spelling = spelling_of(symbols, tokenizer, self.name)
        questions = self.questions(split, symbols)
        if n > len(questions):
            raise PromptError(
                f"task {self.name} has {counted(len(questions), f'different {split} pair')}, not {n}; ask for fewer."
            )
        chance = random.Random(f"{self.name} {split} {seed}")
        others = Others(self.name, questions, symbols, random.Random(f"{self.name} {split} {seed} {corruption}"))
        pairs = []
        for number, (question,) in enumerate(draw(self.name, split, n, chance, questions), start=1):
            clean, corrupted = self.written(question), self.ways[corruption].make(question, others)
            where = f"task {self.name}, {split} pair {number}"
            pairs.append(_pair(clean, corrupted, self.candidates(question), spelling, where))
        return Generated(pairs, left_out)


def differ(one: Iterable[Any], other: Iterable[Any]) -> bool:
    """Whether two rows of equal length differ at every place."""
    return all(a != b for a, b in zip(one, other, strict=True))


def _pair(clean: Written, corrupted: Written, candidates: Sequence[str], spelling: Spelling, where: str) -> PromptPair:
    """A pair as the tokenizer is given it."""
    right = list(clean.answers.values())
    return PromptPair(
        clean=spelling.prompt(clean.symbols),
        corrupted=spelling.prompt(corrupted.symbols),
        answers=tuple(spelling.answers([symbol]) for symbol in right),
        # As token ids: to tokenize some dozens of answers a pair takes longer than all the rest.
        wrong_answers=tuple(tuple(spelling.ids[other] for other in candidates if other != symbol) for symbol in right),
        answer_positions=tuple(place - len(clean.symbols) for place in clean.answers),  # a BOS may stand in front
        where=where,
        spans={name: (span,) for name, span in clean.spans.items()},
        corrupted_spans={name: (span,) for name, span in corrupted.spans.items()},
        corrupted_answers=tuple(spelling.answers([symbol]) for symbol in corrupted.answers.values()),
    )
