"""The first tasks have the prompts that they had when each was a class of its own: token by token, for every seed."""

from pathlib import Path

import pytest
from transformers import AutoTokenizer

from acdc.bundled import bundled_models
from acdc.pairs.finding import find_task

GPT2 = Path(__file__).parents[2] / "shared" / "models" / "gpt2-tokenizer"
#: Tokenizer, task, corruption, split, seed, and how the hash of 60 pairs' tokens begins.
PINS = [
    ("bundled", "ioi", "abc", "train", 0, "f86cfac2a9f96d6e"),
    ("bundled", "ioi", "abc", "test", 7, "bb7a7dcabe14bd8f"),
    ("bundled", "ioi", "swapped-names", "train", 0, "33ebbfbb2f9b5c6f"),
    ("bundled", "ioi", "swapped-names", "test", 7, "9014a800ef34bbc3"),
    ("bundled", "pronouns", "that-person", "train", 0, "2ee0cb897641a7ed"),
    ("bundled", "pronouns", "that-person", "test", 7, "0f77f187deee05c9"),
    ("bundled", "pronouns", "opposite-gender", "train", 0, "516b87266d474986"),
    ("bundled", "pronouns", "opposite-gender", "test", 7, "c13f2d73aac75dfe"),
    ("bundled", "acronyms", "other-words", "train", 0, "2595f488b97e468e"),
    ("bundled", "acronyms", "other-words", "test", 7, "864fd89e670864d9"),
    ("bundled", "acronyms", "last-word", "train", 0, "bcfe19f38993bf75"),
    ("bundled", "acronyms", "last-word", "test", 7, "4c80e0ec5a8b8686"),
    ("gpt2", "ioi", "abc", "train", 0, "5c215f2b19926fd5"),
    ("gpt2", "ioi", "abc", "test", 7, "afd50657f811945a"),
    ("gpt2", "ioi", "swapped-names", "train", 0, "64f982749018ab02"),
    ("gpt2", "ioi", "swapped-names", "test", 7, "0c7f703736c2e177"),
    ("gpt2", "pronouns", "that-person", "train", 0, "fef49691398d21f8"),
    ("gpt2", "pronouns", "that-person", "test", 7, "0ebe13770fe227c5"),
    ("gpt2", "pronouns", "opposite-gender", "train", 0, "4f73703a2a73abf1"),
    ("gpt2", "pronouns", "opposite-gender", "test", 7, "7bd5f761b9028bbf"),
    ("gpt2", "acronyms", "other-words", "train", 0, "ae922c5ee692e4a2"),
    ("gpt2", "acronyms", "other-words", "test", 7, "61977a9a496aaa12"),
    ("gpt2", "acronyms", "last-word", "train", 0, "301242b84237f7d0"),
    ("gpt2", "acronyms", "last-word", "test", 7, "adae67e28bd1ef06"),
]


@pytest.fixture(scope="module")
def tokenizers():
    found = {"bundled": AutoTokenizer.from_pretrained(bundled_models()["tiny-tasks"])}
    if GPT2.is_dir():
        found["gpt2"] = AutoTokenizer.from_pretrained(GPT2)
    return found


@pytest.mark.parametrize(("tokenizer", "task", "corruption", "split", "seed", "sha256"), PINS)
def test_the_prompts_are_the_same(tokenizers, tokenizer, task, corruption, split, seed, sha256):
    if tokenizer not in tokenizers:
        pytest.skip(f"needs GPT-2's tokenizer in {GPT2.name}")
    prompts = find_task(task).prompts(tokenizers[tokenizer], 60, seed, split, corruption)
    assert prompts.sha256().startswith(sha256)
