"""Results of looks compare with ``==`` by their numbers."""

from dataclasses import replace

import pytest

import acdc
from acdc.analysis import ANALYSES, look_at, patch_paths

#: One of each class.
LOOKS = [name for name in ANALYSES if "denoising" not in name and "positions" not in name]


@pytest.fixture(scope="module")
def looks():
    model = acdc.load_model("tiny-tasks")
    return [look_at(acdc.set_up(model, "ioi", n=2, seed=seed), LOOKS, heads="a1.h3") for seed in (0, 0, 1)]


@pytest.mark.parametrize("name", LOOKS)
def test_a_result_is_equal_to_another_of_the_same_numbers(looks, name):
    one, same, other = (each[name] for each in looks)
    assert one == same
    assert hash(one) == hash(same)
    assert one != other or "vocabulary" in name  # which is of no prompts
    assert one != "text"
    assert one is not None
    assert one in [other, same]


def test_looks_and_parts_of_results_likewise(looks):
    one, same, other = looks
    assert one == same
    assert one != other
    assert one.setting != same.setting
    assert one["heads"].query == same["heads"].query
    assert one["heads"].query != other["heads"].query
    assert one["patterns"].of("a1.h3", 0) == same["patterns"].of("a1.h3", 0)
    assert one["lens"].right == same["lens"].right
    numbers = one["direct"].right.copy()
    numbers[0, 0] += 1
    assert replace(one["direct"], right=numbers) != one["direct"]
    made = [patch_paths(each.setting, "a0.h1->a1.h3<k>") for each in looks]
    assert made[0] == made[1]
    assert made[0] != made[2]
