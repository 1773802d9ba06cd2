"""What a template file says, as values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from acdc.pairs.template.place import Place
from acdc.pairs.template.text import Ref, Text
from acdc.pairs.template.words import Word, WordList

#: Where an answer is read if nothing else is said.
END = "end"


@dataclass(frozen=True)
class Rule:
    """Something that a word must share with another slot's, or must not.

    Attributes:
        slot: the other slot.
        tag: the tag to compare; ``None`` for the word itself.
        same: whether they must be equal.
    """

    slot: str
    tag: str | None
    same: bool

    def holds(self, word: Word, other: Word) -> bool:
        """Whether it holds for a word and the other slot's."""
        if self.tag is None:
            return (word.text == other.text) == self.same
        mine = word.tags.get(self.tag)
        return (mine is not None and mine == other.tags.get(self.tag)) == self.same


@dataclass(frozen=True)
class Where:
    """Which words of a list are meant: those whose tag is one of some values."""

    tag: str
    values: frozenset[str]

    def holds(self, word: Word) -> bool:
        """Whether a word is meant."""
        return word.tags.get(self.tag) in self.values


@dataclass(frozen=True)
class Slot:
    """A slot that a word is drawn for.

    Attributes:
        name: its name.
        words: its list.
        tokens: how many tokens its words have where they stand; ``None`` for any number.
        where: which words of the list.
        rules: what they must share with other slots' words, or must not.
        may_repeat: whether another slot may have the same word.
        place: where it stands in the file.
    """

    name: str
    words: WordList
    tokens: int | None
    where: tuple[Where, ...]
    rules: tuple[Rule, ...]
    may_repeat: bool
    place: Place


@dataclass(frozen=True)
class Draw:
    """Another word that a corruption puts in a slot's place."""

    words: WordList
    where: tuple[Where, ...]
    rules: tuple[Rule, ...]


@dataclass(frozen=True)
class Listed:
    """Answers: all words of a list under conditions.

    Attributes:
        words: the list.
        text: how each is written; its slot is ``word``.
        bounds: by ``after``, ``before``, ``from`` and ``up_to``, the slot whose word is the bound.
        without: slots whose words are left out.
        rules: what the words must share with slots' words, or must not.
    """

    words: WordList
    text: Text
    bounds: Mapping[str, str]
    without: tuple[str, ...]
    rules: tuple[Rule, ...]

    @property
    def slots(self) -> Iterator[str]:
        """The slots that its conditions name."""
        yield from self.bounds.values()
        yield from self.without
        yield from (rule.slot for rule in self.rules)


#: For each answer position, texts and lists.
Answers = tuple[tuple[Text | Listed, ...], ...]


@dataclass(frozen=True)
class Template:
    """A prompt with slots.

    Attributes:
        text: the prompt.
        name: what reports call it.
        made: slots that are made of others, those of all templates included.
        positions: after which slots answers are read, or :data:`END`.
        answers: the right ones.
        wrong_answers: the wrong ones.
        place: where it stands in the file.
    """

    text: Text
    name: str
    made: Mapping[str, Text]
    positions: tuple[str, ...]
    answers: Answers
    wrong_answers: Answers
    place: Place


@dataclass(frozen=True)
class Corruption:
    """A way to corrupt a prompt.

    Attributes:
        name: its name.
        isolates: what it isolates, in a line.
        replace: what stands in a slot's place.
        answers: what is right then; ``None`` where nothing is said.
        keeps_answer: whether the right answer stays.
        place: where it stands in the file.
    """

    name: str
    isolates: str
    replace: Mapping[str, Text | Draw]
    answers: Answers | None
    keeps_answer: bool
    place: Place


@dataclass(frozen=True)
class Spec:
    """A whole task.

    Attributes:
        path: its file.
        files: the word files that it takes lists from.
        summary, source, metric: of the task.
        needs: what it needs of a tokenizer; empty where nothing is said.
        templates: at least one.
        slots: those that words are drawn for, by name.
        corruptions: by name; the first is the default.
        split_by: slots whose words decide the split.
        split_by_template: whether the template does too.
        is_split_given: whether the file says so; otherwise it's all slots that every template has.
        spans: further names of spans, and the slots that each stands for.
    """

    path: Path
    files: tuple[Path, ...]
    summary: str
    source: str
    metric: str
    needs: str
    templates: tuple[Template, ...]
    slots: Mapping[str, Slot]
    corruptions: Mapping[str, Corruption]
    split_by: tuple[str, ...]
    split_by_template: bool
    is_split_given: bool
    spans: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Leaf:
    """A place where a drawn slot's word, its tag or a neighbour stands in a prompt.

    Attributes:
        ref: the slot.
        before: the character before it; empty at the prompt's start, ``None`` where another slot ends there.
        inside: the slots that it stands in, from the outermost, itself the last.
    """

    ref: Ref
    before: str | None
    inside: tuple[str, ...]
