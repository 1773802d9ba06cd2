"""Algorithmic tasks under tokenizers of all kinds: their own, others that make one token of each symbol, none."""

from functools import cache
from pathlib import Path

import made_tokenizers
import pytest
from algorithmic import CASES, TASKS, made, own, places, right, symbols
from tokenizers import normalizers
from transformers import AutoTokenizer

from acdc import load_model
from acdc.errors import AcdcWarning, PromptError
from acdc.models.symbols import symbol_tokenizer
from acdc.pairs.context import tokens_inside
from acdc.pairs.finding import find_task

SHARED = Path(__file__).parents[2] / "shared" / "models"
WORDS = [
    "about",
    "above",
    "across",
    "after",
    "again",
    "almost",
    "already",
    "although",
    "arm",
    "army",
    "because",
    "become",
    "begin",
    "better",
    "big",
    "black",
]


@pytest.mark.parametrize(("name", "corruption"), CASES)
def test_pairs_pass_the_check_under_their_own_tokenizer(name, corruption):
    task = find_task(TASKS[name])
    tokenizer = own(task.vocabulary)
    for split in ("train", "test"):
        prompts = task.prompts(tokenizer, 30, split=split, corruption=corruption, vocab_size=len(task.vocabulary))
        assert len(prompts) == 30
        assert not any(prompts.left_out.values())
        assert all(set(pair.spans) == set(task.spans) for pair in prompts.pairs)


def inserting():
    """A tokenizer that puts something between ")" and "]"."""
    tokenizer = symbol_tokenizer((*"([{)]}", "x"))
    tokenizer.backend_tokenizer.normalizer = normalizers.Replace(") ]", ") x ]")
    return tokenizer


@cache
def spelled(tokenizer):
    """A tokenizer that is there, or a skipped test."""
    if isinstance(tokenizer, str):
        if not (SHARED / tokenizer).is_dir():
            pytest.skip(f"needs {tokenizer}")
        return AutoTokenizer.from_pretrained(SHARED / tokenizer)
    return tokenizer()


def like_llama():
    return made_tokenizers.llama2("first", [*"abcdefgh>:()[]{}", *WORDS])


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("tokenizer", ["gpt2-tokenizer", like_llama])
def test_pairs_pass_the_check_where_each_symbol_is_one_token(name, tokenizer):
    tokenizer = spelled(tokenizer)
    written = made(name, 15, tokenizer=tokenizer)
    checked = find_task(TASKS[name]).prompts(tokenizer, 15).pairs
    for pair, tokens in zip(written, checked, strict=True):
        start = len(tokens.clean) - len(pair.clean)  # of a BOS
        assert start == (tokenizer.bos_token == "<s>")
        # The same token also where a text begins.
        expected = [tokens_inside(tokenizer, f" {symbol}")[0] for symbol in symbols(pair.clean)]
        assert list(tokens.clean[start:]) == expected
        assert [place + start for place in places(pair)] == list(tokens.answer_positions)
        assert [[tokens_inside(tokenizer, f" {symbol}")[0]] for symbol in right(pair.answers)] == [
            list(answers) for answers in tokens.answers
        ]


def test_language_models_get_words_and_small_vocabularies_letters():
    tokenizer = made_tokenizers.llama2("first", WORDS)
    assert made("induction", 1, tokenizer=tokenizer)[0].clean[0].strip() in "abcdefghijklmnopqrstuvwxyz"
    if (SHARED / "gpt2-tokenizer").is_dir():
        pair = made("induction", 1, tokenizer=spelled("gpt2-tokenizer"))[0]
        assert len(pair.clean) == 15
        assert all(len(piece) > 2 for piece in pair.clean)
        assert places(pair) == [11, 12, 13, 14]


@pytest.mark.parametrize("name", TASKS)
def test_without_a_tokenizer_symbols_are_their_places(name):
    task = find_task(TASKS[name])
    with pytest.warns(
        AcdcWarning, match=rf"task {name}: the model has no tokenizer, so that the {len(task.vocabulary)} sy"
    ):
        prompts = task.prompts(None, 20, vocab_size=len(task.vocabulary))
    expected = task.prompts(own(task.vocabulary), 20)
    assert [(a.clean, a.corrupted, a.answers, a.spans) for a in prompts.pairs] == [
        (b.clean, b.corrupted, b.answers, b.spans) for b in expected.pairs
    ]


@pytest.mark.filterwarnings("ignore::acdc.errors.AcdcWarning")
def test_a_real_induction_model_without_a_tokenizer_does_them():
    folder = SHARED / "gbmi-induction-2L1H"
    if not folder.is_dir():
        pytest.skip(f"needs {folder.name}")
    import torch

    model = load_model(folder)
    for name in ("induction", "induction_fuzzy"):
        prompts = find_task(name).prompts(None, 50, vocab_size=model.vocab_size, max_length=model.n_ctx)
        said = [model.bridge(torch.tensor([pair.clean]))[0].argmax(-1) for pair in prompts.pairs]
        hits = [
            int(row[place]) == answer
            for row, pair in zip(said, prompts.pairs, strict=True)
            for place, (answer,) in zip(pair.answer_positions, pair.answers, strict=True)
        ]
        assert sum(hits) > 0.95 * len(hits)


@pytest.mark.parametrize(
    ("name", "tokenizer", "message"),
    [
        (
            "sorting",
            made_tokenizers.smollm2,
            r"makes \['Ġ', '0'\] of ' 0'; take a model of the task's own symbols, or write",
        ),
        ("reverse", lambda: symbol_tokenizer(("a", "b", ">")), r"makes \['<unknown>'\] of ' c'"),
        (
            "brackets",
            inserting,
            r"symbols of one token wherever they stand, but this tokenizer makes .* '\)', 'x', '\]', '\}'\] of",
        ),
        (
            "induction",
            lambda: symbol_tokenizer(tuple("abcdefg")),
            "needs 8 words or letters of one token each, but .* 0 and 7",
        ),
    ],
)
def test_a_tokenizer_that_splits_symbols_is_refused_in_a_sentence(name, tokenizer, message):
    with pytest.raises(PromptError, match=message):
        made(name, tokenizer=tokenizer())


def test_symbols_that_are_the_same_token_are_refused():
    class Folding:
        """Takes "b" for "a"."""

        own = symbol_tokenizer(TASKS["reverse"].vocabulary)

        def encode(self, text, *, add_special_tokens=True):
            return [0 if i == 1 else i for i in self.own.encode(text)]

        def convert_ids_to_tokens(self, ids):
            return self.own.convert_ids_to_tokens(ids)

    with pytest.raises(PromptError, match="makes the same token of 'a' and 'b'"):
        made("reverse", tokenizer=Folding())
