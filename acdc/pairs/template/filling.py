"""Texts with words in their slots, and where these stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from acdc.errors import PromptError
from acdc.pairs.template.layout import drawn_by
from acdc.pairs.template.spec import Slot, Template
from acdc.pairs.template.text import Ref, Text
from acdc.pairs.template.words import Word, WordList
from acdc.wording import quoted


class Rejected(Exception):
    """A combination of words makes no pair; says why."""


@dataclass(frozen=True)
class Value:
    """What stands in a slot.

    Attributes:
        word: a word with its tags; a text of a corruption that is no word has none.
        words: the list that it is of, or would be.
    """

    word: Word
    words: WordList

    @property
    def text(self) -> str:
        """As it stands in a prompt."""
        return self.word.text


@dataclass(frozen=True)
class Filling:
    """Words for a template's slots.

    Attributes:
        template: the template.
        slots: the task's drawn slots.
        values: a word for each drawn slot.
        replaced: what stands in place of the text of slots, by a corruption.
    """

    template: Template
    slots: Mapping[str, Slot]
    values: Mapping[str, Value]
    replaced: Mapping[str, Value | str] = field(default_factory=dict)

    def value(self, name: str) -> Value | None:
        """What stands in a slot; ``None`` for one whose text is made."""
        while True:
            if name in self.replaced:
                given = self.replaced[name]
                return given if isinstance(given, Value) else None
            if name in self.values:
                return self.values[name]
            alias = self.template.made[name].alias if name in self.template.made else None
            if alias is None:
                return None
            name = alias

    def of(self, ref: Ref) -> str:
        """The text of a slot.

        Raises:
            Rejected: the list ends before a neighbour that is asked for.
            PromptError: a tag or a neighbour is asked of a text that is no word of the slot's list.
        """
        if not ref.is_plain:
            return self._of_word(ref)
        given = self.replaced.get(ref.slot)
        if given is not None:
            return given if isinstance(given, str) else given.text
        if ref.slot in self.values:
            return self.values[ref.slot].text
        return self.filled(self.template.made[ref.slot])

    def _of_word(self, ref: Ref) -> str:
        value = self.value(ref.slot)
        found = None if value is None else value.word
        if value is not None and ref.step:
            found = value.words.further(value.text, ref.step)
            if found is None and value.words.find(value.text) is not None:
                raise Rejected(f"{{{ref}}} is beyond the end of the list {value.words.name}")
        text = None if found is None else found.text if ref.tag is None else found.tags.get(ref.tag)
        if text is None:
            what = "made text" if value is None else quoted(value.text)
            raise PromptError(f"{self.template.place}: {{{ref}}} has no meaning where the slot's text is {what}.")
        return text

    def filled(self, text: Text) -> str:
        """A text with the words in it."""
        return text.filled(self.of)

    def prompt(self) -> tuple[str, dict[str, tuple[tuple[int, int], ...]]]:
        """The template with the words in it, and where each slot stands, as half-open ranges of characters."""
        spans: dict[str, list[tuple[int, int]]] = {}

        def written(text: Text, start: int) -> str:
            done = ""
            for part in text.parts:
                if isinstance(part, str):
                    done += part
                    continue
                begun = start + len(done)
                made = part.is_plain and part.slot not in self.replaced and part.slot not in self.values
                here = spans.setdefault(str(part), []) if made else None
                done += written(self.template.made[part.slot], begun) if made else self.of(part)
                end = start + len(done)
                if begun < end:
                    (spans.setdefault(str(part), []) if here is None else here).append((begun, end))
            return done

        text = written(self.template.text, 0)
        return text, {name: tuple(ranges) for name, ranges in spans.items() if ranges}

    def word(self, name: str) -> Word:
        """The word of a slot that one is drawn for, or that repeats it."""
        value = self.value(name)
        return Word(self.of(Ref(name)), {}) if value is None else value.word

    def replacing(self, replaced: Mapping[str, Value | str]) -> Filling:
        """The same with other things in some slots' places."""
        return Filling(self.template, self.slots, self.values, replaced)

    @property
    def is_of_task(self) -> bool:
        """Whether it's a prompt that the task itself may draw: with words of their lists in drawn slots."""
        return all(
            name in self.slots and isinstance(value, Value) and self.slots[name].words.find(value.text) is not None
            for name, value in self.replaced.items()
        )

    def drawn(self, name: str) -> Slot | None:
        """The drawn slot behind a name."""
        return drawn_by(name, self.template, self.slots)
