"""All text that a task's prompts and answers are written with."""

from __future__ import annotations

from collections.abc import Iterator

from acdc.pairs.template.spec import Draw, Listed, Spec
from acdc.pairs.template.text import Text
from acdc.pairs.template.words import WordList


def texts_of(spec: Spec) -> set[str]:
    """Every text with "x" in its slots, and every word, and tag of one that is written, with a space before."""
    texts = list(_texts(spec))
    tags = {ref.tag for text in texts for ref in text.refs if ref.tag is not None}
    found = {text.filled(lambda _: "x") for text in texts}
    for words in _lists(spec):
        for word in words.words:
            found.add(f" {word.text}")
            found |= {f" {value}" for tag, value in word.tags.items() if tag in tags}
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


def _lists(spec: Spec) -> Iterator[WordList]:
    yield from (slot.words for slot in spec.slots.values())
    for corruption in spec.corruptions.values():
        yield from (given.words for given in corruption.replace.values() if isinstance(given, Draw))
    for template in spec.templates:
        for group in (*template.answers, *template.wrong_answers):
            yield from (entry.words for entry in group if isinstance(entry, Listed))
