"""Reading a template file, key by key."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from acdc.pairs.template.place import Place
from acdc.pairs.template.spec import END, Answers, Corruption, Draw, Listed, Rule, Slot, Spec, Template, Where
from acdc.pairs.template.text import NAME, Text, parse
from acdc.pairs.template.toml import read_toml
from acdc.pairs.template.words import WORD, Lists, WordList
from acdc.wording import quoted

_KEYS = (
    *("summary", "source", "needs", "metric", "templates", "answer", "wrong_answers", "positions", "split_by"),
    *("slots", "corruptions", "words", "spans"),
)
_TEMPLATE_KEYS = ("text", "name", "slots", "answer", "wrong_answers", "positions")
_SLOT_KEYS = ("words", "tokens", "where", "same", "different", "may_repeat")
_DRAW_KEYS = ("another", "where", "same", "different")
_CORRUPTION_KEYS = ("isolates", "replace", "answer", "keeps_answer")
_BOUNDS = ("after", "before", "from", "up_to")
_ANSWER_KEYS = ("words", "text", *_BOUNDS, "except", "same", "different")
#: Names of :data:`acdc.metrics.METRICS`, which stand above what reads prompts.
METRICS = ("kl", "logit-diff", "prob-diff", "answer-logprob", "l2")
_MOST_TOKENS = 100
#: In ``split_by``, the template itself.
TEMPLATE = "template"
#: Words of the grammar, which no slot can be called.
_TAKEN = (END, TEMPLATE, WORD)
_MOST_TEMPLATES = 10_000


def read_spec(path: Path) -> Spec:
    """The task that a template file describes, key by key; whether it fits together, others check.

    Raises:
        PromptError: it can't be read or is no task; names file and key.
        UnknownNameError: a key, list or metric isn't known; names the nearest.
    """
    top = Place(str(path))
    table = top.table(read_toml(path), _KEYS, must=("summary", "templates", "corruptions"))
    return _Reader(path, table).spec()


class _Reader:
    def __init__(self, path: Path, table: Mapping[str, Any]) -> None:
        self.path = path
        self.table = table
        self.top = Place(str(path))
        place = self.top.at("words")
        self.lists = Lists(path, place.table(table.get("words", {})), place)
        self.slots: dict[str, Slot] = {}
        self.made: dict[str, Text] = {}

    def spec(self) -> Spec:
        top, table = self.top, self.table
        self._read_slots()
        templates = self._templates()
        corruptions = self._corruptions()
        for name in self.lists:
            self.lists.get(name, top.at("words"))
        split_by = top.at("split_by").texts(table["split_by"]) if "split_by" in table else None
        metric = "logit-diff" if any(template.wrong_answers for template in templates) else "kl"
        if "metric" in table:
            metric = top.at("metric").text(table["metric"])
            if metric not in METRICS:
                raise top.at("metric").unknown("metric", metric, METRICS)
        return Spec(
            path=self.path,
            files=tuple(self.lists.files),
            summary=_line(table["summary"], top.at("summary")),
            source=top.at("source").a(str, table.get("source", "")),
            metric=metric,
            needs=_line(table["needs"], top.at("needs")) if "needs" in table else "",
            templates=templates,
            slots=self.slots,
            corruptions=corruptions,
            split_by=tuple(name for name in split_by if name != TEMPLATE) if split_by is not None else (),
            split_by_template=split_by is None or TEMPLATE in split_by,
            is_split_given=split_by is not None,
            spans=self._spans(),
        )

    def _read_slots(self) -> None:
        place = self.top.at("slots")
        for name, given in place.table(self.table.get("slots", {})).items():
            here = place.at(name)
            _check_name(name, here)
            if (made := _made(given, here)) is not None:
                self.made[name] = made
                continue
            table = {"words": given} if isinstance(given, str) else here.table(given, _SLOT_KEYS, must=("words",))
            words = self._list(table["words"], here)
            self.slots[name] = Slot(
                name=name,
                words=words,
                tokens=_tokens(table.get("tokens", 1), here.at("tokens")),
                where=_where(table.get("where", {}), words, here.at("where")),
                rules=_rules(table, here, None),
                may_repeat=here.at("may_repeat").a(bool, table.get("may_repeat", False)),
                place=here,
            )

    def _list(self, given: Any, place: Place) -> WordList:
        return self.lists.get(place.at("words").text(given), place)

    def _templates(self) -> tuple[Template, ...]:
        place = self.top.at("templates")
        given = place.a(list, self.table["templates"])
        found: list[Template] = []
        for number, entry in enumerate(given, start=1):
            here = place.at(number)
            table = {"text": entry} if isinstance(entry, str) else here.table(entry, _TEMPLATE_KEYS, must=("text",))
            for text in here.texts(table["text"]):
                found.append(self._template(text, table, here))
        if not 0 < len(found) <= _MOST_TEMPLATES:
            raise place.error(f"there must be 1 to {_MOST_TEMPLATES:,} templates, not {len(found):,}.")
        return tuple(found)

    def _template(self, text: str, table: Mapping[str, Any], place: Place) -> Template:
        made = dict(self.made)
        for name, given in place.at("slots").table(table.get("slots", {})).items():
            here = place.at("slots").at(name)
            _check_name(name, here)
            if name in self.slots or name in self.made:
                raise here.error("the task has a slot of that name already; choose another.")
            made[name] = parse(here.text(given), here) if isinstance(given, str) else _must_be_made(given, here)
        parsed = parse(text, place)
        name = place.at("name").text(table["name"]) if "name" in table else _in_capitals(parsed)
        positions = self._own(table, "positions")
        places = positions[1].texts(positions[0]) if positions is not None else (END,)
        answers, wrong = (self._answers_of(table, key, len(places)) for key in ("answer", "wrong_answers"))
        return Template(parsed, name, made, places, answers, wrong, place)

    def _own(self, table: Mapping[str, Any], key: str) -> tuple[Any, Place] | None:
        """What a template says, or else the task, and where."""
        for given, place in ((table, self.top.at("templates")), (self.table, self.top)):
            if key in given:
                return given[key], place.at(key)
        return None

    def _answers_of(self, table: Mapping[str, Any], key: str, n: int) -> Answers:
        found = self._own(table, key)
        return () if found is None else self._answers(found[0], found[1], n)

    def _answers(self, given: Any, place: Place, n: int) -> Answers:
        """Answers for each of `n` positions."""
        if n == 1:
            given = [given]
        if not isinstance(given, list) or len(given) != n:
            raise place.wrong(f"a list of {n} entries, one a position", given)
        return tuple(self._alternatives(entry, place.at(i) if n > 1 else place) for i, entry in enumerate(given, 1))

    def _alternatives(self, given: Any, place: Place) -> tuple[Text | Listed, ...]:
        entries = given if isinstance(given, list) else [given]
        if not entries:
            raise place.error("the list is empty; name an answer, or leave it out.")
        return tuple(self._answer(entry, place) for entry in entries)

    def _answer(self, given: Any, place: Place) -> Text | Listed:
        if isinstance(given, str):
            return parse(place.text(given), place)
        if not isinstance(given, dict):
            raise place.wrong("text, a table of keys, or a list of such", given)
        table = place.table(given, _ANSWER_KEYS, must=("words", "text"))
        without = place.at("except").texts(table["except"]) if "except" in table else ()
        return Listed(
            words=self._list(table["words"], place),
            text=parse(place.at("text").text(table["text"]), place.at("text")),
            bounds={key: place.at(key).text(table[key]) for key in _BOUNDS if key in table},
            without=without,
            rules=_rules(table, place, None),
        )

    def _corruptions(self) -> dict[str, Corruption]:
        place = self.top.at("corruptions")
        given = place.table(self.table["corruptions"])
        if not given:
            raise place.error("there is no corruption; write one.")
        return {name: self._corruption(name, table, place.at(name)) for name, table in given.items()}

    def _corruption(self, name: str, given: Any, place: Place) -> Corruption:
        if not name.strip() or not name.isprintable():
            raise place.error("a corruption's name must be of letters that can be seen; choose another.")
        table = place.table(given, _CORRUPTION_KEYS, must=("isolates", "replace"))
        replace = place.at("replace").table(table["replace"])
        if not replace:
            raise place.at("replace").error("nothing is replaced; name a slot.")
        keeps = place.at("keeps_answer").a(bool, table.get("keeps_answer", False))
        answers = None
        if "answer" in table:
            if keeps:
                raise place.error("'answer' and 'keeps_answer' contradict each other; leave one out.")
            positions = self.table.get("positions", [END])
            n = len(positions) if isinstance(positions, list) else 1
            answers = self._answers(table["answer"], place.at("answer"), n)
        return Corruption(
            name=name,
            isolates=_line(table["isolates"], place.at("isolates")),
            replace={slot: self._replacement(slot, one, place.at("replace").at(slot)) for slot, one in replace.items()},
            answers=answers,
            keeps_answer=keeps,
            place=place,
        )

    def _replacement(self, slot: str, given: Any, place: Place) -> Text | Draw:
        if isinstance(given, str):
            return parse(place.text(given), place)
        table = place.table(given, _DRAW_KEYS, must=("another",))
        if table["another"] is True:
            words = self._own_list(slot, place)
        elif isinstance(table["another"], str):
            words = self.lists.get(table["another"], place.at("another"))
        else:
            raise place.at("another").wrong("the name of a word list, or true for the slot's own", table["another"])
        return Draw(words, _where(table.get("where", {}), words, place.at("where")), _rules(table, place, slot))

    def _own_list(self, name: str, place: Place) -> WordList:
        """The list of a slot, or of the one that it repeats."""
        seen = set()
        while name in self.made and name not in seen:
            seen.add(name)
            alias = self.made[name].alias
            if alias is None:
                raise place.error(f"the slot {name!r} is made of others and has no list; name one by 'another'.")
            name = alias
        if name in seen:
            raise place.error(f"the slot {name!r} is made of itself; break the circle.")
        if name not in self.slots:
            raise place.unknown("slot", name, (*self.slots, *self.made))
        return self.slots[name].words

    def _spans(self) -> dict[str, tuple[str, ...]]:
        place = self.top.at("spans")
        found = {}
        for name, given in place.table(self.table.get("spans", {})).items():
            if not NAME.fullmatch(name):
                raise place.at(name).error("a span's name is of letters, digits and _.")
            if name in self.slots or name in self.made:
                raise place.at(name).error("a slot has that name, and is a span already; choose another.")
            found[name] = place.at(name).texts(given)
        return found


def _line(value: Any, place: Place) -> str:
    """A text as one line, of more than white space."""
    return place.text(" ".join(place.text(value).split()))


def _check_name(name: str, place: Place) -> None:
    if not NAME.fullmatch(name):
        raise place.error("a slot's name is of letters, digits and _, and doesn't begin with a digit.")
    if name in _TAKEN:
        raise place.error(f"{name!r} means something else here; choose another name.")


def _made(given: Any, place: Place) -> Text | None:
    """The text of a slot that is made; ``None`` for one that is drawn."""
    if isinstance(given, str):
        return parse(place.text(given), place) if "{" in given or "}" in given else None
    return _must_be_made(given, place) if isinstance(given, dict) and "text" in given else None


def _must_be_made(given: Any, place: Place) -> Text:
    table = place.table(given, ("text",), must=("text",))
    return parse(place.text(table["text"]), place)


def _in_capitals(text: Text) -> str:
    """A template's text as reports have it."""
    return text.filled(lambda ref: str(ref).upper())


def _tokens(given: Any, place: Place) -> int | None:
    if given == "any":
        return None
    if not isinstance(given, int) or isinstance(given, bool) or not 1 <= given <= _MOST_TOKENS:
        raise place.wrong(f'"any", or a number of tokens from 1 to {_MOST_TOKENS}', given)
    return given


def _where(given: Any, words: WordList, place: Place) -> tuple[Where, ...]:
    found = []
    for tag, values in place.table(given).items():
        if tag not in words.tags:
            raise place.unknown("tag", tag, words.tags)
        wanted = [str(values)] if isinstance(values, int) else place.at(tag).texts(values)
        known = {word.tags[tag] for word in words.words if tag in word.tags}
        for value in wanted:
            if value not in known:
                raise place.unknown(f"value of {tag}", value, known)
        found.append(Where(tag, frozenset(wanted)))
    return tuple(found)


def _rules(table: Mapping[str, Any], place: Place, own: str | None) -> tuple[Rule, ...]:
    """``same`` and ``different``; an entry without a dot names a tag of the slot `own`, or another slot."""
    found = []
    for key in ("same", "different"):
        if key not in table:
            continue
        for entry in place.at(key).texts(table[key]):
            slot, dot, tag = entry.partition(".")
            if not dot and own is not None:
                slot, tag = own, entry
            if not dot and own is None and key == "same":
                raise place.at(key).error(f"{quoted(entry)} must be a slot with a tag, like 'subject.number'.")
            found.append(Rule(slot, tag or None, key == "same"))
    return tuple(found)
