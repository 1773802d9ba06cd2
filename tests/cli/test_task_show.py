"""``acdc task show``: pairs token by token, at any width, whatever is in them."""

import re
from pathlib import Path

import pytest
import transformers as tf
from rich.cells import cell_len

TEXT = {
    "clean": "Mary met John. John saw",
    "corrupted": "Mary met John. Ann saw",
    "answer": " Mary",
    "wrong_answer": " John",
}


def test_a_pair_of_a_file(call, file, gpt2_folder):
    code, out, err = call("task", "show", file(TEXT), "--tokenizer", gpt2_folder)
    assert code == 0, err
    assert [line.rstrip() for line in out.splitlines()] == [
        "pairs.jsonl: prompt pairs from a file",
        "corruption file: the corrupted prompts of the file",
        "",
        "pair 1 (pairs.jsonl, line 1): 6 tokens, 1 differs",
        "token      0    1    2     3 4     5",
        "clean      Mary| met| John|.| John| saw|",
        "corrupted  Mary| met| John|.| Ann | saw|",
        "                             ^^^^^    ?",
        "? read after token 5, ' saw': right ' Mary'; wrong ' John'",
    ]


def test_three_pairs_or_as_many_as_asked_for_or_one_of_them(call, file, gpt2_folder):
    lines = [TEXT | {"clean": TEXT["clean"].replace("met", word)} for word in ("met", "saw", "and", "met John. Ann")]
    lines[3]["corrupted"] = "Mary met John. Ann John. Ann saw"
    name = file(*lines)
    shown = ("task", "show", name, "--model", gpt2_folder)

    def pairs(*options):
        code, out, err = call(*shown, *options)
        assert code == 0, err
        return [line.split(" (")[0] for line in out.splitlines() if line.startswith("pair ")]

    assert pairs() == ["pair 1", "pair 2", "pair 3"]
    assert pairs("--n", 4) == ["pair 1", "pair 2", "pair 3", "pair 4"]
    assert pairs("--pair", 2) == ["pair 2"]


def test_a_task_with_its_source_corruption_and_spans(call):
    code, out, err = call("task", "show", "ioi", "--model", "tiny-tasks", "--n", 1, "--corruption", "swapped-names")
    assert code == 0, err
    assert out.startswith('ioi: Indirect objects: "When Mary and John went')
    assert "corruption swapped-names: " in out
    assert "1 differs" in out
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize("columns", ["60", "80", "200"])
def test_every_width_is_kept(call, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr("acdc.cli.terminal.sys.stdout.isatty", lambda: True)
    code, out, err = call("task", "show", "acronyms", "--model", "tiny-tasks", "--n", 1)
    assert code == 0, err
    assert "\x1b[" in out
    assert max(map(cell_len, re.sub(r"\x1b\[[\d;]*m", "", out).splitlines())) <= int(columns)


def test_text_stays_text(call, file, gpt2_folder):
    odd = "Mary \x1b[31mmet \u202e [bold]John"
    lines = file({"clean": odd, "corrupted": odd.replace("Mary", "Ann"), "answer": " John", "x\x1b": "y"})
    code, out, err = call("task", "show", lines, "--tokenizer", gpt2_folder)
    assert code == 0, err
    assert all(line.isprintable() for line in out.splitlines())


def test_bad_numbers_and_names(refused, file, gpt2_folder):
    shown = ("task", "show", file(TEXT), "--tokenizer", gpt2_folder)
    assert refused(*shown, "--n", 0) == "--n must be at least 1, not 0."
    assert refused(*shown, "--pair", -1) == "--pair must be at least 1, not -1."
    assert refused(*shown, "--n", 1, "--pair", 1) == "--n and --pair exclude each other; give one."
    assert "has 1 prompt pair, not 7" in refused(*shown, "--pair", 7)
    assert refused(*shown, "--corruption", "givn") == "unknown corruption 'givn': known: file."
    assert refused("task", "show", file(TEXT)).endswith("give --model or --tokenizer, under which to check it.")
    assert refused("task", "show", "ioy", "--tokenizer", gpt2_folder).startswith("unknown task 'ioy': did you mean ioi")


@pytest.mark.parametrize("name", ["tiny-tasks", "planted-induction"])
def test_a_tokenizer_by_the_name_of_a_known_model_without_the_hub(call, monkeypatch, name):
    opened, own = [], tf.AutoTokenizer.from_pretrained
    monkeypatch.setattr(tf.AutoTokenizer, "from_pretrained", lambda at, **more: opened.append(at) or own(at, **more))
    task = {"tiny-tasks": "ioi", "planted-induction": "induction"}[name]
    for command in ("show", "check"):
        code, out, err = call("task", command, task, "--tokenizer", name, "--n", 2)
        assert code == 0, err
        assert task in out
    assert len(opened) == 2
    assert all(Path(at).is_absolute() for at in opened)  # in a folder of ours


def test_an_unknown_or_missing_tokenizer_by_name(refused, monkeypatch, tmp_path):
    monkeypatch.setenv("ACDC_CACHE", str(tmp_path))
    assert "did you mean tiny-tasks" in refused("task", "show", "ioi", "--tokenizer", "tiny-task")
    assert "acdc models fetch smollm2-135m" in refused("task", "check", "ioi", "--tokenizer", "smollm2-135m")
