"""What the command says of files and folders that can't be used."""

import os

import pytest
from tiny import pairs


def test_a_folder_under_a_file_is_refused(discover, file):
    task = file(*pairs())
    said = discover(task, "--out", "pairs.jsonl/run")
    assert said == "can't make pairs.jsonl/run: Not a directory; choose another folder with --out."


def test_a_file_in_the_folder_s_place_is_refused(discover, file):
    task = file(*pairs())
    assert discover(task, "--out", task) == "pairs.jsonl is a file; choose another folder with --out."


def test_a_folder_name_that_the_system_refuses_is_refused(discover, file):
    said = discover(file(*pairs()), "--out", "o" * 300)
    assert said.startswith("can't use oooo")
    assert said.endswith("File name too long; choose another folder with --out.")


@pytest.mark.parametrize("command", [["show"], ["export", "--format", "svg"]])
def test_a_file_name_that_the_system_refuses_is_refused(refused, command):
    assert refused(*command, "x" * 300).endswith("xxx: File name too long.")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("mode", [0o500, 0o000])
def test_a_folder_without_write_permission_is_refused(discover, file, tmp_path, mode):
    task = file(*pairs())
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(mode)
    try:
        assert "Permission denied" in discover(task, "--out", "locked/run")
    finally:
        locked.chmod(0o700)


def test_export_to_a_folder_that_is_not_there_is_refused(refused, finished):
    assert "can't write nowhere/c.dot: No such file or directory" in refused(
        "export", finished, "--format", "dot", "--out", "nowhere/c.dot"
    )


@pytest.mark.parametrize("command", [["show"], ["export", "--format", "svg"]])
def test_a_folder_that_is_no_run_is_refused(refused, tmp_path, command):
    (tmp_path / "plain").mkdir()
    assert "plain" in refused(*command, "plain")
    assert "nowhere" in refused(*command, "nowhere")


def test_a_file_that_is_no_circuit_is_refused(refused, file):
    name = file("{}", name="odd.json")
    assert "odd.json isn't a circuit: it lacks cfg, edges, nodes." in refused("show", name)
