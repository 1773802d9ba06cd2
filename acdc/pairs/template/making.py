"""Prompt pairs of combinations of words."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice

from acdc.pairs import PromptPair, Tokenizer
from acdc.pairs.alignment import judge
from acdc.pairs.encoding import Body, encode_prompt
from acdc.pairs.sampling import member, shuffled
from acdc.pairs.spans import Spans
from acdc.pairs.task import Split
from acdc.pairs.template.drawing import Combination
from acdc.pairs.template.filling import Filling, Rejected, Value
from acdc.pairs.template.fitting import Fitting, Use
from acdc.pairs.template.layout import Layout
from acdc.pairs.template.replacing import Replacing
from acdc.pairs.template.spec import END, Answers, Corruption, Listed, Spec
from acdc.pairs.template.text import Ref
from acdc.pairs.template.words import WORD, Word
from acdc.pairs.tokenspans import token_spans

#: How many choices of the slots that stand in no prompt are tried for one.
_MOST_TRIES = 500
#: A corrupted prompt takes as long as so many combinations that are given up before.
_CORRUPTING = 5
Texts = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Corrupted:
    """A corrupted prompt, where its slots stand, and what is right there."""

    text: str
    spans: Spans
    answers: Texts


@dataclass(frozen=True)
class _Clean:
    """A clean prompt, and where its slots stand; its tokens are looked up where they matter."""

    text: str
    spans: Spans
    tokenizer: Tokenizer

    @cached_property
    def body(self) -> Body:
        """Its tokens."""
        return encode_prompt(self.text, self.tokenizer, "a template", "clean")


class Maker:
    """Makes a pair of each combination of words, the same clean prompts under every corruption.

    Args:
        spec: the task.
        name: of the task, for chance.
        fitting: which words fit.
        tokenizer: the tokenizer.
        seed: of chance.
        split: the side of the split.
    """

    def __init__(self, spec: Spec, name: str, fitting: Fitting, tokenizer: Tokenizer, seed: int, split: Split) -> None:
        self._spec = spec
        self._fitting = fitting
        self._tokenizer = tokenizer
        self._split = split
        self._beside = random.Random(f"{name} {split} {seed} beside")
        self._replacing = {
            corruption.name: Replacing(
                spec, corruption, fitting, split, random.Random(f"{name} {split} {seed} {corruption.name}")
            )
            for corruption in spec.corruptions.values()
        }
        self._seen: set[str] = set()
        #: Why combinations made no pair.
        self.reasons: Counter[str] = Counter()
        #: What was tried so far, weighed by the time that it takes.
        self.effort = 0

    def pair(self, combination: Combination | None, corruption: str, where: str) -> PromptPair | None:
        """The pair of a combination; ``None`` where it makes none, or one that was made already."""
        self.effort += 1
        try:
            if combination is None:
                raise Rejected("the same word would stand in two slots")
            return self._pair(combination, corruption, where)
        except Rejected as reason:
            self.reasons[str(reason)] += 1
            return None

    def _pair(self, combination: Combination, corruption: str, where: str) -> PromptPair:
        slots, template, layout = self._spec.slots, combination.template, combination.layout
        values = {name: Value(word, slots[name].words) for name, word in combination.words.items()}
        bare = Filling(template, slots, values)
        self._check_rules(bare, values)
        clean = _Clean(*bare.prompt(), self._tokenizer)
        if clean.text in self._seen:
            raise Rejected("the prompt was made before")
        self._check_glued(clean, layout)
        filling, corrupted = self._completed(bare, layout, clean)
        for name, replacing in self._replacing.items():
            if not replacing.is_fixed:
                corrupted[name] = self._corrupted(filling, layout, replacing, clean)
        self._seen.add(clean.text)
        chosen = corrupted[corruption]
        return PromptPair(
            clean=clean.text,
            corrupted=chosen.text,
            answers=self._answers(template.answers, filling),
            wrong_answers=self._answers(template.wrong_answers, filling),
            answer_positions=_positions(template.positions, clean, self._tokenizer),
            where=where,
            tags={"template": template.name, "slots": self._words(filling, layout)},
            spans=self._with_more(clean.spans),
            corrupted_spans=self._with_more(chosen.spans),
            corrupted_answers=chosen.answers,
        )

    def _words(self, filling: Filling, layout: Layout) -> dict[str, str]:
        """What stands in each slot."""
        made = {
            name: filling.filled(filling.template.made[name]) for name in layout.mention if name not in filling.values
        }
        return {name: value.text for name, value in filling.values.items()} | made

    def _check_rules(self, filling: Filling, names: Iterable[str]) -> None:
        """Raise :class:`Rejected` where slots don't share what they must; a slot without a word yet is passed over."""
        for name in names:
            for rule in self._spec.slots[name].rules:
                slot = filling.drawn(rule.slot)
                if slot is None or slot.name not in filling.values:
                    continue
                if not rule.holds(filling.values[name].word, filling.values[slot.name].word):
                    raise Rejected(f"words of the slots {name} and {rule.slot} don't go together")

    def _check_glued(self, clean: _Clean, layout: Layout) -> None:
        """Raise :class:`Rejected` where a word has joined with what stands right before it."""
        for leaf in layout.leaves:
            size = self._spec.slots[leaf.ref.slot].tokens
            if size is None or not Use(leaf.ref, leaf.before).is_glued:
                continue
            places = {"": clean.spans.get(str(leaf.ref), ())}
            found = token_spans(places, clean.body, self._tokenizer)[""]
            before = token_spans({"": tuple((0, start) for start, _ in places[""])}, clean.body, self._tokenizer)[""]
            if any(end - start != size for start, end in found) or any(
                start != end for (start, _), (_, end) in zip(found, before, strict=True)
            ):
                raise Rejected(f"words of the slot {leaf.ref.slot} join with what stands before them")

    def _completed(self, bare: Filling, layout: Layout, clean: _Clean) -> tuple[Filling, dict[str, Corrupted]]:
        """The filling with words for slots that stand in no prompt, and the corruptions that draw nothing.

        Raises:
            Rejected: no words for them go with the others.
        """
        names = [name for name in self._spec.slots if name not in bare.values]
        axes = [self._fitting.of_slot(name) for name in names]
        reason = Rejected("no word fits a slot that stands beside the prompt")
        numbers = shuffled(math.prod(map(len, axes)), self._beside)
        for number in islice(numbers, _MOST_TRIES):
            words = zip(names, member(number, axes), strict=True)
            chosen = {name: Value(word, self._spec.slots[name].words) for name, word in words}
            filling = replace(bare, values={**bare.values, **chosen})
            self.effort += 1
            try:
                self._check_whole(filling, names)
                self.effort += _CORRUPTING
                fixed = [one for one in self._replacing.values() if one.is_fixed]
                return filling, {one.corruption.name: self._corrupted(filling, layout, one, clean) for one in fixed}
            except Rejected as why:
                reason = why
        raise reason

    def _check_whole(self, filling: Filling, beside: Sequence[str]) -> None:
        """Raise :class:`Rejected` where words of slots beside the prompt don't go with the others, or answers don't."""
        values, slots = filling.values, self._spec.slots
        for name in beside:
            for other in values:
                if name == other or slots[name].may_repeat or slots[other].may_repeat:
                    continue
                if values[name].text == values[other].text:
                    raise Rejected("the same word would stand in two slots")
        if beside:
            self._check_rules(filling, values)
        template = filling.template
        right, wrong = (self._answers(answers, filling) for answers in (template.answers, template.wrong_answers))
        for place, answers in enumerate(right):
            if wrong and set(answers) & set(wrong[place]):
                raise Rejected("a right answer would be among the wrong ones")

    def _corrupted(self, filling: Filling, layout: Layout, replacing: Replacing, clean: _Clean) -> Corrupted:
        """The prompt under a corruption.

        Raises:
            Rejected: it is the clean one, or has another length, or words at other tokens.
        """
        made = replacing.made(filling, layout)
        corruption = replacing.corruption
        text, spans = made.prompt()
        if text == clean.text:
            raise Rejected(f"the corruption {corruption.name} would change nothing")
        if not replacing.keeps_sizes(made):
            body = encode_prompt(text, self._tokenizer, "a template", "corrupted")
            if len(body.ids) != len(clean.body.ids):
                raise Rejected(f"the corruption {corruption.name} would change the number of tokens")
            if judge(clean.body, body, self._tokenizer)[1] is not None:
                raise Rejected(f"the corruption {corruption.name} would move words to other tokens")
            if not self._is_only_in_slots(clean, body, text, spans):
                raise Rejected(f"the corruption {corruption.name} joins words with what stands beside them")
        return Corrupted(text, spans, self._corrupted_answers(corruption, filling, made))

    def _is_only_in_slots(self, clean: _Clean, body: Body, text: str, spans: Spans) -> bool:
        """Whether tokens differ only in slots whose words do (" 11" + "12" isn't " 112" + "4")."""
        changed = {
            name: places
            for name, places in clean.spans.items()
            if [clean.text[start:end] for start, end in places]
            != [text[start:end] for start, end in spans.get(name, ())]
        }
        found = token_spans(changed, clean.body, self._tokenizer)
        inside = {token for ranges in found.values() for start, end in ranges for token in range(start, end)}
        both = enumerate(zip(clean.body.ids, body.ids, strict=True))
        return all(token in inside for token, (one, other) in both if one != other)

    def _corrupted_answers(self, corruption: Corruption, filling: Filling, made: Filling) -> Texts:
        if corruption.keeps_answer:
            return self._answers(filling.template.answers, filling)
        if corruption.answers is not None:
            return self._answers(corruption.answers, made)
        return self._answers(filling.template.answers, made) if made.is_of_task else ()

    def _answers(self, answers: Answers, filling: Filling) -> Texts:
        found = []
        for group in answers:
            texts: list[str] = []
            for entry in group:
                texts += [filling.filled(entry)] if not isinstance(entry, Listed) else self._listed(entry, filling)
            if not texts:
                raise Rejected("a list of answers would be empty")
            found.append(tuple(dict.fromkeys(texts)))
        return tuple(found)

    def _listed(self, listed: Listed, filling: Filling) -> Iterator[str]:
        """The answers of a list that meet its conditions."""
        places = listed.words.places
        bounds = {}
        for key, slot in listed.bounds.items():
            text = filling.of(Ref(slot))
            if text not in places:
                raise Rejected(f"the word of the slot {slot} isn't in the list {listed.words.name}")
            bounds[key] = places[text]
        without = {filling.of(Ref(slot)) for slot in listed.without}
        for place, word in enumerate(listed.words.words):
            if (
                place <= bounds.get("after", -1)
                or place < bounds.get("from", 0)
                or place >= bounds.get("before", len(places))
                or place > bounds.get("up_to", len(places))
                or word.text in without
                or not all(rule.holds(word, filling.word(rule.slot)) for rule in listed.rules)
            ):
                continue
            text = listed.text.filled(lambda ref, word=word: _of_word(ref, word, filling, listed))  # type: ignore[misc]
            if self._fitting.is_one_token(text):
                yield text
            else:
                self._fitting.left_out.setdefault(listed.words.name, {}).setdefault(word.text)

    def _with_more(self, spans: Spans) -> Spans:
        """Spans with those that go by further names."""
        more = {
            name: tuple(sorted(place for slot in slots for place in spans.get(slot, ())))
            for name, slots in self._spec.spans.items()
        }
        return {**spans, **{name: places for name, places in more.items() if places}}


def _of_word(ref: Ref, word: Word, filling: Filling, listed: Listed) -> str:
    """A slot of a listed answer's text: of the listed word, or of the prompt."""
    if ref.slot != WORD:
        return filling.of(ref)
    return Filling(filling.template, filling.slots, {WORD: Value(word, listed.words)}).of(ref)


def _positions(positions: Sequence[str], clean: _Clean, tokenizer: Tokenizer) -> tuple[int, ...]:
    """The tokens after which answers are read, counted from the prompt's end."""
    if tuple(positions) == (END,):
        return (-1,)
    wanted = {name: clean.spans[name][-1:] for name in positions if name != END}
    tokens = token_spans(wanted, clean.body, tokenizer)
    return tuple(-1 if name == END else tokens[name][0][1] - 1 - len(clean.body.ids) for name in positions)
