"""Whether two prompts of equal length line up: every word at the same tokens in both.

A patched run puts the corrupted prompt's values in place of the clean one's, token by
token. Where a word of two tokens changes places with a word of one, the length stays the
same, and everything between is patched from another word. What can be told from the
text is told here; token ids, other numbers of words, texts without spaces and words
whose borders lie inside tokens are not judged.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from acdc.pairs.encoding import Body, tokens_of_start
from acdc.pairs.tokenizer import Tokenizer, show_tokens
from acdc.wording import counted, quoted

Alignment = Literal["lined up", "moved", "not judged"]

# A word with the white space before it; what stands at the end is one more.
_WORDS = re.compile(r"\s*\S+|\s+")
_LINE_START = re.compile(r"\s*[\r\n]")
# Words in a word, as in "f(alpha,beta)", and what stands between them.
_PARTS = re.compile(r"[^\W_]+|[\W_]+")
# Scripts that put no spaces between words: from Thai to Khmer, Japanese and Chinese.
_UNSPACED = re.compile("[\u0e00-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff]")
#: By how many words at most a row of words is looked for to have moved, and how long it is at least: of two words,
#: as of an acronym's, a row stands elsewhere by chance.
_FARTHEST, _ROW = 10, 3
#: Longer in long texts, one more whenever these are twice as long.
_LONG = 32
#: Each border takes a tokenization of what stands before it.
_MOST_BORDERS = 200

# A number, a day, a month, or a member of a list: these go on from place to place, and what stands there is meant.
_NAMES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty first second third fourth fifth sixth seventh eighth ninth tenth "
    "monday tuesday wednesday thursday friday saturday sunday january february march april may june july august "
    "september october november december"
)
_MEMBER = re.compile(rf"\W*(?:\d+|{_NAMES.replace(' ', '|')})\W*|.*[,;]", re.DOTALL | re.IGNORECASE)


def judge(clean: Body, corrupted: Body, tokenizer: Tokenizer | None) -> tuple[Alignment, str | None]:
    """Compare where the words of two prompts stand; both have equally many tokens.

    Pieces that the task gives are compared piece by piece, and in each the words. Texts of
    as many words are compared word by word.

    Returns:
        The judgement, and what moved in words for a message, if anything did.
    """
    if clean.ids == corrupted.ids:
        return "lined up", None
    if tokenizer is None or not (clean.pieces and corrupted.pieces):
        return "not judged", None
    if len(clean.pieces) != len(corrupted.pieces):
        clean, corrupted = (Body(body.ids, (body.text,), (len(body.ids),)) for body in (clean, corrupted))
    found: list[Alignment] = []
    for number in range(len(clean.pieces)):
        spans = [_Span(body, number, tokenizer) for body in (clean, corrupted)]
        if len(spans[0].ids) != len(spans[1].ids):
            what = " and ".join(
                f"{quoted(span.text)} ({counted(len(span.ids), 'token')} {show_tokens(span.ids, tokenizer)}) in {which}"
                for span, which in zip(spans, ("clean", "corrupted"), strict=True)
            )
            return "moved", f"piece {number + 1} is {what}"
        if spans[0].text == spans[1].text and spans[0].ids == spans[1].ids:
            continue
        if (problem := _moved_words(*spans)) is not None:
            return "moved", problem
        given = len(clean.pieces) > 1 and all(len(span.words) == 1 for span in spans)
        found.append("lined up" if given or _is_clear(*spans) else "not judged")
    return ("not judged" if "not judged" in found else "lined up"), None


@dataclass(frozen=True)
class _Span:
    """A piece of a prompt, and which tokens end where its words do."""

    body: Body
    number: int
    tokenizer: Tokenizer

    @cached_property
    def text(self) -> str:
        return self.body.pieces[self.number]

    @cached_property
    def ids(self) -> tuple[int, ...]:
        start = self.body.ends[self.number - 1] if self.number else 0
        return self.body.ids[start : self.body.ends[self.number]]

    @cached_property
    def words(self) -> list[str]:
        return _WORDS.findall(self.text)

    @cached_property
    def _before(self) -> str:
        return "".join(self.body.pieces[: self.number])

    def end(self, word: int, behind_space: bool = False) -> int | None:
        """How many tokens the piece has up to the end of a word; ``None`` if none ends there."""
        cut = sum(map(len, self.words[: word + 1]))
        if behind_space and word + 1 < len(self.words):
            following = self.words[word + 1]
            cut += len(following) - len(following.lstrip())
        return self.tokens_until(cut)

    def tokens_until(self, cut: int) -> int | None:
        """How many tokens the first `cut` characters have; ``None`` if a token goes over the border."""
        if cut <= 0:
            return 0
        start = tokens_of_start(self.tokenizer, self._before, self.text, cut)
        return len(start) if list(self.ids[: len(start)]) == start else None

    def around(self, word: int) -> str:
        """The tokens of a word, or those about where it stands, for a message."""
        start, stop = (self.end(word - 1) if word else 0), self.end(word)
        shown = self.ids if start is None or stop is None else self.ids[start:stop]
        return f"{counted(len(shown), 'token')} {show_tokens(shown, self.tokenizer)}"


def _moved_words(clean: _Span, corrupted: _Span) -> str | None:
    """The first word that stands at other tokens, in words for a message."""
    differing = _differing(clean, corrupted)
    if differing is None:
        return None
    for i in _borders(differing):
        ends = _ends(clean, corrupted, i)
        if ends is not None and ends[0] != ends[1]:
            return (
                f"word {i + 1} is {quoted(clean.words[i].strip())} ({clean.around(i)}) in clean and "
                f"{quoted(corrupted.words[i].strip())} ({corrupted.around(i)}) in corrupted"
            )
    for i in differing:
        if (problem := _moved_inside(clean, corrupted, i)) is not None:
            return problem
    return _moved_row(clean.words, corrupted.words, differing)


def _is_clear(clean: _Span, corrupted: _Span) -> bool:
    """Whether it can be told where all words stand that could have moved."""
    differing = _differing(clean, corrupted)
    if differing is None or len(clean.words) == 1 or len(differing) > _MOST_BORDERS:
        return False
    if any(_UNSPACED.search(span.words[i]) for span in (clean, corrupted) for i in differing):
        return False
    return all(_ends(clean, corrupted, i) is not None for i in _borders(differing))


def _borders(differing: range) -> range:
    """The words whose ends are compared: all but the last, or a hundred or so evenly among very many."""
    return range(differing.start, differing.stop - 1, 1 + len(differing) // _MOST_BORDERS)


def _ends(clean: _Span, corrupted: _Span, word: int) -> tuple[int, int] | None:
    """Where a word ends in both, in tokens: before the white space that follows, or behind it if a token has both."""
    for behind in (False, True):
        found = clean.end(word, behind), corrupted.end(word, behind)
        if found[0] is not None and found[1] is not None:
            return found[0], found[1]
    return None


def _differing(clean: _Span, corrupted: _Span) -> range | None:
    """From the first to the last word that differs; ``None`` where the texts have other numbers of words."""
    if len(clean.words) != len(corrupted.words):
        return None
    places = [i for i, (a, b) in enumerate(zip(clean.words, corrupted.words, strict=True)) if a != b]
    return range(places[0], places[-1] + 1) if places else None


def _moved_inside(clean: _Span, corrupted: _Span, word: int) -> str | None:
    """The first part of a word, as in "f(alpha,beta)", that ends at another token, if parts of it changed places."""
    ends: list[dict[str, int | None]] = []
    for span in (clean, corrupted):
        start = sum(map(len, span.words[:word]))
        parts = [part for part in _PARTS.finditer(span.words[word]) if part[0].isalnum()]
        if len(parts) < 2:
            return None
        ends.append({part[0]: span.tokens_until(start + part.end()) for part in parts})
    if len(ends[0]) != len(ends[1]):
        return None
    for (part, end), (other, other_end) in zip(ends[0].items(), ends[1].items(), strict=True):
        changed_places = part in ends[1] or other in ends[0]
        if changed_places and end is not None and other_end is not None and end != other_end:
            return (
                f"word {word + 1} has {quoted(part)} in clean where {quoted(other)} of another number of tokens "
                "stands in corrupted"
            )
    return None


def _moved_row(words: Sequence[str], other_words: Sequence[str], differing: range) -> str | None:
    """A row of words that stands some words further on or back, as "Then Ann and Bob" and "Ann and Bob then".

    Names that change places move by at least their own length; what moves by less makes
    room for a word that was put in or taken out. Rows that repeat themselves say nothing, nor do those of
    numbers or a list ("1, 2, 3" and "2, 3, 4"), nor lines and sentences in another order where each stands in the
    place of one of as many words.
    """
    clean, corrupted = ([word.strip() for word in text] for text in (words, other_words))
    starts = _starts(words)
    in_order = starts if starts == _starts(other_words) else set()
    for shift in [sign * size for size in range(1, _FARTHEST + 1) for sign in (1, -1)]:
        run = 0
        for i in differing:
            there = i + shift
            same = there in differing and clean[i] == corrupted[there] and clean[i] != corrupted[i]
            periodic = 0 <= i - shift < len(clean) and clean[i] == clean[i - shift]
            run = run + 1 if same and not periodic else 0
            least = max(abs(shift) + 1, _ROW + (len(differing) // _LONG).bit_length())
            if run >= least and not all(map(_MEMBER.fullmatch, clean[i - least + 1 : i + 1])):
                if {i - run + 1, there - run + 1} <= in_order:
                    continue
                row = " ".join(clean[i - run + 1 : i + 1])
                return f"{quoted(row)} is word {i - run + 2} of clean, and word {there - run + 2} of corrupted"
    return None


def _starts(words: Sequence[str]) -> set[int]:
    """The words with which lines and sentences begin."""
    return {i for i, word in enumerate(words) if i == 0 or _LINE_START.match(word) or words[i - 1][-1] in ".!?"}
