"""Tasks as template files: what their prompts are made of, and that they keep their promises."""

import json
from unittest import mock

import pytest
from transformers import AutoTokenizer

from acdc.bundled import bundled_models
from acdc.errors import PromptError, UnknownNameError
from acdc.pairs import tokenize_pair
from acdc.pairs.finding import find_task

NAMES = "Mary John Alice Paul Simon Anna James Laura Peter Sarah"
GIFTS = """
summary = "who is given to"
templates = [
  "Then {friend} and {giver} met. {again} gave a {thing} to",
  "Then {giver} and {friend} met. {again} gave a {thing} to",
]
answer = " {friend}"
wrong_answers = " {giver}"
[slots]
friend = "names"
giver = "names"
again = "{giver}"
thing = "things"
[corruptions.swapped]
isolates = "who gives"
replace = { again = "{friend}" }
answer = " {giver}"
[corruptions.others]
isolates = "the names"
replace = { friend = { another = "names" }, giver = { another = "names" }, again = { another = "names" } }
[corruptions.other-friend]
isolates = "who is given to"
replace = { friend = { another = true } }
[corruptions.other-thing]
isolates = "nothing"
replace = { thing = { another = "things" } }
keeps_answer = true
[words]
names = "@"
things = ["ring", "key", "letter"]
""".replace("@", NAMES)
DAYS = """
summary = "the next day"
templates = ["So {day}, {day+1},"]
answer = " {day+2}"
wrong_answers = { words = "days", text = " {word}", except = "day", different = ["day"] }
[slots]
day = "days"
[corruptions.other]
isolates = "where it begins"
replace = { day = { another = true } }
[words]
days = { words = "@", cyclic = true }
""".replace("@", NAMES)


LISTS = """
both = { lists = ["base", "turned"] }
turned = { flip_of = "base", flip_by = "other", tags = { kind = "b" } }
[base]
columns = ["word", "other"]
rows = [["ring", "key"], ["letter", "ball"], ["hat", "map"]]
tags = { kind = "a" }
"""
DAYS_WRONG = next(line for line in DAYS.splitlines() if line.startswith("wrong_answers"))


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(bundled_models()["tiny-tasks"])


@pytest.fixture
def task(tmp_path):
    def made(text=GIFTS, name="mine.toml"):
        (tmp_path / name).write_text(text)
        return find_task(tmp_path / name)

    return made


def pairs(task, tokenizer, n=12, seed=0, split="train", corruption=None):
    return task.generate(tokenizer, n, seed, split, corruption or next(iter(task.corruptions))).pairs


def test_what_a_file_says_of_its_task(task):
    made = task(GIFTS + '[spans]\ngivers = ["giver", "again"]\n')
    assert made.summary == "who is given to"
    assert made.metric == "logit-diff"
    assert list(made.corruptions) == ["swapped", "others", "other-friend", "other-thing"]
    assert made.corruptions["swapped"] == "who gives"
    assert made.control_corruptions == {"other-thing"}
    assert made.spans == ("friend", "giver", "again", "thing", "givers")
    assert made.kind == "language"
    assert [path.name for path in made.files] == ["mine.toml"]


def test_slots_are_filled_marked_and_told(task, tokenizer):
    for pair in pairs(task(), tokenizer, 30):
        slots = pair.tags["slots"]
        assert slots["again"] == slots["giver"] != slots["friend"]
        assert pair.answers == ((f" {slots['friend']}",),)
        assert pair.wrong_answers == ((f" {slots['giver']}",),)
        assert pair.tags["template"].startswith("Then ")
        for name, ranges in pair.spans.items():
            assert [pair.clean[start:end] for start, end in ranges] == [slots[name]] * len(ranges)


def test_corruptions_replace_what_they_say_in_the_same_prompts(task, tokenizer):
    made = task()
    found = {name: pairs(made, tokenizer, 40, corruption=name) for name in made.corruptions}
    assert len({tuple(pair.clean for pair in some) for some in found.values()}) == 1
    for pair in found["swapped"]:
        slots = pair.tags["slots"]
        assert pair.corrupted == pair.clean.replace(f"{slots['giver']} gave", f"{slots['friend']} gave")
        assert pair.corrupted_answers == pair.wrong_answers
    for pair in found["others"]:
        clean, corrupted = (
            {word for word in text.split() if word in NAMES.split()} for text in (pair.clean, pair.corrupted)
        )
        assert len(clean | corrupted) == 5
        assert pair.corrupted_answers == ()
    for pair in found["other-friend"]:
        ((start, end),) = pair.corrupted_spans["friend"]
        assert pair.corrupted_answers == ((f" {pair.corrupted[start:end]}",),) != pair.answers
    for pair in found["other-thing"]:
        assert pair.corrupted_answers == pair.answers
        assert pair.clean.split(" gave")[0] == pair.corrupted.split(" gave")[0]


def test_more_pairs_begin_with_the_fewer_and_the_splits_share_none(task, tokenizer):
    made = task()
    some = pairs(made, tokenizer, 50)
    assert pairs(made, tokenizer, 20) == some[:20]
    assert len({pair.clean for pair in some}) == 50
    assert pairs(made, tokenizer, 20, seed=1) != some[:20]
    train = {pair.clean for seed in range(3) for pair in pairs(made, tokenizer, 200, seed)}
    corrupted = {pair.corrupted for pair in pairs(made, tokenizer, 200, corruption="other-friend")}
    held_out = {pair.clean for pair in pairs(made, tokenizer, 50, split="test")}
    assert not held_out & (train | corrupted)


def test_what_decides_the_split_can_be_said(task, tokenizer):
    made = task('split_by = ["friend", "giver"]\n' + GIFTS)
    couples = [
        {
            frozenset((pair.tags["slots"]["friend"], pair.tags["slots"]["giver"]))
            for pair in pairs(made, tokenizer, n, split=split)
        }
        for split, n in (("train", 300), ("test", 60))
    ]
    assert not couples[0] & couples[1]


def test_spans_are_found_among_the_tokens(task, tokenizer):
    made = task()
    for bos, moved in (("auto", 0), ("yes", 1)):
        pair = tokenize_pair(pairs(made, tokenizer, 1)[0], tokenizer, bos=bos)
        slots = pair.tags["slots"]
        for name, ranges in pair.spans.items():
            for start, end in ranges:
                assert tokenizer.decode(list(pair.clean[start:end])).strip() == slots[name]
        assert pair.spans["again"] == ((6 + moved, 7 + moved),)


def test_words_of_a_sequence(task, tokenizer):
    days = NAMES.split()
    made = task(DAYS.replace(', different = ["day"]', ""))
    with pytest.raises(PromptError, match=r"no pair can be made .*: a right answer would be among the wrong ones"):
        pairs(made, tokenizer, 1)
    made = task(
        DAYS.replace('" {word}", except = "day"', '" {word}", before = "day"').replace(', different = ["day"]', "")
    )
    for pair in pairs(made, tokenizer, 3):
        place = days.index(pair.tags["slots"]["day"])
        assert pair.clean == f"So {days[place]}, {days[(place + 1) % 10]},"
        assert pair.answers == ((f" {days[(place + 2) % 10]}",),)
        assert pair.wrong_answers == (tuple(f" {day}" for day in days[:place]),)


def test_several_answer_positions(task, tokenizer):
    text = GIFTS.replace(
        'answer = " {friend}"\nwrong_answers = " {giver}"',
        'positions = ["giver", "end"]\nanswer = [[" x", " y"], " {friend}"]',
    )
    text = text.replace('answer = " {giver}"', 'answer = [" x", " {giver}"]')
    made = task(text.replace('" x"', '" Mary"').replace('" y"', '" John"'))
    assert made.metric == "kl"
    for pair in pairs(made, tokenizer, 5):
        checked = tokenize_pair(pair, tokenizer)
        assert checked.answer_positions == (checked.spans["giver"][-1][1] - 1, len(checked.clean) - 1)
        assert pair.answers == ((" Mary", " John"), (f" {pair.tags['slots']['friend']}",))
        assert pair.corrupted_answers == ((" Mary",), (f" {pair.tags['slots']['giver']}",))


def test_words_that_the_tokenizer_splits_are_left_out_and_counted(task, tokenizer):
    made = task(GIFTS.replace(NAMES, NAMES + " Xyzzyqk"))
    generated = made.generate(tokenizer, 20, 0, "train", "swapped")
    assert generated.left_out == {"names": ["Xyzzyqk"], "things": []}
    assert not any("Xyzzyqk" in pair.clean + pair.corrupted for pair in generated.pairs)
    odd = "Xyzzyqk Xyzzyqj Xyzzyqv Xyzzyq"
    loose = task(
        DAYS.replace('day = "days"', 'day = { words = "days", tokens = "any" }')
        .replace("Mary", f"{odd} Mary")
        .replace("{day+1}", "x")
        .replace("{day+2}", "{day+4}")
        .replace(DAYS_WRONG, "")
    )
    found = loose.generate(tokenizer, 7, 0, "train", "other")
    sizes = {len(tokenizer.encode(pair.clean)) == len(tokenizer.encode(pair.corrupted)) for pair in found.pairs}
    assert sizes == {True}
    assert any("Xyz" in pair.clean for pair in found.pairs)


def test_word_files_lists_of_lists_and_turned_lists(task, tmp_path, tokenizer):
    (tmp_path / "lists.toml").write_text(LISTS)
    made = task(
        """
summary = "pairs"
templates = ["Then a {thing} and a {second}", "So a {thing} and a {second}"]
answer = " {thing.other}"
[slots]
thing = "both"
second = { words = "both", same = ["thing.kind"], different = ["thing"] }
[corruptions.other]
isolates = "which"
replace = { thing = "{thing.other}" }
[words]
both = "lists.toml"
"""
    )
    found = pairs(made, tokenizer, 2)
    others = {"ring": "key", "letter": "ball", "hat": "map"}
    kinds = {**dict.fromkeys(others, "a"), **dict.fromkeys(others.values(), "b")}
    others |= {other: word for word, other in others.items()}
    for pair in found:
        thing, second = pair.tags["slots"]["thing"], pair.tags["slots"]["second"]
        assert pair.answers == ((f" {others[thing]}",),)
        assert pair.corrupted_answers == ((f" {thing}",),)
        assert kinds[thing] == kinds[second]
        assert thing != second
    assert [path.name for path in made.files] == ["mine.toml", "lists.toml"]


def test_words_are_put_in_as_they_are(task, tokenizer):
    made = task(
        GIFTS.replace('["ring", "key", "letter"]', '["{a}", "{b}"]')
        .replace('thing = "things"', 'thing = { words = "things", tokens = "any" }')
        .replace("met.", "met {{}}.")
    )
    text = pairs(made, tokenizer, 1)[0].clean
    assert "met {}." in text
    assert "a {a} to" in text or "a {b} to" in text


def test_line_ends_and_a_mark_make_no_difference(task, tokenizer, tmp_path):
    plain = pairs(task(), tokenizer)
    (tmp_path / "mine.toml").write_bytes(b"\xef\xbb\xbf" + GIFTS.replace("\n", "\r\n").encode())
    assert pairs(find_task(tmp_path / "mine.toml"), tokenizer) == plain


def test_too_many_says_how_many(task, tokenizer):
    with pytest.raises(PromptError, match=r"allow \d\d different test pairs, not 1000; ask for fewer"):
        pairs(task(), tokenizer, 1000, split="test")
    with pytest.raises(UnknownNameError, match="unknown corruption 'swap': did you mean swapped"):
        task().generate(tokenizer, 1, 0, "train", "swap")
    with pytest.raises(PromptError, match="needs 5 names of one token each, but this tokenizer has 4; "):
        pairs(task(GIFTS.replace(NAMES, "Mary John Alice Paul")), tokenizer)


def test_a_corruption_that_moves_words_is_never_drawn(task, tokenizer):
    made = task(GIFTS.replace('replace = { again = "{friend}" }', 'replace = { again = "The one" }'))
    with pytest.raises(
        PromptError, match=r"no pair can be made .*: the corruption swapped would change the number of tokens"
    ):
        pairs(made, tokenizer)


def test_pairs_are_plain_data(task, tokenizer):
    pair = pairs(task(), tokenizer, 1)[0]
    assert json.loads(json.dumps(dict(pair.tags))) == pair.tags


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ('answer = " {friend}"\n', 'answer = "  {friend}"\n', "`answer` is '  {friend}', so that the answer '  "),
        ('wrong_answers = " {giver}"', 'wrong_answers = "  {giver}"', "`wrong_answers` is '  {giver}', so that"),
    ],
)
def test_answers_of_other_spaces_than_words_have(task, tokenizer, old, new, key):
    assert old in GIFTS
    with pytest.raises(PromptError, match=r"needs (5|one of) names that can be answered, .* has 0: ") as caught:
        pairs(task(GIFTS.replace(old, new, 1)), tokenizer)
    assert key in str(caught.value)
    assert str(caught.value).endswith(f"write {new.split('= ')[1].strip().replace('  ', ' ')}.")


def test_a_long_list_is_looked_at_in_seconds(task, tokenizer):
    words = " ".join(f"w{number}" for number in range(20_000))
    made = task(GIFTS.replace(NAMES, f"{NAMES} {words}"))
    kind = type(tokenizer)
    with mock.patch.object(kind, "encode", autospec=True, side_effect=kind.encode) as encode:
        found = made.generate(tokenizer, 3, 0, "train", next(iter(made.corruptions)))
    assert len(found.left_out["names"]) >= 20_000
    assert encode.call_count < 1000  # words are tokenized together


def test_what_a_task_needs_is_said_where_words_are_too_few(task, tokenizer):
    needing = 'needs = "names of one token"\n' + GIFTS.replace(NAMES, "Mary John Alice Paul")
    with pytest.raises(PromptError, match=r"but this tokenizer has 4; it needs names of one token\.$"):
        pairs(task(needing), tokenizer)
