"""Which words go together in a prompt: drawn in a fixed order, each combination once, on one side of the split."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations, product
from typing import Any

from acdc.pairs.sampling import in_split, member, shuffled
from acdc.pairs.task import Split
from acdc.pairs.template.fitting import Fitting
from acdc.pairs.template.layout import Layout
from acdc.pairs.template.spec import Spec, Template
from acdc.pairs.template.words import Word

#: Combinations that decide the split are listed up to so many, and else looked at as they are drawn.
_MOST_LISTED = 50_000
#: A template with its layout.
_Laid = tuple[Template, Layout]


@dataclass(frozen=True)
class Combination:
    """A template and a word for each slot in it."""

    template: Template
    layout: Layout
    words: Mapping[str, Word]


class Combinations:
    """All combinations of a task's templates and words in a split.

    Templates of the same slots are drawn together.

    Args:
        spec: the task.
        layouts: of its templates.
        fitting: which words fit.
        split: which side.
    """

    def __init__(self, spec: Spec, layouts: Sequence[Layout], fitting: Fitting, split: Split) -> None:
        groups: dict[tuple[str, ...], list[_Laid]] = {}
        for template, layout in zip(spec.templates, layouts, strict=True):
            slots = tuple(name for name in spec.slots if name in layout.drawn)
            groups.setdefault(slots, []).append((template, layout))
        self._blocks = [_Block(spec, slots, templates, fitting, split) for slots, templates in groups.items()]
        #: How many there are at most: where slots must differ, some of them are none.
        self.total = sum(block.total for block in self._blocks)

    def drawn(self, rng: random.Random) -> Iterator[Combination | None]:
        """All of them in an order of chance; ``None`` for one whose words don't go together."""
        for number in shuffled(self.total, rng):
            for block in self._blocks:
                if number < block.total:
                    yield block.member(number)
                    break
                number -= block.total


class _Block:
    """Combinations of templates that have the same slots.

    They are the members of a product of axes: what decides the split, in which order equal slots have their
    words, the template, and the other slots.
    """

    def __init__(
        self,
        spec: Spec,
        slots: Sequence[str],
        templates: Sequence[_Laid],
        fitting: Fitting,
        split: Split,
    ) -> None:
        self._spec = spec
        self._split = split
        self._templates = templates
        words = {name: fitting.of_slot(name) for name in slots}
        self._deciding = [name for name in spec.split_by if name in words]
        self._others = [name for name in slots if name not in self._deciding]
        self._apart = _apart(spec, words)
        self._axes: list[Sequence[Any]] = []
        self._kind = self._choose(words)
        self._axes += [words[name] for name in self._others]
        self.total = math.prod(len(axis) for axis in self._axes)

    def _choose(self, words: Mapping[str, Sequence[Word]]) -> str:
        """How the axes that decide the split are laid out; the others follow."""
        deciding, spec = self._deciding, self._spec
        lists = [words[name] for name in deciding]
        is_alike = len(deciding) > 1 and not spec.split_by_template and self._is_alike(words)
        if is_alike and math.comb(len(lists[0]), len(deciding)) <= _MOST_LISTED:
            chosen = combinations(lists[0], len(deciding))
            self._axes = [
                [some for some in chosen if in_split(self._split, *(word.text for word in some))],
                list(permutations(range(len(deciding)))),
                self._templates,
            ]
            return "unordered"
        firsts: Sequence[_Laid | None] = self._templates if spec.split_by_template else [None]
        if math.prod(map(len, lists)) * len(firsts) <= _MOST_LISTED:
            self._axes = [
                [
                    some
                    for some in self._listed(firsts, lists)
                    if self._is_in(some[0], dict(zip(deciding, some[1], strict=True)))
                ]
            ]
            if not spec.split_by_template:
                self._axes.append(self._templates)
            return "listed"
        self._axes = [*lists, self._templates]
        return "free"

    def _is_alike(self, words: Mapping[str, Sequence[Word]]) -> bool:
        """Whether the slots that decide the split are of one list, and must differ."""
        first = self._deciding[0]
        slots = [self._spec.slots[name] for name in self._deciding]
        return all(
            words[slot.name] == words[first] and not slot.may_repeat and not slot.rules and slot.words is slots[0].words
            for slot in slots
        )

    @staticmethod
    def _listed(
        firsts: Sequence[_Laid | None], lists: Sequence[Sequence[Word]]
    ) -> Iterator[tuple[_Laid | None, tuple[Word, ...]]]:
        """The product of templates and words, those of one part of a joined list after another."""
        parts = [sorted({word.part for word in some}) for some in lists]
        for first in firsts:
            for chosen in product(*parts):
                of_parts = ([w for w in some if w.part == part] for some, part in zip(lists, chosen, strict=True))
                for words in product(*of_parts):
                    yield first, words

    def _is_in(self, template: _Laid | None, words: Mapping[str, Word]) -> bool:
        """Whether words that decide the split differ where they must, and are on its side."""
        texts = [word.text for word in words.values()]
        if self._spec.split_by_template and template is not None:
            texts.append(template[0].text.source)
        return _differ(words, self._apart) and in_split(self._split, *texts)

    def member(self, number: int) -> Combination | None:
        """One of them; ``None`` where its words don't go together."""
        chosen: list[Any] = list(member(number, self._axes))
        deciding = self._deciding
        if self._kind == "unordered":
            some, order, template = chosen[:3]
            named = sorted(deciding, key=template[1].drawn.index)
            words = {name: some[place] for name, place in zip(named, order, strict=True)}
            others = chosen[3:]
        elif self._kind == "listed":
            template, some = chosen[0]
            words = dict(zip(deciding, some, strict=True))
            others = chosen[1:]
            if template is None:
                template, *others = others
        else:
            *some, template = chosen[: len(deciding) + 1]
            words = dict(zip(deciding, some, strict=True))
            others = chosen[len(deciding) + 1 :]
            if not self._is_in(template, words):
                return None
        words |= dict(zip(self._others, others, strict=True))
        text, layout = template
        return Combination(text, layout, words) if _differ(words, self._apart) else None


def _apart(spec: Spec, words: Mapping[str, Sequence[Word]]) -> list[tuple[str, str]]:
    """The pairs of slots that mustn't have one word: those whose words overlap, unless they may repeat."""
    texts = {name: {word.text for word in some} for name, some in words.items()}
    return [
        (first, second)
        for first, second in combinations(words, 2)
        if not (spec.slots[first].may_repeat or spec.slots[second].may_repeat) and texts[first] & texts[second]
    ]


def _differ(words: Mapping[str, Word], apart: Sequence[tuple[str, str]]) -> bool:
    return all(words[first].text != words[second].text for first, second in apart if first in words and second in words)
