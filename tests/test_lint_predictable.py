"""Right answers that can be told without what the task is about, and those that can't."""

import random
import re

import pytest
from given import Given, warned

from acdc.pairs import PromptPair
from acdc.pairs.task import Generated

YES, NO, ASKED, OTHER = 30, 31, 40, 41


def drawn(make, n=80, seed=0):
    """Pairs of `make`, a function of a source of chance and whether the answer is yes."""
    chance = random.Random(seed)
    return [make(chance, chance.random() < 0.5) for _ in range(n)]


def pair(clean, changed, is_yes, **more):
    """A pair whose clean prompt differs at `changed`."""
    corrupted = tuple(50 if place in changed else token for place, token in enumerate(clean))
    right, wrong = (YES, NO) if is_yes else (NO, YES)
    return PromptPair(tuple(clean), corrupted, ((right,),), ((wrong,),), **more)


def noise(chance, n):
    return [chance.randrange(300, 400) for _ in range(n)]


def meant(chance, is_yes):
    """The token at place 2 tells the answer, and it is what the corruption changes."""
    return pair([*noise(chance, 2), ASKED if is_yes else OTHER, *noise(chance, 2)], {2}, is_yes)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("n", [12, 16, 40, 200])
def test_what_the_corruption_changes_may_tell_the_answer(n, seed):
    assert warned(None, *drawn(meant, n, seed)) == []


@pytest.mark.parametrize("seed", range(12))
def test_chance_is_no_rule(seed):
    def many(chance, is_yes):
        return pair([*noise(chance, 12), chance.randrange(20, 30)], {12}, is_yes)

    assert warned(None, *drawn(many, 24, seed)) == []


def test_the_length_of_a_prompt():
    def longer(chance, is_yes):
        return pair([*noise(chance, 3 if is_yes else 5), 20 + chance.randrange(9)], {0, 1, 2}, is_yes)

    (said,) = warned(None, *drawn(longer))
    assert said.startswith("mine: the length of the prompt alone tells the right answer: right on 100% of ")
    assert "the commonest answer on 5" in said


def test_a_token_at_one_place_that_stays():
    def stays(chance, is_yes):
        return pair([*noise(chance, 2), ASKED if is_yes else OTHER, *noise(chance, 2)], {0}, is_yes)

    (said,) = warned(None, *drawn(stays))
    assert said.startswith("mine: the token at one place (token 2), which the corruption leaves as it is, tells the ")


def test_a_place_is_counted_back_from_the_answer_too():
    def back(chance, is_yes):
        return pair(
            [*noise(chance, chance.randrange(2, 6)), ASKED if is_yes else OTHER, *noise(chance, 2)], {0}, is_yes
        )

    (said,) = warned(None, *drawn(back))
    assert "(2 tokens before the answer)" in said


def test_a_token_somewhere_in_the_prompt():
    def somewhere(chance, is_yes):
        tokens = noise(chance, 8)
        tokens[chance.randrange(1, 8)] = ASKED if is_yes else OTHER
        return pair(tokens, {0}, is_yes)

    (said,) = warned(None, *drawn(somewhere, 200))
    assert re.match(f"mine: whether the token ({ASKED}|{OTHER}) stands in the prompt, which the corruption", said)


def test_a_template():
    def of_template(chance, is_yes):
        named = f"{'a' if is_yes else 'b'}{chance.randrange(3)}"
        return pair([*noise(chance, 3)], {0, 1, 2}, is_yes, tags={"template": named})

    said = warned(None, *drawn(of_template))
    assert any("the template alone tells the right answer" in line for line in said)


def test_one_template_with_one_answer():
    def of_template(chance, is_yes):
        named = "always yes" if is_yes and chance.random() < 0.3 else "both"
        return pair([*noise(chance, 3)], {0, 1, 2}, is_yes, tags={"template": named})

    (said,) = warned(None, *drawn(of_template))
    assert "prompt pairs of the template 'always yes' have one right answer" in said


def ordered(chance, is_yes):
    """As in indirect objects: two candidates, the right one first if `is_yes`."""
    right, wrong = chance.sample(range(100, 140), 2)
    mentioned = [right, wrong] if is_yes else [wrong, right]
    clean = (*noise(chance, 1), *mentioned, 20, wrong)
    return PromptPair(clean, (*clean[:1], 200, 201, 20, 202), ((right,),), ((wrong,),))


def test_the_order_in_which_answers_are_mentioned():
    assert warned(None, *drawn(ordered)) == []
    (said,) = warned(None, *drawn(lambda chance, _: ordered(chance, True)))
    assert "the right one is the first of 2 in 100% of the pairs, so that its place alone tells it" in said
    (said,) = warned(None, *drawn(lambda chance, _: ordered(chance, False)))
    assert "the right one is the second of 2 in 100% of the pairs" in said


def test_one_in_the_middle_has_to_be_counted():
    def third(chance, _):
        words = chance.sample(range(100, 140), 5)
        wrong = tuple(word for word in words if word != words[2])
        return PromptPair(tuple(words), (200, 201, 202, *words[3:]), ((words[2],),), (wrong,))

    assert warned(None, *drawn(third)) == []


def test_a_token_that_tells_the_order():
    def told(chance, is_yes):
        made = ordered(chance, is_yes)
        mark = ASKED if is_yes else OTHER
        return PromptPair((mark, *made.clean[1:]), (mark, *made.corrupted[1:]), made.answers, made.wrong_answers)

    (said,) = warned(None, *drawn(told))
    assert "tells which of the answers that the prompt mentions is right: right on 100%" in said


def copying(chance, _):
    tokens = chance.sample(range(100, 140), 6)
    return PromptPair(tuple(tokens), (*tokens[:3], 200, *tokens[4:]), ((tokens[3],),))


def test_an_answer_that_is_copied_from_one_place():
    (said,) = warned(None, *drawn(copying))
    assert "the right answer is token 3 of the prompt itself in 100% of the pairs" in said


def test_places_are_what_a_task_of_sequences_is_about():
    class Sequences(Given):
        kind = "algorithmic"

    class Language(Given):
        def generate(self, *asked):
            return Generated(self.pairs)

    made = drawn(copying)
    with pytest.warns(match="the right answer is token 3"):
        Language(*made).prompts(None)
    Sequences(*made).prompts(None)  # a warning would be an error


def test_answers_that_need_no_prompt():
    def of_two_kinds(chance, _):
        tokens = noise(chance, 4)
        right, wrong = 100 + chance.randrange(5), 110 + chance.randrange(5)
        return PromptPair(tuple(tokens), (50, 50, *tokens[2:]), ((right,),), ((wrong,),))

    (said,) = warned(None, *drawn(of_two_kinds))
    assert "right and wrong answers can be told apart without a prompt" in said
    assert "is right in 100% of" in said

    def flipped(chance, is_yes):
        made = of_two_kinds(chance, is_yes)
        return PromptPair(
            made.clean, made.corrupted, made.answers, made.wrong_answers, corrupted_answers=made.wrong_answers
        )

    assert warned(None, *drawn(flipped)) == []


def test_only_the_usual_corruption_says_what_a_task_is_about():
    class Two(Given):
        corruptions = {"usual": "", "other": ""}  # noqa: RUF012

        def generate(self, tokenizer, n, seed, split, corruption):
            changed = {2} if corruption == "usual" else {0}
            return Generated([pair(one.clean, changed, one.answers == ((YES,),)) for one in self.pairs])

    task = Two(*drawn(meant))
    task.prompts(None)
    task.prompts(None, corruption="other")
