"""What ``acdc export`` can be told of a picture."""

import pytest

from acdc.circuit import Circuit


def test_title_and_top_reach_the_picture(call, finished, tmp_path):
    code, _, err = call("export", finished, "--format", "svg", "--out", "c.svg", "--title", "My <own>", "--top", 2)
    assert code == 0, err
    svg = (tmp_path / "c.svg").read_text()
    assert ">My &lt;own&gt;<" in svg
    assert f"2 strongest of {Circuit.load(finished / 'circuit.json').n_edges} edges" in svg


@pytest.mark.parametrize("option", [("--title", "Mine"), ("--top", 3)])
@pytest.mark.parametrize("format", ["json", "graphml"])
def test_they_are_refused_where_they_would_do_nothing(refused, finished, tmp_path, format, option):
    for where in ((), ("--out", "new")):
        assert f"a {format} file holds the whole circuit" in refused(
            "export", finished, "--format", format, *option, *where
        )


def test_a_number_that_is_none_is_refused(refused, finished):
    for top in (0, -3, "2.5", "many"):
        assert "top" in refused("export", finished, "--format", "dot", "--out", "c.dot", "--top", top)


def test_labels_of_a_file_reach_the_picture(call, refused, finished, tmp_path):
    (tmp_path / "labels.csv").write_text("node,label\na1.h0,my own\n")
    code, _, err = call("export", finished, "--format", "dot", "--out", "c.dot", "--labels", "labels.csv")
    assert code == 0, err
    assert "a1.h0: my own" in (tmp_path / "c.dot").read_text()
    for format in ("json", "mib"):
        assert "--labels" in refused("export", finished, "--format", format, "--out", "new", "--labels", "labels.csv")
    (tmp_path / "labels.csv").write_text("node,label\na1.h7,mine\n")
    said = refused("export", finished, "--format", "dot", "--out", "d.dot", "--labels", "labels.csv")
    assert "labels.csv, line 2: unknown node 'a1.h7'" in said
