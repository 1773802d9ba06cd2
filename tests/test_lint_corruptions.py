"""What a corruption changes besides what it says, too late, or not at all."""

import pytest
from given import Given, warned

from acdc.errors import AcdcWarning
from acdc.pairs import PromptPair
from acdc.pairs.corrupting import changed_places
from acdc.pairs.tokenizing import tokenize_pair


def pair(clean, corrupted, right=1, wrong=2, where="here", **more):
    return PromptPair(tuple(clean), tuple(corrupted), ((right,),), ((wrong,),), where=where, **more)


def rows(n=12):
    """Pairs that differ in one token each."""
    return [pair((100 + i, 10 + i, 7, 8), (100 + i, 30 + i, 7, 8), 40 + i % 3, 43 + i % 2) for i in range(n)]


class Says(Given):
    """A task that says which spans its corruptions replace."""

    corruptions = {"who": "", "control": "", "other": ""}  # noqa: RUF012
    control_corruptions = frozenset({"control"})

    def replaced(self, corruption):
        return frozenset({"who"})


def said_by(task, **options):
    with pytest.warns(AcdcWarning) as caught:
        task.prompts(None, **options)
    return [str(warning.message) for warning in caught]


def test_changed_places():
    assert changed_places(tokenize_pair(pair((1, 2, 3, 4), (1, 5, 3, 6)), None)) == [1, 3]


def test_tokens_that_differ_outside_of_what_is_replaced():
    spans = {"who": ((1, 2),)}
    good = [pair((i, 3, 7, 8), (i, 4, 7, 8), 50 + i, 60 + i, spans=spans) for i in range(5)]
    Says(*good).prompts(None)
    bad = pair((9, 3, 7, 8), (9, 4, 7, 5), 50, 60, where="the bad one", spans=spans)
    (said,) = said_by(Says(*good, bad))
    assert said.startswith(
        "mine: in 1 of 6 prompt pairs other tokens differ too than those of who, which it replaces (the bad one: "
    )


def test_a_pair_that_differs_in_far_more_tokens_than_the_others():
    assert warned(None, *rows()) == []
    (said,) = warned(None, *rows(), pair((9, 9, 9, 9, 5), (8, 8, 8, 8, 5), 41, 43, where="line 13"))
    assert "differ in far more tokens than in the others (line 13: 4 tokens, where 1 is usual)" in said


def test_templates_may_differ_in_how_much_they_change():
    one = [pair((100 + i, 10 + i, 7), (100 + i, 30 + i, 7), 40 + i % 3, 43, tags={"template": "a"}) for i in range(11)]
    two = pair((9, 9, 9, 9, 5), (8, 8, 8, 8, 5), 41, 43, tags={"template": "b"})
    assert warned(None, *one, two) == []


def test_an_answer_that_is_read_before_anything_differs():
    early = PromptPair((1, 2, 3), (1, 2, 4), ((5,),), ((6,),), (1,), where="line 2")
    (said,) = warned(None, pair((1, 2, 3), (1, 2, 4), 9, 6), early)
    assert "the answer is read before the first token that differs (line 2: read after token 1, the first that " in said
    both = PromptPair((1, 2, 3), (1, 2, 4), ((5,), (6,)), ((6,), (5,)), (1, 2))
    assert warned(None, both) == []


def test_a_right_answer_that_stays_right():
    stays = [pair((i, 3), (i, 4), 50 + i, 60 + i, corrupted_answers=((50 + i,),)) for i in range(3)]
    (said,) = said_by(Says(*stays))
    assert "in 3 of 3 prompt pairs the right answer is right on the corrupted prompt too (here)" in said
    Says(*stays).prompts(None, corruption="control")
    Says(*stays).prompts(None, corruption="other")  # may change which answer is wrong
    moves = [pair((i, 3), (i, 4), 50 + i, 60 + i, corrupted_answers=((60 + i,),)) for i in range(3)]
    Says(*moves).prompts(None)
    (said,) = said_by(Says(*moves), corruption="control")
    assert "another answer is right on the corrupted prompt (here), under a control corruption" in said


def test_one_of_several_right_answers_may_stay_right():
    fewer = [PromptPair((i, 3), (i, 4), ((50 + i, 70),), ((60 + i,),), corrupted_answers=((70,),)) for i in range(3)]
    Says(*fewer).prompts(None)


def test_where_wrong_answers_become_right_too_the_corruption_tells():
    more = [pair((i, 3), (i, 4), 50 + i, 60 + i, corrupted_answers=((50 + i, 60 + i),)) for i in range(3)]
    Says(*more).prompts(None)
    Says(*more).prompts(None, corruption="control")


def test_a_corrupted_prompt_that_gives_the_answer_away():
    given = [pair((i, 30 + i, 3), (i, 30 + i, 50 + i), 50 + i, 60 + i, where=f"line {i}") for i in range(10)]
    assert warned(None, *given[:4]) == []  # which may be chance
    (said,) = warned(None, *given)
    assert "in 10 of 10 prompt pairs the right answer stands in the corrupted prompt and not in the clean one" in said
    mentioned = [pair((50 + i, 3), (4, 50 + i), 50 + i, 60 + i) for i in range(10)]
    assert warned(None, *mentioned) == []
