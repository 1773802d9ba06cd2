"""Template files that are no tasks: one sentence with the file and the key, and the nearest name."""

import re

import pytest
from test_templates import GIFTS, NAMES

from acdc.errors import AcdcError, UnknownNameError
from acdc.models.opening import find_tokenizer
from acdc.pairs.finding import find_task

SWAPPED = 'replace = { again = "{friend}" }'


def edited(old, new):
    assert old in GIFTS
    return GIFTS.replace(old, new, 1)


#: What stands in the file, and what is said after its name.
BAD = {
    "no toml": ("summary = ", ": this is not TOML: Invalid value (at end of document); texts stand in"),
    "a key twice": (GIFTS + "[words]\n", "this is not TOML: Cannot declare ('words',) twice"),
    "two of a name": (
        GIFTS + "[corruptions.more]\n[corruptions.more]\n",
        "); give one of them another name.",
    ),
    "no quotes": (edited('"who is given to"', "who is given to"), "column 11); texts stand in straight quotes."),
    "no last quote": (edited('given to"', "given to"), "); a text ends with the quote that it begins with"),
    "no comma": (edited('"ring", "key"', '"ring" "key"'), "); a list ends with ']', and commas stand between"),
    "nested": ("x = " + "[" * 50_000, ": it is nested too deeply"),
    "empty": ("", ": it lacks 'summary'; give it."),
    "a key": ("sumary = 'x'\n" + GIFTS, ": unknown key 'sumary': did you mean summary"),
    "a metric": ("metric = 'logitdiff'\n" + GIFTS, ", metric: unknown metric 'logitdiff': did you mean logit-diff"),
    "no templates": (
        re.sub(r"templates = \[.*?\n\]", "templates = []", GIFTS, flags=re.DOTALL),
        ", templates: there must be",
    ),
    "text for templates": (
        re.sub(r"templates = \[.*?\n\]", "templates = 'x'", GIFTS, flags=re.DOTALL),
        ", templates: it must be a list",
    ),
    "number for template": (
        edited("templates = [", "templates = [3,"),
        ", templates, entry 1: it must be a table of keys, not 3.",
    ),
    "a template twice": (
        edited("templates = [", 'templates = ["Then {giver} and {friend} met. {again} gave a {thing} to",'),
        "stands there twice",
    ),
    "a slot": (edited("{giver} met", "{givr} met"), ", templates, entry 1: unknown slot 'givr': did you mean giver"),
    "a brace": (edited("gave a", "gave } a"), ", templates, entry 1: a '}' stands alone; a slot is written {name}"),
    "no slot in braces": (edited("gave a", "gave {a b} a"), "'{a b}' is no slot; a slot is written {name}"),
    "a tag": (edited('" {friend}"', '" {friend.sex}"'), "answer: unknown tag 'sex'"),
    "a tag of made": (
        edited('again = "{giver}"', 'again = "The {giver}"').replace('" {friend}"', '" {again.sex}"'),
        "made of others",
    ),
    "a circle": (
        edited('again = "{giver}"', 'again = "{more}"\nmore = "a {again}"'),
        "is made of itself; break the circle",
    ),
    "a circle of one": (edited('again = "{giver}"', 'again = "{again}"'), "the slot 'again' is made of itself"),
    "many in one": (
        edited(
            'again = "{giver}"',
            "\n".join(f'a{i} = "{{a{i + 1}}}{{a{i + 1}}}"' for i in range(30))
            + '\na30 = { text = "x" }\nagain = "{a0}"',
        ),
        "is made of too many others; write less.",
    ),
    "unused": (edited("[slots]", "[slots]\nidle = 'names'"), ", slots.idle: the slot is used nowhere; leave it out"),
    "a list": (
        edited('thing = "things"', 'thing = "thigns"'),
        ", slots.thing: unknown word list 'thigns': did you mean things",
    ),
    "no list": (edited('thing = "things"', "thing = 3"), ", slots.thing: it must be a table of keys, not 3."),
    "a slot's key": (
        edited('thing = "things"', 'thing = { words = "things", token = 1 }'),
        ", slots.thing: unknown key 'token': did you mean tokens",
    ),
    "tokens": (
        edited('thing = "things"', 'thing = { words = "things", tokens = 0 }'),
        'it must be "any", or a number of tokens from 1 to 100, not 0',
    ),
    "a slot's name": (edited('thing = "things"', '"a b" = "things"'), "a slot's name is of letters"),
    "a taken name": (edited('thing = "things"', 'end = "things"'), "'end' means something else here"),
    "where": (
        edited('thing = "things"', 'thing = { words = "things", where = { size = "big" } }'),
        ", slots.thing.where: unknown tag 'size'",
    ),
    "same without tag": (
        edited('thing = "things"', 'thing = { words = "things", same = ["giver"] }'),
        "must be a slot with a tag, like",
    ),
    "rule's slot": (
        edited('thing = "things"', 'thing = { words = "things", different = ["givr"] }'),
        "unknown slot 'givr': did you mean giver",
    ),
    "an empty list": (edited('["ring", "key", "letter"]', "[]"), ", words.things: the list has no words; write some."),
    "a word twice": (edited('"key", "letter"', '"key", "ring"'), ", words.things: the word 'ring' stands there twice"),
    "a word with space": (
        edited('"key", "letter"', '"key ", "letter"'),
        "words.things, entry 2: the word 'key ' begins or ends with white space",
    ),
    "an empty word": (edited('"key", "letter"', '"", "letter"'), "words.things, entry 2: it is empty"),
    "a tag that is a list": (
        edited('"key", "letter"', '{ word = "key", a = [] }'),
        ", words.things, entry 2.a: it must be text, not [].",
    ),
    "rows": (
        edited('["ring", "key", "letter"]', '{ columns = ["word", "a"], rows = [["x"]] }'),
        "words.things.rows, entry 1: it must be a list of 2 texts (word, a)",
    ),
    "columns": (
        edited('["ring", "key", "letter"]', '{ columns = ["a"], rows = [["x"]] }'),
        "one column must be 'word'",
    ),
    "range": (edited('["ring", "key", "letter"]', "{ range = [5, 1] }"), "words.things.range: it must be of at most"),
    "a huge range": (
        edited('["ring", "key", "letter"]', "{ range = [0, 999999999] }"),
        "words.things.range: it must be of at most 100,000",
    ),
    "lists in a circle": (
        edited('["ring", "key", "letter"]', '{ lists = ["things"] }'),
        "the word list 'things' is made of itself",
    ),
    "a form": (
        edited('["ring", "key", "letter"]', '{ tags = { a = "b" } }'),
        "it must have one of the keys words, columns, range",
    ),
    "no word file": (
        edited('["ring", "key", "letter"]', '"gone.toml"'),
        "mine.toml, words.things: the word file 'gone.toml' isn't there",
    ),
    "a word file of no name": (
        edited('["ring", "key", "letter"]', f'"{"a" * 5000}.toml"'),
        "mine.toml, words.things: the word file 'aaa",
    ),
    "a blank line on it": (GIFTS.replace("summary", "summary = ' '\n#", 1), "mine.toml, summary: it is empty"),
    "a corruption's name of control characters": (
        GIFTS.replace("[corruptions.swapped]", r'[corruptions."a\u001b[31mb"]'),
        "a corruption's name must be of letters that can be seen",
    ),
    "another file": (
        edited('["ring", "key", "letter"]', '{ file = "/etc/passwd" }'),
        "a word file's name ends in .toml",
    ),
    "no corruption": (
        GIFTS[: GIFTS.index("[corruptions.swapped]")] + "[corruptions]\n[words]\nnames = 'a b'\nthings='c d'",
        ", corruptions: there is no corruption; write one.",
    ),
    "nothing replaced": (
        edited(SWAPPED, "replace = {}"),
        ", corruptions.swapped.replace: nothing is replaced; name a slot.",
    ),
    "an unknown slot replaced": (
        edited(SWAPPED, 'replace = { agian = "x" }'),
        ", corruptions.swapped.replace.agian: unknown slot 'agian': did you mean again",
    ),
    "replaced by an unknown one": (
        edited(SWAPPED, 'replace = { again = "{frend}" }'),
        "unknown slot 'frend': did you mean friend",
    ),
    "replaced by itself": (
        edited(SWAPPED, 'replace = { again = "{again}" }'),
        "is replaced by itself, which changes nothing",
    ),
    "another of what": (
        edited(SWAPPED, "replace = { again = { another = 3 } }"),
        "it must be the name of a word list, or true",
    ),
    "a draw's tag": (
        edited(SWAPPED, 'replace = { again = { another = "names", same = ["gender"] } }'),
        "unknown tag 'gender'",
    ),
    "the default a control": (
        edited('answer = " {giver}"\n', "keeps_answer = true\n"),
        "the first corruption is the default and can't be a control",
    ),
    "answer and keeps": (
        edited('answer = " {giver}"\n', 'answer = " x"\nkeeps_answer = true\n'),
        "contradict each other",
    ),
    "an answer's kind": (
        edited('answer = " {friend}"', "answer = true"),
        ", answer: it must be text, a table of keys, or a list of such, not True.",
    ),
    "an empty list of answers": (edited('answer = " {friend}"', "answer = []"), ", answer: the list is empty"),
    "positions": (
        'positions = ["givr", "end"]\n'
        + edited('answer = " {friend}"', 'answer = ["a", "b"]')
        .replace('wrong_answers = " {giver}"\n', "")
        .replace('answer = " {giver}"', 'answer = ["a", "b"]'),
        "unknown slot 'givr'",
    ),
    "answers for positions": (
        'positions = ["giver", "end"]\n' + GIFTS,
        ", answer: it must be a list of 2 entries, one a position",
    ),
    "split": ('split_by = ["givr"]\n' + GIFTS, ", split_by: unknown slot 'givr': did you mean giver"),
    "a span's slot": (GIFTS + '[spans]\na = "givr"\n', ", spans.a: unknown slot 'givr': did you mean giver"),
    "a span that is a slot": (GIFTS + '[spans]\ngiver = "again"\n', ", spans.giver: a slot has that name"),
    "no slots": (
        "summary='a'\ntemplates=['x']\n[corruptions.a]\nisolates='b'\nreplace={ y = 'z' }\n",
        "unknown slot 'y': known: none.",
    ),
}


@pytest.mark.parametrize("text_and_says", BAD.values(), ids=BAD)
def test_one_sentence_with_the_place(tmp_path, text_and_says):
    text, says = text_and_says
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(AcdcError) as caught:
        find_task(tmp_path / "mine.toml")
    said = str(caught.value)
    assert "mine.toml" in said or "gone.toml" in said
    assert says in said
    assert "\n" not in said
    assert ("unknown" in said) == isinstance(caught.value, UnknownNameError)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"\xff\xfea\x00", "is UTF-16 text; save it as UTF-8."),
        (b"a = '\xff'", "is not UTF-8 text (line 1:"),
        (b"a = '\x00'", "line 1: a NUL byte is no text"),
        (b"#" * (5 * 2**20), "is too large: at most 4 MiB of template files and word lists are read"),
    ],
)
def test_what_is_no_text(tmp_path, data, says):
    (tmp_path / "mine.toml").write_bytes(data)
    with pytest.raises(AcdcError, match=re.escape(says)):
        find_task(tmp_path / "mine.toml")


def test_a_corruption_that_changes_nothing_is_named(tmp_path):
    (tmp_path / "mine.toml").write_text(edited(SWAPPED, 'replace = { again = "{giver}" }'))
    with pytest.raises(AcdcError, match=r"would change nothing; change the words, the answers or corruptions\.\S+\.$"):
        find_task(tmp_path / "mine.toml").prompts(find_tokenizer("tiny-tasks"), 4)


def test_a_file_without_its_ending(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text(GIFTS)
    with pytest.raises(AcdcError, match=r"no task 'mine'; a file is given with its ending: mine\.toml\.$"):
        find_task("mine")
    with pytest.raises(UnknownNameError, match="unknown task 'min'"):
        find_task("min")


def test_what_is_no_file(tmp_path):
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(AcdcError, match="it is a folder"):
        find_task(tmp_path / "folder.toml")
    with pytest.raises(AcdcError, match=r"none\.toml doesn't exist"):
        find_task(tmp_path / "none.toml")


def test_every_value_may_be_of_a_wrong_kind(tmp_path):
    """Whatever stands in place of a value: a task or one sentence."""
    path = tmp_path / "mine.toml"
    lines, said = GIFTS.splitlines(), []
    for number, line in enumerate(lines):
        key, equals, _ = line.partition(" = ")
        if not equals or key.startswith(" "):
            continue
        for value in (
            "3",
            "true",
            "1.5",
            "[]",
            "[[]]",
            "{}",
            '""',
            '["x"]',
            '{ a = "b" }',
            "1979-05-27",
            '"{"',
            f'"{NAMES}"',
        ):
            path.write_text("\n".join([*lines[:number], f"{key} = {value}", *lines[number + 1 :]]))
            try:
                find_task(path)
            except AcdcError as error:
                said.append(str(error))
    assert len(said) > 100
    assert all("mine.toml" in one for one in said)
