"""Leaving out pairs that don't fit: counted, named, and never in silence."""

import json
import warnings

import pytest
from tiny import VOCAB, pairs, tokenizer

import acdc
from acdc.errors import AcdcWarning, NoTokenizerError, PromptError
from acdc.pairs import PromptPair
from acdc.pairs.finding import find_task
from acdc.pairs.task import Generated, Task

GOOD = pairs(6)
BAD = [
    "{no json}",
    '["clean"]',
    {"clean_tokens": [1, 2]},
    {"clean_tokens": [1, 2], "corrupted_tokens": [1]},
    {"clean_tokens": [1, VOCAB], "corrupted_tokens": [1, 2]},
    {"clean_tokens": [1, -1], "corrupted_tokens": [1]},
    {"clean_tokens": [1] * 99, "corrupted_tokens": [2] * 99},
    {"clean_tokens": [1, 2], "corrupted_tokens": [1, 3], "anser": " x"},
    {"clean_tokens": [1, 2], "corrupted_tokens": [1, 3], "answer_position": 9},
    {"clean": "Mary met", "corrupted": "John saw", "answer": " Mary Ann"},
    {"clean": "Mary <predict>met", "corrupted": "John saw"},
    {"clean": "", "corrupted": ""},
]
LIMITS = {"vocab_size": VOCAB, "max_length": 16}


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write lines to a file in the working directory."""
    monkeypatch.chdir(tmp_path)

    def write(*lines, name="pairs.jsonl"):
        text = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        (tmp_path / name).write_text("\n".join(text) + "\n")
        return name

    return write


@pytest.fixture(scope="module")
def words():
    return tokenizer()


@pytest.mark.parametrize("bad", BAD)
def test_each_kind_is_left_out_counted_and_named(write, words, bad):
    task = find_task(write(*GOOD[:3], bad, *GOOD[3:]))
    with pytest.raises(PromptError, match="line 4") as refused:
        task.prompts(words, **LIMITS)
    with pytest.warns(AcdcWarning) as said:
        prompts = task.prompts(words, skip_bad_pairs=True, **LIMITS)
    assert [list(pair.clean) for pair in prompts.pairs] == [row["clean_tokens"] for row in GOOD]
    assert prompts.left_out == {"bad pairs": 1}
    assert [str(warning.message) for warning in said] == [
        "pairs.jsonl: 1 of 7 pairs don't fit and are left out.",
        f"left out: {refused.value}",
    ]


def test_the_first_ten_are_named(write, words):
    task = find_task(write(*BAD, *GOOD))
    with pytest.warns(AcdcWarning) as said:
        prompts = task.prompts(words, skip_bad_pairs=True, **LIMITS)
    assert prompts.left_out == {"bad pairs": len(BAD)}
    lines = [str(warning.message) for warning in said]
    assert lines[0] == "pairs.jsonl: 12 of 18 pairs don't fit and are left out; the first 10 are named here."
    assert len(lines) == 11
    assert all(line.startswith(f"left out: pairs.jsonl, line {i}") for i, line in enumerate(lines[1:], start=1))
    assert all(len(line) < 400 for line in lines)


@pytest.mark.filterwarnings("ignore:(pairs.jsonl. 12 of 18 pairs don't fit|left out):acdc.AcdcWarning")
def test_n_counts_pairs_that_fit(write, words):
    task = find_task(write(*GOOD[:2], *BAD, *GOOD[2:]))
    train, test = (task.prompts(words, 4, 1, split, skip_bad_pairs=True, **LIMITS) for split in ("train", "test"))
    assert (len(train), len(test)) == (4, 2)
    assert not {pair.clean for pair in train.pairs} & {pair.clean for pair in test.pairs}
    with pytest.raises(PromptError, match="has 6 prompt pairs, not 7"):
        task.prompts(words, 7, skip_bad_pairs=True, **LIMITS)


def test_none_left_is_an_error(write, words):
    with pytest.raises(PromptError, match=r"^pairs.jsonl: no pair fits, of 12; the first: pairs.jsonl, line 1, column"):
        find_task(write(*BAD)).prompts(words, skip_bad_pairs=True, **LIMITS)
    text = {"clean": "Mary met", "corrupted": "John met"}
    with pytest.raises(NoTokenizerError):
        find_task(write(text)).prompts(None, skip_bad_pairs=True)


def test_rows_of_tables_and_items_of_lists(write, words):
    rows = ["clean,corrupted", "Mary met,John met", "Mary, who met,John", "Mary saw,John saw", "Mary,John saw"]
    with pytest.warns(AcdcWarning):
        assert len(find_task(write(*rows, name="a.csv")).prompts(words, skip_bad_pairs=True)) == 2
    items = json.dumps([1, *GOOD, {"clean": 3}])
    with pytest.warns(AcdcWarning):
        assert len(find_task(write(items, name="a.json")).prompts(words, skip_bad_pairs=True)) == 6


def test_nothing_is_said_where_all_fit(write, words):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert find_task(write(*GOOD)).prompts(words, skip_bad_pairs=True, **LIMITS).left_out == {}


def test_a_tokenizers_own_error_is_of_the_pair():
    class Touchy:
        def encode(self, text, *, add_special_tokens=True):
            if "x" in text:
                raise TypeError("TextInputSequence must be str\nin x")
            return [1, 2]

        def convert_ids_to_tokens(self, ids):
            return ids

    given = [PromptPair("a", "b"), PromptPair("x", "b"), PromptPair("c", "d")]
    with pytest.raises(PromptError, match=r"^pair 2 of the list: it can't be tokenized: TypeError: TextInputSequence"):
        find_task(given).prompts(Touchy())


def test_a_task_in_python(words):
    class Some(Task):
        name = "some"
        summary = "pairs"
        metric = "kl"
        corruptions = {"other": "other"}  # noqa: RUF012

        def generate(self, tokenizer, n, seed, split, corruption):
            made = [PromptPair((i, 1), (i, 2)) for i in range(n)]
            return Generated([PromptPair((1,), (1, 2), where="odd"), *made], {"names": ["Beatrix"]})

    with pytest.warns(AcdcWarning) as said:
        prompts = Some().prompts(words, 3, skip_bad_pairs=True)
    first, second = (str(warning.message) for warning in said)
    assert first == "some: 1 of 4 pairs don't fit and are left out."
    assert second.startswith("left out: odd: the prompts differ in length")
    assert prompts.left_out == {"names": 1, "bad pairs": 1}
    assert len(prompts) == 3


@pytest.mark.random_models
def test_a_run_records_it(write, gpt2_model):
    name = write(*GOOD, *BAD)
    with pytest.warns(AcdcWarning, match="12 of 18 pairs don't fit|left out: "):
        run = acdc.discover(gpt2_model, name, n=4, skip_bad_pairs=True, progress=False)
    assert run.record.left_out == {"bad pairs": 12}
    assert run.record.request.skip_bad_pairs is True
    assert run.record.results.held_out.n_prompts == 2


def test_without_it_a_bad_line_is_refused_before_a_model_is_opened(write, tmp_path):
    with pytest.raises(PromptError, match="line 7, column 2: this is not JSON"):
        acdc.discover(tmp_path / "no such model", write(*GOOD, *BAD), progress=False)


def test_what_is_left_out_is_named_once_and_not_with_the_held_out_pairs_again(write, words):
    task = find_task(write(*GOOD, "{no json}"))
    options = {"skip_bad_pairs": True, **LIMITS}
    with pytest.warns(AcdcWarning, match=r"1 of 7 pairs don't fit|left out: pairs\.jsonl, line 7"):
        task.prompts(words, 3, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(task.prompts(words, 3, split="test", **options)) == 3
