"""Text with slots: ``The capital of {country} is``, ``{day+1}``, ``{word.plural}``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from acdc.pairs.template.place import Place
from acdc.wording import quoted

#: What a slot, a tag or a span can be called.
NAME = re.compile(r"[^\W\d]\w*")
_SLOT = re.compile(r"(?P<slot>[^\W\d]\w*)(?P<step>[+-]\d{1,4})?(?:\.(?P<tag>[^\W\d]\w*))?")
_PIECES = re.compile(r"\{\{|\}\}|\{[^{}]*\}|[{}]|[^{}]+")
_MOST_SHOWN = 60


@dataclass(frozen=True)
class Ref:
    """A slot in a text.

    Attributes:
        slot: its name.
        step: the word so many places further in its list; 0 for its own.
        tag: the tag that stands there; ``None`` for the word.
    """

    slot: str
    step: int = 0
    tag: str | None = None

    @property
    def is_plain(self) -> bool:
        """Whether it's the slot's word itself."""
        return self.step == 0 and self.tag is None

    def __str__(self) -> str:
        step = f"{self.step:+d}" if self.step else ""
        return f"{self.slot}{step}" + (f".{self.tag}" if self.tag else "")


@dataclass(frozen=True)
class Text:
    """A text with slots.

    Attributes:
        source: as written.
        parts: its plain parts and its slots, in order.
    """

    source: str
    parts: tuple[str | Ref, ...]

    @property
    def refs(self) -> Iterator[Ref]:
        """Its slots, in order."""
        return (part for part in self.parts if isinstance(part, Ref))

    @property
    def alias(self) -> str | None:
        """The slot whose word is all of the text, if there is one."""
        only = self.parts[0] if len(self.parts) == 1 else None
        return only.slot if isinstance(only, Ref) and only.is_plain else None

    def filled(self, value: Callable[[Ref], str]) -> str:
        """The text with a value for each slot."""
        return "".join(part if isinstance(part, str) else value(part) for part in self.parts)


def plain(text: str) -> Text:
    """A text that has no slots, whatever stands in it."""
    return Text(text, (text,) if text else ())


def parse(source: str, place: Place) -> Text:
    """Read a text with slots; ``{{`` and ``}}`` are braces.

    Raises:
        PromptError: a brace stands alone, or holds something else than a slot.
    """
    parts: list[str | Ref] = []
    for piece in _PIECES.findall(source):
        if piece in ("{{", "}}") or piece[0] not in "{}":
            literal = piece[0] if piece[0] in "{}" else piece
            if parts and isinstance(parts[-1], str):
                parts[-1] += literal
            else:
                parts.append(literal)
            continue
        found = _SLOT.fullmatch(piece[1:-1]) if len(piece) > 1 else None
        if found is None:
            what = f"{quoted(piece, _MOST_SHOWN)} is no slot" if len(piece) > 1 else f"a {piece!r} stands alone"
            raise place.error(
                f"{what}; a slot is written {{name}}, {{name.tag}} or {{name+1}}, and a brace itself {{{{ or }}}}."
            )
        parts.append(Ref(found["slot"], int(found["step"] or 0), found["tag"]))
    return Text(source, tuple(parts))
