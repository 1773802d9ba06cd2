"""The bundled model does what its card says."""

import re

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from acdc.bundled import bundled_models
from acdc.pairs.finding import find_task, task_names

FOLDER = bundled_models()["tiny-tasks"]


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(FOLDER)


@pytest.fixture(scope="module")
def model():
    return AutoModelForCausalLM.from_pretrained(FOLDER).eval()


#: What it hasn't learned well.
POOR = {"docstring", "colored_objects"}
CARD = (FOLDER / "README.md").read_text(encoding="utf-8")
#: The share of held-out prompts that the card says are answered rightly, by task.
HELD_OUT = {task: float(right) for task, right in re.findall(r"\| `(\w+)` \| [\d.]+% \| ([\d.]+)% \|", CARD)}


@pytest.mark.parametrize("name", sorted(HELD_OUT.keys() - POOR))
def test_held_out_prompts_are_answered_rightly(model, tokenizer, name):
    n, least = (200, 0.99) if name in ("ioi", "acronyms", "pronouns") else (60, 0.95)
    pairs = find_task(name).prompts(tokenizer, n, seed=2, split="test").pairs
    right = 0
    # Prompts of one length run together.
    for length in {len(pair.clean) for pair in pairs}:
        together = [pair for pair in pairs if len(pair.clean) == length]
        with torch.no_grad():
            best = model(torch.tensor([pair.clean for pair in together])).logits.argmax(-1)
        for pair, tokens in zip(together, best, strict=True):
            places = zip(pair.answer_positions, pair.answers, strict=True)
            right += all(int(tokens[position]) in answers for position, answers in places)
    assert right >= least * len(pairs)


def test_the_card_gives_these_figures():
    known = {name for name in task_names() if find_task(name).kind == "language"}
    # It has no tokens of single digits.
    assert set(HELD_OUT) == known - {"greater_than_digits"}
    assert {name for name, right in HELD_OUT.items() if right < 95} == POOR


def test_any_text_comes_back_and_nothing_is_added(tokenizer):
    for text in ["When Mary and John met, John", " The Basket (", "Ünïcode → 漢字\n\ttabs", "CTW"]:
        assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.convert_ids_to_tokens(tokenizer.encode("The Basket (")) == ["The", "ĠB", "asket", "Ġ("]


def test_small_enough_to_ship():
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 6 * 2**20
