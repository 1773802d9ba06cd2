"""The first tasks have the prompts that they had when each was a class of its own: token by token, for every seed."""

from pathlib import Path

import pytest
from transformers import AutoTokenizer

from acdc.bundled import bundled_models
from acdc.pairs.finding import find_task

GPT2 = Path(__file__).parents[2] / "shared" / "models" / "gpt2-tokenizer"
#: Tokenizer, task, corruption, split, seed, and how the hash of 60 pairs' tokens begins.
PINS = [
    ("bundled", "ioi", "abc", "train", 0, "7b2a03a35a003be8"),
    ("bundled", "ioi", "abc", "test", 7, "f534518522f3c01a"),
    ("bundled", "ioi", "swapped-names", "train", 0, "ca976003099d1cce"),
    ("bundled", "ioi", "swapped-names", "test", 7, "26b11d4157203bb5"),
    ("bundled", "pronouns", "that-person", "train", 0, "5c97c1381c72d4f1"),
    ("bundled", "pronouns", "that-person", "test", 7, "8c04c90914dadfed"),
    ("bundled", "pronouns", "opposite-gender", "train", 0, "8106d3413112087c"),
    ("bundled", "pronouns", "opposite-gender", "test", 7, "7c7bb0ac1d395af1"),
    ("bundled", "acronyms", "other-words", "train", 0, "227c4c0f6bd3c175"),
    ("bundled", "acronyms", "other-words", "test", 7, "6db03bf59de92987"),
    ("bundled", "acronyms", "last-word", "train", 0, "27d34f7d064736f0"),
    ("bundled", "acronyms", "last-word", "test", 7, "d5892be0b337ca44"),
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
