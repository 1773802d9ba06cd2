"""Algorithmic tasks: right answers, what a corruption changes, and splits apart."""

import math
import re

import pytest
from algorithmic import CASES, TASKS, made, places, right, symbols

from acdc.errors import PromptError, UnknownNameError
from acdc.pairs.finding import find_task, task_names

CLOSING = {"(": ")", "[": "]", "{": "}"}

# What is right, computed in another way than the tasks do.


def closing_of(prompt):
    text = "".join(prompt)
    while (shorter := re.sub(r"\(\)|\[\]|\{\}", "", text)) != text:
        text = shorter
    return {len(prompt) - 1: CLOSING[text[-1]]}


def counts(prompt):
    seen = {}
    for symbol in prompt:
        seen.setdefault(symbol, []).append(len(seen.get(symbol, ())) + 1)
    return {i: str(seen[symbol].pop(0)) for i, symbol in enumerate(prompt)}


def after_mark(answers, prompt):
    return {prompt.index(">") + i: answer for i, answer in enumerate(answers)}


def permuted(prompt):
    letters = prompt[prompt.index(":") + 1 : prompt.index(">")]
    return after_mark([letters["012".index(place)] for place in prompt[:3]], prompt)


def followers(prompt):
    """What followed each word that stands there for the second time."""
    found = {}
    for i, symbol in enumerate(prompt):
        if symbol in prompt[:i]:
            found[i] = prompt[prompt.index(symbol) + 1]
    return found


ORACLES = {
    "brackets": closing_of,
    "histogram": counts,
    "induction": followers,
    "induction_fuzzy": followers,
    "permutation": permuted,
    "reverse": lambda prompt: after_mark(prompt[prompt.index(">") - 1 :: -1], prompt),
    "sorting": lambda prompt: after_mark(sorted(prompt[: prompt.index(">")], key=int), prompt),
}


@pytest.mark.parametrize(("name", "corruption"), CASES)
def test_answers_are_right_on_both_prompts(name, corruption):
    for pair in made(name, 60, corruption=corruption):
        for prompt, answers in ((pair.clean, pair.answers), (pair.corrupted, pair.corrupted_answers)):
            expected = ORACLES[name](symbols(prompt))
            if corruption == "no-repeat" and prompt == pair.corrupted:
                assert not answers
                continue
            assert right(answers) == [expected[place] for place in places(pair)]


@pytest.mark.parametrize("name", TASKS)
def test_answers_are_read_at_every_place_that_has_one(name):
    for pair in made(name, 60):
        expected = sorted(ORACLES[name](symbols(pair.clean)))
        if name == "induction_fuzzy":  # behind the last repeated word, something else follows
            expected = expected[:-1]
        assert places(pair) == expected


@pytest.mark.parametrize(("name", "corruption"), CASES)
def test_controls_leave_the_answers_and_others_change_some(name, corruption):
    is_control = corruption in TASKS[name].control_corruptions
    for split in ("train", "test"):
        for pair in made(name, 80, split, corruption):
            assert pair.clean != pair.corrupted
            assert (pair.answers == pair.corrupted_answers) == is_control


@pytest.mark.parametrize(
    ("name", "corruption", "places"),
    [
        ("brackets", "other-open", {1}),
        ("brackets", "other-closed", {2}),
        ("histogram", "last-letter", {1}),
        ("induction", "no-repeat", {4}),
        ("induction", "other-order", {2}),
        ("induction", "other-words", {7}),
        ("induction_fuzzy", "no-repeat", {3}),
        ("induction_fuzzy", "other-order", {2}),
        ("induction_fuzzy", "other-words", {8}),
        ("permutation", "other-letters", {5}),
        ("permutation", "other-order-alone", {3}),
        ("reverse", "other-letters", {9}),
        ("reverse", "other-input", {5}),
    ],
)
def test_a_corruption_changes_what_it_says(name, corruption, places):
    changed = {
        sum(a != b for a, b in zip(pair.clean, pair.corrupted, strict=True))
        for pair in made(name, 80, corruption=corruption)
    }
    assert changed <= places if corruption != "other-order" else min(changed) >= 2


def test_what_was_said_before_stays_where_only_the_input_is_another():
    for name, corruption in (
        ("reverse", "other-input"),
        ("sorting", "other-input"),
        ("permutation", "other-order-alone"),
    ):
        for pair in made(name, 25, corruption=corruption):
            mark = symbols(pair.clean).index(">")
            assert pair.clean[mark:] == pair.corrupted[mark:]


def test_the_same_digits_in_another_order():
    for pair in made("sorting", 50, corruption="other-order"):
        assert sorted(pair.clean[:5], key=str.strip) != pair.clean[:5]
        assert sorted(map(str.strip, pair.clean[:5])) == sorted(map(str.strip, pair.corrupted[:5]))


@pytest.mark.parametrize("name", TASKS)
def test_all_others_are_wrong_answers(name):
    task = find_task(TASKS[name])
    for pair in made(name, 20):
        for answers, wrong in zip(pair.answers, pair.wrong_answers, strict=True):
            among = set(symbols(pair.clean)) if name.startswith("induction") else set(task.outputs)
            assert {task.vocabulary[i] for i in wrong} == among - {answers[0].strip()}


@pytest.mark.parametrize("name", TASKS)
def test_spans_are_where_they_say(name):
    found = {
        "brackets": ("open", lambda part, all_: CLOSING[part[0]] == closing_of(all_)[len(all_) - 1]),
        "histogram": ("last", lambda part, all_: part == all_[-1:]),
        "induction": ("repeat", lambda part, all_: part == all_[: len(part)]),
        "induction_fuzzy": ("repeat", lambda part, all_: part[0] in all_[: all_.index(part[1]) + 1]),
        "permutation": ("order", lambda part, all_: part == all_[:3]),
        "reverse": ("input", lambda part, all_: part == all_[:5]),
        "sorting": ("output", lambda part, all_: part == sorted(all_[:5])[:4]),
    }
    span, holds = found[name]
    for pair in made(name, 40):
        for prompt, spans in (
            ((pair.clean, pair.spans),)
            if name != "brackets"
            else (
                (pair.clean, pair.spans),
                (pair.corrupted, pair.corrupted_spans),
            )
        ):
            ((start, end),) = spans[span]
            assert holds(symbols(prompt)[start:end], symbols(prompt))


@pytest.mark.parametrize(("name", "corruption"), CASES)
def test_deterministic_different_and_growing_at_the_end(name, corruption):
    pairs = made(name, 60, corruption=corruption)
    assert pairs == made(name, 60, corruption=corruption)
    assert pairs[:25] == made(name, 25, corruption=corruption)
    assert len({pair.clean for pair in pairs}) == 60
    assert pairs[:25] != made(name, 25, corruption=corruption, seed=1)
    assert [pair.clean for pair in pairs] == [pair.clean for pair in made(name, 60)]


@pytest.mark.parametrize(("name", "corruption"), CASES)
def test_splits_share_no_prompt_and_corrupted_ones_stay_in_theirs(name, corruption):
    task = find_task(TASKS[name])
    train, test = (set(task.questions(split, task.vocabulary[:26])[:20000]) for split in ("train", "test"))
    assert not train & test
    pairs = {split: made(name, 150, split, corruption) for split in ("train", "test")}
    clean = {split: {pair.clean for pair in pairs[split]} for split in pairs}
    corrupted = {split: {pair.corrupted for pair in pairs[split]} for split in pairs}
    assert not (clean["train"] | corrupted["train"]) & (clean["test"] | corrupted["test"])


@pytest.mark.parametrize("name", TASKS)
def test_a_fifth_is_for_test_and_asking_for_too_many_says_how_many_there_are(name):
    found = []
    for split in ("train", "test"):
        with pytest.raises(
            PromptError, match=rf"task {name} has \d+ different {split} pairs, not \d+; ask for f"
        ) as caught:
            made(name, 10**9, split)
        found.append(int(re.search(r"has (\d+)", str(caught.value))[1]))
    assert 0.14 < found[1] / sum(found) < 0.27
    total = {"reverse": 6**5 - 6, "sorting": math.perm(10, 5), "permutation": 6 * math.perm(8, 3)}
    assert sum(found) == total.get(name, sum(found))


def test_every_pair_there_is_can_be_had():
    pairs = made("permutation", 378, "test", "other-order")
    assert len({pair.clean for pair in pairs}) == 378


def test_a_corruption_that_is_not_declared_is_an_error():
    for name in TASKS:
        with pytest.raises(UnknownNameError, match="unknown corruption 'other-lettrs'"):
            made(name, corruption="other-lettrs")


def test_they_are_registered_with_all_that_a_task_says():
    assert set(TASKS) <= set(task_names())
    for name, kind in TASKS.items():
        task = find_task(name)
        assert type(task) is kind
        assert (task.name, task.metric, task.kind) == (name, "logit-diff", "algorithmic")
        assert task.source
        assert len(task.corruptions) >= 2
        assert next(iter(task.corruptions)) not in task.control_corruptions
