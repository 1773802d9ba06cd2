"""How often a model runs while a task is checked: each clean prompt once, however many corruptions there are."""

from collections import Counter
from typing import ClassVar
from unittest import mock

import pytest

import acdc
from acdc import PromptPair
from acdc.models.model import Model
from acdc.pairs.task import Generated, Task

pytestmark = pytest.mark.random_models


class Numbers(Task):
    """Token ids; the third corruption has clean prompts of its own."""

    name = "numbers"
    summary = "numbers"
    metric = "logit-diff"
    corruptions: ClassVar = {"one": "a first", "two": "a second", "other": "of other prompts"}

    def generate(self, tokenizer, n, seed, split, corruption):
        """See Task."""
        first = {"train": 1, "test": 2}[split] + (2 if corruption == "other" else 0)
        last = 6 if corruption == "one" else 7
        pairs = [PromptPair((first, 5, i), (first, last, i), ((8,),), ((9,),)) for i in range(n)]
        return Generated(pairs)


def counted(model, of):
    """A stand-in that counts the prompts it is given, and then does what it stands for."""
    count = Counter()
    own = getattr(model, of)

    def run(tokens, *where, **more):
        count.update(tuple(ids[:length]) for ids, length in zip(tokens.ids.tolist(), tokens.lengths, strict=True))
        return own(tokens, *where, **more)

    return count, mock.patch.object(Model, of, side_effect=run)


def test_clean_prompts_run_once_for_all_corruptions(gpt2_model):
    (by_nodes, nodes), (by_itself, itself) = (counted(gpt2_model, of) for of in ("embed", "own_logits_at"))
    with nodes, itself:
        found = acdc.check_task(gpt2_model, Numbers, n=6, progress=False)
    assert len(found.figures) == 6
    for count in (by_nodes, by_itself):
        assert {count[first, 5, i] for first in (1, 2, 3, 4) for i in range(6)} == {1}  # "other" runs its own
        assert {count[first, 7, i] for first in (1, 2, 3, 4) for i in range(6)} == {1}
        assert {count[first, 6, i] for first in (1, 2) for i in range(6)} == {1}


def test_figures_are_those_of_each_corruption_alone(gpt2_model):
    together = acdc.check_task(gpt2_model, Numbers, n=6, progress=False).to_json()["prompts"]
    for number, corruption in enumerate(Numbers.corruptions):
        alone = acdc.check_task(gpt2_model, Numbers, n=6, corruption=corruption, progress=False).to_json()["prompts"]
        assert together[2 * number : 2 * number + 2] == alone
