"""The language tasks that are template files: they line up, corrupt what they say, and keep train and test apart."""

import hashlib
import re
from pathlib import Path

import pytest
import tasks_words
from acdc.tasks import templates
from transformers import AutoTokenizer

from acdc.bundled import bundled_models
from acdc.errors import PromptError
from acdc.pairs.tokenizer import tokens_of

GPT2 = Path(__file__).parents[2] / "shared" / "models" / "gpt2-tokenizer"

#: For each task and corruption, the slots that it changes, and no other.
CHANGED = {
    "antonyms": {
        "other-word": {"asked"},
        "repeated-examples": {"first_opposite", "second_opposite"},
        "unpaired-examples": {"first_opposite", "second_opposite"},
        "other-example": {"first", "first_opposite"},
    },
    "capitalize": {
        "other-noun": {"noun"},
        "repeated-examples": {"first_capital", "second_capital"},
        "plural-examples": {"first_capital", "second_capital"},
        "other-example": {"first", "first_capital"},
    },
    "colored_objects": {
        "other-object": {"asked"},
        "swapped-colors": {"color", "color2"},
        "other-colors": {"color", "color2", "color3"},
        "no-match": {"asked"},
        "other-bystander": {"object3"},
    },
    "comparative": {
        "other-adjective": {"adjective"},
        "repeated-examples": {"first_comparative", "second_comparative"},
        "other-example": {"first", "first_comparative"},
    },
    "decision": {"opposite-news": {"news"}, "no-news": {"news"}, "other-company": {"company"}},
    "hypernym": {
        "other-thing": {"thing"},
        "repeated-examples": {"first_kind", "second_kind"},
        "same-kind": {"thing"},
    },
    "language": {
        "other-country": {"country"},
        "no-country": {"country"},
        "other-example": {"first", "first_language"},
    },
    "memorised": {
        "other-owner": {"owner", "first", "second", "third"},
        "other-name": {"owner"},
        "stranger": {"owner"},
        "other-caller": {"caller"},
    },
    "past_tense": {
        "other-verb": {"verb"},
        "repeated-examples": {"first_past", "second_past"},
        "other-example": {"first", "first_past"},
    },
    "plural": {
        "other-noun": {"noun"},
        "repeated-examples": {"first_plural", "second_plural"},
        "other-example": {"first", "first_plural"},
    },
    "voting": {
        "opposite-view": {"view"},
        "no-view": {"view"},
        "swapped-examples": {"liking", "disliking"},
        "other-voter": {"voter", "voter_again"},
        "other-plan": {"plan"},
    },
    "docstring": {
        "random-random": {"first", "second", "third", "first_described", "second_described"},
        "random-def": {"first", "second", "third"},
        "random-doc": {"first_described", "second_described"},
        "random-answer": {"third"},
        "other-descriptions": {"d1", "d2", "d3", "d4", "d5", "d6", "d7"},
    },
    "factual_recall": {"other-country": {"country"}, "no-country": {"country"}, "other-speaker": {"speaker"}},
    "greater_than": {"01": {"start"}, "other-start": {"start"}, "other-event": {"event"}},
    "greater_than_digits": {"first-decade": {"start"}, "other-decade": {"start"}, "other-event": {"event"}},
    "line_numbers": {
        "other-number": {"number", "second", "third"},
        "backwards": {"number", "third"},
        "other-things": {"thing", "thing2", "thing3"},
    },
    "sentiment": {"opposite": {"opinion"}, "neutral": {"opinion"}, "other-day": {"day"}, "same-opinion": {"opinion"}},
    "subject_verb": {
        "subject-number": {"subject"},
        "other-subject": {"subject"},
        "distractor-number": {"distractor"},
        "same-number": {"subject"},
    },
    "successor": {
        "other-place": {"item", "second", "third"},
        "other-sequence": {"item", "second", "third"},
        "backwards": {"item", "third"},
        "other-speaker": {"speaker"},
    },
}
#: Corruptions after which the right answer is another one, and known.
MOVES = {
    "antonyms": {"other-word", "repeated-examples"},
    "capitalize": {"other-noun", "repeated-examples", "plural-examples"},
    "colored_objects": {"other-object", "swapped-colors", "other-colors"},
    "comparative": {"other-adjective", "repeated-examples"},
    "decision": {"opposite-news"},
    "hypernym": {"other-thing", "repeated-examples"},
    "language": {"other-country"},
    "memorised": {"other-owner"},
    "past_tense": {"other-verb", "repeated-examples"},
    "plural": {"other-noun", "repeated-examples"},
    "voting": {"opposite-view", "swapped-examples"},
    "docstring": {"random-answer"},
    "factual_recall": {"other-country"},
    "greater_than": {"other-start", "01"},
    "greater_than_digits": {"other-decade", "first-decade"},
    "line_numbers": {"other-number"},
    "sentiment": {"opposite"},
    "subject_verb": {"subject-number", "other-subject"},
    "successor": {"other-place", "other-sequence"},
}
#: Tasks whose words a tokenizer can't spell as needed: Llama takes every digit for itself, GPT-2 doesn't.
UNFIT = {("greater_than", "llama"): "centuries", ("greater_than_digits", "gpt2"): "start"}
#: Of the first 40 pairs under the Llama-like tokenizer; a change is a line in the changelog.
HASHES = {
    "antonyms": "35a1b184bd9b244f",
    "capitalize": "fa4d2ffa3c8fb106",
    "colored_objects": "04f8a1ac422bf587",
    "comparative": "b181a865a4d58f12",
    "decision": "6fa73741d71ca35e",
    "hypernym": "0dc21257739c73f5",
    "language": "fb2a4bfe32265359",
    "memorised": "166963b369221cd9",
    "past_tense": "59229e2b86b2c3ba",
    "plural": "5c7a2845e9ee5f50",
    "voting": "d128a496d1595675",
    "docstring": "3125286375c92ac9",
    "factual_recall": "d40ceb5b8bc3bd24",
    "greater_than_digits": "21fd7fa196563087",
    "line_numbers": "35ed870ef0518e9e",
    "sentiment": "fc76cda54e06c639",
    "subject_verb": "4fd667917e984a80",
    "successor": "b4df0bb0d95bc598",
}

#: Sets of pairs that several tests look at.
_MADE: dict[tuple, object] = {}
CASES = [(name, corruption) for name, corruptions in CHANGED.items() for corruption in corruptions]


@pytest.fixture(scope="module")
def llama():
    return tasks_words.llama_like()


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def tokenizer(request, llama):
    if request.param == "llama":
        return "llama", llama
    if not GPT2.is_dir():
        pytest.skip(f"needs GPT-2's tokenizer in {GPT2.name}")
    return "gpt2", AutoTokenizer.from_pretrained(GPT2)


def task_of(name):
    return getattr(templates, name)


def prompts(tokenizer, name, n=40, split="train", corruption=None):
    """A set of checked pairs; the test skips where the tokenizer can't spell the task."""
    which, made = tokenizer
    if (name, which) in UNFIT:
        pytest.skip(f"{which} can't spell {name}; see the test of that")
    asked = (which, name, n, split, corruption or next(iter(CHANGED[name])))
    if asked not in _MADE:
        _MADE[asked] = task_of(name).prompts(made, n, split=split, corruption=asked[-1])
    return _MADE[asked]


def generated(llama, name, n, split="train", corruption=None, seed=0):
    if (name, "llama") in UNFIT:
        pytest.skip(f"a Llama can't spell {name}; see the test of that")
    task = task_of(name)
    return task.generate(llama, n, seed, split, corruption or next(iter(task.corruptions))).pairs


def spelled(prompt, places):
    return [prompt[start:end] for start, end in places]


@pytest.mark.parametrize("name", CHANGED)
def test_what_a_task_says_of_itself(name):
    task = task_of(name)
    assert task.source
    assert task.metric in ("logit-diff", "prob-diff")
    assert task.kind == "language"
    assert set(task.corruptions) == set(CHANGED[name])
    assert len(set(task.corruptions) - task.control_corruptions) >= 2
    assert task.control_corruptions
    assert {slot for slots in CHANGED[name].values() for slot in slots} <= set(task.spans)


@pytest.mark.parametrize("name", CHANGED)
@pytest.mark.parametrize(("split", "n"), [("train", 150), ("test", 100)])
def test_there_are_enough_pairs_and_they_pass_the_check(tokenizer, name, split, n):
    made = prompts(tokenizer, name, n, split)
    assert len(made) == n
    assert made.has_answers
    assert made.has_wrong_answers
    assert len({pair.clean for pair in made.pairs}) == n
    assert all(pair.alignment != "misaligned" for pair in made.pairs)


@pytest.mark.parametrize("name", CHANGED)
@pytest.mark.parametrize(("split", "n"), [("train", 150), ("test", 100)])
def test_every_template_is_used_in_both_splits(tokenizer, name, split, n):
    used = {pair.tags["template"] for pair in prompts(tokenizer, name, n, split).pairs}
    assert len(used) == len(tasks_words.templates(name))


@pytest.mark.parametrize(("name", "corruption"), CASES)
def test_a_corruption_changes_the_slots_it_names_and_nothing_else(tokenizer, name, corruption):
    slots = CHANGED[name][corruption]
    changed = set()
    for pair in prompts(tokenizer, name, corruption=corruption).pairs:
        differing = {place for place, (a, b) in enumerate(zip(pair.clean, pair.corrupted, strict=True)) if a != b}
        inside = {slot: {place for start, end in pair.spans[slot] for place in range(start, end)} for slot in slots}
        assert differing <= set().union(*inside.values())
        assert differing
        changed |= {slot for slot, places in inside.items() if differing & places}
    assert changed == slots


@pytest.mark.parametrize(("name", "corruption"), CASES)
def test_what_is_right_on_the_corrupted_prompt(tokenizer, name, corruption):
    is_control = corruption in task_of(name).control_corruptions
    for pair in prompts(tokenizer, name, corruption=corruption).pairs:
        if is_control:
            assert pair.corrupted_answers == pair.answers
        elif corruption in MOVES[name]:
            assert pair.corrupted_answers
            assert pair.corrupted_answers != pair.answers
        else:
            assert not pair.corrupted_answers


@pytest.mark.parametrize(("name", "corruption"), CASES)
def test_spans_hold_the_words(llama, name, corruption):
    for pair in generated(llama, name, 40, corruption=corruption):
        for slot, word in pair.tags["slots"].items():
            if slot in pair.spans:
                assert set(spelled(pair.clean, pair.spans[slot])) == {word}
        for slot in CHANGED[name][corruption]:
            assert spelled(pair.clean, pair.spans[slot]) != spelled(pair.corrupted, pair.corrupted_spans[slot])


@pytest.mark.parametrize("name", CHANGED)
def test_token_spans_hold_the_words(tokenizer, name):
    _, made = tokenizer
    for pair in prompts(tokenizer, name).pairs:
        for slot, word in pair.tags["slots"].items():
            for start, end in pair.spans.get(slot, ()):
                assert made.decode(pair.clean[start:end]).strip() == word


@pytest.mark.parametrize("name", CHANGED)
def test_deterministic_different_and_growing_at_the_end(llama, name):
    made = generated(llama, name, 30)
    assert made == generated(llama, name, 30)
    assert made[:10] == generated(llama, name, 10)
    assert made[:10] != generated(llama, name, 10, seed=1)
    for corruption in CHANGED[name]:
        assert [pair.clean for pair in made[:10]] == [
            pair.clean for pair in generated(llama, name, 10, corruption=corruption)
        ]


@pytest.mark.parametrize("name", CHANGED)
def test_splits_share_no_prompt_and_what_test_needs_occurs_in_train(llama, name):
    moving = sorted(MOVES[name])[0]
    train = generated(llama, name, 600, corruption=moving)
    test = generated(llama, name, 100, "test", moving)
    assert not {pair.clean for pair in train} & {pair.clean for pair in test}
    assert not {pair.corrupted for pair in train} & {pair.clean for pair in test}
    facts = {pair.answers for pair in test if pair.answers[0][0] not in pair.clean}  # others are copied
    assert facts <= {pair.answers for pair in train}
    assert {pair.tags["template"] for pair in test} <= {pair.tags["template"] for pair in train}


def test_what_a_tokenizer_cannot_spell_is_said(tokenizer):
    which, made = tokenizer
    for name in [name for name, unfit in UNFIT if unfit == which]:
        with pytest.raises(PromptError, match=rf"^task {name}\b.*{UNFIT[name, which]}.*\.$"):
            task_of(name).prompts(made, 10)


@pytest.mark.parametrize("name", CHANGED)
def test_under_the_bundled_tokenizer_there_are_pairs_or_a_sentence(name):
    bundled = AutoTokenizer.from_pretrained(bundled_models()["tiny-tasks"])
    try:
        made = len(task_of(name).prompts(bundled, 50))
    except PromptError as error:
        made = str(error)
    assert made == 50 or re.fullmatch(rf"task {name}\b.*\.", made)


@pytest.mark.parametrize("name", CHANGED)
def test_the_prompts_stay_as_they_are(llama, name):
    made = generated(llama, name, 40)
    text = "\n".join(f"{pair.clean}\t{pair.corrupted}\t{pair.answers}" for pair in made)
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == HASHES[name]


def test_greater_than_years(tokenizer):
    for pair in prompts(tokenizer, "greater_than").pairs:
        start = int(pair.tags["slots"]["start"])
        right, wrong = (
            sorted(int(tokenizer[1].decode([token])) for token in group[0])
            for group in (pair.answers, pair.wrong_answers)
        )
        assert right == list(range(start + 1, 100))
        assert wrong == list(range(start + 1))


def test_an_answer_is_one_token(tokenizer):
    which, made = tokenizer
    for name in CHANGED:
        if (name, which) not in UNFIT:
            pair = task_of(name).generate(made, 1, 0, "train", next(iter(CHANGED[name]))).pairs[0]
            for answer in pair.answers[0][:10]:
                assert len(tokens_of(made, pair.clean + answer)) == len(tokens_of(made, pair.clean)) + 1


def test_no_wrong_answer_of_hypernym_is_true_as_well(llama):
    both = [{"animal", "bird", "fish", "insect"}, {"metal", "color"}]  # said of owls, trout, bees; of gold and silver
    for split in ("train", "test"):
        for pair in generated(llama, "hypernym", 100, split):
            right = pair.answers[0][0].strip()
            true = {kind for kinds in both if right in kinds for kind in kinds}
            assert not true & {wrong.strip() for wrong in pair.wrong_answers[0]}
