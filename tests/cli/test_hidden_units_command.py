"""``acdc hidden-units``, as typed."""

import json

import pytest
from tiny import pairs

from acdc.hiddenunits import HiddenUnits


@pytest.fixture
def run(call, file, gpt2_folder):
    return lambda *options: call("hidden-units", file(*pairs(8)), "--model", gpt2_folder, "--n", 4, *options)


def test_units_are_scored_chosen_run_and_read_back(run, finished, tmp_path):
    code, out, err = run("--top", 20, "--out", "units.csv")
    assert code == 0, err
    assert "scoring hidden units: 5 forwards and 5 backwards of all prompts" in err
    assert "20 of 128 hidden units in the whole model" in " ".join(out.split())
    assert "4 prompts, held out" in out
    assert out.splitlines()[-1] == "units.csv"
    units = HiddenUnits.load(tmp_path / "units.csv")
    assert (units.n_kept, units.kept.shape) == (20, (2, 64))
    code, out, err = run("--units", "units.csv", "--json")
    assert code == 0, err
    again = json.loads(out)
    assert (again["kept"], again["of"]) == (20, 128)
    assert again["kept_by_layer"] == units.kept.sum(1).tolist()
    states = again["used"]["states"]
    assert list(states) == ["model", "kept", "others", "none", "ablated"]
    assert states["model"]["metrics"]["kl"] == 0 < states["kept"]["metrics"]["kl"] < states["none"]["metrics"]["kl"]
    code, out, err = run("--units", "units.csv", "--circuit", finished, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert list(found["used"]["states"]) == ["model", "circuit", "kept", "others", "none", "ablated"]
    assert found["edges"] < found["of_edges"]
    assert found["used"]["states"]["kept"] != states["kept"]


def test_all_units_are_the_model_and_above_chooses(run):
    found = json.loads(run("--top", 128, "--json")[1])
    assert abs(found["used"]["states"]["kept"]["metrics"]["kl"]) < 1e-6
    assert found["used"]["states"]["others"] == found["used"]["states"]["none"]
    assert 0 < json.loads(run("--above", 0.0001, "--by", "value", "--json")[1])["kept"] < 128


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "give either a selection of the strongest hidden units (--top or --above; in Python"),
        (["--top", 5, "--units", "units.csv"], "give either a selection"),
        (["--top", 5, "--above", 1], "--top and --above contradict each other"),
        (["--top", 0], "at least 1"),
        (["--top", 500], "a selection of 500 hidden units is more than the 128 of the model"),
        (["--by", "value"], "--by says what --top and --above rank by"),
        (["--top", 5, "--by", "size"], "unknown ranking 'size'"),
        (["--units", "none.csv"], "can't read none.csv"),
        (["--top", 5, "--metric", "kll"], "unknown metric 'kll'"),
        (["--top", 5, "--ablation", "zeros"], "unknown ablation 'zeros'"),
        (["--top", 5, "--steps", 0], "--steps must be from 1 to 1000, not 0."),
        (["--top", 5, "--circuit", "none.json"], "can't read none.json"),
        (["--top", 5, "--out", "none/units.csv"], "there is no folder none"),
    ],
)
def test_what_makes_no_sense_is_a_sentence(run, tmp_path, options, said):
    code, _, err = run(*options)
    assert code == 2
    assert said in err.splitlines()[-1]
    assert not list(tmp_path.glob("*.csv"))


def test_units_of_another_model_are_refused(run, tmp_path):
    (tmp_path / "units.csv").write_text("layer,unit,score,kept\n0,0,0.5,true\n")
    code, _, err = run("--units", "units.csv")
    assert code == 2
    assert "a boolean array of shape (2, 64), a row a layer, not by bool of shape (1, 1)" in err
