"""The bundled model does what its card says."""

import re

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from acdc.bundled import bundled_models
from acdc.pairs.finding import find_task

FOLDER = bundled_models()["tiny-tasks"]


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(FOLDER)


@pytest.fixture(scope="module")
def model():
    return AutoModelForCausalLM.from_pretrained(FOLDER).eval()


@pytest.mark.parametrize("name", ["ioi", "acronyms", "pronouns"])
def test_held_out_prompts_are_answered_rightly(model, tokenizer, name):
    pairs = find_task(name).prompts(tokenizer, 200, seed=2, split="test").pairs
    right = 0
    # Prompts of one length run together.
    for length in {len(pair.clean) for pair in pairs}:
        together = [pair for pair in pairs if len(pair.clean) == length]
        with torch.no_grad():
            best = model(torch.tensor([pair.clean for pair in together])).logits.argmax(-1)
        for pair, tokens in zip(together, best, strict=True):
            places = zip(pair.answer_positions, pair.answers, strict=True)
            right += all(int(tokens[position]) in answers for position, answers in places)
    assert right >= 0.99 * len(pairs)


def test_the_card_gives_these_figures():
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    held_out = dict(re.findall(r"\| (\w+) \| test \| ([\d.]+)% \|", card))
    assert set(held_out) == {"ioi", "acronyms", "pronouns"}
    assert all(float(right) >= 99 for right in held_out.values())


def test_any_text_comes_back_and_nothing_is_added(tokenizer):
    for text in ["When Mary and John met, John", " The Basket (", "Ünïcode → 漢字\n\ttabs", "CTW"]:
        assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.convert_ids_to_tokens(tokenizer.encode("The Basket (")) == ["The", "ĠB", "asket", "Ġ("]


def test_small_enough_to_ship():
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 6 * 2**20
