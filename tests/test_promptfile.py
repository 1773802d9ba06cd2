"""Prompt pairs from files: what is read, and what is said when it can't be."""

import json
import re

import pytest

from acdc.errors import PromptError
from acdc.pairs import PromptPair
from acdc.pairs.finding import find_task
from acdc.pairs.promptfile import FileTask


class Words:
    """A tokenizer with a token for every word (with its space), numbered as they come."""

    def __init__(self):
        self.ids = {}

    def encode(self, text, *, add_special_tokens=True):
        return [self.ids.setdefault(word, len(self.ids)) for word in re.findall(r" ?[^ ]+", text)]

    def convert_ids_to_tokens(self, ids):
        words = list(self.ids)
        return [words[i] for i in ids]


PAIR = {"clean": "Ann met Bob. Bob saw", "corrupted": "Ann met Bob. Ann saw", "answer": " Ann", "wrong_answer": " Bob"}


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write lines (objects as JSON) to a file in the working directory, so that messages name it briefly."""
    monkeypatch.chdir(tmp_path)

    def write(*lines, name="pairs.jsonl"):
        path = tmp_path / name
        text = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        path.write_text("\n".join(text) + "\n", encoding="utf-8")
        return name

    return write


def read(name):
    """All pairs of a file, as written."""
    task = find_task(name)
    return list(task.generate(None, task.default_n, 0, "train", "file").pairs)


def message(call, *args, **kwargs):
    with pytest.raises(PromptError) as caught:
        call(*args, **kwargs)
    text = str(caught.value)
    assert "\n" not in text
    assert text.endswith((".", "?"))
    return text


def test_a_line_is_a_pair(write):
    assert read(write(PAIR)) == [
        PromptPair(PAIR["clean"], PAIR["corrupted"], ((" Ann",),), ((" Bob",),), (-1,), where="pairs.jsonl, line 1")
    ]


def test_blank_lines_are_skipped_but_counted(write):
    assert [pair.where for pair in read(write("", PAIR, "  ", PAIR))] == ["pairs.jsonl, line 2", "pairs.jsonl, line 4"]


def test_byte_order_mark_and_windows_line_ends(write, tmp_path):
    name = write()
    (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + json.dumps(PAIR).encode() + b"\r\n" + json.dumps(PAIR).encode())
    assert len(read(name)) == 2


def test_answers_may_be_left_out(write):
    (pair,) = read(write({"clean": "a b", "corrupted": "a c"}))
    assert pair.answers == pair.wrong_answers == ()


def test_token_ids(write):
    line = {"clean_tokens": [1, 2], "corrupted_tokens": [1, 3], "answer_token": 4, "wrong_answer_token": [5, 6]}
    prompts = find_task(write(line)).prompts(None)
    (pair,) = prompts.pairs
    assert (pair.clean, pair.corrupted, pair.answer_positions) == ((1, 2), (1, 3), (1,))
    assert (pair.answers, pair.wrong_answers) == (((4,),), ((5, 6),))


def test_one_position_takes_a_list_as_alternatives(write):
    (pair,) = read(write({**PAIR, "answer": [" Ann", " Anne"], "answer_position": [2]}))
    assert pair.answers == ((" Ann", " Anne"),)
    assert pair.answer_positions == (2,)


def test_several_positions_take_an_entry_each(write):
    line = {**PAIR, "answer": [" a", [" b", " c"]], "wrong_answer": [" d", " e"], "answer_position": [-1, 0]}
    (pair,) = find_task(write(line)).prompts(tokenizer := Words()).pairs
    spell = tokenizer.convert_ids_to_tokens
    # Positions come out ascending, and the answers with them.
    assert pair.answer_positions == (0, 4)
    assert [spell(ids) for ids in pair.answers] == [[" b", " c"], [" a"]]
    assert [spell(ids) for ids in pair.wrong_answers] == [[" e"], [" d"]]


def test_csv_as_eap_ig_writes_it(write):
    name = write(
        "clean,corrupted,note,correct_idx,incorrect_idx",
        '"Ann, Bob",x y,hm,3,4',
        "",
        'a,b,,"[1, 2]","[5]"',
        name="pairs.csv",
    )
    assert read(name) == [
        PromptPair("Ann, Bob", "x y", ((3,),), ((4,),), where="pairs.csv, line 2"),
        PromptPair("a", "b", ((1, 2),), ((5,),), where="pairs.csv, line 4"),
    ]


def test_more_pairs_than_there_are(write):
    task = find_task(write(*[{"clean": f"a {i}", "corrupted": "a b"} for i in range(5)]))
    assert len(task.prompts(Words())) == 5
    assert "has 5 prompt pairs, not 6" in message(task.generate, None, 6, 0, "train", "file")
    assert "all are used" in message(task.generate, None, 5, 0, "test", "file")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"clean": "a b", corrupted: "a c"}', ", column 18: this is not JSON: "),
        (r'{"clean": "a \ud83d", "corrupted": "a c"}', "this is not JSON that can be used: half of a character"),
        ('{"clean_tokens": [' + "9" * 5000 + "]}", "this is not JSON that can be used: "),
        ("[" * 100_000, "this is not JSON that can be used: "),
        ('["a b", "a c"]', 'a line must be an object like {"clean": ..., "corrupted": ...}, not ["a b", "a c"].'),
        ({"clean": "a b"}, "the field 'corrupted' (or 'corrupted_tokens') is missing."),
        ({"corrupted_tokens": [1]}, "the field 'clean' (or 'clean_tokens') is missing."),
        ({**PAIR, "anwser": " x"}, "unknown field 'anwser': did you mean 'answer'?"),
        ({**PAIR, "Clean": "a"}, "unknown field 'Clean': did you mean 'clean'?"),
        ({**PAIR, "wrong answers": "a"}, "unknown field 'wrong answers': did you mean 'wrong_answers'?"),
        ({**PAIR, "gruop": 1}, "unknown field 'gruop': did you mean 'group'?"),
        ({**PAIR, "corrupt": "a b"}, "both 'corrupted' and 'corrupt' are given; give one of them."),
        ({**PAIR, "answers": [" Ann"]}, "both 'answer' and 'answers' are given; give one of them."),
        ('{"clean": "a b", "corrupted": "a c", "clean": "a d"}', "the field 'clean' is given twice."),
        (
            '{"clean": "a b", "corrupted": "a c", "x": NaN}',
            "this is not JSON that can be used: NaN is no JSON number; write null.",
        ),
        ('{"clean": "a b", "corrupted": "a c",}', "this is not JSON: "),
        (
            '{"clean_tokens": [1, 2e3], "corrupted_tokens": [1]}',
            "'clean_tokens' must be a list of token ids, not [1, 2000.0].",
        ),
        ({"clean": ["a", "b"], "corrupted": "a"}, '\'clean\' must be text, not ["a", "b"].'),
        (
            {"clean": "a", "corrupted": "b", "answers": [0.5]},
            "an entry of 'answers' must be text or a token id or a list",
        ),
        ({"clean": "a", "corrupted": "b", "answers": [1, " a"]}, "an entry of 'answers' must be text or a token id"),
        ({**PAIR, "clean": 3}, "'clean' must be text, not 3."),
        ({**PAIR, "corrupted": None}, "'corrupted' must be text, not null."),
        ({**PAIR, "clean_tokens": [1]}, "both 'clean' and 'clean_tokens' are given; give one of them."),
        ({"clean_tokens": "a", "corrupted_tokens": [1]}, "'clean_tokens' must be a list of token ids, not \"a\"."),
        (
            {"clean_tokens": [1], "corrupted_tokens": [True]},
            "'corrupted_tokens' must be a list of token ids, not [true].",
        ),
        (
            {"clean_tokens": [1], "corrupted_tokens": [1.0]},
            "'corrupted_tokens' must be a list of token ids, not [1.0].",
        ),
        ({**PAIR, "answer": 7}, "an entry of 'answer' must be text or a list of such, not 7."),
        ({**PAIR, "answer": []}, "an entry of 'answer' must be text or a list of such, not []."),
        ({**PAIR, "answer": [[" a"]]}, "an entry of 'answer' must be text or a list of such, not [[\" a\"]]."),
        (
            {"clean": "a", "corrupted": "b", "answer_token": False},
            "'answer_token' must be a token id or a list of such, not false.",
        ),
        (
            {**PAIR, "answer_position": "last"},
            "'answer_position' must be a whole number or a list of such, not \"last\".",
        ),
        (
            {**PAIR, "answer_position": [0, True]},
            "'answer_position' must be a whole number or a list of such, not [0, true].",
        ),
        ({**PAIR, "answer_position": []}, "'answer_position' must be a whole number or a list of such, not []."),
        (
            {**PAIR, "answer_position": [0, 1]},
            "'answer' must be a list of one entry for each of the 2 answer positions, not \" Ann\".",
        ),
    ],
)
def test_a_line_that_is_no_pair(write, line, said):
    text = message(read, write(PAIR, line))
    assert text.startswith("pairs.jsonl, line 2")
    assert said in text


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["clean,correct_idx,incorrect_idx", "a,1,1"], "pairs.csv, line 1: the column 'corrupted' is missing; the "),
        (["Clean,corrupted", "a,b"], "pairs.csv, line 1: the column 'clean' is missing (there is 'Clean'); "),
        (["clean;corrupted", "a;b"], "pairs.csv, line 1: the columns are separated by ';'; save it with ','."),
        (["clean,corrupted,answr", "a,b, x"], "pairs.csv, line 2: unknown field 'answr': did you mean 'answer'?"),
        (["clean,corrupted,clean", "a,b,c"], "pairs.csv, line 1: the column 'clean' is there twice; keep one."),
        (["clean,corrupted", "Ann, who met Bob,Ann"], "pairs.csv, line 2: 3 values for 2 columns; put quotes around "),
        (["clean,corrupted", 'a,"b', "c,d"], "pairs.csv, line 3: this is not CSV: "),
        (["clean,corrupted,correct_idx,incorrect_idx", f"a,b,{'9' * 5000},1"], "must be a token id or a list like"),
        (["clean,corrupted,correct_idx,incorrect_idx", f"a,b,{'[' * 100_000},1"], "must be a token id or a list like"),
        (
            ["clean,corrupted,correct_idx,incorrect_idx", "a,b,1"],
            "pairs.csv, line 2: there is no value for column 'incorrect_idx'.",
        ),
        (
            ["clean,corrupted,correct_idx,incorrect_idx", "a,b,1,Bob"],
            "pairs.csv, line 2: 'incorrect_idx' must be a token id or a list like [1, 2], not 'Bob'.",
        ),
        (
            ["clean,corrupted,correct_idx,incorrect_idx", "a,b,[],2"],
            "pairs.csv, line 2: 'correct_idx' must be a token id or a list like [1, 2], not '[]'.",
        ),
        (
            ["clean,corrupted,correct_idx,incorrect_idx", "a,b,true,2"],
            "'correct_idx' must be a token id or a list like [1, 2], not 'true'.",
        ),
        (["clean,corrupted,correct_idx,incorrect_idx"], "pairs.csv has no prompt pairs; write one a line."),
        ([""], "pairs.csv, line 1: the column 'clean' is missing; the first line must "),
    ],
)
def test_a_csv_that_is_no_pairs(write, lines, said):
    assert said in message(read, write(*lines, name="pairs.csv"))


def test_files_that_cannot_be_read(write, tmp_path):
    assert message(find_task, "nowhere.jsonl") == "nowhere.jsonl doesn't exist; check the path."
    assert message(find_task, write(" ", "")) == "pairs.jsonl has no prompt pairs; write one a line."
    (tmp_path / "empty.csv").touch()
    assert message(find_task, "empty.csv") == "empty.csv has no prompt pairs; write one a line."
    (tmp_path / "latin.jsonl").write_bytes(b'{"clean": "\xe9"}')
    assert message(find_task, "latin.jsonl").startswith("latin.jsonl is not UTF-8 text")
    (tmp_path / "folder.csv").mkdir()
    assert message(find_task, "folder.csv").startswith("folder.csv can't be read: ")
    (tmp_path / "huge.csv").write_text(",".join(["clean", "corrupted", "correct_idx", "x" * 200_000]))
    assert message(find_task, "huge.csv").startswith("huge.csv, line 1: this is not CSV: ")


TOKENS = {"clean_tokens": [1, 2], "corrupted_tokens": [1, 3]}


@pytest.mark.parametrize(
    ("line", "options", "said"),
    [
        ({"clean": "", "corrupted": "a"}, {}, "the clean prompt is empty."),
        ({"clean_tokens": [1], "corrupted_tokens": []}, {}, "the corrupted prompt is empty."),
        (
            {"clean": "a b c", "corrupted": "a b"},
            {},
            "the prompts differ in length: clean has 3 tokens ['a', ' b', ' c'], corrupted has 2 ['a', ' b']",
        ),
        ({**PAIR, "answer": " Ann Lee"}, {}, "answer ' Ann Lee' is 2 tokens [' Ann', ' Lee']"),
        ({**PAIR, "wrong_answer": " Bob Lee"}, {}, "wrong answer ' Bob Lee' is 2 tokens"),
        ({**TOKENS, "answer_token": 9}, {"vocab_size": 9}, "answer token id 9 is outside the vocabulary (0 to 8)."),
        ({**TOKENS, "clean_tokens": [1, 9]}, {"vocab_size": 9}, "token id 9 is outside the vocabulary (0 to 8)."),
        ({**TOKENS, "clean_tokens": [1, -1]}, {"vocab_size": 9}, "token id -1 is outside the vocabulary (0 to 8)."),
        ({**PAIR, "answer_position": 5}, {}, "answer position 5 is outside the prompt, which has tokens 0 to 4."),
        (
            {**PAIR, "answer_position": [1, -4], "answer": ["a", "a"], "wrong_answer": ["a", "a"]},
            {},
            "an answer position occurs twice",
        ),
        (
            {**PAIR, "answer_position": [1, 2], "answer": ["a"], "wrong_answer": ["a", "a"]},
            {},
            "2 answer positions but answers for 1",
        ),
        (PAIR, {"max_length": 4}, "5 tokens are more than the model's context of 4"),
    ],
)
def test_a_pair_that_does_not_fit_the_model(write, line, options, said):
    first = {**TOKENS, "clean_tokens": [1, 2]} if "vocab_size" in options else {"clean": "a b", "corrupted": "a c"}
    task = find_task(write(first, line))
    assert message(task.prompts, Words(), **options).startswith(f"pairs.jsonl, line 2: {said}")


def test_text_needs_a_tokenizer(write):
    assert message(find_task(write(PAIR)).prompts, None).startswith(
        "pairs.jsonl, line 1: the clean prompt is text, but this model has no tokenizer; give token ids"
    )


def test_all_pairs_equal(write):
    name = write(*[{"clean": "a b", "corrupted": "a b"}] * 2)
    assert "clean and corrupted prompts are equal in all 2 pairs" in message(find_task(name).prompts, Words())


def test_task_name_is_the_path_as_given(write):
    task = find_task(write(PAIR))
    assert isinstance(task, FileTask)
    assert task.name == task.prompts(Words()).task == "pairs.jsonl"


def test_counts_of_one_are_singular(write):
    task = find_task(write(PAIR))
    with pytest.raises(PromptError, match=r"has 1 prompt pair, not 2;"):
        task.prompts(None, 2)
    with pytest.raises(PromptError, match=r"has 1 prompt pair and all are used;"):
        task.prompts(None, 1, split="test")
