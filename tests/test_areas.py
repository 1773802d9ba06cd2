"""What a curve of faithfulness amounts to: MIB's figures to the digit, and ours where MIB's mislead."""

import math

import numpy as np
import pytest

from acdc.comparison.areas import MIB_SHARES, log_areas, log_sizes, mib_areas, mib_sizes, smallest_faithful
from acdc.errors import SettingsError

EXAMPLE = [0, 0.05, 0.10, 0.20, 0.40, 0.90, 1.20, 1.10, 0.95, 1.00]


@pytest.mark.parametrize(
    ("faithfulness", "cpr", "cmd"),
    [
        (EXAMPLE, 0.986, 0.083),
        ([1] * 10, 0.999, 0),
        (MIB_SHARES, 0.4999995, 0.4990005),
        ([0] * 8 + [1, 1], 0.65, 0.349),
        ([0] * 9 + [1], 0.25, 0.749),
    ],
)
def test_cpr_and_cmd_are_those_of_mib_s_code(faithfulness, cpr, cmd):
    found = mib_areas(faithfulness)
    assert found.cpr == pytest.approx(cpr, abs=5e-4 if faithfulness is EXAMPLE else 1e-12)
    assert found.cmd == pytest.approx(cmd, abs=5e-4 if faithfulness is EXAMPLE else 1e-12)


def test_the_example_by_the_weights_of_the_sizes():
    weights = [0.0005, 0.002, 0.004, 0.0075, 0.02, 0.04, 0.075, 0.2, 0.4, 0.25]
    found = mib_areas(EXAMPLE)
    assert found.cpr == pytest.approx(sum(w * f for w, f in zip(weights, EXAMPLE, strict=True)), abs=1e-12)
    assert found.cmd == pytest.approx(sum(w * abs(1 - f) for w, f in zip(weights, EXAMPLE, strict=True)), abs=1e-12)
    assert found.average == pytest.approx(0.59)


def test_the_full_model_may_be_left_out_and_nothing_else():
    assert mib_areas(EXAMPLE[:-1]) == mib_areas(EXAMPLE)
    for n in (0, 1, 7, 8, 11):  # seven and the full model would slide to 0.186 and 0.043
        with pytest.raises(SettingsError, match=f"exactly 9 sizes and the full model, not of {n}; give one for each"):
            mib_areas([0.5] * n)
    with pytest.raises(SettingsError, match="a faithfulness is a finite number, not nan"):
        mib_areas([math.nan, *EXAMPLE[1:]])


def test_sizes_are_cut_down_to_whole_edges():
    assert mib_sizes(32491) == (32, 64, 162, 324, 649, 1624, 3249, 6498, 16245, 32491)
    assert mib_sizes(1108) == (1, 2, 5, 11, 22, 55, 110, 221, 554, 1108)
    for n_edges in (5, 8, 10, 1108, 1_592_881):
        sizes = log_sizes(n_edges)
        assert sizes[0] == 1
        assert n_edges / 10 ** (1 / 4) - 1 <= sizes[-1] < n_edges
        assert list(sizes) == sorted(set(sizes))


def test_our_areas_are_means_over_log_size_and_leave_the_full_model_out():
    sizes = [10, 100, 1000, 1108]
    found = log_areas(sizes, [0, 1, 1, 1], 1108)
    assert found.faithfulness == pytest.approx((0.5 + 1) / 3)
    assert found.distance == pytest.approx((1 + 0.5) / 3)
    assert log_areas(sizes, [0, 1, 1, -5], 1108) == found
    assert log_areas([0, 0, 1108], [0, 0, 1], 1108).distance == 1  # nothing but the full model, MIB's 0.749
    assert mib_areas([0] * 9 + [1]).cmd < 1


def test_an_overshoot_pays_for_nothing():
    sizes = mib_sizes(1108)[:-1]
    under, over = ([sign if size > 100 else 0.0 for size in sizes] for sign in (0.5, 1.5))
    assert mib_areas(over).cpr > 1 > mib_areas(under).cpr
    assert log_areas(sizes, over, 1108).distance == pytest.approx(log_areas(sizes, under, 1108).distance, abs=0.05)


def test_a_crossing_is_taken_apart():
    sizes, shares = [1, 10, 1000], [0.2, 1.7, 0.6]
    x = np.linspace(0, math.log(1000), 300_001)
    f = np.interp(x, np.log(sizes), shares)
    found = log_areas(sizes, shares, 1108)
    assert found.distance == pytest.approx(np.abs(1 - f).mean(), abs=1e-5)
    assert found.faithfulness == pytest.approx(f.mean(), abs=1e-5)


def test_of_circuits_that_are_the_same_after_pruning_the_last_counts():
    assert log_areas([10, 10, 1000], [0.1, 0.9, 1], 1108) == log_areas([10, 1000], [0.9, 1], 1108)


def test_the_smallest_faithful_size_is_a_measured_one_inside_the_band():
    shares = np.array([[1.0, 0.0], [1.2, 0.89], [0.9, 1.1], [1.0, 1.0]])
    assert smallest_faithful([0, 4, 9, 20], shares).tolist() == [9, 9]
    assert smallest_faithful([3, 4], np.array([0.0, 1.11])) == math.inf
