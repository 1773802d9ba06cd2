"""``acdc evaluate`` with ``--curve``, ``--completeness`` or ``--tests``: tables, files, pictures, what is wrong."""

import csv
import json
import re
import sys

import pytest

BASE = ("--worst", "0")


@pytest.fixture(scope="module")
def scored(finished, tmp_path_factory):
    """The finished run with every edge scored, as attribution leaves it."""
    import numpy as np

    from acdc import Circuit
    from acdc.runs.run import Run

    run = Run.load(finished)
    scores = np.random.default_rng(0).normal(size=run.circuit.graph.n_edges)
    path = tmp_path_factory.mktemp("scored") / "scored.json"
    Circuit(run.circuit.graph, run.circuit.in_graph, scores, run.circuit.found).save(path)
    return path


def widest(out):
    return max(map(len, out.splitlines()))


def test_a_curve_is_a_table_of_mib_s_sizes_and_what_they_amount_to(call, scored):
    code, out, err = call("evaluate", scored, "--curve", *BASE)
    assert code == 0, err
    assert widest(out) <= 80
    words = " ".join(out.split())
    for said in ("signed", "absolute", "greedy", "0.1%", "100.0%", "CPR", "CMD", "smallest", "held out"):
        assert said in words, out
    assert "by logit-diff. CPR (of signed) and CMD (of absolute) as MIB computes them" in words


def test_its_figures_are_in_json_and_a_line_a_size_in_csv(call, scored, tmp_path):
    code, out, err = call("evaluate", scored, "--curve", "--json", "--csv", "curve.csv", *BASE)
    assert code == 0, err
    used, held_out = json.loads(out)["judgements"]
    with (tmp_path / "curve.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["which"] for row in rows} == {"used", "held out"}
    for judged in (used, held_out):
        for name, family in judged["curve"]["families"].items():
            own = [row for row in rows if (row["which"], row["selection"]) == (judged["which"], name)]
            assert [float(row["faithfulness"]) for row in own] == [one["faithfulness"] for one in family["points"]]
            assert [int(row["n_edges"]) for row in own] == [one["n_edges"] for one in family["points"]]


@pytest.mark.parametrize("name", ["curve.svg", "curve.png"])
def test_a_curve_is_drawn(call, scored, tmp_path, name):
    pytest.importorskip("matplotlib")
    code, out, err = call("evaluate", scored, "--curve", "--plot", name, *BASE)
    assert (code, out.splitlines()[-1]) == (0, name), err
    written = (tmp_path / name).read_bytes()
    if name.endswith("svg"):
        for said in (b"signed", b"absolute", b"greedy", b"faithfulness by logit-diff", b"edges on a path"):
            assert said in written
    else:
        assert written.startswith(b"\x89PNG")


@pytest.mark.parametrize("split", ["test", "both"])
def test_nothing_of_a_picture_is_cut_off(call, scored, tmp_path, split):
    image = pytest.importorskip("matplotlib.image")
    given = () if split == "both" else ("--split", split)  # one panel, or two
    code, _, err = call("evaluate", scored, "--curve", "--plot", "curve.png", *given, *BASE)
    assert code == 0, err
    drawn = image.imread(tmp_path / "curve.png")[..., :3]
    assert [bool((side == 1).all()) for side in (drawn[:, 0], drawn[:, -1], drawn[0], drawn[-1])] == [True] * 4


def test_without_matplotlib_it_says_what_to_install(refused, scored, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    said = refused("evaluate", scored, "--curve", "--plot", "curve.svg")
    assert said == "plots need matplotlib, which isn't installed: pip install 'acdc-circuits[benchmarks]'."


def test_several_runs_stand_in_one_table(call, scored, finished):
    code, out, err = call("evaluate", scored, finished, "--curve", *BASE)
    assert code == 0, err
    assert widest(out) <= 80
    assert "asked" not in out  # sizes are shown of one alone


def test_completeness_and_minimality_in_80_columns(call, finished, tmp_path):
    code, out, err = call("evaluate", finished, "--completeness", "--csv", "nodes.csv", *BASE)
    assert code == 0, err
    assert widest(out) <= 80
    words = " ".join(out.split())
    assert "worst of 10 random" in words
    assert "the least missed of its" in words
    with (tmp_path / "nodes.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["of"] for row in rows} == {"knockout", "minimality"}


def test_hypotheses_are_tested_on_held_out_prompts_alone(call, finished):
    code, out, err = call("evaluate", finished, "--tests", *BASE)
    assert code == 0, err
    assert widest(out) <= 80
    words = " ".join(out.split())
    for said in ("equivalence", "independence", "sufficiency", "partial necessity", "minimality", "Holm"):
        assert said in words, out
    code, out, _ = call("evaluate", finished, "--tests", "--json", *BASE)
    used, held_out = json.loads(out)["judgements"]
    for test in held_out["tests"]["tests"]:  # a hypothesis that stays isn't proved
        side = "for" if test["for_the_circuit"] else "against"
        line = words[words.index(f"{test['name']}: ") :]
        assert re.search(r" (not )?(for|against) it", line)[0] == f" {'' if test['rejected'] else 'not '}{side} it"
    assert "tests" not in used
    assert held_out["tests"]["tests"][0]["name"] == "equivalence"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--plot", "a.svg"), "--plot draws the curve of --curve; give both."),
        (("--curve", "--plot", "a.pdf"), "a.pdf doesn't end in one of .svg, .png; give another file with --plot."),
        (("--curve", "--plot", "gone/a.svg"), "can't write gone/a.svg: there is no folder gone; choose another with"),
        (("--curve", "--tests", "--csv", "a.csv"), "--csv holds one table, not --curve and --tests; give one of them"),
        (("--tests", "--split", "train"), "hypothesis tests need prompts that the circuit wasn't found on; leave out"),
    ],
)
def test_what_can_t_be_had_is_one_sentence(refused, finished, options, said):
    pytest.importorskip("matplotlib")
    assert refused("evaluate", finished, *options).startswith(said)


def test_a_list_of_edges_has_no_curve(refused, finished, tmp_path):
    from acdc.runs.run import Run

    (tmp_path / "edges.txt").write_text("".join(f"{edge.name}\n" for edge in Run.load(finished).circuit.edges()))
    asked = json.loads((finished / "run.json").read_text())["request"]
    said = refused("evaluate", "edges.txt", "--curve", "--model", asked["model"], "--task", asked["task"], "--n", "4")
    assert said.startswith("a curve needs a score of each of the ")
