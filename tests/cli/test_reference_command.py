"""``acdc task reference``, and comparing with a published circuit."""

from acdc.references import reference


def test_it_says_what_is_published(call):
    code, out, _ = call("task", "reference", "ioi")
    assert code == 0
    assert "963 of 32,491 edges" in out
    assert "690 of the edges were added wholesale" in out
    assert "1,041, with 78 placeholder edges" in out
    assert "S-inhibition: a7.h3 a7.h9 a8.h6 a8.h10" in out
    assert "arXiv 2211.00593" in out


def test_its_file_is_compared_shown_and_drawn(call, tmp_path):
    code, out, _ = call("task", "reference", "greater_than", "--out", "gt.json", "--diagram", "gt.dot")
    assert code == 0
    assert out.splitlines()[-2:] == ["gt.json", "gt.dot"]
    picture = (tmp_path / "gt.dot").read_text()
    assert "without 47 edges added" in picture
    assert "year head" in picture
    code, out, _ = call("show", "gt.json")
    assert (code, "note: " in out, "source: Hanna" in out) == (0, True, True)
    code, out, _ = call("compare", "gt.json", "--reference", "greater_than")
    assert code == 0
    assert "against the reference" in out
    assert "on the reference: The published circuit leaves" in " ".join(out.split())


def test_nothing_is_overwritten_and_no_name_is_guessed(refused, tmp_path):
    assert refused("task", "reference", "iio") == "unknown reference circuit 'iio': did you mean ioi?"
    assert "doesn't end in one of" in refused("task", "reference", "ioi", "--out", "x.json", "--diagram", "x.gif")
    assert "name the same file" in refused("task", "reference", "ioi", "--out", "x.svg", "--diagram", "x.svg")
    reference("ioi").circuit.save(tmp_path / "x.json")
    assert "exists already" in refused("task", "reference", "ioi", "--out", "x.json")
    assert "of another graph" in refused("compare", "x.json", "--reference", "docstring")
    assert refused("compare", "x.json", "--reference", "docstrings").endswith("did you mean docstring?")
