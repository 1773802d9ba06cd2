"""The bundled tasks: their pairs line up, differ where they should, and keep train and test apart."""

import re
from pathlib import Path

import pytest
from transformers import AutoTokenizer
from wordlists import FEMALE, MALE

from acdc.bundled import bundled_models
from acdc.errors import PromptError, SettingsError, UnknownNameError
from acdc.pairs.finding import find_task, task_names

GPT2 = Path(__file__).parents[2] / "shared" / "models" / "gpt2-tokenizer"
NAMES = {*FEMALE, *MALE}
TASKS = ["ioi", "acronyms", "pronouns"]
CASES = [(name, corruption) for name in TASKS for corruption in find_task(name).corruptions]


@pytest.fixture(scope="module", params=["bundled", "gpt2"])
def tokenizer(request):
    if request.param == "bundled":
        return AutoTokenizer.from_pretrained(bundled_models()["tiny-tasks"])
    if not GPT2.is_dir():
        pytest.skip(f"needs GPT-2's tokenizer in {GPT2.name}")
    return AutoTokenizer.from_pretrained(GPT2)


@pytest.fixture(scope="module")
def bundled():
    return AutoTokenizer.from_pretrained(bundled_models()["tiny-tasks"])


def pairs(tokenizer, name, n, seed=0, split="train", corruption=None):
    task = find_task(name)
    return task.generate(tokenizer, n, seed, split, corruption or next(iter(task.corruptions))).pairs


def names_in(prompt):
    return [word for word in re.findall(r"\w+", prompt) if word in NAMES]


def differences(tokenizer, name, corruption, n=60):
    """For each pair, the places where its tokens differ."""
    checked = find_task(name).prompts(tokenizer, n, corruption=corruption).pairs
    return [[i for i, (a, b) in enumerate(zip(pair.clean, pair.corrupted, strict=True)) if a != b] for pair in checked]


class Respelling:
    """A tokenizer that spells some words otherwise: with the given tokens in place of its own."""

    def __init__(self, tokenizer, spellings):
        self.tokenizer = tokenizer
        self.spellings = [(tokenizer.encode(f" {word}"), ids) for word, ids in spellings.items()]

    def encode(self, text, *, add_special_tokens=True):
        left, ids = self.tokenizer.encode(text, add_special_tokens=add_special_tokens), []
        while left:
            own, new = next((pair for pair in self.spellings if left[: len(pair[0])] == pair[0]), (left[:1], left[:1]))
            ids += new
            left = left[len(own) :]
        return ids

    def convert_ids_to_tokens(self, ids):
        return self.tokenizer.convert_ids_to_tokens(ids)


def splitting(tokenizer, words):
    """A tokenizer that makes two tokens of each of these words."""
    return Respelling(tokenizer, {word: [0, 0] for word in words})


def test_the_bundled_tasks_are_registered():
    assert set(TASKS) <= set(task_names())
    for name in TASKS:
        task = find_task(name)
        assert (task.name, task.metric) == (name, "logit-diff")


@pytest.mark.parametrize(("name", "corruption"), CASES)
def test_there_are_enough_pairs_and_they_pass_the_check(tokenizer, name, corruption):
    task = find_task(name)
    for split, n in (("train", 300), ("test", 100)):
        prompts = task.prompts(tokenizer, n, split=split, corruption=corruption)
        assert len(prompts) == n
        assert prompts.has_answers
        assert prompts.has_wrong_answers
        # A few acronym words begin with a shorter word that is a token of the bundled model: " Cat" + "tle".
        assert sum(prompts.left_out.values()) <= (6 if name == "acronyms" else 0)
        assert all(pair.clean != pair.corrupted for pair in prompts.pairs)


@pytest.mark.parametrize(("name", "corruption"), CASES)
def test_deterministic_different_and_growing_at_the_end(bundled, name, corruption):
    made = pairs(bundled, name, 200, corruption=corruption)
    assert made == pairs(bundled, name, 200, corruption=corruption)
    assert made[:50] == pairs(bundled, name, 50, corruption=corruption)
    assert len({pair.clean for pair in made}) == 200
    assert made[:50] != pairs(bundled, name, 50, seed=1, corruption=corruption)
    assert [pair.clean for pair in made] == [pair.clean for pair in pairs(bundled, name, 200)]


@pytest.mark.parametrize(
    ("name", "combination"),
    [
        ("ioi", lambda prompt: tuple(sorted(set(names_in(prompt))))),
        ("acronyms", lambda prompt: prompt[1:3]),
        ("pronouns", lambda prompt: (prompt.split()[1], prompt.split("really ")[1].split()[0])),
    ],
)
def test_splits_share_no_combination(bundled, name, combination):
    train, test = (
        {combination(pair.clean) for seed in (0, 1) for pair in pairs(bundled, name, 1000, seed, split)}
        for split in ("train", "test")
    )
    assert len(train) > 500
    assert len(test) > 200
    assert not train & test


@pytest.mark.parametrize(
    ("name", "corruption"), [("ioi", "swapped-names"), ("acronyms", "other-words"), ("pronouns", "opposite-gender")]
)
def test_what_is_corrupted_into_a_prompt_of_the_task_stays_in_its_split(bundled, name, corruption):
    corrupted = {pair.corrupted for pair in pairs(bundled, name, 1000, split="train", corruption=corruption)}
    clean = {pair.clean for pair in pairs(bundled, name, 2000, split="test")}
    assert not corrupted & clean


@pytest.mark.parametrize("name", TASKS)
def test_a_fifth_is_for_test_and_asking_for_too_many_says_how_many_there_are(bundled, name):
    found = []
    for split in ("train", "test"):
        with pytest.raises(PromptError, match=rf"allow \d+ different {split} pairs, not 1000000000") as caught:
            pairs(bundled, name, 10**9, split=split)
        found.append(int(re.search(r"allow (\d+)", str(caught.value))[1]))
    assert 0.15 < found[1] / sum(found) < 0.25


def test_all_pairs_there_are_can_be_had(bundled):
    with pytest.raises(PromptError) as caught:
        pairs(bundled, "pronouns", 10**9, split="test")
    total = int(re.search(r"allow (\d+)", str(caught.value))[1])
    assert len({pair.clean for pair in pairs(bundled, "pronouns", total, split="test")}) == total


def test_ioi_names_the_one_who_does_not_give(bundled):
    orders = set()
    for pair in pairs(bundled, "ioi", 200):
        first, second, giver = names_in(pair.clean)
        assert first != second
        assert giver in (first, second)
        receiver = second if giver == first else first
        assert (pair.answers, pair.wrong_answers) == (((f" {receiver}",),), ((f" {giver}",),))
        assert pair.clean.endswith(" to")
        orders.add(giver == first)
    assert orders == {True, False}  # BABA and ABBA


def test_ioi_abc_has_three_other_names(tokenizer):
    for pair in pairs(tokenizer, "ioi", 300, corruption="abc"):
        assert len({*names_in(pair.clean), *names_in(pair.corrupted)}) == 5
    assert all(len(places) == 3 for places in differences(tokenizer, "ioi", "abc"))


def test_ioi_swapped_names_changes_the_giver_only(tokenizer):
    for pair in pairs(tokenizer, "ioi", 300, corruption="swapped-names"):
        *clean, giver = names_in(pair.clean)
        *corrupted, other = names_in(pair.corrupted)
        assert clean == corrupted
        assert {giver, other} == set(clean)
        assert pair.answers == ((f" {other}",),)
    assert all(len(places) == 1 for places in differences(tokenizer, "ioi", "swapped-names"))


def test_acronyms_are_the_capitals(tokenizer):
    for pair in find_task("acronyms").prompts(tokenizer, 60).pairs:
        assert pair.answer_positions == (7, 8, 9)
        spelt = tokenizer.convert_ids_to_tokens(pair.clean)
        letters = [spelt[i].removeprefix("Ġ") for i in (1, 3, 5)]
        assert spelt[7:] == ["Ġ(", *letters[:2]]
        assert [tokenizer.convert_ids_to_tokens(ids) for ids in pair.answers] == [[letter] for letter in letters]
        for right, wrong in zip(pair.answers, pair.wrong_answers, strict=True):
            assert len({*right, *wrong}) == 26


def test_acronyms_other_words_changes_every_letter(tokenizer):
    for pair in pairs(tokenizer, "acronyms", 300, corruption="other-words"):
        clean, corrupted = ([word.strip() for word in prompt[1:4]] for prompt in (pair.clean, pair.corrupted))
        assert len(set(clean)) == len(set(corrupted)) == 3
        assert all(a[0] != b[0] for a, b in zip(clean, corrupted, strict=True))
        assert pair.corrupted[5:] == (corrupted[0][0], corrupted[1][0])
    assert all(
        {1, 3, 5, 8, 9} <= set(places) <= {1, 2, 3, 4, 5, 6, 8, 9}
        for places in differences(tokenizer, "acronyms", "other-words")
    )


def test_acronyms_last_word_changes_the_last_word_only(tokenizer):
    assert all(5 in places and set(places) <= {5, 6} for places in differences(tokenizer, "acronyms", "last-word"))


def test_pronouns_follow_the_name(bundled):
    for pair in pairs(bundled, "pronouns", 200):
        female = pair.clean.split()[1] in FEMALE
        assert pair.answers == (((" she",),) if female else ((" he",),))
        assert pair.wrong_answers == (((" he",),) if female else ((" she",),))
    assert {pair.answers for pair in pairs(bundled, "pronouns", 200)} == {((" he",),), ((" she",),)}


def test_pronouns_that_person_hides_the_name(tokenizer):
    assert all(places == [0, 1] for places in differences(tokenizer, "pronouns", "that-person"))
    assert all(not names_in(pair.corrupted) for pair in pairs(tokenizer, "pronouns", 60, corruption="that-person"))


def test_pronouns_opposite_gender_changes_the_gender(tokenizer):
    assert all(places == [1] for places in differences(tokenizer, "pronouns", "opposite-gender"))
    for pair in pairs(tokenizer, "pronouns", 60, corruption="opposite-gender"):
        (clean,), (corrupted,) = names_in(pair.clean), names_in(pair.corrupted)
        assert (clean in FEMALE) != (corrupted in FEMALE)


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("ioi", "names", ["Mary", "John"]),
        ("ioi", "places", ["store"]),
        ("ioi", "objects", ["ring", "key"]),
        ("pronouns", "names", ["Mary", "John"]),
        ("pronouns", "adjectives", ["kind"]),
    ],
)
def test_words_of_several_tokens_are_left_out_and_listed(bundled, name, kind, words):
    task = find_task(name)
    made = task.generate(splitting(bundled, words), 300, 0, "train", next(iter(task.corruptions)))
    assert sorted(made.left_out[kind]) == sorted(words)
    text = " ".join(pair.clean + pair.corrupted for pair in made.pairs)
    assert not set(words) & set(re.findall(r"\w+", text))


@pytest.mark.parametrize("spelling", [["basket"], ["ba", "sket"], [" B", "ask", "et"]])
def test_acronym_words_spelt_otherwise_are_left_out_and_listed(bundled, spelling):
    numbers = {" B": bundled.encode(" B")[0]}
    otherwise = Respelling(bundled, {"Basket": [numbers.get(piece, 0) for piece in spelling]})
    task = find_task("acronyms")
    made = task.generate(otherwise, 300, 0, "train", "other-words")
    before = task.generate(bundled, 300, 0, "train", "other-words").left_out["words"]
    assert set(made.left_out["words"]) - set(before) == {"Basket"}
    assert not any(" Basket" in pair.clean + pair.corrupted for pair in made.pairs)


def test_too_few_words(bundled):
    with pytest.raises(PromptError, match="needs 5 names of one token each, but this tokenizer has 4"):
        pairs(splitting(bundled, sorted(NAMES)[4:]), "ioi", 1)
    capitals = "ABCDEFGHIJLMNOPRSTUVWYZ"  # all that begin a noun but K
    with pytest.raises(PromptError, match="too few to corrupt a prompt"):
        pairs(splitting(bundled, capitals), "acronyms", 1)
    with pytest.raises(PromptError, match=r"no pair can be made .* opposite-gender finds no other word"):
        pairs(splitting(bundled, FEMALE), "pronouns", 1)


@pytest.mark.parametrize("name", TASKS)
def test_text_needs_a_tokenizer(name):
    with pytest.raises(
        PromptError, match=rf"task {name} is text, but .* or open it by load_model\(model, tokenizer=\.\.\.\)\.$"
    ):
        find_task(name).prompts(None)


def test_how_many_and_which_corruption(bundled):
    task = find_task("ioi")
    assert len(task.prompts(bundled)) == 100
    with pytest.raises(SettingsError, match="n must be at least 1, got 0"):
        task.prompts(bundled, 0)
    with pytest.raises(UnknownNameError, match="unknown corruption 'swaped-names': did you mean swapped-names"):
        task.prompts(bundled, corruption="swaped-names")


def test_unknown_task_names_the_nearest():
    with pytest.raises(UnknownNameError, match="unknown task 'acronym': did you mean acronyms"):
        find_task("acronym")
