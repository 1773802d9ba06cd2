"""Word lists: words in an order, with tags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from acdc.errors import PromptError
from acdc.pairs.template.place import Place
from acdc.pairs.template.text import NAME
from acdc.pairs.template.toml import read_toml
from acdc.wording import quoted

_MOST_WORDS = 100_000
#: Lists of lists of lists ...
_DEEPEST = 50
_MOST_DIGITS = 12
_TOML = ".toml"
#: The key of a word itself beside its tags.
WORD = "word"
_KEYS = ("words", "columns", "rows", "range", "digits", "lists", "flip_of", "flip_by", "file", "list", "tags", "cyclic")
#: The forms of a list: the key that says which it is, and what else may stand there.
_FORMS: Mapping[str, tuple[str, ...]] = {
    "words": ("tags", "cyclic"),
    "columns": ("rows", "tags", "cyclic"),
    "range": ("digits", "tags", "cyclic"),
    "lists": ("tags", "cyclic"),
    "flip_of": ("flip_by", "tags", "cyclic"),
    "file": ("list",),
}


@dataclass(frozen=True)
class Word:
    """A word and what is known of it.

    Attributes:
        text: as it stands in a prompt.
        tags: by name.
        part: the number of the list that it comes from, where several are one.
    """

    text: str
    tags: Mapping[str, str]
    part: int = 0


@dataclass(frozen=True)
class WordList:
    """Different words in an order.

    Attributes:
        name: as the file calls it.
        words: at least one.
        cyclic: whether the first word follows the last.
    """

    name: str
    words: tuple[Word, ...]
    cyclic: bool = False

    @cached_property
    def places(self) -> dict[str, int]:
        """Where each word stands, by its text."""
        return {word.text: place for place, word in enumerate(self.words)}

    @cached_property
    def tags(self) -> frozenset[str]:
        """The tags that any word has."""
        return frozenset(tag for word in self.words for tag in word.tags)

    def find(self, text: str) -> Word | None:
        """The word of that text, if there is one."""
        place = self.places.get(text)
        return None if place is None else self.words[place]

    def further(self, text: str, step: int) -> Word | None:
        """The word `step` places after the one of that text; ``None`` where the list ends before."""
        place = self.places.get(text)
        if place is None:
            return None
        place += step
        if self.cyclic:
            place %= len(self.words)
        return self.words[place] if 0 <= place < len(self.words) else None


class Lists:
    """The word lists of a file, each read when it is asked for.

    Args:
        path: the file.
        given: its lists as TOML has them.
        place: where they stand.
    """

    def __init__(self, path: Path, given: Mapping[str, Any], place: Place) -> None:
        self._path = path
        self._given = given
        self._place = place
        self._read: dict[str, WordList] = {}
        self._reading: list[str] = []
        #: The word files that lists came from.
        self.files: list[Path] = []

    def __iter__(self) -> Any:
        return iter(self._given)

    def get(self, name: str, place: Place) -> WordList:
        """A list by its name.

        Args:
            name: which.
            place: who asks.

        Raises:
            UnknownNameError: there is none.
            PromptError: it isn't a list of words, or is made of itself.
        """
        if name not in self._given:
            raise place.unknown("word list", name, self._given)
        if name in self._reading:
            raise place.error(f"the word list {quoted(name)} is made of itself; break the circle.")
        if len(self._reading) >= _DEEPEST:
            raise place.error(f"word lists are made of others over more than {_DEEPEST} steps; write less.")
        if name not in self._read:
            here = self._place.at(name)
            if not NAME.fullmatch(name):
                raise here.error("a list's name is of letters, digits and _, and doesn't begin with a digit.")
            self._reading.append(name)
            made = self._list(name, self._given[name], here)
            self._reading.pop()
            _check(made, here)
            self._read[name] = made
        return self._read[name]

    def _list(self, name: str, given: Any, place: Place) -> WordList:
        if isinstance(given, str) and given.endswith(_TOML):
            return self._of_file(name, {"file": given}, place)
        if not isinstance(given, dict):
            return WordList(name, _words(given, place))
        table = place.table(given, _KEYS)
        form = next((key for key in _FORMS if key in table), None)
        if form is None:
            raise place.error(f"it must have one of the keys {', '.join(_FORMS)}.")
        for key in table:
            if key != form and key not in _FORMS[form]:
                raise place.error(f"the key {key!r} doesn't go with {form!r}; leave one of them out.")
        if form == "file":
            return self._of_file(name, table, place)
        cyclic = place.at("cyclic").a(bool, table.get("cyclic", False))
        words: Sequence[Word] = {
            "words": lambda: _words(table["words"], place.at("words")),
            "columns": lambda: _rows(table, place),
            "range": lambda: _range(table, place),
            "lists": lambda: self._joined(table["lists"], place.at("lists")),
            "flip_of": lambda: self._flipped(table, place),
        }[form]()
        if "tags" in table:
            more = _tags(table["tags"], place.at("tags"))
            words = [replace(word, tags={**word.tags, **more}) for word in words]
        return WordList(name, tuple(words), cyclic)

    def _of_file(self, name: str, table: Mapping[str, Any], place: Place) -> WordList:
        file = place.at("file").text(table["file"])
        if not file.endswith(_TOML):
            raise place.error(f"a word file's name ends in {_TOML}, and {quoted(file)} doesn't.")
        if self._place.key == "":
            raise place.error("a word file has lists of its own only; name the other file in the task.")
        path = self._path.parent / file
        if not _is_there(path):
            raise place.error(f"the word file {quoted(file)} isn't there; its path begins at the task's folder.")
        inner = read_toml(path)
        if path not in self.files:
            self.files.append(path)
        which = place.at("list").text(table.get("list", name))
        lists = Lists(path, inner, Place(str(path)))
        return replace(lists.get(which, place), name=name)

    def _joined(self, given: Any, place: Place) -> list[Word]:
        found = []
        for part, other in enumerate(place.texts(given)):
            found += [replace(word, part=part) for word in self.get(other, place).words]
        return found

    def _flipped(self, table: Mapping[str, Any], place: Place) -> list[Word]:
        base = self.get(place.at("flip_of").text(table["flip_of"]), place.at("flip_of"))
        if "flip_by" not in table:
            raise place.error("it lacks 'flip_by', the tag that becomes the word; give it.")
        tag = place.at("flip_by").text(table["flip_by"])
        if tag not in base.tags:
            raise place.at("flip_by").unknown("tag", tag, base.tags)
        found = []
        for word in base.words:
            if tag not in word.tags:
                raise place.error(f"the word {quoted(word.text)} of {base.name} has no tag {tag!r}; give it one.")
            found.append(Word(word.tags[tag], {**word.tags, tag: word.text}))
        return found


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name too long, or of no file
        return False


def _words(given: Any, place: Place) -> tuple[Word, ...]:
    """Words of a text or a list."""
    if isinstance(given, str):
        return tuple(Word(text, {}) for text in given.split())
    if not isinstance(given, list):
        raise place.wrong("words: text, a list, or a table of keys", given)
    found = []
    for number, entry in enumerate(given, start=1):
        here = place.at(number)
        if isinstance(entry, dict):
            table = here.table(entry, must=(WORD,))
            tags = {key: value for key, value in table.items() if key != WORD}
            found.append(Word(_word(table[WORD], here.at(WORD)), _tags(tags, here)))
        else:
            found.append(Word(_word(entry, here), {}))
    return tuple(found)


def _rows(table: Mapping[str, Any], place: Place) -> list[Word]:
    columns = place.at("columns").texts(table["columns"])
    if WORD not in columns or len(set(columns)) < len(columns):
        raise place.at("columns").error(f"one column must be {WORD!r}, and no name may stand there twice.")
    if "rows" not in table:
        raise place.error("it lacks 'rows', the words with their tags; give them.")
    rows = place.at("rows").a(list, table["rows"])
    found = []
    for number, row in enumerate(rows, start=1):
        here = place.at("rows").at(number)
        if not isinstance(row, list) or len(row) != len(columns):
            raise here.wrong(f"a list of {len(columns)} texts ({', '.join(columns)})", row)
        fields = dict(zip(columns, row, strict=True))
        text = _word(fields.pop(WORD), here)
        found.append(Word(text, _tags(fields, here)))
    return found


def _range(table: Mapping[str, Any], place: Place) -> list[Word]:
    here = place.at("range")
    ends = here.a(list, table["range"])
    if len(ends) != 2 or not all(isinstance(end, int) and not isinstance(end, bool) for end in ends):
        raise here.wrong("the first and the last number, like [1, 99]", ends)
    first, last = ends
    if not 0 <= first <= last < 10**_MOST_DIGITS or last - first >= _MOST_WORDS:
        raise here.error(f"it must be of at most {_MOST_WORDS:,} numbers from 0 up, the smaller first.")
    digits = place.at("digits").a(int, table.get("digits", 1))
    if not 1 <= digits <= _MOST_DIGITS:
        raise place.at("digits").error(f"it must be 1 to {_MOST_DIGITS}.")
    return [Word(str(number).zfill(digits), {}) for number in range(first, last + 1)]


def _word(value: Any, place: Place) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    text = place.text(value)
    if text != text.strip():
        raise place.error(f"the word {quoted(text)} begins or ends with white space; write spaces in the template.")
    return text


def _tags(given: Any, place: Place) -> dict[str, str]:
    found = {}
    for tag, value in place.table(given).items():
        if not NAME.fullmatch(tag):
            raise place.error(f"the tag {quoted(tag)} must be of letters, digits and _, and not begin with a digit.")
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        found[tag] = str(place.at(tag).a(str, value))
    return found


def _check(made: WordList, place: Place) -> None:
    """Raise :class:`PromptError` for a list that is empty or too long, or has a word twice."""
    if not made.words:
        raise place.error("the list has no words; write some.")
    if len(made.words) > _MOST_WORDS:
        raise place.error(f"{len(made.words):,} words are more than {_MOST_WORDS:,}; take a part of them.")
    if len(made.places) < len(made.words):
        seen: set[str] = set()
        twice = next(word.text for word in made.words if word.text in seen or seen.add(word.text))  # type: ignore[func-returns-value]
        raise PromptError(f"{place}: the word {quoted(twice)} stands there twice; leave one out.")
