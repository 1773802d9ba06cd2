"""Files that are there whole or not at all."""

import json

import pytest

from acdc.files import atomic_write


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    (tmp_path / "run.json").write_text("old")
    with pytest.raises(TypeError), atomic_write(tmp_path / "run.json") as file:
        json.dump({"new": [1, 2, object()]}, file)
    assert (tmp_path / "run.json").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_the_old_file_stands_until_the_new_one_is_whole(tmp_path):
    (tmp_path / "run.json").write_text("old")
    with atomic_write(tmp_path / "run.json") as file:
        file.write("new")
        file.flush()
        assert (tmp_path / "run.json").read_text() == "old"
    assert (tmp_path / "run.json").read_text() == "new"
