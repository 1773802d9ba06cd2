"""What a corruption puts in the place of slots."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from acdc.pairs.sampling import in_split
from acdc.pairs.task import Split
from acdc.pairs.template.filling import Filling, Rejected, Value
from acdc.pairs.template.fitting import Fitting
from acdc.pairs.template.layout import Layout
from acdc.pairs.template.spec import Corruption, Draw, Spec
from acdc.pairs.template.text import Ref, Text
from acdc.pairs.template.words import Word

#: How often several words are drawn until the corrupted prompt is on the split's side.
_MOST_TRIES = 200


class Replacing:
    """A corruption of a task's prompts, with its own chance.

    Args:
        spec: the task.
        corruption: which.
        fitting: which words fit.
        split: the side of the split, on which a corrupted prompt stays that the task itself might draw.
        rng: where chance comes from; used once a prompt and alike, whichever corruption is asked for.
    """

    def __init__(self, spec: Spec, corruption: Corruption, fitting: Fitting, split: Split, rng: random.Random) -> None:
        self.corruption = corruption
        self._spec = spec
        self._fitting = fitting
        self._split = split
        self._rng = rng
        self._texts = {name: one for name, one in corruption.replace.items() if isinstance(one, Text)}
        self._draws = {name: one for name, one in corruption.replace.items() if isinstance(one, Draw)}
        # By slot, and by sizes where they matter: the words that fit, and that the draw may take.
        self._usable: dict[tuple[str, tuple[int | None, ...] | None], list[Word]] = {}

    @property
    def is_fixed(self) -> bool:
        """Whether nothing is drawn."""
        return not self._draws

    def made(self, filling: Filling, layout: Layout) -> Filling:
        """The corrupted prompt of a clean one.

        Raises:
            Rejected: there is none.
        """
        fixed = {name: _value(text, name, filling) for name, text in self._texts.items()}
        if self.is_fixed:
            made = filling.replacing(fixed)
            if not self._stays(made):
                raise Rejected(f"the corruption {self.corruption.name} would lead into the other split")
            return made
        groups = self._groups(filling, layout)
        if len(self._draws) == 1:
            ((name, pool),) = ((names[0], pool) for names, pool in groups)
            groups = [([name], self._staying(name, pool, filling.replacing(fixed)))]
        for _ in range(_MOST_TRIES):
            made = filling.replacing({**fixed, **self._sampled(groups)})
            if self._stays(made):
                return made
        raise Rejected(f"the corruption {self.corruption.name} would lead into the other split")

    def keeps_sizes(self, made: Filling) -> bool:
        """Whether it's known that every word has as many tokens as the one before."""
        return all(
            isinstance(value, Value)
            and (slot := made.drawn(name)) is not None
            and slot.tokens is not None
            and self._fitting.fits(name, value.words, value.text)
            and not any(use.is_glued for use in self._fitting.uses.get(name, ()))
            for name, value in made.replaced.items()
        )

    def _groups(self, filling: Filling, layout: Layout) -> list[tuple[list[str], list[Word]]]:
        """Slots with the words that each may get; those that may get the same are drawn together."""
        groups: list[tuple[list[str], list[Word]]] = []
        for name in sorted(self._draws, key=layout.mention.index):
            pool = self._pool(name, filling, layout)
            for names, other in groups:
                if pool == other:
                    names.append(name)
                    break
            else:
                groups.append(([name], pool))
        return groups

    def _staying(self, name: str, pool: list[Word], rest: Filling) -> list[Word]:
        """The words with which a corrupted prompt of one drawn word stays on the split's side."""
        deciding = self._spec.split_by
        if name not in deciding or not rest.is_of_task:
            return pool
        others = [rest.of(Ref(slot)) for slot in deciding if slot != name]
        if self._spec.split_by_template:
            others.append(rest.template.text.source)
        own = self._spec.slots[name].words
        return [w for w in pool if own.find(w.text) is None or in_split(self._split, *others, w.text)]

    def _pool(self, name: str, filling: Filling, layout: Layout) -> list[Word]:
        """The words that may stand in a slot's place."""
        draw = self._draws[name]
        standing = {filling.values[slot].text for slot in layout.drawn}
        slot, own = filling.drawn(name), filling.value(name)
        sizes = None
        if own is not None and (slot is None or slot.tokens is None):
            sizes = self._fitting.sizes(name, own.words, own.word)
        key = (name, sizes)
        if key not in self._usable:
            fitting: Sequence[Word] = self._fitting.words(name, draw.words)
            if sizes is not None:
                fitting = self._fitting.of_sizes(name, draw.words, sizes)
            self._usable[key] = [word for word in fitting if all(one.holds(word) for one in draw.where)]
        pool = [word for word in self._usable[key] if word.text not in standing]
        for rule in draw.rules:
            other = filling.word(rule.slot)
            pool = [word for word in pool if rule.holds(word, other)]
        return pool

    def _sampled(self, groups: Sequence[tuple[list[str], list[Word]]]) -> Mapping[str, Value]:
        """A different word for each slot."""
        found: dict[str, Value] = {}
        for names, pool in groups:
            taken = {value.text for value in found.values()}
            left = [word for word in pool if word.text not in taken] if taken else pool
            if len(left) < len(names):
                raise Rejected(f"the corruption {self.corruption.name} finds no other word")
            for name, word in zip(names, self._rng.sample(left, len(names)), strict=True):
                found[name] = Value(word, self._draws[name].words)
        return found

    def _stays(self, made: Filling) -> bool:
        """Whether a corrupted prompt is none that the task might draw on the other side of the split."""
        if not made.is_of_task or not set(made.replaced) & set(self._spec.split_by):
            return True
        words = [made.of(Ref(name)) for name in self._spec.split_by]
        if self._spec.split_by_template:
            words.append(made.template.text.source)
        return in_split(self._split, *words)


def _value(text: Text, name: str, filling: Filling) -> Value | str:
    """A text in a slot's place: a word of its list, or of that of the slot that it names, with tags; or plain text."""
    filled = filling.filled(text)
    slot = filling.drawn(name)
    word = None if slot is None else slot.words.find(filled)
    if slot is not None and word is not None:
        return Value(word, slot.words)
    other = None if text.alias is None else filling.value(text.alias)
    return filled if other is None else other
