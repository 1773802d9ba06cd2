"""A tokenizer of symbols: every symbol one token, ids in their order, and it lies in a toy model's folder."""

import json

import pytest
from tiny import save_toy
from transformers import AutoTokenizer

from acdc import load_model
from acdc.errors import ModelError, PromptError, SettingsError
from acdc.models.symbols import symbol_tokenizer
from acdc.pairs import PromptPair, tokenize_pair
from acdc.pairs.tokenizer import show_tokens, text_of

SYMBOLS = ("a", "b", "(", "{", ">", "17", "+", ":", "é", "##c")


@pytest.fixture(scope="module")
def tokenizer():
    return symbol_tokenizer(SYMBOLS)


def test_ids_are_places_in_the_vocabulary_and_nothing_is_added(tokenizer):
    text = " ".join(SYMBOLS)
    assert tokenizer.encode(text) == list(range(len(SYMBOLS)))
    assert tokenizer.decode(range(len(SYMBOLS))) == text
    assert tokenizer.encode("  b\n> a ") == [1, 4, 0]
    assert tokenizer.bos_token_id is None
    assert tokenizer.eos_token_id is None


def test_it_is_saved_and_opened_like_any_other(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    opened = AutoTokenizer.from_pretrained(tmp_path)
    assert opened.encode("17 + b") == [5, 6, 1]
    assert opened.decode([5, 6, 1, 9]) == "17 + b ##c"


def test_answers_and_messages(tokenizer):
    pair = PromptPair(
        "a b > b",
        "b a > a",
        answers=((" b",), (" a",)),
        wrong_answers=((" a", " {"), ("b", "é")),
        answer_positions=(-2, -1),
    )
    made = tokenize_pair(pair, tokenizer, vocab_size=len(SYMBOLS))
    assert made.clean == (0, 1, 4, 1)
    assert made.answers == ((1,), (0,))
    assert made.wrong_answers == ((0, 3), (1, 8))
    assert show_tokens(made.clean, tokenizer) == "['a', 'b', '>', 'b']"
    assert text_of([1, 4], tokenizer, [0]) == " b >"


def test_pieces(tokenizer):
    made = tokenize_pair(PromptPair(("a", " b >", " b"), ("b", " a >", " a")), tokenizer)
    assert (made.clean, made.corrupted) == ((0, 1, 4, 1), (1, 0, 4, 0))


def test_what_is_no_symbol_is_refused(tokenizer):
    with pytest.raises(PromptError, match=r"answer ' x' is no token of this tokenizer, which makes \['<unknown>'\]"):
        tokenize_pair(PromptPair("a >", "b >", answers=((" x",),)), tokenizer)
    with pytest.raises(PromptError, match=r"token id 10 is outside the vocabulary \(0 to 9\)"):
        tokenize_pair(PromptPair("a x >", "b x >"), tokenizer, vocab_size=len(SYMBOLS))


@pytest.mark.parametrize(
    ("vocabulary", "message"),
    [
        ("ab", "must be a list or tuple of symbols, at least one, not 'ab'"),
        ((), r"at least one, not \(\)"),
        (("a", "b c"), "must hold symbols, text without white space, not 'b c'"),
        (("a", " b"), "not ' b'"),
        (("a", ""), "not ''"),
        (("a", 3), "not 3"),
        (("a", "b", "a"), "holds 'a' 2 times; every symbol has one id"),
        (("a", "<unknown>"), "stands for all that is no symbol; name it otherwise"),
    ],
)
def test_vocabularies_that_are_none(vocabulary, message):
    with pytest.raises(SettingsError, match=message):
        symbol_tokenizer(vocabulary)


def test_a_toy_folder_has_the_tokenizer_that_lies_in_it(tokenizer, tmp_path):
    folder = save_toy(tmp_path / "toy", d_vocab=len(SYMBOLS))
    assert load_model(folder).tokenizer is None
    tokenizer.save_pretrained(folder)
    assert load_model(folder).tokenizer.encode("b > a") == [1, 4, 0]
    (folder / "tokenizer_config.json").unlink()
    assert load_model(folder).tokenizer.encode("b > a") == [1, 4, 0]
    given = symbol_tokenizer(("b", "a", ">"))
    assert load_model(folder, tokenizer=given).tokenizer is given


def test_a_broken_tokenizer_in_a_toy_folder(tmp_path):
    folder = save_toy(tmp_path / "toy")
    (folder / "tokenizer.json").write_text(json.dumps({"model": 3}))
    with pytest.raises(ModelError, match="no tokenizer can be loaded from there"):
        load_model(folder)
