"""Names of run folders that nobody chose, and whether one run can go on as another asks."""

from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from acdc.runs.differences import differences, known_differences
from acdc.runs.naming import model_name, numbered, run_name
from acdc.runs.record import Asked, Record
from acdc.runs.request import Request


def test_a_name_holds_task_model_threshold_and_what_differs():
    assert run_name("ioi", "gpt2", 0.01, {}) == "ioi-gpt2-0.01"
    options = {"metric": "logit-diff", "gates": True, "n": 50, "seed": 3, "corruption": "abc"}
    assert run_name("data/pairs.jsonl", "owner/pythia-70m", 1e-5, options) == (
        "pairs-pythia-70m-1e-05-logit-diff-gates-n50-seed3-abc"
    )


def test_a_word_that_says_nothing_alone_has_its_option_s_name():
    options = {"bos": "yes", "answers": "label", "ablation": "zero", "dtype": "float64"}
    assert run_name("ioi", "gpt2", 0.01, options) == "ioi-gpt2-0.01-bos-yes-answers-label-zero-float64"


def test_thresholds_that_print_alike_have_names_of_their_own():
    assert run_name("ioi", "gpt2", 0.01, {}) != run_name("ioi", "gpt2", 0.010000001, {})


@pytest.mark.parametrize("name", [".", "./", "..", "../", "/", "~", "a/..", "a/."])
def test_a_folder_without_a_name_of_its_own_has_that_of_what_it_is(tmp_path, monkeypatch, name):
    (tmp_path / "models" / "a").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "models")
    expected = Path(name).expanduser().resolve().name or "root"
    assert model_name(name) == expected
    assert model_name(name) not in ("", ".", "..", "~")


@pytest.mark.parametrize(
    "text", ["a/b", "a\\b", "a\nb", "\x1b[31m", "\ud83d", "a\0b", "..", "-", "", " ", "a:b*?", "x" * 999]
)
def test_a_name_is_a_file_s_name_everywhere(text):
    for name in (run_name(text, "gpt2", 0.1, {}), run_name("ioi", "gpt2", 0.1, {"answers": text})):
        assert "/" not in name
        assert "\\" not in name
        assert not name.startswith((".", "-"))
        assert name.isprintable()
        assert len(name.encode()) <= 120


def test_long_names_are_cut_and_stay_apart():
    options = {f"option{i}": "\u6f22" * 30 for i in range(9)}
    one, other = run_name("ioi", "gpt2", 0.1, options), run_name("ioi", "gpt2", 0.1, options | {"seed": 1})
    assert one != other
    assert len(one.encode()) <= 120


def test_numbers_follow_a_name():
    assert list(islice(numbered(Path("runs/x")), 3)) == [Path("runs/x"), Path("runs/x-2"), Path("runs/x-3")]


def test_an_option_that_one_request_lacks_is_at_its_default():
    old = {"task": "ioi", "threshold": 0.01, "n": 4}
    new = old | {
        **{"bos": "auto", "allow_misaligned": False, "skip_bad_pairs": False, "answers": None, "wrong_answers": None},
        **{"order": "default", "gates": False, "seed": 0, "split_input": False, "method": "acdc", "threads": 2},
    }
    assert differences(old, new) == differences(new, old) == []
    assert differences(old, new | {"allow_misaligned": True}) == ["allow_misaligned was not given and is True"] or (
        differences(old, new | {"allow_misaligned": True}) == ["allow_misaligned was False and is True"]
    )
    assert differences(old, new | {"answers": "label"}) == ["answers was not given and is 'label'"]
    assert differences(old, new | {"seed": 1}) == ["seed was 0 and is 1"]
    assert differences(new | {"threads": 8}, new) == []


def test_what_came_of_auto_is_told_by_the_hashes():
    assert differences({"bos": "auto"}, {"bos": "yes"}) == []
    assert differences({"bos": "no"}, {"bos": "yes"}) == ["bos was 'no' and is 'yes'"]


def test_a_path_is_the_same_from_another_directory(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "pairs.jsonl").write_text("")
    monkeypatch.chdir(tmp_path)
    old = {"task": "pairs.jsonl"}
    assert differences(old, {"task": "a/pairs.jsonl"}, directory=str(tmp_path / "a")) == []
    assert differences(old, {"task": "a/pairs.jsonl"}, directory=str(tmp_path))
    assert differences(old, {"task": "a/pairs.jsonl"})
    assert differences({"task": "ioi"}, {"task": "acronyms"}, directory=str(tmp_path))


def test_what_is_known_before_the_model_is_opened_is_compared():
    request = Request(task="ioi", n=40, dtype="float32", options={"threshold": 0.01})
    record = Record("running", request, {}, {}, "now", 0.0, asked=Asked(n=None))
    asked = {"task": "ioi", "threshold": 0.01, "n": None}
    assert known_differences(record, asked) == []
    assert known_differences(record, asked | {"n": 40}) == []
    assert known_differences(record, asked | {"n": 50}) == ["n was not given and is 50"]
    assert known_differences(replace(record, asked=None), asked | {"n": 50}) == ["n was 40 and is 50"]
    assert known_differences(record, asked | {"dtype": "float64"}) == ["dtype was 'float32' and is 'float64'"]
