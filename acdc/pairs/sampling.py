"""Drawing different prompts in a fixed order, and parting train from test."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from itertools import permutations
from typing import Any

from acdc.errors import PromptError
from acdc.pairs.task import Split
from acdc.waiting import waiting
from acdc.wording import counted

#: One combination in so many belongs to the test split.
TEST_SHARE = 5


def in_split(split: Split, *words: str) -> bool:
    """Whether a combination of words, in whichever order, belongs to `split`; about 20 % of all belong to test.

    Decided by hashes of the words alone, so that it's the same for every seed, every
    tokenizer and every version of Python.
    """
    is_test = sum(map(_number, words)) % TEST_SHARE == 0
    return is_test == (split == "test")


@lru_cache(maxsize=8)
def openings_in_split(split: Split, words: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """All pairs of two different words that belong to `split`, in the order of their places among `words`.

    Of hundreds of words there are a hundred thousand: a task's prompts are drawn from the same ones again and again.
    """
    rest = [_number(word) % TEST_SHARE for word in words]
    wanted = split == "test"
    return tuple(
        (words[i], words[j])
        for i, j in permutations(range(len(words)), 2)
        if ((rest[i] + rest[j]) % TEST_SHARE == 0) == wanted
    )


@cache
def _number(word: str) -> int:
    return int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "big")


def shuffled(total: int, rng: random.Random) -> Iterator[int]:
    """The numbers below `total` in an order of chance; each is drawn when it is asked for."""
    # A Fisher-Yates shuffle that may stop early and stores only the cards it moved.
    moved: dict[int, int] = {}
    for i in range(total):
        j = rng.randrange(i, total)
        number = moved.get(j, j)
        moved[j] = moved.get(i, i)
        yield number


def member(number: int, axes: Sequence[Sequence[Any]]) -> tuple[Any, ...]:
    """The member of a product of `axes` that has that number; the first axis runs fastest."""
    chosen = []
    for axis in axes:
        number, place = divmod(number, len(axis))
        chosen.append(axis[place])
    return tuple(chosen)


def draw(task: str, split: Split, n: int, rng: random.Random, *axes: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
    """Draw `n` different members of the product of `axes`.

    The first k draws don't depend on `n`: asking for more only adds at the end.

    Args:
        task: the task's name, for the message.
        split: for the message.
        n: how many.
        rng: where chance comes from; used for nothing else until the last draw.
        axes: what may be combined with what, e.g. templates, names and places.

    Raises:
        PromptError: the product has fewer than `n` members; says how many it has.
    """
    total = math.prod(len(axis) for axis in axes)
    if n > total:
        raise too_few(task, split, n, counted(total, f"different {split} pair"))
    for _, number in zip(waiting(range(n), f"making prompts of {task}"), shuffled(total, rng), strict=False):
        yield member(number, axes)


def too_few(task: str, split: Split, n: int, allowed: str) -> PromptError:
    """What to say where words allow fewer pairs than are asked for."""
    return PromptError(f"task {task}: the words that fit this tokenizer allow {allowed}, not {n}; ask for fewer.")
