"""Whether the parts of a template file fit together; every mistake is one sentence with its key."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from acdc.pairs.template.layout import Layout, check_made, drawn_by, layout
from acdc.pairs.template.place import Place
from acdc.pairs.template.spec import END, Answers, Corruption, Draw, Listed, Rule, Spec, Template, Where
from acdc.pairs.template.text import Ref, Text
from acdc.pairs.template.words import WORD
from acdc.wording import counted, quoted


def checked(spec: Spec) -> tuple[Spec, tuple[Layout, ...]]:
    """Hand a task through with the layout of each of its templates, and with what splits it.

    Raises:
        UnknownNameError: a slot, tag, or span isn't known; names the nearest.
        PromptError: anything else doesn't fit; names the key.
    """
    used: set[str] = set()
    top = Place(str(spec.path))
    layouts = []
    for template in spec.templates:
        check_made(template)
        _check_made(spec, template)
        _check_text(template.text, spec, template, template.place)
        found = layout(template, spec.slots)
        layouts.append(found)
        used |= {*found.mention, *found.drawn, *_of_answers(spec, template)}
        _check_positions(template, found)
    _check_different(spec)
    for slot in spec.slots.values():
        used |= set(_of_rules(slot.rules, slot.name, spec, spec.templates, slot.place))
    for corruption in spec.corruptions.values():
        used |= _of_corruption(corruption, spec, layouts)
    _check_default(spec)
    for name in {**spec.slots, **{made: None for template in spec.templates for made in template.made}}:
        if name not in used:
            raise top.at("slots").at(name).error("the slot is used nowhere; leave it out, or put it into a template.")
    _check_spans(spec, layouts, top.at("spans"))
    return _split(spec, layouts, top.at("split_by")), tuple(layouts)


def _names(spec: Spec, template: Template) -> tuple[str, ...]:
    return (*spec.slots, *template.made)


def _check_made(spec: Spec, template: Template) -> None:
    for name, text in template.made.items():
        _check_text(text, spec, template, Place(str(spec.path)).at("slots").at(name))


def _check_text(text: Text, spec: Spec, template: Template, place: Place, *, own: Listed | None = None) -> set[str]:
    """The slots that a text names, all of which must be known with their tags."""
    for ref in text.refs:
        _check_ref(ref, spec, template, place, own)
    return {ref.slot for ref in text.refs}


def _check_ref(ref: Ref, spec: Spec, template: Template, place: Place, own: Listed | None) -> None:
    if own is not None and ref.slot == WORD:
        words = own.words
    else:
        known = (*_names(spec, template), WORD) if own is not None else _names(spec, template)
        if ref.slot not in known:
            raise place.unknown("slot", ref.slot, known)
        if ref.is_plain:
            return
        slot = drawn_by(ref.slot, template, spec.slots)
        if slot is None:
            raise place.error(
                f"the slot {ref.slot!r} is made of others, so {{{ref}}} has no meaning; name one of them."
            )
        words = slot.words
    if not words.cyclic and abs(ref.step) >= len(words.words):
        raise place.error(f"{{{ref}}} leaves the list {words.name}, which has {counted(len(words.words), 'word')}.")
    if ref.tag is not None and ref.tag not in words.tags:
        raise place.unknown("tag", ref.tag, words.tags)
    if ref.tag is not None:
        for word in words.words:
            if ref.tag not in word.tags and (own is not None or all(one.holds(word) for one in _where_of(ref, spec))):
                raise place.error(
                    f"{{{ref}}} needs the tag {ref.tag!r}, and the word {quoted(word.text)} of {words.name} has none; "
                    "give it one."
                )


def _where_of(ref: Ref, spec: Spec) -> tuple[Where, ...]:
    return spec.slots[ref.slot].where if ref.slot in spec.slots and not ref.step else ()


def _check_different(spec: Spec) -> None:
    seen: dict[str, Template] = {}
    for template in spec.templates:
        key = f"{template.text.source}\0{sorted((name, text.source) for name, text in template.made.items())}"
        if key in seen:
            raise template.place.error(
                f"the template {quoted(template.text.source, 80)} stands there twice; leave one out."
            )
        seen[key] = template


def _check_positions(template: Template, found: Layout) -> None:
    place = template.place.at("positions")
    known = (*found.mention, END)
    for name in template.positions:
        if name not in known:
            raise place.unknown("slot", name, known)
    if len(set(template.positions)) < len(template.positions):
        raise place.error("a position stands there twice; leave one out.")


def _of_answers(spec: Spec, template: Template) -> set[str]:
    """The slots that a template's answers name."""
    found = set()
    for key, answers in (("answer", template.answers), ("wrong_answers", template.wrong_answers)):
        if answers and len(answers) != len(template.positions):
            raise template.place.error(f"{len(template.positions)} positions, but {key!r} for {len(answers)}.")
        found |= _in_answers(answers, spec, template, template.place.at(key))
    return found


def _in_answers(answers: Answers, spec: Spec, template: Template, place: Place) -> set[str]:
    found: set[str] = set()
    for entry in (entry for answer in answers for entry in answer):
        if isinstance(entry, Text):
            found |= _check_text(entry, spec, template, place)
            continue
        found |= _check_text(entry.text, spec, template, place, own=entry) - {WORD}
        for name in entry.slots:
            if drawn_by(name, template, spec.slots) is None:
                raise place.unknown("drawn slot", name, spec.slots)
            found.add(name)
        found |= set(_of_rules(entry.rules, None, spec, (template,), place))
        for rule in entry.rules:
            if rule.tag is not None and rule.tag not in entry.words.tags:
                raise place.unknown("tag", rule.tag, entry.words.tags)
    return found


def _of_rules(
    rules: tuple[Rule, ...], own: str | None, spec: Spec, templates: tuple[Template, ...], place: Place
) -> Iterator[str]:
    """The slots that rules name; their tags must be known in both lists."""
    for rule in rules:
        for template in templates:
            if rule.slot not in _names(spec, template):
                raise place.unknown("slot", rule.slot, _names(spec, template))
            slot = drawn_by(rule.slot, template, spec.slots)
            if slot is None:
                raise place.error(f"the slot {rule.slot!r} is made of others; name a slot that is drawn.")
            if rule.tag is not None and rule.tag not in slot.words.tags:
                raise place.unknown("tag", rule.tag, slot.words.tags)
            if rule.tag is not None and own in spec.slots and rule.tag not in spec.slots[str(own)].words.tags:
                raise place.unknown("tag", rule.tag, spec.slots[str(own)].words.tags)
            if rule.slot == own and own in spec.slots:
                raise place.error(f"the slot {own!r} is compared with itself; name another.")
        yield rule.slot


def _of_corruption(corruption: Corruption, spec: Spec, layouts: list[Layout]) -> set[str]:
    """The slots that a corruption names."""
    used: set[str] = set()
    for template, found in zip(spec.templates, layouts, strict=True):
        for name, given in corruption.replace.items():
            place = corruption.place.at("replace").at(name)
            if name not in _names(spec, template):
                raise place.unknown("slot", name, _names(spec, template))
            if name not in found.mention:
                raise place.error(
                    f"the slot doesn't stand in the template {quoted(template.text.source, 80)}, whose prompts it "
                    "leaves as they are; put it there, or replace another."
                )
            if isinstance(given, Draw):
                used |= {rule.slot for rule in given.rules}
                _check_draw(given, name, spec, template, place)
            else:
                used |= _check_text(given, spec, template, place)
                if given.alias == name:
                    raise place.error("the slot is replaced by itself, which changes nothing; name something else.")
        if corruption.answers is not None:
            if len(corruption.answers) != len(template.positions):
                raise corruption.place.at("answer").error(f"there are {len(template.positions)} answer positions.")
            used |= _in_answers(corruption.answers, spec, template, corruption.place.at("answer"))
    return used


def _check_draw(draw: Draw, name: str, spec: Spec, template: Template, place: Place) -> None:
    for _ in _of_rules(draw.rules, None, spec, (template,), place):
        pass
    for rule in draw.rules:
        if rule.tag is not None and rule.tag not in draw.words.tags:
            raise place.unknown("tag", rule.tag, draw.words.tags)


def _check_default(spec: Spec) -> None:
    first = next(iter(spec.corruptions.values()))
    if first.keeps_answer:
        raise first.place.error(
            "the first corruption is the default and can't be a control ('keeps_answer'); put another before it."
        )


def _check_spans(spec: Spec, layouts: list[Layout], place: Place) -> None:
    known = {name for found in layouts for name in found.mention}
    for name, slots in spec.spans.items():
        for slot in slots:
            if slot not in known:
                raise place.at(name).unknown("slot", slot, known)


def _split(spec: Spec, layouts: list[Layout], place: Place) -> Spec:
    """The task with the drawn slots that split it."""
    common = [name for name in spec.slots if all(name in found.drawn for found in layouts)]
    if not spec.is_split_given:
        return replace(spec, split_by=tuple(common))
    found = []
    for name in spec.split_by:
        if name not in _names(spec, spec.templates[0]):
            raise place.unknown("slot", name, (*spec.slots, "template"))
        slot = drawn_by(name, spec.templates[0], spec.slots)
        if slot is None:
            raise place.error(f"the slot {name!r} is made of others; name those that are drawn.")
        if slot.name not in common:
            raise place.error(f"the slot {name!r} doesn't stand in every template, so it can't decide the split.")
        found.append(slot.name)
    return replace(spec, split_by=tuple(dict.fromkeys(found)))
