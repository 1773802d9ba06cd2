"""Arithmetic as tasks: what they ask is right, their corruptions change what they say, and no split knows the other."""

import re
from itertools import product

import pytest
from acdc.tasks.modular import PRIME
from acdc.tasks.multiplication import Multiplication

from acdc.errors import PromptError
from acdc.models.symbols import symbol_tokenizer
from acdc.pairs.finding import find_task

MODULAR = ["modular_addition", "modular_subtraction"]
LENGTHS = {"multiplication": 2, "multiplication_3": 3, "multiplication_4": 4, "multiplication_5": 5}
MULTIPLICATION = [*LENGTHS, "multiplication_natural"]


def read(task, n=20, **asked):
    """A task's pairs as text: clean prompt, corrupted prompt, answers, and the pair itself."""
    tokenizer = symbol_tokenizer(task.vocabulary)
    for pair in task.prompts(tokenizer, n, **asked).pairs:
        answers = [tokenizer.decode(list(tokens)) for tokens in pair.answers]
        yield tokenizer.decode(list(pair.clean)), tokenizer.decode(list(pair.corrupted)), answers, pair


def modular(text):
    """What is right behind a prompt of modular arithmetic."""
    first, operator, second = re.fullmatch(r"(\d+) ([+-]) (\d+) =", text).groups()
    return (int(first) + int(second) if operator == "+" else int(first) - int(second)) % PRIME


def factors(text, natural):
    """The numbers of a multiplication, and the digits behind the equals sign."""
    first, second, said = re.fullmatch(r"([\d ]+) \* ([\d ]+) =([\d ]*)", text).groups()
    numbers = [digits.split() if natural else digits.split()[::-1] for digits in (first, second)]
    return *(int("".join(digits)) for digits in numbers), said.split()


def digits_of(first, second, n_digits, natural):
    """The digits of a product, in the order of the prompts."""
    digits = [str(first * second // 10**i % 10) for i in range(2 * n_digits)]
    return digits[::-1] if natural else digits


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("name", MODULAR)
def test_modular_results_are_right(name, split):
    for clean, _, answers, pair in read(find_task(name), split=split):
        assert answers == [str(modular(clean))]
        assert pair.answer_positions == (3,)
        assert len(set(pair.wrong_answers[0])) == PRIME - 1


@pytest.mark.parametrize("name", MODULAR)
@pytest.mark.parametrize(
    ("corruption", "changed", "keeps"),
    [
        ("other-numbers", {0, 2}, False),
        ("other-first", {0}, False),
        ("other-second", {2}, False),
        ("other-operator", {1}, False),
        ("same-result", {0, 2}, True),
    ],
)
def test_modular_corruptions_change_what_they_say(name, corruption, changed, keeps):
    task = find_task(name)
    for clean, corrupted, _, _ in read(task, corruption=corruption):
        places = enumerate(zip(clean.split(), corrupted.split(), strict=True))
        assert {place for place, (a, b) in places if a != b} == changed
        assert (modular(clean) == modular(corrupted)) == keeps
    assert (corruption in task.control_corruptions) == keeps


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("name", MULTIPLICATION)
def test_products_are_right_digit_by_digit(name, split):
    task, length = find_task(name), LENGTHS.get(name, 2)
    for clean, _, answers, pair in read(task, split=split):
        first, second, said = factors(clean, task.natural)
        assert {len(str(first)), len(str(second))} == {length}
        assert first != second
        assert answers == digits_of(first, second, length, task.natural)
        assert said == answers[:-1]
        assert pair.answer_positions == tuple(range(2 * length + 1, 4 * length + 1))


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("corruption", ["other-first", "other-second", "one-digit", "other-input", "swapped"])
@pytest.mark.parametrize("name", ["multiplication", "multiplication_natural", "multiplication_4"])
def test_corruptions_of_products_change_what_they_say(name, corruption, split):
    task, length = find_task(name), LENGTHS.get(name, 2)
    for clean, corrupted, answers, _ in read(task, split=split, corruption=corruption):
        one, other = (factors(text, task.natural) for text in (clean, corrupted))
        differs = [a != b for a, b in zip(clean.split(), corrupted.split(), strict=True)]
        goes_with = digits_of(*other[:2], length, task.natural)
        if corruption == "swapped":
            assert other == (one[1], one[0], one[2])
            assert goes_with == answers
            continue
        kept = 0 if corruption == "other-second" else 1
        assert one[kept] == other[kept]
        assert one[1 - kept] != other[1 - kept]
        if corruption == "one-digit":
            assert sum(differs[:length]) == 1
        assert other[2] == (answers if corruption == "other-input" else goes_with)[:-1]
    assert task.control_corruptions == {"swapped"}


@pytest.mark.parametrize("name", [*MODULAR, "multiplication"])
def test_no_prompt_of_one_split_is_in_the_other(name):
    task, found = find_task(name), {"train": set(), "test": set()}
    tokenizer = symbol_tokenizer(task.vocabulary)
    for split, corruption in product(found, set(task.corruptions) - {"other-input"}):
        for pair in task.generate(tokenizer, 500, 0, split, corruption).pairs:
            for prompt in (pair.clean, pair.corrupted):
                # Which number comes first, and which operator it is, gives nothing away either.
                found[split].add(frozenset(re.split(r" [-+*] ", "".join(prompt).split(" =")[0].strip())))
    assert min(map(len, found.values())) > 200
    assert found["train"].isdisjoint(found["test"])


@pytest.mark.parametrize("name", [*MODULAR, *MULTIPLICATION])
def test_more_only_adds_and_seeds_differ(name):
    task = find_task(name)
    few, many, others = ([row[:2] for row in read(task, n, seed=seed)] for n, seed in ((10, 0), (30, 0), (30, 1)))
    assert many[:10] == few
    assert many != others
    assert len({clean for clean, _ in many}) == 30


@pytest.mark.parametrize(("name", "n"), [("modular_addition", 658), ("modular_subtraction", 658)])
def test_too_many_says_how_many_there_are(name, n):
    task = find_task(name)
    tokenizer = symbol_tokenizer(task.vocabulary)
    assert len(task.prompts(tokenizer, n, split="test").pairs) == n
    with pytest.raises(PromptError, match=rf"{n} different test pairs, not {n + 1}"):
        task.prompts(tokenizer, n + 1, split="test")


def test_every_question_is_there_once():
    n = {}
    for split in ("train", "test"):
        questions = Multiplication().questions(split, ())
        n[split] = len(questions)
        assert len(set(questions)) == len(questions)
        assert all(first != second for first, second, _ in questions)
    # Ninety numbers, each with every other; two have no digit to exchange within the test split.
    assert n["train"] + n["test"] == pytest.approx(90 * 89, abs=2 * 89)
    assert n["test"] / (90 * 89) == pytest.approx(0.2, abs=0.02)


def test_a_row_ends():
    questions = Multiplication().questions("test", ())
    assert questions[:2] == [questions[0], questions[1]]
    with pytest.raises(IndexError):
        questions[len(questions)]


def test_a_subclass_has_numbers_of_another_length():
    class Longer(Multiplication):
        n_digits = 3
        natural = True

    clean, _, answers, _ = next(read(Longer(), 1))
    first, second, _ = factors(clean, natural=True)
    assert answers == digits_of(first, second, 3, natural=True)
