"""Which words fit a slot under a tokenizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from acdc.pairs import Tokenizer
from acdc.pairs.context import tokens_inside
from acdc.pairs.encoding import is_unknown
from acdc.pairs.template.layout import Layout, drawn_by
from acdc.pairs.template.spec import Answers, Listed, Spec
from acdc.pairs.template.text import Ref, Text
from acdc.pairs.template.words import Word, WordList
from acdc.waiting import waiting


@dataclass(frozen=True)
class Use:
    """A way in which a slot's word is written in prompts.

    Attributes:
        ref: the word, its tag or a neighbour.
        before: the character before it; empty at a prompt's start, ``None`` behind another slot.
    """

    ref: Ref
    before: str | None

    @property
    def is_glued(self) -> bool:
        """Whether its tokens may join with those before it."""
        return self.before is None or not (self.before == "" or self.before.isspace())


class Fitting:
    """Words that fit, by slot and list; each is looked at once.

    Args:
        spec: the task.
        layouts: of its templates.
        tokenizer: the tokenizer.
    """

    def __init__(self, spec: Spec, layouts: Sequence[Layout], tokenizer: Tokenizer) -> None:
        self._spec = spec
        self._tokenizer = tokenizer
        self._sizes: dict[tuple[str, str], int | None] = {}
        self._fitting: dict[tuple[str, int], tuple[Word, ...]] = {}
        self._texts: dict[tuple[str, int], set[str]] = {}
        self._one_token: dict[str, bool] = {}
        #: Words that don't fit, by the list's name.
        self.left_out: dict[str, dict[str, None]] = {}
        self.uses = _uses(spec, layouts)
        self._answers = _answers(spec)

    def words(self, slot: str, words: WordList) -> tuple[Word, ...]:
        """Those of a list that fit where a slot stands."""
        key = (slot, id(words))
        if key not in self._fitting:
            self._fitting[key] = tuple(
                word
                for word in waiting(words.words, f"looking at words of {words.name}")
                if self._fits(slot, words, word)
            )
        return self._fitting[key]

    def fits(self, slot: str, words: WordList, text: str) -> bool:
        """Whether the word of that text is one of a list that fits where a slot stands."""
        key = (slot, id(words))
        if key not in self._texts:
            self._texts[key] = {word.text for word in self.words(slot, words)}
        return text in self._texts[key]

    def of_slot(self, name: str) -> tuple[Word, ...]:
        """The words that may be drawn for a slot."""
        slot = self._spec.slots[name]
        return tuple(word for word in self.words(name, slot.words) if all(one.holds(word) for one in slot.where))

    def sizes(self, slot: str, words: WordList, word: Word) -> tuple[int | None, ...]:
        """How many tokens a word has at each of a slot's places."""
        return tuple(
            None if (text := _text(use.ref, words, word)) is None else self._size(use, text)
            for use in self.uses.get(slot, ())
        )

    def is_one_token(self, answer: str) -> bool:
        """Whether an answer is one token inside a text."""
        if answer not in self._one_token:
            tokens = tokens_inside(self._tokenizer, answer) if answer else []
            self._one_token[answer] = len(tokens) == 1 and not is_unknown(tokens, answer, self._tokenizer)
        return self._one_token[answer]

    def _fits(self, slot: str, words: WordList, word: Word) -> bool:
        """Whether a word fits; counts one that has its neighbours and tags and yet doesn't."""
        drawn = self._spec.slots.get(self._drawn_name(slot))
        wanted = None if drawn is None else drawn.tokens
        texts = [(use, _text(use.ref, words, word)) for use in self.uses.get(slot, ())]
        answers = [_text(ref, words, word) for _, ref in self._answers.get(slot, ())]
        if any(text is None for _, text in texts) or any(text is None for text in answers):
            return False
        found = [self._size(use, text) for use, text in texts if text is not None]
        fits = all(size is not None and (wanted is None or size == wanted) for size in found)
        for text, ref in self._answers.get(slot, ()):
            filled = text.filled(lambda _, ref=ref: _text(ref, words, word) or "")  # type: ignore[misc]
            fits = fits and self.is_one_token(filled)
        if not fits:
            self.left_out.setdefault(words.name, {}).setdefault(word.text)
        return fits

    def _drawn_name(self, name: str) -> str:
        for template in self._spec.templates:
            if name in self._spec.slots or name in template.made:
                slot = drawn_by(name, template, self._spec.slots)
                return "" if slot is None else slot.name
        return name

    def _size(self, use: Use, text: str) -> int | None:
        """How many tokens a text has there; ``None`` where one isn't known."""
        spaced = text if use.before != " " else f" {text}"
        start = "^" if use.before == "" else ""
        key = (start, spaced)
        if key not in self._sizes:
            if start:
                tokens = list(self._tokenizer.encode(text, add_special_tokens=False))
            else:
                tokens = tokens_inside(self._tokenizer, spaced)
            self._sizes[key] = None if is_unknown(tokens, text, self._tokenizer) else len(tokens)
        return self._sizes[key]


def _text(ref: Ref, words: WordList, word: Word) -> str | None:
    """What a slot's place shows where its word is `word`; ``None`` where there is nothing."""
    found: Word | None = word
    if ref.step:
        found = words.further(word.text, ref.step)
    if found is None:
        return None
    return found.text if ref.tag is None else found.tags.get(ref.tag)


def _uses(spec: Spec, layouts: Sequence[Layout]) -> Mapping[str, tuple[Use, ...]]:
    """The ways in which each slot is written; a slot that repeats another has the places where it stands."""
    found: dict[str, dict[Use, None]] = {}
    for template, one in zip(spec.templates, layouts, strict=True):
        for leaf in one.leaves:
            for name in leaf.inside:
                if name == leaf.ref.slot or (drawn_by(name, template, spec.slots) is not None):
                    found.setdefault(name, {}).setdefault(Use(leaf.ref, leaf.before))
    return {name: tuple(uses) for name, uses in found.items()}


def _answers(spec: Spec) -> Mapping[str, tuple[tuple[Text, Ref], ...]]:
    """For each slot, the answers that it alone decides."""
    found: dict[str, dict[tuple[Text, Ref], None]] = {}
    for template in spec.templates:
        others = [one.answers for one in spec.corruptions.values() if one.answers is not None]
        for text in _texts((*template.answers, *template.wrong_answers, *(group for one in others for group in one))):
            refs = list(dict.fromkeys(text.refs))
            slot = drawn_by(refs[0].slot, template, spec.slots) if len(refs) == 1 else None
            if slot is not None:
                found.setdefault(slot.name, {}).setdefault((text, refs[0]))
    return {name: tuple(texts) for name, texts in found.items()}


def _texts(answers: Answers) -> list[Text]:
    return [entry for group in answers for entry in group if not isinstance(entry, Listed)]
