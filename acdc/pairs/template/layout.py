"""Where in a template its slots stand, those inside made slots too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from acdc.pairs.template.spec import Leaf, Slot, Template
from acdc.pairs.template.text import Ref, Text

#: Slots and texts between them, in slots of slots too.
_MOST_PARTS = 10_000
_DEEPEST = 50


@dataclass(frozen=True)
class Layout:
    """The slots of a template, in the order in which they stand.

    Attributes:
        leaves: the places of drawn slots.
        mention: names of all slots, made ones too, by their first place.
        starts: for each made slot, the characters before its places, as :attr:`Leaf.before`.
    """

    leaves: tuple[Leaf, ...]
    mention: tuple[str, ...]
    starts: Mapping[str, tuple[str | None, ...]]

    @property
    def drawn(self) -> tuple[str, ...]:
        """Names of the slots that words are drawn for, by their first place."""
        return tuple(dict.fromkeys(leaf.ref.slot for leaf in self.leaves))


def layout(template: Template, slots: Mapping[str, Slot]) -> Layout:
    """Lay a template out; every slot in it must be known, and none be made of itself.

    Raises:
        PromptError: the text is of too many slots.
    """
    leaves: list[Leaf] = []
    mention: dict[str, None] = {}
    starts: dict[str, list[str | None]] = {}

    visited = 0

    def visit(text: Text, before: str | None, inside: tuple[str, ...]) -> str | None:
        nonlocal visited
        for part in text.parts:
            visited += 1
            if isinstance(part, str):
                before = part[-1]
                continue
            if visited >= _MOST_PARTS or len(inside) >= _DEEPEST:
                raise template.place.error("its slots are made of too many others; write less.")
            mention.setdefault(part.slot)
            if part.slot in slots:
                leaves.append(Leaf(part, before, (*inside, part.slot)))
                before = None
            elif not part.is_plain:
                slot = drawn_by(part.slot, template, slots)
                if slot is not None:
                    leaves.append(Leaf(Ref(slot.name, part.step, part.tag), before, (*inside, part.slot, slot.name)))
                before = None
            else:
                starts.setdefault(part.slot, []).append(before)
                before = visit(template.made[part.slot], before, (*inside, part.slot))
        return before

    visit(template.text, "", ())
    return Layout(tuple(leaves), tuple(mention), {name: tuple(found) for name, found in starts.items()})


def check_circles(template: Template) -> None:
    """Raise :class:`PromptError` if a made slot is made of itself."""
    done: set[str] = set()

    def visit(name: str, inside: tuple[str, ...]) -> None:
        if name in inside:
            raise template.place.error(f"the slot {name!r} is made of itself; break the circle.")
        if len(inside) >= _DEEPEST:
            raise template.place.error(f"its slots are made of others over more than {_DEEPEST} steps; write less.")
        if name in done or name not in template.made:
            return
        for ref in template.made[name].refs:
            visit(ref.slot, (*inside, name))
        done.add(name)

    for name in template.made:
        visit(name, ())


def drawn_by(name: str, template: Template, slots: Mapping[str, Slot]) -> Slot | None:
    """The slot that words are drawn for, if `name` is one or repeats one; circles are checked before."""
    while name not in slots:
        text = template.made.get(name)
        alias = None if text is None else text.alias
        if alias is None:
            return None
        name = alias
    return slots[name]
