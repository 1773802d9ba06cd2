"""Template files as mean users write them: one sentence with file and key, in bounded time; what is only odd works."""

import os
import re

import pytest

from acdc.errors import AcdcError, PromptError
from acdc.models.symbols import symbol_tokenizer
from acdc.pairs.finding import find_task

CITIES = {"France": "Paris", "Japan": "Tokyo", "Italy": "Rome", "Spain": "Madrid", "Egypt": "Cairo", "Cuba": "Havana"}
ROWS = "[" + ", ".join(f'["{country}", "{city}"]' for country, city in CITIES.items()) + "]"
LIST = f'countries = {{ columns = ["word", "capital"], rows = {ROWS} }}\n'
GOOD = f"""summary = "Capitals"
templates = ["The capital of {{country}} is"]
answer = " {{country.capital}}"
[slots]
country = "countries"
[corruptions.other]
isolates = "which country"
replace = {{ country = {{ another = true }} }}
[words]
{LIST}"""
SYMBOLS = (*CITIES, *CITIES.values(), *["The", "capital", "of", "is", "and", "lol", "x"], "{country}", "🇫🇷")


@pytest.fixture(scope="module")
def tokenizer():
    return symbol_tokenizer(SYMBOLS)


@pytest.fixture
def pairs_of(tmp_path, tokenizer):
    """The pairs of a template file that holds what is given."""

    def pairs_of(content, n=2):
        path = tmp_path / "mine.toml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return find_task(str(path)).prompts(tokenizer, n).pairs

    return pairs_of


def changed(old, new):
    """The good file with something else in it."""
    assert old in GOOD
    return GOOD.replace(old, new)


def nested(n, repeat):
    """A slot in a slot in a slot, each of them there so many times."""
    made = "".join(f'a{i + 1} = "{f"{{a{i}}} " * repeat}x"\n' for i in range(n))
    return changed("[corruptions", f'a0 = {{ text = "lol" }}\n{made}[corruptions').replace(
        "{country} is", f"{{country}} {{a{n}}}"
    )


def lists_of_lists(n):
    return "".join(f'l{i} = {{ lists = ["l{i + 1}"] }}\n' for i in range(n)) + f'l{n} = "France Japan Italy"\n'


@pytest.mark.parametrize(
    "content",
    [
        GOOD,
        GOOD.replace("\n", "\r\n"),
        "\ufeff" + GOOD,
        changed('["France", "Paris"]', '["{country}", "Paris"]'),  # a word isn't a template
        changed('["France", "Paris"]', '["🇫🇷", "Paris"]'),
        changed('["France", "Paris"]', '["Federal Republic", "Paris"]'),  # of two tokens: left out
        changed('["France", "Paris"]', '["France", "New York"]'),
        changed("The capital of {country} is", "{country}"),
        changed('["Japan", "Tokyo"]', '["Japan", "Paris"]'),
    ],
    ids=[
        "good",
        "CRLF",
        "BOM",
        "braces",
        "flag",
        "two tokens",
        "two-token answer",
        "a slot alone",
        "one capital of two",
    ],
)
def test_what_is_only_odd_works(pairs_of, content):
    for pair in pairs_of(content):
        assert pair.clean != pair.corrupted
        assert [len(answers) for answers in pair.answers] == [1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "lacks 'summary'"),
        (b"\x00\x01\xff" * 9, "is not UTF-8 text"),
        (GOOD.encode("utf-16"), "is UTF-16 text"),
        (GOOD.replace("\n", "\r"), "this is not TOML: .* line 1"),
        (GOOD + "[words]\na = 'b'\n", r"this is not TOML: .*\(at line 11"),
        ("x = " + "[" * 3000 + "]" * 3000, "nested too deeply"),
        (changed('"Capitals"', "9" * 6000), "a value in it can't be read: Exceeds the limit .* 6000 digits.$"),
        (changed('"Capitals"', "1979-05-27"), "summary: it must be text"),
        (changed("templates", "template"), "unknown key 'template': did you mean templates"),
        (changed('["The capital of {country} is"]', "[]"), "there must be 1 to 10,000 templates, not 0"),
        (changed("{country} is", "France is"), "the slot doesn't stand in the template"),
        (changed("{country} is", "{contry} is"), "templates, entry 1: unknown slot 'contry': did you mean country"),
        (changed("{country} is", "{the country}"), "'{the country}' is no slot; a slot is written"),
        (changed("{country} is", "{country is"), "a '{' stands alone"),
        (changed("{country} is", "{country+99} is"), r"{country\+99} leaves the list countries, which has 6 words"),
        (changed("country.capital", "country.capitl"), "answer: unknown tag 'capitl': did you mean capital"),
        (
            changed('country = "countries"', 'country = "countrys"'),
            "unknown word list 'countrys': did you mean countries",
        ),
        (changed('country = "countries"', 'country = "{country}"'), "the slot 'country' is made of itself; break the"),
        (changed("{ another = true }", '"{contry}"'), r"replace\.country: unknown slot 'contry'"),
        (changed("country = {", "contry = {"), r"corruptions\.other\.replace\.contry: unknown slot 'contry'"),
        (changed("{ another = true }", '"{country}"'), "replaced by itself, which changes nothing"),
        (changed("{ another = true }", '"the capital of x"'), "the corruption other would change the number of tokens"),
        (changed('isolates = "which country"\n', ""), "lacks 'isolates'"),
        (changed('["Japan", "Tokyo"]', '["France", "Tokyo"]'), "the word 'France' stands there twice"),
        (changed('["Japan", "Tokyo"]', '["Japan"]'), r"rows, entry 2: it must be a list of 2 texts \(word, capital\)"),
        (changed('"Japan"', '"Ja "'), "the word 'Ja ' begins or ends with white space"),
        (
            changed(LIST, 'countries = ["France", { word = "Japan", capital = "Tokyo" }]\n'),
            "the word 'France' of countries",
        ),
        (changed(LIST, "countries = []\n"), r"words\.countries: the list has no words"),
        (changed(LIST, "countries = { range = [0, 999999999999] }\n"), "at most 100,000 numbers"),
        (
            changed(LIST, "countries = { columns = ['word', 'capital'], rows = [['France', 'Paris']] }\n"),
            "needs 2 countries",
        ),
        (
            changed("{country.capital}", "{country.capital} now"),
            "the answer ' Paris now' is 2 tokens .*; choose other answers",
        ),
        (changed("[slots]", "wrong_answers = ' {country.capital}'\n[slots]"), "right answer would be among the wrong"),
        (changed("[slots]", "metric = 'logit_diff'\n[slots]"), "unknown metric 'logit_diff': did you mean logit-diff"),
        (changed("[slots]", "positions = ['contry']\n[slots]"), "unknown slot 'contry': did you mean country"),
        (GOOD + "[spans]\nplace = 'contry'\n", "unknown slot 'contry': did you mean country"),
        (
            changed("country = { another = true } }", "country = { another = true } }\nkeeps_answer = true"),
            "can't be a control",
        ),
        (changed("[corruptions", "[slots.city]\nwords = 'countries'\n[corruptions"), "the slot is used nowhere"),
        (nested(8, 10), "is made of too many others"),
        (nested(30, 2), "is made of too many others"),
        (nested(60, 1), "is made of too many others"),
        (nested(2000, 1), "is made of too many others"),
        (changed(LIST, "countries = { lists = ['l0'] }\n" + lists_of_lists(2000)), "over more than 50 steps"),
        (
            changed(LIST, "countries = { lists = ['b'] }\nb = { lists = ['countries'] }\n"),
            "is made of itself; break the",
        ),
        (changed(LIST, "countries = { file = '/etc/passwd' }\n"), r"a word file's name ends in \.toml"),
        (changed(LIST, "countries = '*.toml'\n"), r"the word file '\*\.toml' isn't there"),
        (changed(LIST, "countries = 'folder.toml'\n"), "it is a folder, not a file"),
        (changed(LIST, "countries = 'pipe.toml'\n"), "it is a pipe, not a file"),
        (changed(LIST, 'countries = "a\\u0000b.toml"\n'), "isn't there; its path begins at the task's folder"),
        (changed(LIST, "countries = 'mine.toml'\n"), "unknown word list 'countries'"),
    ],
)
def test_what_is_none_is_refused_in_a_sentence(pairs_of, tmp_path, content, message):
    (tmp_path / "folder.toml").mkdir()
    os.mkfifo(tmp_path / "pipe.toml")
    with pytest.raises(AcdcError) as caught:
        pairs_of(content)
    said = str(caught.value)
    assert re.search(message, said), said
    assert "\n" not in said
    assert ".toml" in said


def test_more_pairs_than_there_are_says_how_many(pairs_of):
    with pytest.raises(PromptError, match=r"allow \d different train pairs, not 1000; ask for fewer"):
        pairs_of(GOOD, 1000)


#: What may stand there: any line, any tag, a slot's own list.
TAKEN = {("isolates = ", '"{x"'), ("{ another = ", "true"), *(('["France", ', tag) for tag in ('"{x"', '""', "-1"))}


@pytest.mark.parametrize(
    "value", ["-1", "1.5", "true", "[]", "{}", "[[]]", '""', '"{x"', "{ x = 1 }", "inf", "1979-05-27"]
)
@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("templates = ", "\n"),
        ('templates = ["The capital of {country} is"', "]"),
        ("answer = ", "\n"),
        ("country = ", "\n"),
        ("isolates = ", "\n"),
        ("replace = ", "\n"),
        ("replace = { country = ", " }\n"),
        ("{ another = ", " }"),
        ("countries = ", "\n"),
        ('columns = ["word", ', "]"),
        ("rows = ", " }"),
        ('["France", ', "]"),
    ],
)
def test_a_value_of_another_kind_anywhere_is_refused(pairs_of, start, end, value):
    before, _, rest = GOOD.partition(start)
    rest = rest[rest.index(end) :]
    comma = ", " if start.endswith('is"') else ""
    content = before + start + comma + value + rest
    if (start, value) in TAKEN:
        pairs_of(content)
        return
    with pytest.raises(AcdcError, match=r"mine\.toml[,: ]"):
        pairs_of(content)
