"""Held-out prompts that are hardly others than the used ones."""

import made_tokenizers as made
import pytest

from acdc.pairs import PromptPair, PromptSet, tokenize_pair
from acdc.pairs.across import shared_prompts

TOKENIZER = made.gpt2_like()


def prompts(*texts, answer=" Mary"):
    pairs = [
        PromptPair(text, text.replace("John", "Paul"), ((answer,),), where=f"line {i}") for i, text in enumerate(texts)
    ]
    return PromptSet(tuple(tokenize_pair(pair, TOKENIZER) for pair in pairs), "mine")


USED = prompts("So John met Ann", "So John met Kate")


@pytest.mark.parametrize(
    ("text", "but"),
    [
        ("So John met Kate", ""),
        ("So John  met Kate", " but for upper case and spaces"),
        ("so John met Kate", " but for upper case and spaces"),
        ("So Kate met John", " with its tokens in another order"),
    ],
)
def test_held_out_prompts_that_are_used_ones(text, but):
    (said,) = shared_prompts(USED, prompts(text, "So John met Laura"), TOKENIZER)
    where = "line 1 and line 0"
    assert said == (
        f"1 of 2 held-out pairs (50%) have the clean prompt of a used one{but} ({where}); what holds on them may be "
        "learnt by heart."
    )


def test_others_are_passed_over():
    assert list(shared_prompts(USED, prompts("So John met Laura"), TOKENIZER)) == []
    turned = prompts("So Kate met John")
    assert list(shared_prompts(USED, turned, TOKENIZER, any_order=True)) == []
    other = prompts("So Kate met John", answer=" Laura")
    assert list(shared_prompts(USED, other, TOKENIZER)) == []


def test_without_a_tokenizer_ids_are_compared():
    ids = [PromptSet((tokenize_pair(PromptPair(one, (9, 9, 9)), None),), "mine") for one in ((1, 2, 3), (1, 2, 4))]
    assert list(shared_prompts(*ids, None)) == []
    assert len(list(shared_prompts(ids[0], ids[0], None))) == 1
