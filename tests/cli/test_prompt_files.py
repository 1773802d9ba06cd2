"""The command on prompt files as people have them."""

import json

import pytest
from tiny import pairs

TEXT = {"clean": "Mary met John. John saw", "corrupted": "Mary met John. Ann saw"}


@pytest.mark.parametrize("command", ["discover", "check"])
def test_columns_are_named_by_options(call, gpt2_folder, tmp_path, command):
    rows = [f"{TEXT['clean']},{TEXT['corrupted']}, {right}, {wrong}" for right, wrong in (("Mary", "John"),) * 3]
    (tmp_path / "a.CSV").write_text("\n".join(["clean,corrupted,label,other", *rows]))
    words = ["discover"] if command == "discover" else ["task", "check"]
    more = ["--threshold", 1, "--out", "out"] if command == "discover" else []
    code, out, err = call(
        *words, "a.CSV", "--model", gpt2_folder, "--answers", "label", "--wrong-answers", "other", *more
    )
    assert code == 0
    assert "a.CSV: the answers are column 'label', read as text" in out + err
    assert "a.CSV: the wrong answers are column 'other', read as text" in out + err
    if command == "discover":
        request = json.loads((tmp_path / "out" / "run.json").read_text())["request"]
        assert (request["answers"], request["wrong_answers"], request["skip_bad_pairs"]) == ("label", "other", False)


@pytest.mark.parametrize("command", ["discover", "check"])
def test_bad_pairs_are_left_out_where_that_is_asked_for(call, gpt2_folder, file, tmp_path, command):
    name = file(*pairs(4), "{no", {"clean_tokens": [1, 2], "corrupted_tokens": [1]})
    words = ["discover"] if command == "discover" else ["task", "check"]
    more = ["--out", "out", "--threshold", 1] if command == "discover" else []
    code, _, err = call(*words, name, "--model", gpt2_folder, *more)
    assert (code, "acdc: pairs.jsonl, line 5, column 2: this is not JSON" in err) == (2, True)
    code, out, err = call(*words, name, "--model", gpt2_folder, "--skip-bad-pairs", *more)
    assert code == 0
    assert "acdc: warning: pairs.jsonl: 2 of 6 pairs don't fit and are left out." in err
    assert "acdc: warning: left out: pairs.jsonl, line 6: the prompts differ in length" in err
    assert "left out: 2 bad pairs" in out + err
    if command == "discover":
        assert json.loads((tmp_path / "out" / "run.json").read_text())["left_out"] == {"bad pairs": 2}


def test_autocircuits_file_is_read(call, gpt2_folder, tmp_path):
    row = {"clean": TEXT["clean"], "corrupt": TEXT["corrupted"], "answers": [" Mary"], "wrong_answers": [" John"]}
    (tmp_path / "ioi.json").write_text(json.dumps({"prompts": [row] * 2, "seq_labels": ["a"]}))
    code, out, _ = call("task", "check", "ioi.json", "--model", gpt2_folder)
    assert code == 0
    assert "right [' Mary'], wrong [' John']" in out


def test_columns_of_what_is_no_file_are_refused(discover):
    assert "name columns of a prompt file; this task isn't one" in discover("ioi", "--answers", "label")


def test_a_number_of_prompts_that_memory_cannot_serve_is_refused_early(discover):
    said = discover("ioi", "--n", 1_000_000_000, model="tiny-tasks")
    assert said.startswith("a run on 1000000000 prompt pairs needs about ")
