"""A table of how well a model does the tasks."""

import pytest
from task_table import row

import acdc


@pytest.fixture(scope="module")
def model():
    return acdc.load_model("tiny-tasks")


def test_a_task_that_is_done(model):
    line = row(model, "pronouns", 10)
    name, right, top1, difference, spread, left_out = (cell.strip() for cell in line.strip("|").split("|"))
    assert (name, right, top1, left_out) == ("pronouns", "100%", "100%", "none")
    assert float(difference) > 5
    assert float(spread) > 0


def test_a_task_that_cannot_be_says_why(model, tmp_path):
    file = tmp_path / "pairs.jsonl"
    line = '{"clean_tokens": [1, %d], "corrupted_tokens": [1, 99999], "answer_token": 3}'
    file.write_text(f"{line % 2}\n{line % 4}\n")
    line = row(model, str(file), 1)
    assert "99999" in line
