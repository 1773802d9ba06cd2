"""Algorithmic tasks, and their pairs as written."""

from functools import cache

from acdc.tasks.brackets import Brackets
from acdc.tasks.histogram import Histogram
from acdc.tasks.induction import Induction
from acdc.tasks.induction_fuzzy import InductionFuzzy
from acdc.tasks.permutation import Permutation
from acdc.tasks.reverse import Reverse
from acdc.tasks.sorting import Sorting

from acdc.models.symbols import symbol_tokenizer
from acdc.pairs.finding import find_task

TASKS = {kind.name: kind for kind in (Brackets, Histogram, Induction, InductionFuzzy, Permutation, Reverse, Sorting)}
CASES = [(name, corruption) for name, kind in TASKS.items() for corruption in kind.corruptions]

own = cache(symbol_tokenizer)


def made(name, n=100, split="train", corruption=None, seed=0, tokenizer="own"):
    """Pairs as written, under the task's own tokenizer."""
    task = find_task(TASKS[name])
    tokenizer = own(task.vocabulary) if tokenizer == "own" else tokenizer
    return task.generate(tokenizer, n, seed, split, corruption or next(iter(task.corruptions))).pairs


def symbols(prompt):
    return [piece.strip() for piece in prompt]


def places(pair):
    return [len(pair.clean) + position for position in pair.answer_positions]


def right(answers):
    return [answer.strip() for (answer,) in answers]
