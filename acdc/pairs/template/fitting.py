"""Which words fit a slot under a tokenizer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from acdc.pairs import Tokenizer
from acdc.pairs.context import tokens_inside, tokens_inside_each
from acdc.pairs.encoding import is_unknown
from acdc.pairs.template.layout import Layout, drawn_by
from acdc.pairs.template.spec import Answers, Listed, Spec
from acdc.pairs.template.text import Ref, Text
from acdc.pairs.template.words import Word, WordList
from acdc.pairs.tokenizer import show_tokens, unknown_id
from acdc.waiting import waiting
from acdc.wording import counted, quoted


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


@dataclass(frozen=True)
class OwnAnswer:
    """An answer that one slot's word decides.

    Attributes:
        key: where it stands in the file.
        text: as it is written there.
        ref: the word in it, its tag or a neighbour.
    """

    key: str
    text: Text
    ref: Ref

    def filled(self, words: WordList, word: Word) -> str | None:
        """The answer where the slot's word is `word`; ``None`` where it has no such tag or neighbour."""
        found = _text(self.ref, words, word)
        return None if found is None else self.text.filled(lambda _: found)


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
        #: Of words that would fit but for an answer made of them: that answer, by slot.
        self.odd_answers: dict[str, list[tuple[OwnAnswer, str]]] = {}
        self._wanted: dict[str, int | None] = {}
        self._has_unknown = unknown_id(tokenizer) is not None
        self._of_sizes: dict[tuple[str, int], dict[tuple[int | None, ...], list[Word]]] = {}
        self.uses = _uses(spec, layouts)
        self._answers = _answers(spec)

    def words(self, slot: str, words: WordList) -> tuple[Word, ...]:
        """Those of a list that fit where a slot stands."""
        key = (slot, id(words))
        if key not in self._fitting:
            self._look_up(slot, words)
            self._fitting[key] = tuple(
                word
                for word in waiting(words.words, f"looking at words of {words.name}")
                if self._fits(slot, words, word)
            )
        return self._fitting[key]

    def _look_up(self, slot: str, words: WordList) -> None:
        """Tokenize all that a list's words may be written as where a slot stands, at once: they may be 100,000."""
        sizes: dict[tuple[str, str], str] = {}
        answers: dict[str, None] = {}
        for word in words.words:
            for use in self.uses.get(slot, ()):
                text = _text(use.ref, words, word)
                if text is not None and (key := _key(use, text)) not in self._sizes and not key[0]:
                    sizes[key] = text
            for answer in self._answers.get(slot, ()):
                if (filled := answer.filled(words, word)) and filled not in self._one_token:
                    answers[filled] = None
        tokens = iter(tokens_inside_each(self._tokenizer, [*(spaced for _, spaced in sizes), *answers]))
        for key, text in sizes.items():
            found = next(tokens)
            self._sizes[key] = None if self._is_unknown(found, text) else len(found)
        for filled in answers:
            self._one_token[filled] = self._is_one(next(tokens), filled)

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

    def of_sizes(self, slot: str, words: WordList, sizes: tuple[int | None, ...]) -> list[Word]:
        """The fitting words of a list that have so many tokens at each of a slot's places."""
        key = (slot, id(words))
        if key not in self._of_sizes:
            groups = self._of_sizes[key] = {}
            for word in self.words(slot, words):
                groups.setdefault(self.sizes(slot, words, word), []).append(word)
        return self._of_sizes[key].get(sizes, [])

    def is_one_token(self, answer: str) -> bool:
        """Whether an answer is one token inside a text."""
        if answer not in self._one_token:
            self._one_token[answer] = self._is_one(tokens_inside(self._tokenizer, answer) if answer else [], answer)
        return self._one_token[answer]

    def _is_unknown(self, tokens: Sequence[int], text: str) -> bool:
        return self._has_unknown and is_unknown(tokens, text, self._tokenizer)

    def _is_one(self, tokens: Sequence[int], answer: str) -> bool:
        return len(tokens) == 1 and not self._is_unknown(tokens, answer)

    def _fits(self, slot: str, words: WordList, word: Word) -> bool:
        """Whether a word fits; counts one that has its neighbours and tags and yet doesn't."""
        if slot not in self._wanted:
            drawn = self._spec.slots.get(self._drawn_name(slot))
            self._wanted[slot] = None if drawn is None else drawn.tokens
        wanted = self._wanted[slot]
        texts = [(use, _text(use.ref, words, word)) for use in self.uses.get(slot, ())]
        answers = [(answer, answer.filled(words, word)) for answer in self._answers.get(slot, ())]
        if any(text is None for _, text in (*texts, *answers)):
            return False
        found = [self._size(use, text) for use, text in texts if text is not None]
        fits = all(size is not None and (wanted is None or size == wanted) for size in found)
        if fits:
            odd = next((one for one in answers if not self.is_one_token(one[1] or "")), None)
            if odd is not None:
                fits = False
                self.odd_answers.setdefault(slot, []).append((odd[0], odd[1] or ""))
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
        key = _key(use, text)
        if key not in self._sizes:
            start, spaced = key
            if start:
                tokens = list(self._tokenizer.encode(text, add_special_tokens=False))
            else:
                tokens = tokens_inside(self._tokenizer, spaced)
            self._sizes[key] = None if self._is_unknown(tokens, text) else len(tokens)
        return self._sizes[key]


def odd_answer(found: Sequence[tuple[OwnAnswer, str]], fitting: Fitting, tokenizer: Tokenizer) -> str:
    """A sentence on answers that aren't one token: which, and how to write them if a space makes the difference.

    Args:
        found: the answers, each with one of its texts; at least one.
        fitting: of their task.
        tokenizer: the tokenizer.
    """
    for own, text in found:
        for space in (" ", ""):
            if fitting.is_one_token(spaced := space + text.strip()):
                written = space + own.text.source.strip()
                return (
                    f"`{own.key}` is {quoted(own.text.source)}, so that the answer {quoted(text)} is "
                    f"{_made(text, tokenizer)} after a prompt, and {quoted(spaced)} is one; "
                    f"write {json.dumps(written, ensure_ascii=False)}."
                )
    own, text = found[0]
    return (
        f"`{own.key}` is {quoted(own.text.source)}, and the answer {quoted(text)} is {_made(text, tokenizer)} after a "
        "prompt, where an answer is one token; choose other answers."
    )


def _made(text: str, tokenizer: Tokenizer) -> str:
    tokens = tokens_inside(tokenizer, text) if text else []
    return f"{counted(len(tokens), 'token')} {show_tokens(tokens, tokenizer)}"


def _key(use: Use, text: str) -> tuple[str, str]:
    """What tells texts apart by their tokens: whether one begins the prompt, and the text as it stands."""
    return "^" if use.before == "" else "", text if use.before != " " else f" {text}"


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


def _answers(spec: Spec) -> Mapping[str, tuple[OwnAnswer, ...]]:
    """For each slot, the answers that it alone decides."""
    found: dict[str, dict[OwnAnswer, None]] = {}
    for template in spec.templates:
        groups = {"answer": template.answers, "wrong_answers": template.wrong_answers}
        for one in spec.corruptions.values():
            groups[f"corruptions.{one.name}.answer"] = one.answers or ()
        for key, answers in groups.items():
            for text in _texts(answers):
                refs = list(dict.fromkeys(text.refs))
                slot = drawn_by(refs[0].slot, template, spec.slots) if len(refs) == 1 else None
                if slot is not None:
                    found.setdefault(slot.name, {}).setdefault(OwnAnswer(key, text, refs[0]))
    return {name: tuple(texts) for name, texts in found.items()}


def _texts(answers: Answers) -> list[Text]:
    return [entry for group in answers for entry in group if not isinstance(entry, Listed)]
