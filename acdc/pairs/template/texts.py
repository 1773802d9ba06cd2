"""All text that a task's prompts and answers are written with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from acdc.pairs.template.layout import Layout
from acdc.pairs.template.spec import Draw, Listed, Spec
from acdc.pairs.template.text import Text
from acdc.pairs.template.words import WordList


def texts_of(spec: Spec, layouts: Sequence[Layout]) -> set[str]:
    """Every text with "x" in its slots, and every word, and tag of one that is written, as it stands.

    That is with a space before, and, if its slot stands anywhere behind something else, also without.
    """
    texts = list(_texts(spec))
    tags = {ref.tag for text in texts for ref in text.refs if ref.tag is not None}
    found = {text.filled(lambda _: "x") for text in texts}
    glued = {name for one in layouts for leaf in one.leaves if leaf.before != " " for name in leaf.inside}
    for words, is_glued in _lists(spec, glued):
        for word in words.words:
            written = {word.text, *(value for tag, value in word.tags.items() if tag in tags)}
            found |= {f" {text}" for text in written} | (written if is_glued else set())
    return found


def _texts(spec: Spec) -> Iterator[Text]:
    for template in spec.templates:
        yield template.text
        yield from template.made.values()
        for group in (*template.answers, *template.wrong_answers):
            yield from (entry.text if isinstance(entry, Listed) else entry for entry in group)
    for corruption in spec.corruptions.values():
        yield from (given for given in corruption.replace.values() if isinstance(given, Text))
        for group in corruption.answers or ():
            yield from (entry.text if isinstance(entry, Listed) else entry for entry in group)


def _lists(spec: Spec, glued: set[str]) -> Iterator[tuple[WordList, bool]]:
    """The lists that words come from, each with whether one of its words may stand where no space is."""
    yield from ((slot.words, name in glued) for name, slot in spec.slots.items())
    for corruption in spec.corruptions.values():
        yield from (
            (given.words, name in glued) for name, given in corruption.replace.items() if isinstance(given, Draw)
        )
    for template in spec.templates:
        for group in (*template.answers, *template.wrong_answers):
            yield from (
                (entry.words, not entry.text.source.startswith(" ")) for entry in group if isinstance(entry, Listed)
            )
