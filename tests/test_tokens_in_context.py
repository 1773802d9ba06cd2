"""Prompts and answers are the tokens of their text, whatever a tokenizer does at a text's beginning."""

from pathlib import Path

import made_tokenizers as made
import pytest
from transformers import AutoTokenizer

from acdc.errors import PromptError
from acdc.pairs import PromptPair, tokenize_pair
from acdc.pairs.finding import find_task

GPT2 = Path(__file__).parents[2] / "shared" / "models" / "gpt2-tokenizer"
TASKS = ["ioi", "acronyms", "pronouns"]
TOKENIZERS = {
    "gpt2": lambda: AutoTokenizer.from_pretrained(GPT2) if GPT2.is_dir() else pytest.skip("needs GPT-2's tokenizer"),
    "llama2": made.llama2,
    "llama2-first": lambda: made.llama2("first"),
    "llama2-always": lambda: made.llama2("always"),
    "llama3": made.llama3,
    "smollm2": made.smollm2,
}


@pytest.fixture(scope="module", params=TOKENIZERS)
def tokenizer(request):
    return TOKENIZERS[request.param]()


@pytest.fixture(scope="module")
def llama2():
    return made.llama2()


def text(prompt):
    return prompt if isinstance(prompt, str) else "".join(prompt)


@pytest.mark.parametrize("bos", ["auto", "yes", "no"])
@pytest.mark.parametrize("name", TASKS)
def test_the_bundled_tasks_are_the_tokens_of_their_text(tokenizer, name, bos):
    task = find_task(name)
    for corruption in task.corruptions:
        written = task.generate(tokenizer, 12, 0, "train", corruption).pairs
        prompts = task.prompts(tokenizer, 12, corruption=corruption, bos=bos)
        assert prompts.alignment_in_words == "lined up token by token"
        for pair, checked in zip(written, prompts.pairs, strict=True):
            for prompt, ids in ((pair.clean, checked.clean), (pair.corrupted, checked.corrupted)):
                assert made.spelled(tokenizer, ids).removeprefix(" ") == text(prompt)
                if bos == "auto" and isinstance(prompt, str):
                    assert list(ids) == tokenizer.encode(prompt)
            for i, position in enumerate(checked.answer_positions):
                so_far = made.spelled(tokenizer, checked.clean[: position + 1])
                for given, tokens in ((pair.answers, checked.answers), (pair.wrong_answers, checked.wrong_answers)):
                    spelt = [made.spelled(tokenizer, [token]) for token in tokens[i]]
                    if isinstance(given[i][0], str):
                        assert spelt == list(given[i])
                    elif name == "acronyms":
                        letters = {*spelt, *(made.spelled(tokenizer, [token]) for token in checked.answers[i])}
                        assert letters == set("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
                if name == "acronyms":
                    assert so_far.endswith(["(", *pair.clean[5:]][i])


@pytest.mark.parametrize("name", ["ioi", "pronouns"])
def test_an_answer_is_the_token_that_follows(tokenizer, name):
    task = find_task(name)
    for pair, checked in zip(
        task.generate(tokenizer, 20, 0, "train", next(iter(task.corruptions))).pairs,
        task.prompts(tokenizer, 20).pairs,
        strict=True,
    ):
        assert tokenizer.encode(pair.clean + pair.answers[0][0]) == [*checked.clean, *checked.answers[0]]


def test_an_answer_means_the_same_at_an_inner_position_and_at_the_last(tokenizer):
    short = PromptPair("When Mary", "When John", ((" and",),))
    inner = PromptPair("When Mary and John met", "When John and Mary met", ((" and",),), answer_positions=(-4,))
    assert tokenize_pair(short, tokenizer).answers == tokenize_pair(inner, tokenizer).answers


def test_an_inner_answer_follows_the_text_up_to_its_position(llama2):
    # "(" and "B" stand together; by itself, B would get a space.
    pair = PromptPair("The B (B and C", "The C (C and B", (("B",), (" D",)), answer_positions=(-4, -1))
    checked = tokenize_pair(pair, llama2)
    assert llama2.convert_ids_to_tokens([ids[0] for ids in checked.answers]) == ["B", "▁D"]


def test_a_piece_is_tokenized_where_it_stands(llama2):
    pair = tokenize_pair(PromptPair(("The B (", "B", "C"), ("The C (", "C", "B")), llama2)
    assert llama2.convert_ids_to_tokens(list(pair.clean))[-3:] == ["▁(", "B", "C"]
    pieces = tokenize_pair(PromptPair(("When", " Mary", " and"), ("When", " John", " and")), llama2)
    assert list(pieces.clean) == llama2.encode("When Mary and")


def test_the_borders_of_pieces_stay_where_the_text_would_join(tokenizer):
    joined = "".join(("The key", "s"))
    pair = tokenize_pair(PromptPair(("The key", "s"), ("The map", "s")), tokenizer)
    assert made.spelled(tokenizer, pair.clean).removeprefix(" ") == joined
    assert made.spelled(tokenizer, pair.clean[-1:]) == "s"


def test_an_answer_that_the_tokenizer_does_not_know(llama2):
    with pytest.raises(PromptError, match=r"line 3: answer 'ж' is no token of this tokenizer, .*'<unk>'\]"):
        tokenize_pair(PromptPair("The B (", "The C (", (("ж",),), where="pairs.jsonl, line 3"), llama2)


def test_words_that_a_tokenizer_does_not_know_are_left_out():
    tokenizer = made.llama2()
    # Every unknown character is one token: a word of such would pass for a word of one token.
    from acdc.pairs.fitting import one_token_words

    assert one_token_words(tokenizer, ["Mary", "é"]) == (["Mary"], ["é"])


@pytest.mark.parametrize(
    ("name", "corruption", "split", "seed", "sha256"),
    [
        ("ioi", "abc", "train", 0, "44ca11ee776a42f5"),
        ("ioi", "abc", "test", 7, "2c1e5b1a38ae2ca2"),
        ("ioi", "swapped-names", "train", 0, "87ce3ae585d08be4"),
        ("ioi", "swapped-names", "test", 7, "ca1350f5eaba7021"),
        ("acronyms", "other-words", "train", 0, "6514a48382c68a4c"),
        ("acronyms", "other-words", "test", 7, "b858247511743e49"),
        ("acronyms", "last-word", "train", 0, "c777659c5d2165dd"),
        ("acronyms", "last-word", "test", 7, "8aacf4275c150326"),
        ("pronouns", "that-person", "train", 0, "bc79ec5515bfbf28"),
        ("pronouns", "that-person", "test", 7, "7b3807dca8e5fc2d"),
        ("pronouns", "opposite-gender", "train", 0, "82dd7594abe5399e"),
        ("pronouns", "opposite-gender", "test", 7, "3ff221fb822f33e4"),
    ],
)
def test_the_prompts_of_a_seed_stay_the_same(name, corruption, split, seed, sha256):
    tokenizer = AutoTokenizer.from_pretrained(made.bundled_models()["tiny-tasks"])
    prompts = find_task(name).prompts(tokenizer, 100, seed, split, corruption)
    assert prompts.sha256().startswith(sha256)
