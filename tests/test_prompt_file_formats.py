"""Prompt files as people have them: other tools' files, other columns, and what is kept besides."""

import json
import re

import pytest

from acdc.errors import AcdcWarning, PromptError, SettingsError
from acdc.pairs.finding import find_task

ANN, BOB = "Ann met Bob. Bob saw", "Ann met Bob. Ann saw"


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a file in the working directory, so that messages name it briefly."""
    monkeypatch.chdir(tmp_path)

    def write(name, content):
        (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return name

    return write


def only(name, **columns):
    (pair,) = find_task(name, **columns).pairs
    return pair


class Digits:
    """A tokenizer of words and digits; of GPT-2's kind, a space belongs to what follows it."""

    def __init__(self, pattern=r" ?[^ ]+| "):
        self.pattern, self.ids = pattern, {}

    def encode(self, text, *, add_special_tokens=True):
        return [self.ids.setdefault(word, len(self.ids)) for word in re.findall(self.pattern, text)]

    def convert_ids_to_tokens(self, ids):
        return [list(self.ids)[i] for i in ids]


AUTOCIRCUIT = {
    "seq_labels": ["x", "y"],
    "word_idxs": {"x": 1},
    "prompts": [{"clean": ANN, "corrupt": BOB, "answers": [" Ann", " Anne"], "wrong_answers": [" Bob"]}],
}


def test_autocircuits_file(write):
    pair = only(write("ioi.json", AUTOCIRCUIT))
    assert (pair.clean, pair.corrupted) == (ANN, BOB)
    assert (pair.answers, pair.wrong_answers) == (((" Ann", " Anne"),), ((" Bob",),))
    assert pair.where == "ioi.json, pair 1"


def test_autocircuits_token_ids(write):
    row = {"clean": [0, 5, 2], "corrupt": [0, 4, 3], "answers": [1, 2], "wrong_answers": [3]}
    pair = only(write("toy.json", {"prompts": [row]}))
    assert (pair.clean, pair.corrupted) == ((0, 5, 2), (0, 4, 3))
    assert (pair.answers, pair.wrong_answers) == (((1, 2),), ((3,),))


def test_autocircuits_continuous_answers_are_refused(write):
    row = {"clean": [0, 5], "corrupt": [0, 4], "answers": [[0.0, 0.5]], "wrong_answers": [[0.0, 0.2]]}
    with pytest.raises(PromptError, match="pair 1: an entry of 'answers' must be text or a token id or a list of"):
        only(write("tracr.json", {"prompts": [row]}))


@pytest.mark.parametrize("name", ["a.json", "a.JSON", "a.jsonl", "a.JSONL"])
@pytest.mark.parametrize("indent", [None, 1])
def test_a_list_of_objects_under_either_name(write, name, indent):
    rows = [{"clean": ANN, "corrupted": BOB, "answer": " Ann"}, {"clean": BOB, "corrupted": ANN, "answer": " Bob"}]
    pairs = find_task(write(name, json.dumps(rows, indent=indent))).pairs
    assert [pair.answers for pair in pairs] == [((" Ann",),), ((" Bob",),)]
    assert pairs[1].where == f"{name}, pair 2"


def test_lines_under_the_name_json(write):
    line = json.dumps({"clean": ANN, "corrupted": BOB})
    assert len(find_task(write("a.json", f"{line}\n{line}\n")).pairs) == 2
    assert only(write("b.json", line)).clean == ANN


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[1, 2", "a.json, line 1, column 6: this is not JSON: "),
        ('[\n{"clean": "a",}]', "a.json, line 2, column "),
        ("3", "a.json: it must be a list of objects like {"),
        ('{"data": []}', 'or an object with such a list as "prompts", not {"data": []}.'),
        ("[1]", 'a.json, pair 1: a pair must be an object like {"clean": ..., "corrupted": ...}, not 1.'),
        ("[]", "a.json has no prompt pairs"),
        ("[" * 100_000, "a.json: this is not JSON that can be used: it is nested too deeply."),
        ("[" + "9" * 5000 + "]", "a.json: this is not JSON that can be used: a number has 5000 digits."),
        ('[{"clean": "a", "clean": "b"}]', "the field 'clean' is given twice."),
    ],
)
def test_json_that_is_no_pairs(write, content, said):
    with pytest.raises(PromptError) as caught:
        only(write("a.json", content))
    assert said in str(caught.value)


def test_a_table_without_answers(write):
    pair = only(write("a.csv", f"clean,corrupted\n{ANN},{BOB}\n"))
    assert (pair.clean, pair.corrupted, pair.answers, pair.wrong_answers) == (ANN, BOB, (), ())


@pytest.mark.parametrize("name", ["a.CSV", "a.Csv"])
def test_capitals_in_the_ending(write, name):
    assert only(write(name, f"clean,corrupted\n{ANN},{BOB}\n")).clean == ANN


def test_empty_columns_without_a_name_are_passed_over(write):
    """Spreadsheets leave them behind the last one."""
    path = write("a.csv", f"clean,corrupted,answer,,\n{ANN},{BOB}, Ann,,\n{ANN},{BOB}, Ann\n")
    assert [pair.answers for pair in find_task(str(path)).pairs] == [((" Ann",),)] * 2
    with pytest.raises(PromptError, match=r"line 2: a value stands in a column without a name"):
        only(write("b.csv", f"clean,corrupted,,\n{ANN},{BOB},, Ann\n"))


def test_whole_numbers_as_pandas_writes_them(write):
    """Where a column has gaps, 4 is written 4.0."""
    pair = only(write("a.csv", f"clean,corrupted,correct_idx,incorrect_idx\n{ANN},{BOB},4.0,5.0\n"))
    assert (pair.answers, pair.wrong_answers) == (((4,),), ((5,),))
    pair = find_task(write("b.csv", f"clean,corrupted,label_idx\n{ANN},{BOB},4.0\n"), answers="label_idx").pairs[0]
    assert pair.answers == ((4,),)
    with pytest.raises(PromptError, match=r"must be a token id"):
        only(write("c.csv", f"clean,corrupted,correct_idx,incorrect_idx\n{ANN},{BOB},4.5,5\n"))


def test_tabs(write):
    pair = only(write("a.tsv", "clean\tcorrupted\tanswer\nAnn, Bob\tx\t Ann\n"))
    assert (pair.clean, pair.answers) == ("Ann, Bob", ((" Ann",),))


def test_the_usual_names_as_columns(write):
    head = "clean,corrupted,answer,wrong_answer,answer_position"
    pair = only(write("a.csv", f"{head}\n{ANN},{BOB}, Ann,\"[' Bob', ' Bo']\",2\n"))
    assert (pair.answers, pair.wrong_answers) == (((" Ann",),), ((" Bob", " Bo"),))
    assert pair.answer_positions == (2,)
    head = "clean_tokens,corrupted_tokens,answer_token,wrong_answer_token"
    pair = only(write("b.csv", f'{head}\n"[1, 2]","[1, 3]",4,"[5, 6]"\n'))
    assert (pair.clean, pair.corrupted, pair.answers, pair.wrong_answers) == ((1, 2), (1, 3), ((4,),), ((5, 6),))


GREATER_THAN = "The war lasted from 1732 to 17"


def test_a_year_is_never_taken_for_a_token(write):
    """Greater-than's files: `correct_idx`, or `label`, is a year's last digits."""
    name = write("gt.csv", f"clean,corrupted,correct_idx\n{GREATER_THAN},The war lasted from 1701 to 17,32\n")
    with pytest.warns(AcdcWarning, match="'correct_idx' stands alone and isn't read as answers"):
        pair = only(name)
    assert pair.answers == ()
    assert pair.tags == {"correct_idx": "32"}
    task = find_task(name, answers="correct_idx")
    assert task.pairs[0].answers == ((32,),)
    assert task.notes == ("gt.csv: the answers are column 'correct_idx', read as token ids",)
    line = {"clean": GREATER_THAN, "corrupted": "The war lasted from 1701 to 17", "correct_idx": 32}
    with pytest.warns(AcdcWarning, match="'correct_idx' stands alone"):
        assert only(write("gt.jsonl", line)).answers == ()
    with pytest.warns(AcdcWarning, match="'incorrect_idx' stands alone"):
        assert only(write("gt.csv", f"clean,corrupted,incorrect_idx\n{ANN},{BOB},3\n")).wrong_answers == ()


def test_eap_igs_names_in_json(write):
    pair = only(write("a.jsonl", {"clean": ANN, "corrupted": BOB, "correct_idx": [3, 4], "incorrect_idx": 5}))
    assert (pair.answers, pair.wrong_answers, pair.tags) == (((3, 4),), ((5,),), {})


@pytest.mark.parametrize(
    ("column", "value", "answers", "kind"),
    [
        ("label", "32", (("32",),), "text"),
        ("label", " Ann", ((" Ann",),), "text"),
        ("label", '"[1, 2]"', (("1", "2"),), "text"),
        ("country_idx", "32", ((32,),), "token ids"),
        ("answers_idx", '"[1, 2]"', ((1, 2),), "token ids"),
        ("target_token", "7", ((7,),), "token ids"),
        ("target_ids", '"[7]"', ((7,),), "token ids"),
        ("target_token", " Ann", ((" Ann",),), "text"),
        ("target", "\"[' Ann', ' Bo']\"", ((" Ann", " Bo"),), "text"),
        ("target", '"["" Ann""]"', ((" Ann",),), "text"),
        ("target", "[sic]", (("[sic]",),), "text"),
    ],
)
def test_a_named_column(write, column, value, answers, kind):
    name = write("a.csv", f"clean,corrupted,{column}\n{ANN},{BOB},{value}\n")
    for keyword, what in (("answers", "answers"), ("wrong_answers", "wrong answers")):
        task = find_task(name, **{keyword: column})
        assert getattr(task.pairs[0], keyword) == answers
        assert f"a.csv: the {what} are column {column!r}, read as {kind}" in task.notes


@pytest.mark.parametrize(
    ("field", "value", "answers"),
    [
        ("label", 32, (("32",),)),
        ("label", " Ann", ((" Ann",),)),
        ("country_idx", 32, ((32,),)),
        ("answers_idx", [1, 2], ((1, 2),)),
        ("answerz", " Ann", ((" Ann",),)),
    ],
)
def test_a_named_field_is_read_like_a_column(write, field, value, answers):
    name = write("a.jsonl", {"clean": ANN, "corrupted": BOB, field: value})
    assert only(name, answers=field).answers == answers


@pytest.mark.parametrize(
    ("lines", "columns", "said"),
    [
        (
            ["clean,corrupted,label", "a,b,c"],
            {"answers": "labl"},
            "a.csv: there is no column 'labl' for `answers`: did",
        ),
        (
            ["clean,corrupted", "a,b"],
            {"wrong_answers": "x" * 99},
            "for `wrong_answers`: there are 'clean', 'corrupted'.",
        ),
        (
            ["clean,corrupted,label", "a,b,c", "a,b,"],
            {"answers": "label"},
            "line 3: there is no value for column 'label'",
        ),
        (
            ["clean,corrupted,label", "a,b,c", "a,b"],
            {"answers": "label"},
            "line 3: there is no value for column 'label'",
        ),
        (
            ["clean,corrupted,x_idx", "a,b,1", "a,b,c"],
            {"answers": "x_idx"},
            "line 3: 'x_idx' must be a token id or a l",
        ),
    ],
)
def test_a_named_column_that_does_not_serve(write, lines, columns, said):
    with pytest.raises(PromptError) as caught:
        _ = find_task(write("a.csv", "\n".join(lines)), **columns).pairs
    assert said in str(caught.value)


def test_columns_belong_to_files(write):
    with pytest.raises(SettingsError, match="name columns of a prompt file; this task isn't one"):
        find_task("ioi", answers="label")
    with pytest.raises(SettingsError, match="`answers` must be the name of a column, not 3"):
        find_task(write("a.csv", "clean,corrupted\na,b"), answers=3)


def test_what_else_is_there_is_kept_as_tags(write):
    line = {"clean": ANN, "corrupted": BOB, "template": 3, "names": {"io": "Ann"}, "answer": " Ann", "group": "x"}
    assert only(write("a.jsonl", line)).tags == {"template": 3, "names": {"io": "Ann"}, "group": "x"}
    assert only(write("a.csv", f"clean,corrupted,note\n{ANN},{BOB},hm\n")).tags == {"note": "hm"}


def test_answers_that_may_be_there_are_pointed_at(write):
    task = find_task(write("a.csv", f"clean,corrupted,label\n{ANN},{BOB},x\n"))
    assert task.notes == ("a.csv: no answers are read; if 'label' holds them, name it by `answers`",)
    assert find_task(write("b.csv", f"clean,corrupted,note,answer\n{ANN},{BOB},x,y\n")).notes == ()


MARKED = {"clean": "1 + 2 = <predict>3</predict>", "corrupted": "1 + 4 = <predict>5</predict>"}


def test_markup_is_the_answer(write):
    pair = only(write("a.jsonl", MARKED))
    assert (pair.clean, pair.corrupted, pair.answers, pair.wrong_answers) == ("1 + 2 = ", "1 + 4 = ", (("3",),), ())


def test_markup_is_tokenized_as_the_text_without_it(write):
    name = write("a.jsonl", MARKED)
    tokenizer = Digits()
    (pair,) = find_task(name).prompts(tokenizer).pairs
    assert [*pair.clean, *pair.answers[0]] == tokenizer.encode("1 + 2 = 3")
    alone = Digits(r"[^ ]| ")  # one whose spaces are tokens of their own, as Llama 3's before digits
    (pair,) = find_task(name).prompts(alone).pairs
    assert [*pair.clean, *pair.answers[0]] == alone.encode("1 + 2 = 3")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"clean": "1 <predict>2</predict> 3"}, "the clean prompt must have one <predict>...</predict>, at its end"),
        ({"clean": "<predict>1</predict>, <predict>2</predict>"}, "the clean prompt must have one <predict>"),
        (
            {"clean": "1 + < predict >2</ predict >", "corrupted": "1 + < predict >4</ predict >"},
            "the clean prompt must",
        ),
        ({"clean": "1 + &lt;predict&gt;2", "corrupted": "1 + &lt;predict&gt;4"}, "the clean prompt must have one <pre"),
        ({"clean": '1 + <predict id="1">2'}, "the clean prompt must have one <predict>"),
        ({"clean": "1 + <predict>2"}, "the clean prompt must have one <predict>"),
        ({"clean": "1 + <predict></predict>"}, "the clean prompt must have one <predict>"),
        ({"clean": "<predict>2</predict>"}, "the clean prompt must have one <predict>"),
        ({"clean": "1 + 2"}, "the clean prompt must have one <predict>"),
        ({"corrupted": "1 + 2"}, "the corrupted prompt must have one <predict>"),
        ({"corrupted": "1 + </predict>2<predict>"}, "the corrupted prompt must have one <predict>"),
        ({"answer": "3"}, "<predict> stands beside answers or a position; give one of them."),
        ({"answer_position": 2}, "<predict> stands beside answers or a position; give one of them."),
    ],
)
def test_markup_that_is_not_understood_is_never_text(write, change, said):
    with pytest.raises(PromptError) as caught:
        only(write("a.jsonl", MARKED | change))
    assert str(caught.value).startswith("a.jsonl, line 1: ")
    assert said in str(caught.value)


def test_answers_that_are_left_empty_are_left_out(tmp_path):
    (tmp_path / "a.csv").write_text("clean,corrupted,answer\na b,a c,\nd b,d c,\n")
    (tmp_path / "a.jsonl").write_text('{"clean": "a b", "corrupted": "a c", "answer": null}\n')
    (tmp_path / "b.jsonl").write_text('{"clean": "a b", "corrupted": "a c", "answers": [], "wrong_answers": []}\n')
    for name in ("a.csv", "a.jsonl", "b.jsonl"):
        assert not any(pair.answers for pair in find_task(tmp_path / name).pairs)
