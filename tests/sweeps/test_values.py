"""What a user gives for an axis, and which values that is."""

import numpy as np
import pytest

from acdc.errors import AcdcError
from acdc.sweeps.values import values_of


@pytest.mark.parametrize(
    ("axis", "given", "values"),
    [
        ("task", "ioi", ["ioi"]),
        ("task", "ioi, pronouns", ["ioi", "pronouns"]),
        ("task", ["a,b.jsonl"], ["a,b.jsonl"]),
        ("seed", "0:3", [0, 1, 2]),
        ("seed", "-2:1,7", [-2, -1, 0, 7]),
        ("seed", range(2), [0, 1]),
        ("seed", np.arange(3), [0, 1, 2]),
        ("seed", np.int64(3), [3]),
        ("threshold", 1, [1.0]),
        ("threshold", np.array([0.5, 1.0]), [0.5, 1.0]),
        ("threshold", "0.001:0.1:3log", [0.001, 0.01, 0.1]),
        ("threshold", "0.1:0.001:3log", [0.1, 0.01, 0.001]),
        ("threshold", "0:1:4lin", [0.0, 0.3333, 0.6667, 1.0]),
        ("threshold", "-1:1:3lin", [-1.0, 0.0, 1.0]),
        ("threshold", ["0.001:0.1:3log", 5], [0.001, 0.01, 0.1, 5.0]),
        ("threshold", "1:1.0001:3lin", [1.0, 1.00005, 1.0001]),
        ("threshold", "1e-20:1:3log", [1e-20, 1e-10, 1.0]),
        ("top", "10:1000:5log", [10, 32, 100, 316, 1000]),
        ("top", "1:3:9lin", [1, 2, 3]),
        ("gates", "true,No", [True, False]),
        ("gates", True, [True]),
        ("batch_size", "auto,5", ["auto", 5]),
        ("freeze", ["norms,attention", "none"], ["attention,norms", "none"]),
    ],
)
def test_values_are_those_that_are_meant(axis, given, values):
    found = values_of(axis, given)
    assert found == values
    assert [type(value) for value in found] == [type(value) for value in values]


def test_both_ends_of_a_range_are_as_they_were_given():
    found = values_of("threshold", "0.00012345678:0.98765432:7log")
    assert (found[0], found[-1]) == (0.00012345678, 0.98765432)


def test_a_range_has_as_many_values_as_it_says():
    for count in (2, 12, 5000):
        assert len(set(values_of("threshold", f"0.0001:0.1:{count}log"))) == count


def test_a_name_with_a_comma_is_one_file_where_it_is_there(tmp_path):
    file = tmp_path / "a,b.jsonl"
    assert len(values_of("task", str(file))) == 2
    file.touch()
    assert values_of("task", str(file)) == [str(file)]


@pytest.mark.parametrize(
    ("axis", "given", "said"),
    [
        ("seed", "5:0", "the range '5:0' of `seed` is empty: its end is left out; write 0:5."),
        ("seed", "5:5", "write 5:6, or 5."),
        ("seed", [], "the axis `seed` is empty; give it a value, or leave it out."),
        ("seed", (), "the axis `seed` is empty"),
        ("seed", "", "a value of `seed` must be a whole number, not ''."),
        ("seed", "1,,2", "has an empty value between commas"),
        ("seed", 5.0, "`seed` must be a whole number, not 5.0."),
        ("seed", "five", "a value of `seed` must be a whole number, not 'five'."),
        ("seed", True, "`seed` must be a whole number, not True."),
        ("seed", "²:4", "a value of `seed` must be a whole number, not '²'."),
        ("seed", f"0:{'9' * 5000}", "a value of `seed` must be a whole number, not '999"),
        ("seed", "0:1000000000", "has 1,000,000,000 values, and a sweep has 100,000 cells at most"),
        ("seed", "0:1:2:3", "a value of `seed` must be a whole number, not '0:1:2:3'."),
        ("seed", range(10**6), "has 1,000,000 values"),
        ("seed", range(0, -(10**30), -1), "000 values, and a sweep has 100,000 cells at most"),
        ("seed", np.zeros((1000, 1000), int), "has 1,000,000 values"),
        ("seed", "0:", "the range '0:' of `seed` lacks an end; write both, e.g. 0:5."),
        ("threshold", ":1:5log", "the range ':1:5log' of `threshold` lacks an end; write both, e.g. 0.001:0.1:5log."),
        ("seed", {1, 2}, "must be plain (a whole number)"),
        ("threshold", "0:1:5log", "spaced by logarithms, and 0 has none; begin above 0, or space it by lin."),
        ("threshold", "1:-1:5log", "and -1 has none"),
        ("threshold", "0.1:0.2", "doesn't say how many values `threshold` has between its ends; write 0.1:0.2:5lin"),
        ("threshold", "0.1:0.2:0log", "can't be of 0 values"),
        ("threshold", "0.1:0.2:-3log", "can't be of -3 values"),
        ("threshold", "0.1:0.2:1log", "can't be of 1 value: it has both its ends; give 0.1."),
        ("threshold", "0.1:0.1:5log", "its ends are the same; give 0.1."),
        (
            "threshold",
            "0.1:0.2:5ln",
            "must end in a number of values with log or lin, e.g. 0.1:0.2:5log, not in '5ln'.",
        ),
        ("threshold", "0.1:0.2:99999999999999999999999log", "a sweep has 100,000 cells at most"),
        ("threshold", "nan", "a value of `threshold` must be a finite number, not nan."),
        ("threshold", float("inf"), "a value of `threshold` must be a finite number, not inf."),
        ("threshold", "0.1:inf:5log", "must be a finite number, not inf."),
        ("threshold", False, "`threshold` must be a number, not False."),
        ("threshold", [[0.1]], "must be plain, not [0.1]; lists don't hold lists."),
        ("threshold", {"a": 1}, "must be plain, not {'a': 1}"),
        ("threshold", [None], "must be plain (a number), not None"),
        ("gates", "maybe", "`gates` must be true or false, not 'maybe'."),
        ("gates", 1, "`gates` must be True or False, not 1."),
        ("task", 5, "`task` must be a name (text), not 5."),
        ("task", " ", "the axis `task` has an empty name; give one, or leave the axis out."),
        ("metric", lambda logits: 0, "a sweep's cells are run in other processes, too, and are written down."),
        ("batch_size", "auto:5", "a range of `batch_size` goes from a number to a number"),
        ("freeze", "atention", "unknown part to freeze 'atention': did you mean attention"),
        ("model", "nowhere/step-*", "no model's folder matches the pattern 'nowhere/step-*'; check the path"),
    ],
)
def test_what_is_no_value_is_refused_in_one_sentence(axis, given, said):
    with pytest.raises(AcdcError) as refused:
        values_of(axis, given)
    assert said in str(refused.value)


def test_checkpoints_are_sorted_by_their_numbers(tmp_path, monkeypatch):
    for step in (1000, 50, 200):
        (tmp_path / "models" / f"step-{step}").mkdir(parents=True)
        (tmp_path / "models" / f"step-{step}" / "config.json").touch()
    (tmp_path / "models" / "step-notes").mkdir()  # holds no model
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    steps = ["step-50", "step-200", "step-1000"]
    assert values_of("model", "models/step-*") == [f"models/{step}" for step in steps]
    assert values_of("model", "~/models/step-*") == [str(tmp_path / "models" / step) for step in steps]
    assert values_of("model", "models/step-[25]*") == ["models/step-50", "models/step-200"]


def test_checkpoints_of_a_bundled_model_are_found_by_its_name():
    found = values_of("model", "modular-addition/step-*")
    assert found[:2] == ["modular-addition/step-50", "modular-addition/step-300"]


def test_a_folder_whose_name_looks_like_a_pattern_is_itself(tmp_path, monkeypatch):
    (tmp_path / "model[1]").mkdir()
    monkeypatch.chdir(tmp_path)
    assert values_of("model", "model[1]") == ["model[1]"]
