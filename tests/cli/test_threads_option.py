"""``acdc discover --threads``."""

import json

import pytest
import torch
from tiny import pairs


def test_the_number_is_in_the_record(call, file, gpt2_folder, tmp_path):
    before = torch.get_num_threads()
    code, _, err = call("discover", file(*pairs()), "--model", gpt2_folder, "--out", "out", "--threads", 2)
    assert code == 0, err
    assert json.loads((tmp_path / "out" / "run.json").read_text())["threads"] == 2
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("value", [0, -2, 100_000, "1.5", "all"])
def test_what_is_no_number_of_threads_is_refused(discover, file, value):
    assert "threads" in discover(file(*pairs()), "--threads", value)
