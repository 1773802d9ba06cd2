"""What the command says of names that it doesn't know and of numbers that it can't use."""

import warnings

import pytest
from tiny import pairs


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--metric", "k1"], ["unknown metric 'k1'", "did you mean kl?"]),
        (["--metric", "KL"], ["unknown metric 'KL'", "did you mean kl"]),
        (["--metric", "zzz"], ["unknown metric 'zzz'", "known: answer-logprob, kl, l2, logit-diff, prob-diff."]),
        (["--order", "defualt"], ["unknown order 'defualt'", "did you mean default?"]),
        (["--ablation", "means"], ["unknown ablation 'means'", "did you mean mean?"]),
        (["--dtype", "float23"], ["unknown dtype 'float23'", "float32"]),
        (["--corruption", "fil"], ["unknown corruption 'fil'", "did you mean file?"]),
        (["--device", "warp"], ["device 'warp' can't be used"]),
        (["--device", "meta"], ["device 'meta' can't be used"]),
        (["--threshold", "high"], ["--threshold", "'high'"]),
        (["--thresold", "1"], ["--thresold", "--threshold"]),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(discover, file, options, words):
    said = discover(file(*pairs()), *options)
    assert all(word in said for word in words), said


def test_an_unknown_task_is_refused_with_the_nearest(discover):
    assert discover("ioii") == "unknown task 'ioii': did you mean ioi?"


def test_a_task_file_that_does_not_exist_is_refused(discover):
    assert discover("pears.jsonl") == "pears.jsonl doesn't exist; check the path."


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("gtp2", "unknown model 'gtp2': did you mean gpt2"),
        ("tiny-task", "did you mean tiny-tasks"),
        ("", "the model's name is empty; give a bundled name, a hub name or a folder."),
        ("./nowhere", "./nowhere: there is no such folder."),
        ("~nobody-here/x", "~nobody-here/x: there is no such folder."),
        ("nobody/nothing", "nobody/nothing can't be loaded"),
        ("m" * 300, "unknown model 'mmm"),
    ],
)
def test_an_unknown_model_is_refused_with_the_nearest(discover, file, model, words):
    assert words in discover(file(*pairs()), model=model)


def test_an_unknown_format_is_refused_with_the_nearest(refused, finished):
    assert refused("export", finished, "--format", "swg") == "unknown format 'swg': did you mean svg?"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["discver"], "unknown command 'discver': did you mean discover?"),
        (["Show"], "unknown command 'Show': did you mean show?"),
        (
            ["zzz"],
            "unknown command 'zzz': known: analyse, compare, discover, edit, evaluate, export, hidden-units, methods, "
            "model, models, patch, resume, show, sweep, task, tasks, view.",
        ),
        (["task", "chekc"], "unknown command 'chekc': did you mean check?"),
    ],
)
def test_an_unknown_command_is_refused_with_the_nearest(refused, words, said):
    assert refused(*words) == said


@pytest.mark.parametrize("words", [[], ["task"], ["model"], ["sweep"]])
def test_no_command_gives_plain_help(call, words):
    code, out, err = call(*words)
    assert code == 2
    assert out.startswith("Usage: ")
    assert "Commands:" in out
    assert err == ""


def test_a_line_break_in_a_name_leaves_the_error_one_line(call, gpt2_folder):
    code, _, err = call("discover", "pe\na\x1brs.jsonl", "--model", gpt2_folder)
    assert (code, err) == (2, "acdc: pe\\na\\x1brs.jsonl doesn't exist; check the path.\n")


def test_the_way_warnings_are_shown_is_put_back(call):
    before = warnings.showwarning
    call("models")
    assert warnings.showwarning is before


def test_a_forgotten_model_is_asked_for(refused):
    assert "--model" in refused("discover", "ioi")


@pytest.mark.parametrize("threshold", ["-0.1", "nan", "inf"])
def test_a_threshold_that_is_negative_or_no_number_is_refused(discover, file, threshold):
    said = discover(file(*pairs()), f"--threshold={threshold}")
    assert said == f"the threshold must be a number of at least 0, got {float(threshold)}."


def test_split_input_without_position_embeddings_is_refused(discover, file, tmp_path):
    from families import random_model

    random_model("llama").save_pretrained(tmp_path / "llama")
    assert "leave out --split-input" in discover(file(*pairs()), "--split-input", model=tmp_path / "llama")
