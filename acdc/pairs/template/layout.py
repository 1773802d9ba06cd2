"""Where in a template its slots stand, those inside made slots too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from acdc.pairs.template.spec import Leaf, Slot, Template
from acdc.pairs.template.text import Ref, Text

#: Slots and texts between them, in slots of slots too.
_MOST_PARTS = 5000
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
    """Lay a template out; :func:`check_made` comes before, and every slot in it must be known."""
    leaves: list[Leaf] = []
    mention: dict[str, None] = {}
    starts: dict[str, list[str | None]] = {}

    def visit(text: Text, before: str | None, inside: tuple[str, ...]) -> str | None:
        for part in text.parts:
            if isinstance(part, str):
                before = part[-1]
                continue
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


def check_made(template: Template) -> None:
    """Check the slots that are made of others.

    Raises:
        PromptError: one is made of itself, or of so many others that its text would be endless.
    """
    sizes: dict[str, tuple[int, int]] = {}  # in parts, those of the slots inside included; and the deepest's depth

    def size_of(text: Text, inside: tuple[str, ...]) -> tuple[int, int]:
        found = [(1, 0) if isinstance(part, str) else size(part.slot, inside) for part in text.parts]
        return 1 + sum(parts for parts, _ in found), 1 + max((depth for _, depth in found), default=0)

    def size(name: str, inside: tuple[str, ...]) -> tuple[int, int]:
        if name in inside:
            raise template.place.error(f"the slot {name!r} is made of itself; break the circle.")
        if name not in template.made:
            return 1, 0
        if name not in sizes and len(inside) < _DEEPEST:
            sizes[name] = size_of(template.made[name], (*inside, name))
        parts, depth = sizes.get(name, (0, _DEEPEST + 1))
        if parts > _MOST_PARTS or depth > _DEEPEST:
            raise template.place.error(f"the slot {name!r} is made of too many others; write less.")
        return parts, depth

    for name in template.made:
        size(name, ())
    if size_of(template.text, ())[0] > _MOST_PARTS:
        raise template.place.error(f"the template has more than {_MOST_PARTS:,} slots; write less.")


def drawn_by(name: str, template: Template, slots: Mapping[str, Slot]) -> Slot | None:
    """The slot that words are drawn for, if `name` is one or repeats one; circles are checked before."""
    while name not in slots:
        text = template.made.get(name)
        alias = None if text is None else text.alias
        if alias is None:
            return None
        name = alias
    return slots[name]
