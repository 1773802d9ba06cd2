"""What ACDC finds of circuits that are known, as a table and a plot."""

import planted
import pytest

from acdc.planted import Parameters


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setattr(planted, "SIZES", {"small": Parameters(2, 2, 24, 12)})
    monkeypatch.setattr(planted, "planted_names", lambda: ["planted-or"])


def test_a_table_of_both_kinds_and_a_plot_and_the_same_again(run, tmp_path):
    asked = (
        "--out",
        "out",
        "--sizes",
        "small",
        "--noise",
        "0,0.5",
        "--thresholds",
        "0.003,0.0001",
        "--n",
        8,
        "--jobs",
        0,
    )
    code, out, _ = run(planted, *asked)
    assert code == 0
    assert out.split() == ["out/planted.md", "out/planted.png", "out/planted.svg"]
    lines = (tmp_path / "out" / "planted.md").read_text().splitlines()
    assert "| `planted-or` | `planted-or` | two-tools | kl | 0.05 | 75 | 5 | 3 | the known part |" in lines
    assert sum(line.startswith("| small | 12 | 29 |") for line in lines) == 4
    assert lines[-3].startswith("| small | 12 | 29 | 0 | 0.0001 | 12 | 1.000 | 1.000 |")
    precision = float(lines[-1].split("|")[7])
    assert precision < 1
    (before,) = (tmp_path / "out").glob("planted-random*N0.5/runs/*0.003*/run.json")
    written = before.stat().st_mtime_ns
    assert run(planted, *asked)[0] == 0
    assert before.stat().st_mtime_ns == written


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--sizes", "smal"), "unknown size 'smal': did you mean small"),
        (("--noise", "0,x"), "--noise takes numbers from 0 up"),
        (("--noise", "2"), "at most 1"),
        (("--thresholds", "x"), "threshold"),
    ],
)
def test_what_it_refuses(run, words, said):
    code, _, err = run(planted, "--out", "out", "--sizes", "small", *words)
    assert code == 2
    assert said in err
